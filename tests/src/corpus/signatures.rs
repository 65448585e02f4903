//! Every default signature (F04), as the scanners spell it and as they might.

use sipguard_common::{method::Method, rule::Rule};

use super::{Case, stranger};
use crate::sip::Message;

/// How a signature's text meets the value of User-Agent, letters in any case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Match {
    /// The value starts with it.
    Prefix,
    /// The value holds it anywhere.
    Contains,
    /// The value is it.
    Exact,
}

impl Match {
    /// The word in signatures.toml.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Prefix => "prefix",
            Self::Exact => "exact",
            Self::Contains => "contains",
        }
    }
}

/// One signature that the default signatures.toml has enabled.
#[derive(Clone, Copy, Debug)]
pub struct DefaultSignature {
    /// How it matches.
    pub how: Match,
    /// Its name: the text, but for a few.
    pub name: &'static str,
    /// What it looks for.
    pub text: &'static str,
    /// Name of the case that sends just this text.
    case: &'static str,
}

const fn prefix(case: &'static str, text: &'static str) -> DefaultSignature {
    DefaultSignature { how: Match::Prefix, name: text, text, case }
}

const fn contains(case: &'static str, text: &'static str) -> DefaultSignature {
    DefaultSignature { how: Match::Contains, name: text, text, case }
}

const fn exact(case: &'static str, text: &'static str) -> DefaultSignature {
    DefaultSignature { how: Match::Exact, name: text, text, case }
}

/// The User-Agent signatures that are on by default.
pub const DEFAULT_SIGNATURES: &[DefaultSignature] = &[
    prefix("agent_friendly_scanner", "friendly-scanner"),
    prefix("agent_friendly_request", "friendly-request"),
    DefaultSignature { name: "sipcli alone", ..exact("agent_sipcli", "sipcli") },
    DefaultSignature { name: "sipcli", ..prefix("agent_sipcli_slash", "sipcli/") },
    DefaultSignature { name: "sipcli with a space", ..prefix("agent_sipcli_space", "sipcli ") },
    prefix("agent_sipscan", "sipscan"),
    prefix("agent_sivus", "SIVuS"),
    prefix("agent_siparmyknife", "siparmyknife"),
    prefix("agent_nsauditor", "Nsauditor"),
    prefix("agent_viproy", "Viproy"),
    contains("agent_sipvicious", "sipvicious"),
    exact("agent_sundayddr", "sundayddr"),
    exact("agent_pplsip", "pplsip"),
    exact("agent_sipptk", "sipptk"),
    exact("agent_sip_dash_scan", "sip-scan"),
    exact("agent_smap", "smap"),
    exact("agent_iwar", "iWar"),
    exact("agent_gulp", "Gulp"),
    exact("agent_nmap_nse", "Nmap NSE"),
    exact("agent_test_agent", "Test Agent"),
    exact("agent_hacker", "Hacker"),
    exact("agent_niceguy", "NiceGuy"),
    exact("agent_qnq", "QNQ"),
    exact("agent_voip_sip", "VoIP SIP"),
    exact("agent_voipsec", "VoIPSec"),
    exact("agent_asterix_pbx", "Asterix PBX"),
    exact("agent_dr_pes", "dr.pes"),
    exact("agent_fourcats", "FourCats"),
    exact("agent_a_b_c", "A_B_C"),
    exact("agent_ciscovoipswichpbx", "ciscovoipswichpbx"),
    exact("agent_ciscovoipswichpbx123", "ciscovoipswichpbx123"),
    exact("agent_sipadminpbxciscooo123", "SIPADMINPBXCISCOOO123"),
    exact("agent_sipfpbxciscooo", "SIPFPBXciscooo"),
    exact("agent_usaairport", "UsaAirport"),
    exact("agent_elite", "Elite 1.0 Brcm Callctrl/1.5.1.0 MxSF/v.3.2.6.26"),
    prefix("agent_vaxsipuseragent", "VaxSIPUserAgent"),
    prefix("agent_vaxipuseragent", "VaxIPUserAgent"),
    prefix("agent_vaxuseragent", "VaxUserAgent"),
];

/// The names of the others that are on by default, which look elsewhere.
pub const FINGERPRINTS: &[&str] = &[
    "svmap-tag",
    "sipvicious-tag",
    "svcrack-first-tag",
    "svcrash-tag",
    "svcrash-branch",
    "svmap-from",
    "svmap-to",
    "sundayddr-branch",
    "sundayddr-from",
    "nmap-start-line",
    "nmap-from",
    "nmap-cseq",
    "metasploit-tag",
    "viproy-cseq",
    "inviteflood-cseq",
    "inviteflood-sdp",
    "SIVuS-discovery",
    "SIVuS-discovery-to",
    "SIVuS-discovery-contact",
    "smap-from",
    "smap-to",
    "censys-from",
    "censys-uri",
    "bare probe",
    "rfc-atlanta",
    "rfc-call-id",
    "rfc-contact",
    "toll-fraud-sdp",
    "toll-fraud-call-id",
    "sippts-sdp",
    "sippts",
];

fn hit(name: &'static str, id: &'static str, agent: &str, text: &'static str) -> Case {
    let message = Message::request("REGISTER", "sip:203.0.113.1").agent(agent);
    Case::new(name, id, Rule::Signature, stranger(message.build()).build())
        .method(Method::Register)
        .signature(text)
}

pub(super) fn cases() -> Vec<Case> {
    let mut cases: Vec<Case> = DEFAULT_SIGNATURES
        .iter()
        .map(|signature| hit(signature.case, "F04", signature.text, signature.name))
        .collect();
    cases.extend([
        hit("d05_friendly_scanner_title_case", "D05", "Friendly-Scanner", "friendly-scanner"),
        hit("d05_friendly_scanner_upper_case", "D05", "FRIENDLY-SCANNER", "friendly-scanner"),
        hit("d05_sipcli_mixed_case", "D05", "SipCLI/v1.8", "sipcli"),
        hit("d05_sundayddr_mixed_case", "D05", "SundayDDR", "sundayddr"),
        hit("d05_pplsip_upper_case", "D05", "PPLSIP", "pplsip"),
        hit("d05_nmap_lower_case", "D05", "nmap nse", "Nmap NSE"),
        hit("d05_sipvicious_mixed_case", "D05", "SIPVicious", "sipvicious"),
        hit("d05_a_b_c_lower_case", "D05", "a_b_c", "A_B_C"),
        hit("d05_vax_lower_case", "D05", "vaxsipuseragent/3.5", "VaxSIPUserAgent"),
        hit("friendly_scanner_with_version", "F04", "friendly-scanner/0.3.4", "friendly-scanner"),
        hit("friendly_scanner_and_more_letters", "F04", "friendly-scannerX", "friendly-scanner"),
        hit("sipcli_with_version", "F04", "sipcli/v1.8", "sipcli"),
        hit("sivus_with_version", "F04", "SIVuS Scanner 1.09", "SIVuS"),
        hit("viproy_with_name", "F04", "Viproy Penetration Testing Kit", "Viproy"),
        hit("vaxsipuseragent_with_version", "F04", "VaxSIPUserAgent/3.1", "VaxSIPUserAgent"),
        hit("sipvicious_at_the_end", "F04", "my own sipvicious", "sipvicious"),
        hit("sipvicious_inside_a_word", "F04", "xxsipviciousxx", "sipvicious"),
        hit("sipvicious_behind_a_false_start", "F04", "sipvicsipvicious", "sipvicious"),
        hit(
            "sipvicious_behind_three_hundred_bytes",
            "F04",
            &format!("{}sipvicious", "x ".repeat(150)),
            "sipvicious",
        ),
    ]);
    cases
}
