//! The SQLite database of fail2ban, usually
//! `/var/lib/fail2ban/fail2ban.sqlite3`.

use std::{io::Write, path::Path};

use jiff::Timestamp;
use rusqlite::{Connection, OpenFlags, Row, types::ValueRef};

use super::{Ban, Ends, ban};
use crate::import::{
    ImportError, Options,
    draft::{Draft, Origin},
};

/// How every database of SQLite begins.
const MAGIC: &[u8] = b"SQLite format 3\0";

/// Bans that are read at most.
const MAX_BANS: i64 = 2_000_000;

/// Names of jails and addresses are short.
const MAX_TEXT: usize = 200;

/// Whether these bytes are a database.
pub(in crate::import) fn is_database(bytes: &[u8]) -> bool {
    bytes.starts_with(MAGIC)
}

/// Reads it from a copy of its own: fail2ban may be writing the original, and
/// a reader would lock it.
pub(in crate::import) fn read(
    bytes: &[u8],
    options: &Options,
    now: Timestamp,
    draft: &mut Draft,
) -> Result<(), ImportError> {
    let mut copy = Copy::new(bytes)?;
    copy.file.flush().map_err(ImportError::Copy)?;
    let result = bans(&copy.path, options, now, draft);
    result.map_err(|error| {
        let remedy = "stop fail2ban, or copy its database by `sqlite3 FILE '.backup COPY'`, and \
                      import the copy";
        ImportError::damaged(0, &format!("the database cannot be read: {error}"), remedy)
    })
}

/// A private file that goes away.
struct Copy {
    path: std::path::PathBuf,
    file: std::fs::File,
}

impl Copy {
    fn new(bytes: &[u8]) -> Result<Self, ImportError> {
        use std::os::unix::fs::OpenOptionsExt as _;
        let mut random = [0; 16];
        getrandom::fill(&mut random)
            .map_err(|error| ImportError::Copy(std::io::Error::other(error.to_string())))?;
        let name: String = random.iter().map(|byte| format!("{byte:02x}")).collect();
        let path = std::env::temp_dir().join(format!("sipguard-import-{name}"));
        let mut options = std::fs::OpenOptions::new();
        let file = options.write(true).create_new(true).mode(0o600).open(&path);
        let mut copy = Self { file: file.map_err(ImportError::Copy)?, path };
        // The journal of the original is not in the copy: read what is there.
        let mut bytes = bytes.to_vec();
        for version in bytes.iter_mut().skip(18).take(2) {
            // 2 is write-ahead logging, for which SQLite would make files.
            *version = 1;
        }
        copy.file.write_all(&bytes).map_err(ImportError::Copy)?;
        Ok(copy)
    }
}

impl Drop for Copy {
    fn drop(&mut self) {
        // It is in the directory for temporary files if this fails.
        let _ = std::fs::remove_file(&self.path);
    }
}

fn bans(path: &Path, options: &Options, now: Timestamp, draft: &mut Draft) -> rusqlite::Result<()> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    // Since 0.11 `bips` holds the last ban of each address; before, `bans` all.
    // Queried by a constant text: nothing of the file becomes SQL. Views and
    // triggers of a hostile file are not trusted with functions.
    connection.pragma_update(None, "trusted_schema", false)?;
    let table = "SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name = ?1";
    let has = |name: &str| -> rusqlite::Result<bool> {
        connection.query_row(table, [name], |row| row.get::<_, i64>(0)).map(|count| count > 0)
    };
    let query = if has("bips")? {
        "SELECT jail, ip, timeofban, bantime FROM bips ORDER BY timeofban LIMIT ?1"
    } else if has("bans")? {
        "SELECT jail, ip, max(timeofban), NULL FROM bans GROUP BY jail, ip LIMIT ?1"
    } else {
        return Err(rusqlite::Error::InvalidColumnName("there is no table of bans".to_owned()));
    };
    // Older tables lack the column, and the time stands in the jail's settings.
    let fallback = "SELECT jail, ip, timeofban, NULL FROM bips ORDER BY timeofban LIMIT ?1";
    let mut statement = connection.prepare(query).or_else(|_| connection.prepare(fallback))?;
    let mut rows = statement.query([MAX_BANS])?;
    while let Some(row) = rows.next()? {
        let (jail, address) = (text(row, 0)?, text(row, 1)?);
        let origin = Origin::new(0, &format!("ban of {address} in jail {jail}"));
        let (start, length) = (number(row, 2)?, number(row, 3)?);
        let until = match (start, length) {
            (_, Some(length)) if length < 0 => Ends::Never,
            (Some(start), Some(length)) => start
                .checked_add(length)
                .and_then(|end| Timestamp::from_second(end).ok())
                .map_or(Ends::Never, Ends::At),
            _ => Ends::Unknown,
        };
        ban(&Ban { jail: &jail, address: &address, until }, &origin, options, now, draft);
    }
    Ok(())
}

fn text(row: &Row<'_>, index: usize) -> rusqlite::Result<String> {
    Ok(match row.get_ref(index)? {
        ValueRef::Text(bytes) | ValueRef::Blob(bytes) => {
            String::from_utf8_lossy(bytes.get(..MAX_TEXT).unwrap_or(bytes)).into_owned()
        }
        _ => String::new(),
    })
}

fn number(row: &Row<'_>, index: usize) -> rusqlite::Result<Option<i64>> {
    Ok(match row.get_ref(index)? {
        ValueRef::Integer(number) => Some(number),
        // Saturates.
        ValueRef::Real(number) => Some(number as i64),
        ValueRef::Text(bytes) => std::str::from_utf8(bytes).ok().and_then(|text| text.parse().ok()),
        _ => None,
    })
}
