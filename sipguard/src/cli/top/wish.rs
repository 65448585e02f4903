//! What the operator wants of the daemon, done on a thread of its own: the
//! picture never waits.

use std::net::IpAddr;

use crate::{
    api::{
        client::Client,
        wire::{Added, Entry, Removed},
    },
    cli::{exit::Failure, table, why},
    sanitise::sanitise_lines,
};

/// Characters of an answer.
const MAX_ANSWER: usize = 20_000;

/// What the loop has to do after a key.
#[derive(Debug)]
pub(super) enum Wish {
    Quit,
    /// Ctrl-Z.
    Suspend,
    /// Paint everything anew.
    Repaint,
    Ask(Ask),
}

/// What to ask the daemon for. Targets are in the form of the command line.
#[derive(Debug)]
pub(super) enum Ask {
    Block(Entry),
    Allow(Entry),
    Unblock(String),
    Disallow(String),
    Why(IpAddr),
}

/// What came of it, as it may be shown.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Answer {
    Done(String),
    /// With a remedy, on several lines.
    Failed(String),
    Why(IpAddr, String),
}

/// Asks and waits for the answer.
pub(super) fn perform(client: &Client, ask: Ask) -> Answer {
    let answered = match ask {
        Ask::Block(entry) => client.block(&entry).map(|done| Answer::Done(added(&done, "blocked"))),
        Ask::Allow(entry) => client.allow(&entry).map(|done| Answer::Done(added(&done, "trusted"))),
        Ask::Unblock(target) => {
            client.unblock(&target).map(|done| removed(&done, "unblocked", "blocked"))
        }
        Ask::Disallow(target) => {
            client.disallow(&target).map(|done| removed(&done, "no longer trusted:", "trusted"))
        }
        Ask::Why(address) => {
            client.why(address).map(|answer| Answer::Why(address, why::view(&answer)))
        }
    };
    safe(answered.unwrap_or_else(|error| Answer::Failed(words(&error.into()))))
}

fn safe(answer: Answer) -> Answer {
    let safe = |text: &str| sanitise_lines(text, MAX_ANSWER);
    match answer {
        Answer::Done(text) => Answer::Done(safe(&text)),
        Answer::Failed(text) => Answer::Failed(safe(&text)),
        Answer::Why(address, text) => Answer::Why(address, safe(&text)),
    }
}

/// What a failure says, and what to do about it.
pub(super) fn words(failure: &Failure) -> String {
    match failure {
        Failure::PipeClosed => String::new(),
        Failure::Told { message, hint: None, .. } => message.clone(),
        Failure::Told { message, hint: Some(hint), .. } => format!("{message}\nhint: {hint}"),
    }
}

fn added(Added { target, updated, until, notes, .. }: &Added, done: &str) -> String {
    let until = match until {
        None => "until it is taken back".to_owned(),
        some => format!("until {}", table::time(*some)),
    };
    let again = if *updated { " (updated)" } else { "" };
    let notes: String = notes.iter().map(|note| format!("; {note}")).collect();
    format!("{done} {target} {until}{again}{notes}")
}

/// A failure where something else holds the target all the same.
fn removed(removed: &Removed, done: &str, list: &str) -> Answer {
    let Removed { target, listed, unbanned, still, .. } = removed;
    let mut words = Vec::new();
    if *listed {
        words.push(format!("{done} {target}"));
    }
    match unbanned {
        0 => {}
        1 => words.push(format!("lifted the ban of {target}")),
        bans => words.push(format!("lifted {bans} bans in {target}")),
    }
    let words = words.join(", ");
    match still.first() {
        None => Answer::Done(words),
        Some(holder) => Answer::Failed(
            format!("{words}\n{target} is still {list}: {} covers it", holder.target)
                .trim_start()
                .to_owned(),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::wire::{Holder, Origin};

    #[test]
    fn f35_what_was_done_is_said_in_a_line() {
        let done = Added {
            target: "198.51.100.7".to_owned(),
            updated: true,
            until: Some("2026-01-02T04:10:00Z".parse().unwrap()),
            notes: vec!["it was banned".to_owned()],
            undo: String::new(),
        };
        assert_eq!(
            added(&done, "blocked"),
            "blocked 198.51.100.7 until 2026-01-02T04:10:00Z (updated); it was banned"
        );
        let done = Added { updated: false, until: None, notes: Vec::new(), ..done };
        assert_eq!(added(&done, "trusted"), "trusted 198.51.100.7 until it is taken back");
    }

    #[test]
    fn f35_who_is_still_held_is_told() {
        let mut done = Removed {
            target: "198.51.100.7".to_owned(),
            listed: true,
            unbanned: 2,
            still: Vec::new(),
            undo: String::new(),
        };
        assert_eq!(
            removed(&done, "unblocked", "blocked"),
            Answer::Done("unblocked 198.51.100.7, lifted 2 bans in 198.51.100.7".to_owned())
        );
        done.still =
            vec![Holder { target: "198.51.100.0/24".to_owned(), origin: Origin::File, feed: None }];
        done.listed = false;
        done.unbanned = 0;
        assert_eq!(
            removed(&done, "unblocked", "blocked"),
            Answer::Failed("198.51.100.7 is still blocked: 198.51.100.0/24 covers it".to_owned())
        );
    }

    #[test]
    fn f35_answers_act_on_no_terminal() {
        let answer = safe(Answer::Why([0; 4].into(), "\u{1b}[2J\nx\u{202e}".to_owned()));
        assert_eq!(answer, Answer::Why([0; 4].into(), "\\u{1b}[2J\nx\\u{202e}".to_owned()));
    }

    #[test]
    fn f35_without_a_daemon_the_answer_is_a_remedy() {
        let client = Client::new("/nonexistent/control.sock".into());
        let Answer::Failed(words) = perform(&client, Ask::Unblock("198.51.100.7".to_owned()))
        else {
            panic!("who has answered?")
        };
        assert!(words.contains("not running") && words.contains("\nhint: "), "{words}");
    }
}
