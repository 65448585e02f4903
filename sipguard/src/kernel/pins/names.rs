//! Which maps outlive the daemon, and for whom.

/// What packets have taught and what was counted: the next load goes on with
/// these very maps.
pub(super) const KEPT: [&str; 29] = [
    RECORD,
    "INTERFACES",
    "COUNTERS",
    "BANNED",
    "BANS_MADE",
    "BANS_TOLD",
    "ENDPOINTS",
    "ENDPOINTS_UNPROVEN",
    "SITES",
    "KNOWN",
    "FAILURES",
    "SEED",
    "TRANSACTIONS",
    "CHALLENGES",
    "NONCES",
    "FIRST_TEMPLATES",
    "TEMPLATES",
    "GREYLIST",
    "REPLIES",
    "STRANGERS",
    "SUBNETS",
    "PORTS",
    "BUDGETS",
    "RESERVE",
    "SIGNATURE_HITS",
    "SIGNATURE_NAMES",
    "EVENT_LIMITS",
    "EVENT_SOURCES",
    "TALLIES",
];

/// What user space makes anew at each load: the next load fills its own while
/// the earlier program goes on with these, and one swap of programs changes all
/// of them at once.
pub(super) const RENEWED: [&str; 11] = [
    "POLICY_A",
    "POLICY_B",
    "POLICY",
    "PROTECTED",
    "LIST_SIZES",
    "NETWORKS",
    "BLOCKED_BITS",
    "TRUSTED",
    "TRUSTED_PREFIX",
    "BLOCKED",
    "BLOCKED_PREFIX",
];

/// The one that says whose the others are.
pub(super) const RECORD: &str = "RECORD";

/// Every map that is pinned.
pub(super) fn all() -> impl Iterator<Item = &'static str> {
    KEPT.into_iter().chain(RENEWED)
}
