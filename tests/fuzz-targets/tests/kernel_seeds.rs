//! The seeds of the target that needs the kernel.

use fuzz_targets::{TARGETS, kernel};

#[test]
fn kernel_and_host_agree_on_every_seed() {
    if !kernel::is_loaded() {
        return;
    }
    let targets: Vec<_> = TARGETS.iter().filter(|target| target.needs_kernel).collect();
    assert_eq!(targets.len(), 1, "more targets need the kernel");
    for target in targets {
        let seeds = target.seeds();
        assert!(seeds.len() > 100, "{} seeds", seeds.len());
        for seed in &seeds {
            println!("{} {}", target.name, seed.name);
            (target.run)(&seed.bytes);
        }
    }
}
