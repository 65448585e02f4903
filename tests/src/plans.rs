//! The policies that the corpus names, made from TOML as an operator would.

use std::{fs, path::Path, sync::LazyLock};

use sipguard::policy::{self, Plan};

use crate::corpus::{self, Setup};

/// Settings without the limits that strangers share, for tests of those that
/// each has alone. Goes behind the section `[limits.stranger]`.
pub const UNSHARED: &str = "
[limits.strangers]
total = \"unlimited\"
other = \"unlimited\"
[limits.subnet]
total = \"unlimited\"
";

/// The base policy of the corpus, with what a setup changes.
///
/// # Panics
/// Where the policy room refuses the files: a defect of the test.
#[must_use]
pub fn plan(setup: Setup) -> Plan {
    plan_with(&settings(setup))
}

/// The base policy of the corpus with this sipguard.toml.
///
/// # Panics
/// As [`plan`].
#[must_use]
pub fn plan_with(settings: &str) -> Plan {
    plan_of(settings, corpus::TRUSTED, corpus::BLOCKED)
}

/// A policy with these settings and lists, and the shipped signatures.
///
/// # Panics
/// As [`plan`].
#[must_use]
pub fn plan_of(settings: &str, trusted: &[&str], blocked: &[&str]) -> Plan {
    // Compiled once: that is the slow part, and the same for every policy.
    static SHIPPED: LazyLock<Plan> = LazyLock::new(|| load("", &[], &[], &shipped_signatures()));
    let mut plan = load(settings, trusted, blocked, "");
    plan.signatures.clone_from(&SHIPPED.signatures);
    // SAFETY: a table of integers onto another of its own type.
    unsafe {
        let from = &raw const SHIPPED.policy.automaton;
        (&raw mut plan.policy.automaton).copy_from_nonoverlapping(from, 1);
    }
    plan
}

fn load(settings: &str, trusted: &[&str], blocked: &[&str], signatures: &str) -> Plan {
    let dir = tempfile::tempdir().expect("a temporary directory");
    write_files(dir.path(), settings, trusted, blocked, signatures);
    match policy::load(dir.path()) {
        Ok((plan, _)) => plan,
        Err(diagnostics) => panic!("the policy is refused:\n{settings}\n{diagnostics}"),
    }
}

fn shipped_signatures() -> String {
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("../config/signatures.toml");
    fs::read_to_string(shipped).expect("the shipped signatures")
}

/// Writes the four files: these settings and lists, and the signatures that
/// sipguard ships.
///
/// # Panics
/// Where the files cannot be written.
pub fn write_policy(dir: &Path, settings: &str, trusted: &[&str], blocked: &[&str]) {
    write_files(dir, settings, trusted, blocked, &shipped_signatures());
}

fn write_files(dir: &Path, settings: &str, trusted: &[&str], blocked: &[&str], signatures: &str) {
    let mut peer = match trusted {
        [] => String::new(),
        _ => format!("[[peer]]\nname = \"peers\"\naddress = {trusted:?}\n"),
    };
    if trusted == corpus::TRUSTED {
        let capped = corpus::CAPPED;
        peer.push_str(&format!(
            "[[peer]]\nname = \"capped\"\naddress = \"{capped}\"\nclass = \"small\"\n"
        ));
    }
    let block = match blocked {
        [] => String::new(),
        _ => format!("[[block]]\naddress = {blocked:?}\n"),
    };
    for (name, text) in [
        ("sipguard.toml", settings),
        ("trusted.toml", &peer),
        ("blacklist.toml", &block),
        ("signatures.toml", signatures),
    ] {
        fs::write(dir.join(name), text).expect("a policy file");
    }
}

/// The sipguard.toml of a setup.
#[must_use]
pub fn settings(setup: Setup) -> String {
    match setup {
        Setup::Base
        | Setup::OverCps
        | Setup::Banned
        | Setup::TriesExhausted
        | Setup::Verified
        | Setup::VerifiedExhausted(_)
        | Setup::VerifiedBanned
        | Setup::Site
        | Setup::Exhausted(_)
        | Setup::SubnetExhausted
        | Setup::BudgetExhausted(_) => String::new(),
        Setup::Settings(settings) => settings.to_owned(),
        Setup::PortsExhausted => corpus::PORTS_LIMITED.to_owned(),
        Setup::OptionsLimit => "[policy]\noptions = \"limit\"\n".to_owned(),
        Setup::OptionsPass => "[policy]\noptions = \"pass\"\n".to_owned(),
        Setup::Closed | Setup::SiteClosed => "[policy]\nposture = \"closed\"\n".to_owned(),
        Setup::Open => "[policy]\nposture = \"open\"\n".to_owned(),
        Setup::ProtectedAddress => format!("[sip]\naddresses = [\"{}\"]\n", corpus::PROTECTED),
        Setup::TwoPorts => format!("[sip]\nports = {:?}\n", corpus::TWO_PORTS),
        Setup::Keepalives => format!("[sip]\nkeepalives = [\"{}\"]\n", corpus::KEEPALIVE),
    }
}
