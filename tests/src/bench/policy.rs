//! The policies that are measured.

use std::fmt::Write as _;

use super::traffic::{self, AGENTS, BLOCKED};
use crate::rig::{
    lab::TRUSTED,
    policy::{Policy, peer},
};

/// Signatures of the full policy.
pub const SIGNATURES: usize = 500;
/// Blocked networks of the full policy.
pub const NETWORKS: u32 = 100_000;
/// Trusted prefixes of the full policy.
const PREFIXES: u32 = 1_000;
/// Lengths of blocked networks, in turns. Each holds the first address of its
/// 16.
const LENGTHS: [u8; 4] = [28, 29, 30, 32];

/// 500 signatures, 100,000 blocked networks, 1,000 trusted prefixes, all limits
/// on.
#[must_use]
pub fn full() -> Policy {
    with(SIGNATURES, NETWORKS)
}

/// The full policy with so many signatures and blocked networks.
#[must_use]
pub fn with(signatures: usize, networks: u32) -> Policy {
    Policy {
        // The defaults: every limit is on.
        main: String::new(),
        trusted: trusted(),
        blacklist: blocked(networks),
        signatures: (0..signatures).map(signature).collect(),
    }
}

fn trusted() -> String {
    let prefixes: Vec<String> =
        (0..PREFIXES).map(|i| format!("\"172.{}.{}.0/24\"", 16 + i / 256, i % 256)).collect();
    let trunk = peer("trunk", &TRUSTED.to_string());
    format!("{trunk}\n[[peer]]\nname = \"offices\"\naddress = [{}]\n", prefixes.join(", "))
}

fn blocked(networks: u32) -> String {
    if networks == 0 {
        return String::new();
    }
    let mut text = "[[block]]\naddress = [\n".to_owned();
    for (number, length) in (0..networks).zip(LENGTHS.iter().cycle()) {
        // A String takes every write.
        let _ = writeln!(text, "\"{}/{length}\",", traffic::source(BLOCKED, number));
    }
    text + "]\n"
}

/// The first five are those of the traffic.
fn signature(number: usize) -> String {
    let (kind, text) = match AGENTS.get(number) {
        Some(agent) => ("prefix", (*agent).to_owned()),
        None => (["prefix", "prefix", "exact", "contains"][number % 4], made_up(number)),
    };
    format!(
        "[[signature]]\nname = \"s{number}\"\nfield = \"user-agent\"\nmatch = \"{kind}\"\n\
         text = \"{text}\"\n"
    )
}

/// Texts that begin differently, as tools' names do.
fn made_up(number: usize) -> String {
    // Knuth's multiplicative hash: neighbours get far apart.
    let mixed = (number as u32).wrapping_mul(2_654_435_761);
    let letter = |i: u32| char::from(b'a' + (mixed >> (5 * i) & 31) as u8 % 26);
    let word: String = (0..6).map(letter).collect();
    format!("{word}{number}")
}

#[cfg(test)]
mod tests {
    use sipguard::policy;

    use super::*;
    use crate::rig::policy::Folder;

    /// The generated files are a policy, of the sizes that they claim.
    #[test]
    fn policies_load() {
        let folder = tempfile::tempdir().expect("a folder");
        let folder = Folder::new(folder.path().join("policy")).expect("a folder");
        for (signatures, networks) in [(5, 100), (2_000, 0), (SIGNATURES, 1_000)] {
            with(signatures, networks).write(&folder).expect("files");
            let (plan, _) = policy::load(folder.path()).unwrap_or_else(|found| panic!("{found}"));
            assert_eq!(plan.signatures.len(), signatures);
            assert_eq!(plan.blocked.len(), networks as usize);
            assert_eq!(plan.trusted.len(), PREFIXES as usize + 1);
        }
    }
}
