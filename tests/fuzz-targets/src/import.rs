//! Configurations and lists of other programs.

use jiff::Timestamp;
use sipguard::{
    import::{Aim, Format, ImportError, Options, import},
    policy::load_texts,
};

use crate::{Seed, history};

pub(crate) const NEEDS_KERNEL: bool = false;

const FORMATS: [Format; 10] = [
    Format::Auto,
    Format::Iptables,
    Format::Nft,
    Format::Ipset,
    Format::Fail2ban,
    Format::Pjsip,
    Format::SipConf,
    Format::Kamailio,
    Format::Opensips,
    Format::Freeswitch,
];

/// The first byte chooses the format, and where lists go.
///
/// # Panics
/// Where the output is no policy, or a refusal has no remedy.
pub fn run(input: &[u8]) {
    let Some((choice, bytes)) = input.split_first() else { return };
    let format = FORMATS[usize::from(*choice) % FORMATS.len()];
    let into =
        [None, Some(Aim::Trusted), Some(Aim::Blacklist)][usize::from(*choice) / FORMATS.len() % 3];
    let options = Options { into, ..Options::default() };
    let now = Timestamp::from_second(1_800_000_000).expect("a time");
    match import(bytes, "input", format, &options, now) {
        Ok(imported) => {
            let texts: Vec<(&str, &str)> =
                imported.files.iter().map(|(part, text)| (part.file(), text.as_str())).collect();
            let loaded = load_texts(&texts, now);
            let warnings = loaded.expect("a policy").1;
            assert_eq!(warnings.len(), imported.warnings);
            for (_, text) in texts {
                let odd = |c: char| c.is_control() && !"\n\t".contains(c);
                assert!(!text.chars().any(odd), "{text:?}");
            }
        }
        Err(error @ ImportError::NoPolicy(_)) => panic!("{error}"),
        Err(error) => {
            assert!(!error.remedy().is_empty(), "{error}");
            assert!(!error.to_string().chars().any(char::is_control), "{error}");
        }
    }
}

const IPTABLES: &str = "*filter\n:INPUT ACCEPT [0:0]\n:SIP - [0:0]\n\
    -A INPUT -p udp -m udp --dport 5060 -j SIP\n-A SIP -s 192.0.2.0/24 -j ACCEPT\n\
    -A SIP -m string --string \"friendly-scanner\" --algo bm -j DROP\n\
    -A SIP -m set --match-set bad src -j DROP\n-A SIP -s 198.51.100.7/32 -j DROP\n\
    -A SIP -m hashlimit --hashlimit-above 20/sec --hashlimit-mode srcip --hashlimit-name x -j DROP\n\
    COMMIT\n";
const NFT: &str = "table inet filter {\n set bad {\n  type ipv4_addr\n  flags interval,timeout\n  \
    elements = { 198.51.100.7 timeout 1h expires 30m, 203.0.113.0/24 }\n }\n chain input {\n  \
    type filter hook input priority 0; policy accept;\n  ip saddr @bad udp dport 5060 drop\n  \
    ip saddr 192.0.2.0/24 accept\n  udp dport { 5060, 5061 } limit rate over 20/second drop\n }\n}\n";
const NFT_JSON: &str = r#"{"nftables": [{"metainfo": {"version": "1.0.6"}},
    {"set": {"family": "ip", "name": "bad", "table": "t", "type": "ipv4_addr",
    "elem": ["198.51.100.7", {"prefix": {"addr": "203.0.113.0", "len": 24}}]}}]}"#;
const IPSET: &str = "create bad hash:net family inet hashsize 1024 maxelem 65536 timeout 0\n\
    add bad 198.51.100.0/24 timeout 300\nadd bad 203.0.113.7\n";
const FAIL2BAN: &str = "Status for the jail: asterisk\n|- Filter\n|  |- Currently failed: 1\n\
    |- Actions\n   |- Currently banned: 1\n   `- Banned IP list: 198.51.100.7 2001:db8::1\n";
const PJSIP: &str = "[carrier]\ntype=identify\nendpoint=carrier\nmatch=192.0.2.0/24,198.51.100.7\n\
    [acl]\ntype=acl\ndeny=0.0.0.0/0\npermit=192.0.2.10\n";
const SIP_CONF: &str = "[general]\ncontext=default\n[carrier](!)\ntype=peer\nhost=192.0.2.10\n\
    [second](carrier)\nhost=192.0.2.11\nport=5060\npermit=192.0.2.0/255.255.255.0\n";
const KAMAILIO: &str = "# permissions\n1\t192.0.2.10\t32\t5060\tcarrier\n";
const SQL: &str = "INSERT INTO `address` VALUES (1,1,'192.0.2.10',32,5060,'carrier'),\
    (2,1,'192.0.2.64',26,0,NULL);\n";
const FREESWITCH: &str = "<configuration name=\"acl.conf\"><network-lists>\
    <list name=\"carriers\" default=\"deny\"><node type=\"allow\" cidr=\"192.0.2.0/24\"/>\
    <node type=\"deny\" host=\"198.51.100.0\" mask=\"255.255.255.0\"/></list>\
    </network-lists></configuration>\n";

pub(crate) fn seeds() -> Vec<Seed> {
    let texts = [
        ("iptables", 1, IPTABLES),
        ("nft", 2, NFT),
        ("nft_json", 2, NFT_JSON),
        ("ipset", 3, IPSET),
        ("fail2ban", 4, FAIL2BAN),
        ("pjsip", 5, PJSIP),
        ("sip_conf", 6, SIP_CONF),
        ("kamailio", 7, KAMAILIO),
        ("opensips_sql", 8, SQL),
        ("freeswitch", 9, FREESWITCH),
    ];
    let each = texts.into_iter().flat_map(|(name, format, text)| {
        [("", format), ("_auto", 0), ("_blacklist", format + 20)].map(|(suffix, choice)| {
            Seed::new(format!("{name}{suffix}"), [&[choice], text.as_bytes()].concat())
        })
    });
    // A database, if none of fail2ban's.
    let database = history::a_database();
    each.chain([Seed::new("database", [&[4], &database[..]].concat())]).collect()
}
