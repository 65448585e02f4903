//! The kernel program against its host twin.

use std::{
    cell::RefCell,
    sync::atomic::{AtomicU64, Ordering},
};

use sipguard::{kernel::TestKernel, policy::Plan};
use tests::{
    corpus::Setup,
    kernel::load_or_skip,
    marathon::{STRICT, agree},
    mutate::{MAX_FRAME, MIN_FRAME},
    plans::plan,
    twin::Twin,
};

use crate::{Seed, seed::of_corpus};

pub(crate) const NEEDS_KERNEL: bool = true;

/// Frames of one input at most.
const FRAMES: usize = 16;

/// From one frame to the next.
const STEP_NS: u64 = 50_000_000;

/// From one input to the next: a day, when all that packets alone leave behind is
/// over.
const PAUSE_NS: u64 = 24 * 3600 * 1_000_000_000;

/// A program with a policy.
struct Loaded {
    kernel: TestKernel,
    plan: Plan,
}

thread_local! {
    static LOADED: RefCell<Option<[Loaded; 2]>> = RefCell::new(load());
}

static NOW_NS: AtomicU64 = AtomicU64::new(PAUSE_NS);

fn load() -> Option<[Loaded; 2]> {
    let [mut base, mut strict] = [load_or_skip()?, load_or_skip()?];
    let plans = [plan(Setup::Base), plan(Setup::Settings(STRICT))];
    base.apply(&plans[0]).expect("a policy");
    strict.apply(&plans[1]).expect("a policy");
    let [first, second] = plans;
    Some([Loaded { kernel: base, plan: first }, Loaded { kernel: strict, plan: second }])
}

/// Whether programs can be loaded here; says why not.
#[must_use]
pub fn is_loaded() -> bool {
    LOADED.with_borrow(Option::is_some)
}

/// The first byte of the input chooses the policy; then come frames, each behind
/// its length in two bytes.
///
/// # Panics
/// Where kernel and host differ.
pub fn run(input: &[u8]) {
    let Some((choice, frames)) = input.split_first() else { return };
    LOADED.with_borrow_mut(|loaded| {
        let Some(loaded) = loaded else { return };
        let now_ns = next_time(loaded);
        let Loaded { kernel, plan } = &mut loaded[usize::from(choice & 1)];
        compare(kernel, plan, now_ns, &split(frames));
    });
}

/// Far from all before; after a hundred thousand inputs all begins anew, with both
/// programs.
fn next_time(loaded: &mut [Loaded; 2]) -> u64 {
    let now_ns = NOW_NS.fetch_add(PAUSE_NS, Ordering::Relaxed);
    if now_ns <= u64::MAX / 2 {
        return now_ns;
    }
    NOW_NS.store(2 * PAUSE_NS, Ordering::Relaxed);
    for Loaded { kernel, .. } in loaded {
        kernel.forget_sources().expect("no sources");
        kernel.forget_learned().expect("nothing learned");
        kernel.set_peer(0, 0).expect("an unused bucket");
    }
    PAUSE_NS
}

fn compare(kernel: &mut TestKernel, plan: &Plan, mut now: u64, frames: &[&[u8]]) {
    let mut twin = Twin::new(plan);
    twin.set_key(kernel.key().expect("a key"));
    for frame in frames {
        now += STEP_NS;
        agree(kernel, &mut twin, now, frame);
    }
}

/// The frames that TEST_RUN takes.
fn split(mut input: &[u8]) -> Vec<&[u8]> {
    let mut frames = Vec::new();
    while let Some(([high, low], rest)) = input.split_first_chunk()
        && frames.len() < FRAMES
    {
        let len = usize::from(u16::from_be_bytes([*high, *low])).min(rest.len());
        let (frame, behind) = rest.split_at(len);
        if (MIN_FRAME..=MAX_FRAME).contains(&frame.len()) {
            frames.push(frame);
        }
        input = behind;
    }
    frames
}

/// Each frame twice, so that the second one meets what the first has left.
pub(crate) fn seeds() -> Vec<Seed> {
    of_corpus(|case| {
        let length = u16::try_from(case.frame.len()).ok()?.to_be_bytes();
        let one = [&length[..], &case.frame].concat();
        (case.frame.len() >= MIN_FRAME).then(|| [&[0], &one[..], &one].concat())
    })
}
