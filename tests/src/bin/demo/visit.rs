//! Visitors of a server, one after the other, and what became of each.

use anyhow::{Result, ensure};
use comfy_table::{Table, presets};
use tests::rig::lab::Lab;

/// One who wants something of the server. `S` is what the server says of a
/// message that has reached it.
pub(crate) struct Visitor<S> {
    pub(crate) name: &'static str,
    pub(crate) does: &'static str,
    pub(crate) act: fn(&Lab) -> Result<Outcome>,
    /// Which of the messages count.
    pub(crate) counts: fn(&S) -> bool,
    /// Those that have reached the server, in words.
    pub(crate) tell: fn(&[S]) -> String,
    pub(crate) with_sipguard: With,
}

/// What must become of a visitor with sipguard.
#[derive(Clone, Copy)]
pub(crate) enum With {
    Served,
    /// It has no success, and at most so many of its messages get through.
    Refused(usize),
}

/// How it has ended for a visitor.
pub(crate) struct Outcome {
    pub(crate) success: bool,
    pub(crate) words: String,
}

impl Outcome {
    /// Of a scanner, which has found the server or not.
    pub(crate) fn of_scan(found: Option<&String>) -> Self {
        let words = if found.is_some() { "finds it" } else { "finds nothing" };
        Self { success: found.is_some(), words: words.to_owned() }
    }

    /// Of a phone, which is served or not.
    pub(crate) fn of_phone(result: Result<()>) -> Self {
        let words = if result.is_ok() { "works" } else { "FAILS" };
        if let Err(error) = &result {
            eprintln!("{error:#}");
        }
        Self { success: result.is_ok(), words: words.to_owned() }
    }
}

/// What became of a visitor.
pub(crate) struct Visit {
    outcome: Outcome,
    reached: usize,
    saw: String,
}

/// Lets every visitor do its thing. `seen` gives all that the server has seen so
/// far.
pub(crate) fn all<S>(
    visitors: &[Visitor<S>],
    lab: &Lab,
    mut seen: impl FnMut() -> Result<Vec<S>>,
) -> Result<Vec<Visit>> {
    let mut visits = Vec::with_capacity(visitors.len());
    for visitor in visitors {
        let before = seen()?.len();
        let outcome = (visitor.act)(lab)?;
        let mut messages = seen()?.split_off(before);
        messages.retain(visitor.counts);
        let saw = match messages.as_slice() {
            [] => "nothing".to_owned(),
            messages => (visitor.tell)(messages),
        };
        visits.push(Visit { outcome, reached: messages.len(), saw });
    }
    Ok(visits)
}

/// A demo that does not show what it is for has failed.
pub(crate) fn judge<S>(visitors: &[Visitor<S>], without: &[Visit], with: &[Visit]) -> Result<()> {
    for ((visitor, without), with) in visitors.iter().zip(without).zip(with) {
        let as_expected = match visitor.with_sipguard {
            With::Served => with.outcome.success && with.reached > 0,
            With::Refused(most) => {
                !with.outcome.success && with.reached <= most && without.reached > most
            }
        };
        let Visitor { name, does, .. } = visitor;
        ensure!(without.outcome.success && as_expected, "{name} {does}: not as it should be");
    }
    Ok(())
}

/// All of it, side by side.
pub(crate) fn comparison<S>(visitors: &[Visitor<S>], without: &[Visit], with: &[Visit]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::UTF8_FULL_CONDENSED);
    let saw = "the server\nsaw";
    table.set_header(["", "", "without\nsipguard", saw, "with\nsipguard", saw]);
    for ((visitor, without), with) in visitors.iter().zip(without).zip(with) {
        table.add_row([
            visitor.name,
            visitor.does,
            &without.outcome.words,
            &without.saw,
            &with.outcome.words,
            &with.saw,
        ]);
    }
    table
}
