//! Modules of a kernel: finding and unpacking them, in an order in which they
//! load.

use std::{
    collections::HashMap,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, ensure};

const XZ: &str = "/usr/bin/xz";

/// The modules of these names and those that they need, each behind the ones
/// that it needs. What is built into the kernel is no module and left out.
pub(super) fn collect(tree: &Path, wanted: &[&str]) -> Result<Vec<(String, Vec<u8>)>> {
    let mut files = HashMap::new();
    index(tree, &mut files)?;
    let mut collected = Vec::new();
    for name in wanted {
        add(name, &files, &mut collected)?;
    }
    Ok(collected)
}

fn add(
    name: &str,
    files: &HashMap<String, PathBuf>,
    collected: &mut Vec<(String, Vec<u8>)>,
) -> Result<()> {
    if collected.iter().any(|(known, _)| known == name) {
        return Ok(());
    }
    let Some(file) = files.get(name) else { return Ok(()) };
    let module = unpack(file)?;
    for needed in needs(&module) {
        add(&needed, files, collected)?;
    }
    collected.push((name.to_owned(), module));
    Ok(())
}

/// Every module below `folder` by its name.
fn index(folder: &Path, files: &mut HashMap<String, PathBuf>) -> Result<()> {
    let entries =
        fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?;
    for entry in entries {
        let path = entry?.path();
        // Not through symbolic links: `build` leads out of the tree.
        if path.is_dir() && !path.is_symlink() {
            index(&path, files)?;
        } else if let Some(name) = path.file_name().and_then(|name| module_name(name.to_str()?)) {
            files.insert(name, path);
        }
    }
    Ok(())
}

/// The kernel's name of a module: a file may be called with hyphens.
fn module_name(file: &str) -> Option<String> {
    let name = file.strip_suffix(".xz").unwrap_or(file).strip_suffix(".ko")?;
    Some(name.replace('-', "_"))
}

fn unpack(file: &Path) -> Result<Vec<u8>> {
    if file.extension().is_some_and(|extension| extension == "xz") {
        let output = Command::new(XZ)
            .args(["--decompress", "--stdout"])
            .arg(file)
            .output()
            .context("cannot start xz")?;
        ensure!(output.status.success(), "cannot unpack {}", file.display());
        return Ok(output.stdout);
    }
    fs::read(file).with_context(|| format!("cannot read {}", file.display()))
}

/// The modules that this one needs: its field `depends`, such as `a,b`.
fn needs(module: &[u8]) -> Vec<String> {
    let fields = module.split(|byte| *byte == 0);
    let depends = fields.filter_map(|field| field.strip_prefix(b"depends="));
    let names = depends.flat_map(|names| names.split(|byte| *byte == b','));
    names
        .filter(|name| !name.is_empty())
        .map(|name| String::from_utf8_lossy(name).replace('-', "_"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::{module_name, needs};

    #[test]
    fn what_a_module_needs_stands_in_it() {
        assert_eq!(
            needs(b"\x7fELF\0license=GPL\0depends=libcrc32c,x-tables\0name=a\0"),
            ["libcrc32c", "x_tables"]
        );
        assert!(needs(b"\0depends=\0").is_empty());
        assert!(needs(b"").is_empty());
    }

    #[test]
    fn names_of_modules() {
        assert_eq!(module_name("veth.ko").as_deref(), Some("veth"));
        assert_eq!(module_name("sch-ingress.ko.xz").as_deref(), Some("sch_ingress"));
        assert_eq!(module_name("modules.order"), None);
    }
}
