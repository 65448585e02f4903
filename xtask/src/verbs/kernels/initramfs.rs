//! The first and only file system of a virtual machine.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result};

use super::plan::{self, SIPGUARD, Step, TESTS};
use crate::{
    process,
    tools::{cpio::Archive, kernels::Kernel},
    verbs::test::executable::Executable,
    workspace::Workspace,
};

/// Folders of the work tree that tests read, under the same path as here.
const DATA: &[&str] = &["config", "tests/fixtures"];

/// The programs, with all that they need, the same for every kernel.
pub(super) struct Programs {
    /// Where each lies there, and what is in it.
    files: Vec<(PathBuf, Vec<u8>)>,
}

impl Programs {
    /// Strips copies of the programs, and finds the libraries that they load.
    pub(super) fn prepare(workspace: &Workspace, built: &[Executable]) -> Result<Self> {
        let of_the_machine =
            |name: &str| process::find_program(name).with_context(|| format!("there is no {name}"));
        let mut programs = vec![
            (PathBuf::from("/init"), workspace.target().join("debug/guest")),
            (PathBuf::from(SIPGUARD), workspace.sipguard()),
            (PathBuf::from("/sbin/ip"), of_the_machine("ip")?),
            (PathBuf::from("/sbin/tc"), of_the_machine("tc")?),
        ];
        for name in plan::executables() {
            let executable = built
                .iter()
                .find(|executable| executable.name == name)
                .with_context(|| format!("there are no tests `{name}`"))?;
            programs.push((Path::new(TESTS).join(name), executable.program.clone()));
        }

        let mut files = Vec::new();
        let folder = workspace.target().join("kernels/programs");
        fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
        for (place, program) in programs {
            for library in libraries(&program)? {
                files.push((library.clone(), read(&library)?));
            }
            let stripped = folder.join(place.file_name().context("a program without a name")?);
            process::run(Command::new("strip").arg("-o").arg(&stripped).arg(&program))?;
            files.push((place, read(&stripped)?));
        }
        for folder in DATA {
            add_folder(&workspace.root().join(folder), &mut files)?;
        }
        Ok(Self { files })
    }

    /// Writes the archive for one kernel and one plan.
    pub(super) fn write(&self, path: &Path, kernel: &Kernel, steps: &[Step]) -> Result<()> {
        let mut archive = Archive::create(path)?;
        for (place, content) in &self.files {
            archive.file(place, content)?;
        }
        archive.folder(Path::new("/modules"))?;
        for module in &kernel.modules {
            let name = module.file_name().context("a module without a name")?;
            archive.file(&Path::new("/modules").join(name), &read(module)?)?;
        }
        let lines: Vec<String> = steps.iter().map(|step| step.words.join("\t")).collect();
        archive.file(Path::new("/plan"), lines.join("\n").as_bytes())?;
        archive.finish()
    }
}

fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).with_context(|| format!("cannot read {}", path.display()))
}

fn add_folder(folder: &Path, files: &mut Vec<(PathBuf, Vec<u8>)>) -> Result<()> {
    let entries =
        fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?;
    for entry in entries {
        let path = entry?.path();
        if path.is_dir() {
            add_folder(&path, files)?;
        } else {
            files.push((path.clone(), read(&path)?));
        }
    }
    Ok(())
}

/// The shared libraries of a program, its loader among them.
fn libraries(program: &Path) -> Result<Vec<PathBuf>> {
    let said = process::answer(Command::new("ldd").arg(program))
        .with_context(|| format!("ldd cannot read {}", program.display()))?;
    Ok(said.lines().filter_map(library).collect())
}

/// `libc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x…)`, or only a path.
fn library(line: &str) -> Option<PathBuf> {
    let named = line.split_once(" => ").map_or(line, |(_, place)| place);
    let path = named.split_whitespace().next()?;
    path.starts_with('/').then(|| PathBuf::from(path))
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::library;

    #[test]
    fn libraries_are_what_ldd_names_with_a_path() {
        let libc = "\tlibc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x00007f)";
        assert_eq!(library(libc), Some(PathBuf::from("/lib/x86_64-linux-gnu/libc.so.6")));
        let loader = "\t/lib64/ld-linux-x86-64.so.2 (0x00007f)";
        assert_eq!(library(loader), Some(PathBuf::from("/lib64/ld-linux-x86-64.so.2")));
        assert_eq!(library("\tlinux-vdso.so.1 (0x00007ffd)"), None);
        assert_eq!(library("\tstatically linked"), None);
    }
}
