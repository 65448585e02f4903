//! Files with secrets: the key of a bouncer, the login of a machine. Read each
//! time, for they are changed.

use std::{
    fmt,
    fs::File,
    io::{self, Read as _},
    path::Path,
};

use super::CrowdsecError;

/// Bytes of such a file.
const MAX_FILE: u64 = 4096;

/// The name and the password of a machine. Never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Login {
    pub(super) machine: String,
    pub(super) password: String,
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Login")
    }
}

impl Login {
    /// Reads what `cscli machines add --file` has written: lines of a key, a
    /// colon and a value, of which `login` and `password` count.
    ///
    /// # Errors
    /// It cannot be read, or lacks one of the two.
    pub fn read(path: &Path) -> Result<Self, CrowdsecError> {
        let text = read(path, "login")?;
        let value = |wanted: &str| {
            let lines = text.lines().filter_map(|line| line.split_once(':'));
            let value = lines.filter(|(key, _)| key.trim() == wanted).map(|(_, value)| value);
            let value = value.map(|value| unquoted(value.trim())).next()?;
            (!value.is_empty()).then(|| value.to_owned())
        };
        match (value("login"), value("password")) {
            (Some(machine), Some(password)) => Ok(Self { machine, password }),
            _ => Err(CrowdsecError::NoSecret { what: "login and password", path: path.to_owned() }),
        }
    }
}

fn unquoted(value: &str) -> &str {
    let inner = ['"', '\''].iter().find_map(|mark| value.strip_prefix(*mark)?.strip_suffix(*mark));
    inner.unwrap_or(value)
}

/// The key of a bouncer: one word.
///
/// # Errors
/// The file cannot be read, or holds none.
pub fn read_key(path: &Path) -> Result<String, CrowdsecError> {
    let text = read(path, "key")?;
    let key = text.trim();
    match !key.is_empty() && key.bytes().all(|byte| byte.is_ascii_graphic()) {
        true => Ok(key.to_owned()),
        false => Err(CrowdsecError::NoSecret { what: "key", path: path.to_owned() }),
    }
}

fn read(path: &Path, what: &'static str) -> Result<String, CrowdsecError> {
    let error = |source| CrowdsecError::Secret { what, path: path.to_owned(), source };
    // Opening a FIFO would wait for a writer.
    if !path.metadata().map_err(error)?.is_file() {
        return Err(error(io::Error::other("this is not a regular file")));
    }
    let mut text = String::new();
    File::open(path).map_err(error)?.take(MAX_FILE).read_to_string(&mut text).map_err(error)?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn f48_secrets_are_read_and_never_shown() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x");
        assert!(matches!(Login::read(&path), Err(CrowdsecError::Secret { .. })));
        assert!(matches!(read_key(dir.path()), Err(CrowdsecError::Secret { .. })));
        fs::write(&path, "url: http://127.0.0.1:8080\nlogin: sg\npassword: \"a:b c\"\n").unwrap();
        let login = Login::read(&path).unwrap();
        assert_eq!((login.machine.as_str(), login.password.as_str()), ("sg", "a:b c"));
        assert!(!format!("{login:?}").contains("a:b"));
        for text in ["", "login: x\n", "password: x\n", "login:\npassword: x\n"] {
            fs::write(&path, text).unwrap();
            assert!(matches!(Login::read(&path), Err(CrowdsecError::NoSecret { .. })), "{text}");
        }
        for (text, good) in [("abc+/=\n", true), ("", false), ("a b", false), ("a\u{e9}", false)] {
            fs::write(&path, text).unwrap();
            assert_eq!(read_key(&path).is_ok(), good, "{text:?}");
        }
    }
}
