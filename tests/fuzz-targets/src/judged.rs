//! What both judges on the host say of a frame, which must be the same.

use std::{path::Path, sync::LazyLock};

use sipguard::{
    explain::{self, Known},
    kernel::Action,
    policy::{Places, Plan},
};
use sipguard_common::{method::Method, rule::Verdict};
use tests::{
    corpus::Setup,
    marathon::STRICT,
    plans::{plan, plan_with},
    twin::{Outcome, Twin},
};

/// The twin's clock.
const NOW_NS: u64 = 1_000_000_000_000;

/// Policies that differ in what they ask of a packet.
static PLANS: LazyLock<[Plan; 2]> = LazyLock::new(|| {
    // Of signatures that are off the filter notes nothing, where explain names them.
    let strict = STRICT.replace("signature = { mode = \"off\" }\n", "");
    [plan(Setup::Base), plan_with(&strict)]
});

/// Judges a frame by the twin and by what explains, under every policy.
///
/// # Panics
/// Where the two differ.
pub(crate) fn judge(frame: &[u8]) {
    for plan in &*PLANS {
        let mut twin = Twin::new(plan);
        twin.set_clock(NOW_NS);
        let judged = twin.run(frame);
        let places = Places::new(Path::new("/nonexistent"));
        let explained = explain::packet(Known { plan, places: &places, running: None }, frame);
        let decision = explained.decision.expect("a decision");
        let outcome = Outcome {
            rule: decision.rule,
            method: explained.method.unwrap_or(Method::Unknown) as u32,
            signature: explained.signature.map_or(0, |index| index as u32 + 1),
            would: explained.would,
        };
        assert_eq!(outcome, judged, "explain and the twin differ");
        let passes = judged.rule.verdict() == Verdict::Pass;
        assert_eq!(decision.action == Action::Pass, passes);
        assert!((judged.method as usize) < Method::ALL.len());
        assert!(judged.signature as usize <= plan.signatures.len());
    }
}
