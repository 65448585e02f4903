//! The tables.

use std::{net::IpAddr, path::Path, time::Duration};

use ipnet::IpNet;
use jiff::{SignedDuration, Timestamp};
use rusqlite::{Connection, ErrorCode, OpenFlags, Row, Transaction, params};
use sipguard_common::{abi::BANS, rule::Rule};

use super::{
    KEPT_ACTIONS, KEPT_BANS, KEPT_DAYS, Kind, Line, MAX_LINES, OFFENCE_MEMORY, Wanted,
    state::{Ban, Change, KEPT_HOURS, Kept, List, State},
    totals::{self, Span, Totals},
};
use crate::{
    offender::Offender,
    policy::{Target, parse_net},
};

/// The schema below.
pub(super) const VERSION: i64 = 1;

/// How long another user of the file is waited for.
const BUSY: Duration = Duration::from_secs(1);

/// 4 KiB each: the file has at most 256 MiB, whatever comes.
pub(super) const MAX_PAGES: u32 = 65_536;

/// In memory there is room for so many times fewer lines.
const LESS_IN_MEMORY: u32 = 10;

/// Bytes of the journal that stay when it was taken over.
const MAX_JOURNAL: u32 = 16 << 20;

/// Characters of a text that are kept.
const MAX_TEXT: usize = 500;

/// Times are milliseconds since 1970 in UTC. Addresses are sixteen bytes, IPv4
/// mapped into IPv6, so that one comparison serves both. A port of 0 is the
/// whole source.
const SCHEMA: &str = "
CREATE TABLE log (
    id INTEGER PRIMARY KEY,
    at INTEGER NOT NULL,
    kind TEXT NOT NULL,
    by TEXT NOT NULL,
    target TEXT,
    low BLOB,
    high BLOB,
    network TEXT,
    until INTEGER,
    old TEXT,
    new TEXT,
    times INTEGER NOT NULL
);
CREATE TABLE entries (
    list TEXT NOT NULL,
    target TEXT NOT NULL,
    added INTEGER NOT NULL,
    until INTEGER,
    reason TEXT,
    uid INTEGER NOT NULL,
    PRIMARY KEY (list, target)
);
CREATE TABLE bans (
    source TEXT NOT NULL,
    port INTEGER NOT NULL,
    protocol INTEGER NOT NULL,
    since INTEGER NOT NULL,
    until INTEGER NOT NULL,
    rule TEXT NOT NULL,
    signature TEXT,
    failures INTEGER NOT NULL,
    proven INTEGER NOT NULL,
    repeated INTEGER NOT NULL,
    offended INTEGER,
    PRIMARY KEY (source, port, protocol)
);
";

/// Came later: a file of the first version may be without it. Hours are counted
/// from 1970 in UTC.
const HOURS: &str = "
CREATE TABLE IF NOT EXISTS hours (hour INTEGER PRIMARY KEY, verified INTEGER NOT NULL);
";

/// Why a store cannot be used.
#[derive(Debug, thiserror::Error)]
pub(super) enum StoreError {
    #[error(transparent)]
    Sqlite(#[from] rusqlite::Error),
    #[error("it is damaged: {0}")]
    Damaged(String),
    #[error("it is of version {0} of its form, this sipguard knows {VERSION}")]
    Version(i64),
}

impl StoreError {
    /// Whether another try at the same file is in vain: what it holds is not
    /// ours to read.
    pub(super) fn is_of_content(&self) -> bool {
        match self {
            Self::Damaged(_) | Self::Version(_) => true,
            Self::Sqlite(rusqlite::Error::SqliteFailure(error, _)) => !matches!(
                error.code,
                ErrorCode::DatabaseBusy
                    | ErrorCode::DatabaseLocked
                    | ErrorCode::ReadOnly
                    | ErrorCode::CannotOpen
                    | ErrorCode::DiskFull
                    | ErrorCode::SystemIoFailure
                    | ErrorCode::PermissionDenied
                    | ErrorCode::FileLockingProtocolFailed
                    | ErrorCode::OutOfMemory
            ),
            Self::Sqlite(_) => true,
        }
    }
}

pub(super) type Result<T> = std::result::Result<T, StoreError>;

/// An open file, or memory.
#[derive(Debug)]
pub(super) struct Store {
    connection: Connection,
    /// Lines of bans, and others, that are kept.
    pub(super) kept: [u32; 2],
}

impl Store {
    /// Opens a file, which is made where it is missing, with room for so many
    /// pages. Nobody else can use it as long as this lives.
    pub(super) fn open(path: &Path, pages: u32) -> Result<Self> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
            | OpenFlags::SQLITE_OPEN_CREATE
            | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(path, flags)?;
        connection.busy_timeout(BUSY)?;
        // The lock is kept from the first use on: a second sipguard must not
        // write the same file.
        connection.pragma_update(None, "locking_mode", "EXCLUSIVE")?;
        let version = version(&connection)?;
        if version != 0 && version != VERSION {
            return Err(StoreError::Version(version));
        }
        connection.pragma_update(None, "journal_mode", "WAL")?;
        connection.pragma_update(None, "synchronous", "NORMAL")?;
        connection.pragma_update(None, "journal_size_limit", MAX_JOURNAL)?;
        connection.pragma_update(None, "max_page_count", pages)?;
        let mut store = Self { connection, kept: [KEPT_BANS, KEPT_ACTIONS] };
        store.prepare(version)?;
        let check: String =
            store.connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
        match check.as_str() {
            "ok" => Ok(store),
            _ => Err(StoreError::Damaged(check)),
        }
    }

    /// The same without a file.
    pub(super) fn in_memory() -> Result<Self> {
        let kept = [KEPT_BANS, KEPT_ACTIONS].map(|lines| lines / LESS_IN_MEMORY);
        let mut store = Self { connection: Connection::open_in_memory()?, kept };
        store.prepare(0)?;
        Ok(store)
    }

    /// Makes the tables where there are none. Writes in any case, so that a file
    /// that cannot be written is found now.
    fn prepare(&mut self, version: i64) -> Result<()> {
        let transaction = self.connection.transaction()?;
        if version == 0 {
            transaction.execute_batch(SCHEMA)?;
        }
        transaction.execute_batch(HOURS)?;
        transaction.execute_batch(totals::TABLES)?;
        transaction.pragma_update(None, "user_version", VERSION)?;
        Ok(transaction.commit()?)
    }

    /// What survives of an earlier run.
    pub(super) fn state(&self) -> Result<State> {
        let mut state = State::default();
        let mut entries = self.connection.prepare("SELECT * FROM entries")?;
        let mut rows = entries.query([])?;
        while let Some(row) = rows.next()? {
            state.entries.extend(entry(row)?);
        }
        let mut bans = self.connection.prepare("SELECT * FROM bans")?;
        let mut rows = bans.query([])?;
        while let Some(row) = rows.next()? {
            state.bans.extend(ban(row)?);
        }
        let mut hours = self.connection.prepare("SELECT hour, verified FROM hours")?;
        let mut rows = hours.query([])?;
        while let Some(row) = rows.next()? {
            state.hours.insert(row.get("hour")?, row.get::<_, u32>("verified")?.into());
        }
        Ok(state)
    }

    /// Replaces all that survives.
    pub(super) fn set_state(&mut self, state: &State) -> Result<()> {
        let transaction = self.connection.transaction()?;
        transaction.execute_batch("DELETE FROM entries; DELETE FROM bans; DELETE FROM hours;")?;
        for ((list, target), kept) in &state.entries {
            set_entry(&transaction, *list, *target, Some(kept))?;
        }
        for (who, ban) in &state.bans {
            set_ban(&transaction, *who, Some(ban))?;
        }
        for (hour, verified) in &state.hours {
            set_hour(&transaction, *hour, *verified)?;
        }
        Ok(transaction.commit()?)
    }

    /// Writes changes: all of them, or none.
    pub(super) fn apply(&mut self, changes: &[Change]) -> Result<()> {
        let transaction = self.connection.transaction()?;
        for change in changes {
            match change {
                Change::Line(line) => add(&transaction, line)?,
                Change::Entry(list, target, kept) => {
                    set_entry(&transaction, *list, *target, kept.as_ref())?;
                }
                Change::Ban(who, ban) => set_ban(&transaction, *who, ban.as_ref())?,
                Change::Hour(hour, verified) => set_hour(&transaction, *hour, *verified)?,
                Change::Period(period) => totals::add(&transaction, period)?,
            }
        }
        Ok(transaction.commit()?)
    }

    /// Adds lines.
    pub(super) fn add(&mut self, lines: &[Line]) -> Result<()> {
        let transaction = self.connection.transaction()?;
        lines.iter().try_for_each(|line| add(&transaction, line))?;
        Ok(transaction.commit()?)
    }

    /// The newest lines that are wanted, oldest first.
    pub(super) fn lines(&self, wanted: &Wanted) -> Result<Vec<Line>> {
        let (low, high) = wanted.net.map(ends).unzip();
        let mut statement = self.connection.prepare_cached(
            "SELECT at, kind, by, target, network, until, old, new, times FROM log
             WHERE (?1 IS NULL OR (low <= ?2 AND high >= ?1))
             AND (?3 IS NULL OR at >= ?3) AND (?4 IS NULL OR kind = ?4)
             ORDER BY id DESC LIMIT ?5",
        )?;
        let mut rows = statement.query(params![
            low,
            high,
            wanted.since.map(Timestamp::as_millisecond),
            wanted.kind.map(Kind::name),
            i64::try_from(wanted.limit.min(MAX_LINES)).unwrap_or(i64::MAX),
        ])?;
        let mut lines = Vec::new();
        while let Some(row) = rows.next()? {
            lines.extend(line(row)?);
        }
        lines.reverse();
        Ok(lines)
    }

    /// What was counted in a span of time.
    pub(super) fn totals(&self, span: &Span) -> Result<Totals> {
        totals::sum(&self.connection, span)
    }

    /// The number of the newest line.
    pub(super) fn newest(&self) -> Result<i64> {
        let sql = "SELECT coalesce(max(id), 0) FROM log";
        Ok(self.connection.query_row(sql, [], |row| row.get(0))?)
    }

    /// The lines after this one.
    pub(super) fn lines_after(&self, id: i64) -> Result<Vec<Line>> {
        let mut statement = self.connection.prepare(
            "SELECT at, kind, by, target, network, until, old, new, times FROM log
             WHERE id > ?1 ORDER BY id",
        )?;
        let mut rows = statement.query([id])?;
        let mut lines = Vec::new();
        while let Some(row) = rows.next()? {
            lines.extend(line(row)?);
        }
        Ok(lines)
    }

    /// Removes what is too old or too much.
    pub(super) fn prune(&mut self, now: Timestamp) -> Result<()> {
        let days = SignedDuration::from_hours(24 * KEPT_DAYS);
        let ago = |span| now.checked_sub(span).map_or(0, Timestamp::as_millisecond);
        let transaction = self.connection.transaction()?;
        transaction.execute("DELETE FROM log WHERE at < ?1", [ago(days)])?;
        totals::prune(&transaction, ago(days))?;
        let of_bans = "kind IN ('ban', 'unban', 'alert', 'clear')";
        let others = format!("NOT {of_bans}");
        for (which, most) in [of_bans, &others].into_iter().zip(self.kept) {
            let sql = format!(
                "DELETE FROM log WHERE {which} AND id <=
                 (SELECT id FROM log WHERE {which} ORDER BY id DESC LIMIT 1 OFFSET {most})"
            );
            transaction.execute(&sql, [])?;
        }
        transaction.execute(
            "DELETE FROM bans WHERE until <= ?1 AND coalesce(offended, 0) <= ?2",
            [now.as_millisecond(), ago(OFFENCE_MEMORY)],
        )?;
        let sql = format!(
            "DELETE FROM bans WHERE rowid IN
             (SELECT rowid FROM bans ORDER BY until DESC LIMIT -1 OFFSET {BANS})"
        );
        transaction.execute(&sql, [])?;
        Ok(transaction.commit()?)
    }
}

fn version(connection: &Connection) -> Result<i64> {
    Ok(connection.pragma_query_value(None, "user_version", |row| row.get(0))?)
}

fn add(transaction: &Transaction<'_>, line: &Line) -> Result<()> {
    let (low, high) = line.net.map(ends).unzip();
    transaction
        .prepare_cached(
            "INSERT INTO log (at, kind, by, target, low, high, network, until, old, new, times)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
        )?
        .execute(params![
            line.at.as_millisecond(),
            line.kind.name(),
            cut(&line.by),
            line.target.as_deref().map(cut),
            low,
            high,
            line.net.map(|net| net.to_string()),
            line.until.map(Timestamp::as_millisecond),
            line.old.as_deref().map(cut),
            line.new.as_deref().map(cut),
            line.times,
        ])?;
    Ok(())
}

/// `None` for a line that a later version has written.
fn line(row: &Row<'_>) -> Result<Option<Line>> {
    let kind: String = row.get("kind")?;
    let network: Option<String> = row.get("network")?;
    let (Some(kind), Some(at)) = (Kind::from_name(&kind), time(row.get("at")?)) else {
        return Ok(None);
    };
    Ok(Some(Line {
        at,
        kind,
        by: row.get("by")?,
        target: row.get("target")?,
        net: network.and_then(|net| net.parse().ok()),
        until: row.get::<_, Option<i64>>("until")?.and_then(time),
        old: row.get("old")?,
        new: row.get("new")?,
        times: row.get("times")?,
    }))
}

fn set_entry(
    transaction: &Transaction<'_>,
    list: List,
    target: Target,
    kept: Option<&Kept>,
) -> Result<()> {
    let target = target.to_string();
    let Some(Kept { added, until, reason, uid }) = kept else {
        let sql = "DELETE FROM entries WHERE list = ?1 AND target = ?2";
        transaction.prepare_cached(sql)?.execute(params![list.name(), target])?;
        return Ok(());
    };
    transaction
        .prepare_cached("INSERT OR REPLACE INTO entries VALUES (?1, ?2, ?3, ?4, ?5, ?6)")?
        .execute(params![
        list.name(),
        target,
        added.as_millisecond(),
        until.map(Timestamp::as_millisecond),
        reason.as_deref().map(cut),
        uid,
    ])?;
    Ok(())
}

/// Sets the median of an hour, and forgets those that nobody asks for any more.
fn set_hour(transaction: &Transaction<'_>, hour: i64, verified: u64) -> Result<()> {
    let sql = "INSERT OR REPLACE INTO hours VALUES (?1, ?2)";
    let verified = u32::try_from(verified).unwrap_or(u32::MAX);
    transaction.prepare_cached(sql)?.execute(params![hour, verified])?;
    let sql = "DELETE FROM hours WHERE hour < ?1 - ?2";
    transaction.prepare_cached(sql)?.execute(params![hour, KEPT_HOURS])?;
    Ok(())
}

/// `None` for what cannot be read: it was written by another version, or by
/// hand.
fn entry(row: &Row<'_>) -> Result<Option<((List, Target), Kept)>> {
    let (list, target): (String, String) = (row.get("list")?, row.get("target")?);
    let (list, target) = (List::from_name(&list), target.parse::<Target>().ok());
    let (Some(list), Some(target), Some(added)) = (list, target, time(row.get("added")?)) else {
        return Ok(None);
    };
    let until: Option<i64> = row.get("until")?;
    let until = match until.map(time) {
        // An end that cannot be read is no entry without end.
        Some(None) => return Ok(None),
        until => until.flatten(),
    };
    let kept = Kept { added, until, reason: row.get("reason")?, uid: row.get("uid")? };
    Ok(Some(((list, target), kept)))
}

fn set_ban(transaction: &Transaction<'_>, who: Offender, ban: Option<&Ban>) -> Result<()> {
    let source = crate::policy::net_text(who.source);
    let (port, protocol) = who.port.unwrap_or((0, 0));
    let Some(ban) = ban else {
        let sql = "DELETE FROM bans WHERE source = ?1 AND port = ?2 AND protocol = ?3";
        transaction.prepare_cached(sql)?.execute(params![source, port, protocol])?;
        return Ok(());
    };
    transaction
        .prepare_cached(
            "INSERT OR REPLACE INTO bans
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
        )?
        .execute(params![
            source,
            port,
            protocol,
            ban.since.as_millisecond(),
            ban.until.as_millisecond(),
            ban.rule.name(),
            ban.signature.as_deref().map(cut),
            ban.failures,
            ban.proven,
            ban.repeated,
            ban.offended.map(Timestamp::as_millisecond),
        ])?;
    Ok(())
}

/// `None` as above.
fn ban(row: &Row<'_>) -> Result<Option<(Offender, Ban)>> {
    let (source, rule): (String, String) = (row.get("source")?, row.get("rule")?);
    let rule = Rule::ALL.iter().copied().find(|one| one.name() == rule);
    let (since, until) = (time(row.get("since")?), time(row.get("until")?));
    let (Ok(source), Some(rule), Some(since), Some(until)) =
        (parse_net(&source), rule, since, until)
    else {
        return Ok(None);
    };
    let (port, protocol): (u16, u8) = (row.get("port")?, row.get("protocol")?);
    let port = (protocol != 0).then_some((port, protocol));
    let ban = Ban {
        since,
        until,
        rule,
        signature: row.get("signature")?,
        failures: row.get("failures")?,
        proven: row.get("proven")?,
        repeated: row.get("repeated")?,
        offended: row.get::<_, Option<i64>>("offended")?.and_then(time),
    };
    Ok(Some((Offender { source, port }, ban)))
}

fn time(millisecond: i64) -> Option<Timestamp> {
    Timestamp::from_millisecond(millisecond).ok()
}

/// The first and the last address of a network.
fn ends(net: IpNet) -> ([u8; 16], [u8; 16]) {
    let octets = |address: IpAddr| match address {
        IpAddr::V4(address) => address.to_ipv6_mapped().octets(),
        IpAddr::V6(address) => address.octets(),
    };
    (octets(net.network()), octets(net.broadcast()))
}

fn cut(text: &str) -> &str {
    text.char_indices().nth(MAX_TEXT).map_or(text, |(end, _)| text.get(..end).unwrap_or(text))
}
