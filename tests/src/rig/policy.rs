//! A configuration directory for one test.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};

use super::{lab::TRUSTED, tool::root};

/// What stands in the four files.
#[derive(Clone, Debug)]
pub struct Policy {
    /// Of sipguard.toml. The interfaces come from the command line.
    pub main: String,
    pub trusted: String,
    pub blacklist: String,
    pub signatures: String,
}

impl Policy {
    /// The defaults, the signatures that sipguard comes with, and a trunk:
    /// [`TRUSTED`].
    ///
    /// # Errors
    /// Where config/signatures.toml cannot be read.
    pub fn usual() -> Result<Self> {
        let shipped = root().join("config/signatures.toml");
        let signatures = fs::read_to_string(&shipped)
            .with_context(|| format!("cannot read {}", shipped.display()))?;
        Ok(Self {
            main: String::new(),
            trusted: peer("trunk", &TRUSTED.to_string()),
            blacklist: String::new(),
            signatures,
        })
    }

    /// The same without signatures: attackers are not known by their looks.
    ///
    /// # Errors
    /// As [`Self::usual`].
    pub fn unsigned() -> Result<Self> {
        Ok(Self { signatures: String::new(), ..Self::usual()? })
    }

    /// The same with this in sipguard.toml.
    #[must_use]
    pub fn with_main(self, main: &str) -> Self {
        Self { main: main.to_owned(), ..self }
    }

    /// The same with other entries of every kind, as many as the number says:
    /// whoever is trusted or recognised stays so.
    #[must_use]
    pub fn variant(&self, number: usize) -> Self {
        let blocked: String = (0..number % 7 * 40)
            .map(|i| format!("[[block]]\naddress = \"10.{}.{i}.0/24\"\n", number % 256))
            .collect();
        let offices: String = (0..number % 5)
            .map(|i| peer(&format!("office{i}"), &format!("172.16.{i}.0/24")))
            .collect();
        let house_rule = match number % 3 {
            0 => String::new(),
            _ => signature("house-rule", &format!("Unwelcome Phone {number}")),
        };
        Self {
            main: self.main.clone(),
            trusted: offices + &self.trusted,
            blacklist: blocked + &self.blacklist,
            signatures: house_rule + &self.signatures,
        }
    }

    /// Writes the files.
    ///
    /// # Errors
    /// Where the file system refuses.
    pub fn write(&self, folder: &Folder) -> Result<()> {
        folder.put("sipguard.toml", &self.main)?;
        folder.put("trusted.toml", &self.trusted)?;
        folder.put("blacklist.toml", &self.blacklist)?;
        folder.put("signatures.toml", &self.signatures)
    }
}

/// An entry of trusted.toml.
#[must_use]
pub fn peer(name: &str, address: &str) -> String {
    format!("[[peer]]\nname = \"{name}\"\naddress = [\"{address}\"]\n")
}

/// An entry of signatures.toml that matches a whole User-Agent.
#[must_use]
pub fn signature(name: &str, user_agent: &str) -> String {
    format!(
        "[[signature]]\nname = \"{name}\"\nfield = \"user-agent\"\nmatch = \"exact\"\n\
         text = \"{user_agent}\"\n"
    )
}

/// Where the files of a policy are.
#[derive(Clone, Debug)]
pub struct Folder(PathBuf);

impl Folder {
    /// Makes it.
    ///
    /// # Errors
    /// Where the file system refuses.
    pub fn new(path: PathBuf) -> Result<Self> {
        fs::create_dir_all(&path).with_context(|| format!("cannot make {}", path.display()))?;
        Ok(Self(path))
    }

    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Writes a file at once, so that nobody reads half of it.
    ///
    /// # Errors
    /// Where the file system refuses.
    pub fn put(&self, name: &str, text: &str) -> Result<()> {
        let new = self.0.join(format!(".{name}.new"));
        fs::write(&new, text)
            .and_then(|()| fs::rename(&new, self.0.join(name)))
            .with_context(|| format!("cannot write {name}"))
    }
}
