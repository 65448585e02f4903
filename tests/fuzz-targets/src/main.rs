//! What `cargo xtask fuzz` asks: the names of targets, and their seeds as files.

use std::{
    fs,
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context as _, Result};
use fuzz_targets::{TARGETS, Target};

/// `fuzz-targets` lists the targets; `fuzz-targets FOLDER` writes the seeds of each
/// into a folder of its name there.
fn main() -> ExitCode {
    let result = match std::env::args_os().nth(1) {
        Some(folder) => TARGETS.iter().try_for_each(|target| write(target, Path::new(&folder))),
        None => {
            for target in TARGETS {
                println!("{}{}", target.name, if target.needs_kernel { " root" } else { "" });
            }
            Ok(())
        }
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn write(target: &Target, folder: &Path) -> Result<()> {
    let folder: PathBuf = folder.join(target.name);
    fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    for seed in target.seeds() {
        let path = folder.join(&seed.name);
        fs::write(&path, &seed.bytes)
            .with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}
