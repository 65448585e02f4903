//! One function for each fuzz target, and the seeds that it begins with.
//!
//! `fuzz/` makes programs for libFuzzer of them; the tests of this package run
//! every seed and every input that was once a finding through the same functions,
//! without a fuzzer.

pub mod capture;
pub mod control;
pub mod feeds;
pub mod frame;
pub mod hep;
pub mod history;
pub mod import;
pub mod kernel;
pub mod message;
pub mod policy;

mod judged;
mod seed;
#[cfg(test)]
mod shake;

pub use seed::Seed;

/// One of them.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    pub name: &'static str,
    /// Takes any input, and panics where one shows a defect.
    pub run: fn(&[u8]),
    /// Seeds that are made, rather than kept as files.
    made: fn() -> Vec<Seed>,
    /// Whether it needs the rights to load a program into the kernel.
    pub needs_kernel: bool,
}

macro_rules! targets {
    ($($module:ident)+) => {
        /// Each of them.
        pub const TARGETS: &[Target] = &[$(Target {
            name: stringify!($module),
            run: $module::run,
            made: $module::seeds,
            needs_kernel: $module::NEEDS_KERNEL,
        },)+];
    };
}

targets! { message frame kernel policy capture control feeds history hep import }

impl Target {
    /// The target of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<&'static Self> {
        TARGETS.iter().find(|target| target.name == name)
    }

    /// All inputs that it begins with: those that are made, and the files in
    /// `fuzz/seeds`, among them what was once a finding.
    #[must_use]
    pub fn seeds(&self) -> Vec<Seed> {
        let mut seeds = (self.made)();
        seeds.extend(seed::kept(self.name));
        seeds
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::HashSet, fs, path::Path};

    use ::tests::random::Random;

    use super::*;

    /// Inputs of each target beside the seeds.
    const SHAKES: usize = 150;

    /// Every seed, and every input that was a finding once, through its target: what
    /// a fuzzer would begin with. Then a few that nobody knows yet.
    fn replay(name: &str) {
        let target = Target::named(name).unwrap();
        let seeds = target.seeds();
        assert!(!seeds.is_empty(), "{name} has no seeds");
        for seed in &seeds {
            // Shown where the next line panics.
            println!("{name} {}", seed.name);
            (target.run)(&seed.bytes);
        }
        let mut random = Random::new(0xf022);
        for number in 0..SHAKES {
            let input = shake::shaken(&mut random, &seeds);
            println!("{name} {number}: {}", input.escape_ascii());
            (target.run)(&input);
        }
    }

    macro_rules! replays {
        ($($name:ident)+) => {
            $(#[test]
            fn $name() {
                replay(stringify!($name));
            })+

            #[test]
            fn every_target_is_replayed() {
                let replayed = HashSet::from([$(stringify!($name)),+]);
                for target in TARGETS {
                    assert_eq!(replayed.contains(target.name), !target.needs_kernel, "{}", target.name);
                }
            }
        };
    }

    replays! { message frame policy capture control feeds history hep import }

    #[test]
    fn seeds_have_names_of_their_own() {
        for target in TARGETS {
            let mut seen = HashSet::new();
            for seed in target.seeds() {
                assert!(
                    seen.insert(seed.name.clone()),
                    "{}: {} stands twice",
                    target.name,
                    seed.name
                );
            }
        }
    }

    /// A program in `fuzz/`, with a line in its manifest, and no folder of seeds that
    /// nobody reads.
    #[test]
    fn every_target_is_a_program_of_the_fuzzer() {
        let fuzz = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz");
        let names: HashSet<String> = TARGETS.iter().map(|target| target.name.to_owned()).collect();
        let files = |folder: &str| {
            let entries = fs::read_dir(fuzz.join(folder)).into_iter().flatten();
            let stem = |entry: fs::DirEntry| entry.path().file_stem().unwrap().to_owned();
            entries.map(|entry| stem(entry.unwrap()).into_string().unwrap()).collect::<HashSet<_>>()
        };
        assert_eq!(files("fuzz_targets"), names);
        assert!(files("seeds").is_subset(&names), "{:?}", files("seeds"));
        let manifest = fs::read_to_string(fuzz.join("Cargo.toml")).unwrap();
        for name in &names {
            assert!(manifest.contains(&format!("name = \"{name}\"")), "{name}");
            let program = fs::read_to_string(fuzz.join(format!("fuzz_targets/{name}.rs"))).unwrap();
            assert!(program.contains(&format!("fuzz_targets::{name}::run")), "{name}");
        }
    }
}
