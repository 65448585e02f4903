//! The stories of the corpus, played on the host twin, and on the kernel
//! programs with the twin beside them.

use std::{
    collections::HashMap,
    panic::{AssertUnwindSafe, catch_unwind},
};

use sipguard::{kernel::TestKernel, policy::Plan};
use tests::{
    corpus::stories::{Scene, Story, stories},
    kernel::load_or_skip,
    plans::plan_with,
    stage::Stage,
};

/// Plays all of them, and tells which have another end than they should.
fn play(mut kernel: Option<&mut TestKernel>) {
    let mut plans: HashMap<&str, Plan> = HashMap::new();
    let mut wrong = Vec::new();
    for Story { name, ids, settings, play } in stories() {
        let plan = plans.entry(settings).or_insert_with(|| plan_with(settings));
        let stage = Stage::new(plan, kernel.as_deref_mut());
        let begun = std::time::Instant::now();
        if catch_unwind(AssertUnwindSafe(|| play(&mut Scene::new(stage)))).is_err() {
            wrong.push(format!("{name} ({})", ids.join(" ")));
        }
        println!("{name}: {:?}", begun.elapsed());
    }
    assert!(wrong.is_empty(), "{} stories are wrong:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn the_host_twin_plays_the_stories() {
    play(None);
}

#[test]
fn the_kernel_programs_play_the_stories() {
    let Some(mut kernel) = load_or_skip() else { return };
    play(Some(&mut kernel));
}
