//! User-Agents that must pass (L33, D18): real equipment, and values that come
//! close to a signature.

use sipguard_common::{method::Method, rule::Rule};

use super::{Case, stranger, stranger_v6};
use crate::sip::Message;

/// Real equipment.
const EQUIPMENT: &[(&str, &str)] = &[
    ("phone_3cx", "3CXPhoneSystem"),
    ("phone_3cx_with_version", "3CXPhoneSystem 18.0.9.20 (20)"),
    ("phone_asterisk_pbx", "Asterisk PBX"),
    ("phone_asterisk_pbx_with_version", "Asterisk PBX 18.20.0"),
    ("phone_opensips", "OpenSIPS (3.4.2 (x86_64/linux))"),
    ("phone_fpbx", "FPBX-2.8.1(1.8.20.0)"),
    ("phone_fpbx_of_today", "FPBX-16.0.40.7(18.20.0)"),
    ("phone_grandstream", "Grandstream GXP2140 1.0.9.14"),
    ("phone_zoiper", "Z 5.5.5 rv2.10.16.6"),
    ("phone_x_lite", "X-Lite release 1103k stamp 53621"),
    ("phone_eyebeam", "eyeBeam release 1011d stamp 40820"),
    ("phone_polycom", "PolycomVVX-VVX_410-UA/5.9.0.9373"),
    ("phone_freeswitch", "FreeSWITCH-mod_sofia/1.10.9-release~64bit"),
    ("phone_microsip", "MicroSIP/3.21.3"),
    ("phone_telephone", "Telephone/1.6"),
    ("phone_voip_my_id", "VoIP My ID Mediaserver"),
    ("phone_cisco_gateway", "Cisco-SIPGateway/IOS-12.x"),
    ("phone_yealink", "Yealink SIP-T46S 66.86.0.15"),
    ("phone_linphone", "LinphoneAndroid/5.0.14 (Galaxy) LinphoneSDK/5.2.66"),
    ("phone_kamailio", "kamailio (5.6.3 (x86_64/linux))"),
];

/// Values beside a signature, and those that are only on where an operator
/// turns them on.
const NEIGHBOURS: &[(&str, &str)] = &[
    ("agent_system", "system"),
    ("agent_x", "x"),
    ("agent_voip", "VOIP"),
    ("agent_pbx", "PBX"),
    ("agent_trixbox", "Trixbox"),
    ("agent_custom", "custom"),
    ("agent_sipp", "sipp"),
    ("agent_sipsak", "sipsak 0.9.8"),
    ("agent_unfriendly_scanner", "UNfriendly-scanner"),
    ("agent_word_before_friendly_scanner", "Not a friendly-scanner"),
    ("agent_word_before_sipcli", "Acme sipcli"),
    ("agent_friendly_scan", "friendly-scan"),
    ("agent_friendly_scanner_with_a_space", "friendly scanner"),
    ("agent_sundayaddr", "sundayaddr"),
    ("agent_smapper", "smapper"),
    ("agent_smap_with_version", "smap/0.6"),
    ("agent_hackerspace", "Hackerspace phone"),
    ("agent_voipsecure", "VoIPSecure"),
    ("agent_voip_sip_phone", "VoIP SIP phone"),
    ("agent_pplsip_quoted", "\"pplsip\""),
    ("agent_sipvicio", "sipvicio"),
    ("agent_vax", "Vax"),
];

fn register() -> Message {
    Message::request("REGISTER", "sip:203.0.113.1").header("Contact", "<sip:200@198.51.100.7:5061>")
}

pub(super) fn cases() -> Vec<Case> {
    let case = |name, id, message: Message| {
        Case::new(name, id, Rule::Stranger, stranger(message.build()).build())
            .method(Method::Register)
    };
    let equipment =
        EQUIPMENT.iter().map(|&(name, agent)| case(name, "L33", register().agent(agent)));
    let neighbours =
        NEIGHBOURS.iter().map(|&(name, agent)| case(name, "D18", register().agent(agent)));
    let mut cases: Vec<Case> = equipment.chain(neighbours).collect();
    cases.extend([
        case("phone_without_user_agent", "L33", register()),
        case("phone_with_empty_user_agent", "L33", register().line("User-Agent:")),
        case("phone_with_blank_user_agent", "L33", register().line("User-Agent:   \t ")),
        case("phone_with_long_user_agent", "L33", register().agent(&"Phone 1.0 ".repeat(60))),
        case("phone_with_utf8_user_agent", "L33", register().agent("Téléphone/1.0 \u{1f4de}")),
        Case::new(
            "phone_over_ipv6",
            "L33",
            Rule::Stranger,
            stranger_v6(register().agent("Grandstream GXP2140 1.0.9.14").build()).build(),
        )
        .method(Method::Register),
    ]);
    cases
}
