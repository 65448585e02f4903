//! What `fail2ban-client` prints: `status JAIL`, `banned`, and
//! `get JAIL banip --with-time`.

use jiff::{Timestamp, civil::DateTime, tz::TimeZone};

use super::{Ban, Ends, ban};
use crate::import::{
    Options, address,
    draft::{Draft, Origin, Part},
};

const JAIL: &str = "Status for the jail:";
const LIST: &str = "Banned IP list:";

/// Whether a text looks like any of it.
pub(in crate::import) fn is_it(text: &str) -> bool {
    let text = text.trim_start();
    text.starts_with(JAIL) || text.starts_with("[{'") || text.lines().take(5).any(with_time)
}

/// `192.0.2.1 2024-01-01 10:00:00 + 600 = 2024-01-01 10:10:00`
fn with_time(line: &str) -> bool {
    line.contains(" + ") && line.contains(" = ") && address::address(first(line)).is_some()
}

fn first(line: &str) -> &str {
    line.split_whitespace().next().unwrap_or("")
}

/// Reads it. Without ends, a ban lasts as long as the options say.
pub(in crate::import) fn read(text: &str, options: &Options, now: Timestamp, draft: &mut Draft) {
    let mut jail = String::new();
    for (i, line) in text.lines().enumerate() {
        let number = i + 1;
        if let Some((_, name)) = line.split_once(JAIL) {
            name.trim().clone_into(&mut jail);
        } else if let Some((_, list)) = line.split_once(LIST) {
            for address in list.split_whitespace() {
                let origin = Origin::new(number, address);
                let until = Ends::Unknown;
                ban(&Ban { jail: &jail, address, until }, &origin, options, now, draft);
            }
        } else if line.trim_start().starts_with("[{") {
            banned(line, number, options, now, draft);
        } else if with_time(line) {
            timed(line, number, &jail, options, now, draft);
        } else if !is_ornament(line) {
            let why = "this is not what `fail2ban-client` prints";
            draft.left(Part::Blacklist, &Origin::new(number, line), why);
        }
    }
}

/// Lines between.
fn is_ornament(line: &str) -> bool {
    let line = line.trim_start_matches(['|', '-', '`', ' ', '\t']);
    let heads = [
        "Filter",
        "Actions",
        "Currently",
        "Total",
        "File list",
        "Journal matches",
        "Status",
        "Number of jail",
        "Jail list",
    ];
    line.is_empty() || heads.iter().any(|head| line.starts_with(head))
}

/// `[{'sshd': ['192.0.2.1', '192.0.2.2']}, {'asterisk': []}]`
fn banned(line: &str, number: usize, options: &Options, now: Timestamp, draft: &mut Draft) {
    let mut jail = String::new();
    let mut pieces = line.split('\'').skip(1);
    while let (Some(text), behind) = (pieces.next(), pieces.next()) {
        if behind.is_some_and(|behind| behind.trim_start().starts_with(':')) {
            text.clone_into(&mut jail);
            continue;
        }
        let origin = Origin::new(number, text);
        let one = Ban { jail: &jail, address: text, until: Ends::Unknown };
        ban(&one, &origin, options, now, draft);
    }
}

/// Times are those of this host, as fail2ban prints them.
fn timed(
    line: &str,
    number: usize,
    jail: &str,
    options: &Options,
    now: Timestamp,
    draft: &mut Draft,
) {
    let end = line.rsplit_once(" = ").map_or("", |(_, end)| end.trim());
    let is_for_ever = line.contains(" + -1 ");
    let parsed = end.replace(' ', "T").parse::<DateTime>().ok();
    let end = parsed.and_then(|end| end.to_zoned(TimeZone::system()).ok());
    let until = match end {
        _ if is_for_ever => Ends::Never,
        Some(end) => Ends::At(end.timestamp()),
        None => Ends::Unknown,
    };
    let origin = Origin::new(number, line);
    // The output does not name its jail: whoever imports it has chosen it.
    let jail = if jail.is_empty() { "sip" } else { jail };
    ban(&Ban { jail, address: first(line), until }, &origin, options, now, draft);
}
