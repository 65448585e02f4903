//! Words about what a command has changed, and how to take it back.

use super::{
    exit::{Exit, Failure},
    out::{print_line, say},
    table,
};
use crate::api::wire::{Added, Origin, Removed};

/// Says that an entry was made: `done` is the verb, such as `blocked`.
pub(super) fn added(added: &Added, done: &str) -> Result<(), Failure> {
    let Added { target, updated, until, notes, undo } = added;
    let again = if *updated { " (updated)" } else { "" };
    let until = match until {
        None => "until it is removed".to_owned(),
        some => format!("until {}", table::time(*some)),
    };
    print_line(&format!("{done} {target} {until}{again}"))?;
    for note in notes {
        say(&format!("note: {note}"));
    }
    say(&format!("undo: {undo}"));
    Ok(())
}

/// Says that an entry was removed; fails where others hold the target all the
/// same, for then the caller has not reached what he wanted.
pub(super) fn removed(removed: &Removed, done: &str, list: &str) -> Result<(), Failure> {
    let Removed { target, listed, unbanned, still, undo } = removed;
    if *listed {
        print_line(&format!("{done} {target}"))?;
    }
    match unbanned {
        0 => {}
        1 => print_line(&format!("lifted the ban of {target}"))?,
        bans => print_line(&format!("lifted {bans} bans in {target}"))?,
    }
    say(&format!("undo: {undo}"));
    let Some(holder) = still.first() else { return Ok(()) };
    let (file, command) = match list {
        "trusted" => ("trusted.toml", "sipguard allow --remove"),
        _ => ("blacklist.toml", "sipguard unblock"),
    };
    let hint = match holder.origin {
        Origin::File => {
            format!("remove {} from {file} and run `sipguard reload`", holder.target)
        }
        Origin::Operator => format!("run `{command} {}`", holder.target),
        Origin::Feed => format!("run `sipguard allow {target}`: trust wins over feeds"),
        Origin::Crowdsec => crate::daemon::undecided(&holder.target),
    };
    let by = match (&holder.feed, holder.origin) {
        (Some(feed), _) => format!(" of the feed {feed}"),
        (None, Origin::Crowdsec) => ", a decision of CrowdSec,".to_owned(),
        (None, _) => String::new(),
    };
    let message = format!("{target} is still {list}: {}{by} covers it", holder.target);
    Err(Failure::new(Exit::Failure, message, Some(hint)))
}
