//! The token of the web listener: who has it may do what the operator may.

use std::{
    fmt,
    fs::{self, DirBuilder, File, Permissions},
    io::{self, Read as _, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _},
    path::Path,
};

use subtle::ConstantTimeEq as _;

/// The file's name in the state directory.
pub const TOKEN_FILE: &str = "web.token";

/// 256 bits, from the kernel.
const BYTES: usize = 32;

const FILE_MODE: u32 = 0o600;
const DIRECTORY_MODE: u32 = 0o750;

/// 64 hexadecimal digits.
#[derive(Clone)]
pub struct Token(String);

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(..)")
    }
}

impl Token {
    /// Another one than ever before.
    ///
    /// # Errors
    /// The kernel has no random bytes.
    pub fn new() -> io::Result<Self> {
        let mut bytes = [0; BYTES];
        getrandom::fill(&mut bytes).map_err(io::Error::other)?;
        Ok(Self(bytes.iter().map(|byte| format!("{byte:02x}")).collect()))
    }

    /// The one of a state directory, which gets one where it has none.
    ///
    /// # Errors
    /// The file system refused, or the file holds something else.
    pub fn of(directory: &Path) -> io::Result<Self> {
        let path = directory.join(TOKEN_FILE);
        match read(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            other => return other,
        }
        DirBuilder::new().recursive(true).mode(DIRECTORY_MODE).create(directory)?;
        let token = Self::new()?;
        // Under its name from the first byte to the last, or not at all.
        let new = directory.join(format!(".{TOKEN_FILE}.new"));
        match fs::remove_file(&new) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut file = File::options().write(true).create_new(true).mode(FILE_MODE).open(&new)?;
        file.write_all(format!("{}\n", token.0).as_bytes())?;
        file.sync_all()?;
        fs::rename(&new, &path)?;
        Ok(token)
    }

    /// Whether this is what somebody has given; takes as long for a nearly
    /// right guess as for a wrong one.
    #[must_use]
    pub fn is(&self, given: &[u8]) -> bool {
        self.0.as_bytes().ct_eq(given).into()
    }

    /// For those who may have it.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

fn read(path: &Path) -> io::Result<Token> {
    let file = File::open(path)?;
    let mode = file.metadata()?.permissions().mode();
    if mode & 0o077 != 0 {
        file.set_permissions(Permissions::from_mode(FILE_MODE))?;
    }
    let mut text = String::new();
    file.take(4096).read_to_string(&mut text)?;
    let text = text.trim_end();
    match text.len() == 2 * BYTES && text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        true => Ok(Token(text.to_owned())),
        false => Err(io::Error::new(
            io::ErrorKind::InvalidData,
            "it does not hold 64 hexadecimal digits: remove it",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn made_once_and_for_its_owner_only() {
        let dir = tempfile::tempdir().unwrap();
        let state = dir.path().join("state");
        let token = Token::of(&state).unwrap();
        let path = state.join(TOKEN_FILE);
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&path), mode(&state)), (FILE_MODE, DIRECTORY_MODE));
        assert_eq!(fs::read_dir(&state).unwrap().count(), 1);
        fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
        let again = Token::of(&state).unwrap();
        assert!(again.is(token.reveal().as_bytes()));
        assert_eq!(mode(&path), FILE_MODE);
        fs::remove_file(&path).unwrap();
        assert!(!Token::of(&state).unwrap().is(token.reveal().as_bytes()));
    }

    #[test]
    fn only_the_whole_token_is_it() {
        let token = Token::new().unwrap();
        let text = token.reveal().to_owned();
        assert_eq!(text.len(), 64);
        for wrong in ["", "0", &text[1..], &format!("{text}0"), &"0".repeat(64)] {
            assert!(!token.is(wrong.as_bytes()), "{wrong}");
        }
        assert!(!format!("{token:?}").contains(&text));
    }

    #[test]
    fn a_file_with_something_else_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        for wrong in ["", "secret\n", &"x".repeat(64), &"0".repeat(65)] {
            fs::write(dir.path().join(TOKEN_FILE), wrong).unwrap();
            assert!(Token::of(dir.path()).is_err(), "{wrong}");
            assert_eq!(fs::read_to_string(dir.path().join(TOKEN_FILE)).unwrap(), wrong);
        }
    }
}
