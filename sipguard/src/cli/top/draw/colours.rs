//! Colours of the terminal's own palette, so that its theme holds. What they
//! say stands there in words, too.

use ratatui::style::{Color, Modifier, Style};

pub(super) const TITLE: Style =
    Style::new().fg(Color::Black).bg(Color::Cyan).add_modifier(Modifier::BOLD);
/// The heading of the part that takes the keys.
pub(super) const FOCUSED: Style = TITLE;
pub(super) const HEADING: Style = Style::new().fg(Color::Black).bg(Color::Gray);
pub(super) const SELECTED: Style = Style::new().add_modifier(Modifier::REVERSED);
/// What keys would be about, though nothing was selected.
pub(super) const FIRST: Style = Style::new().add_modifier(Modifier::BOLD);
pub(super) const KEY: Style = Style::new().fg(Color::Cyan).add_modifier(Modifier::BOLD);
/// Less than plain, on whatever background.
pub(super) const DIM: Style = Style::new().add_modifier(Modifier::DIM);
pub(super) const PLAIN: Style = Style::new();
pub(super) const STRONG: Style = Style::new().add_modifier(Modifier::BOLD);
pub(super) const GOOD: Style = Style::new().fg(Color::Green);
pub(super) const NOTE: Style = Style::new().fg(Color::Yellow);
pub(super) const BAD: Style = Style::new().fg(Color::Red);
pub(super) const ALARM: Style =
    Style::new().fg(Color::White).bg(Color::Red).add_modifier(Modifier::BOLD);

/// Of a rule's verdict.
pub(super) fn verdict(verdict: &str) -> Style {
    if verdict == "drop" { BAD } else { GOOD }
}

/// Of what counts for a source.
pub(super) fn standing(standing: &str) -> Style {
    match standing {
        "trusted" => GOOD,
        "verified" | "site" => Style::new().fg(Color::Cyan),
        "blocked" => BAD,
        "banned" => Style::new().fg(Color::Magenta),
        _ => PLAIN,
    }
}

/// Of what has happened to a packet.
pub(super) fn outcome(outcome: &str) -> Style {
    match outcome {
        "banned" => Style::new().fg(Color::Magenta),
        "would drop" | "would ban" => NOTE,
        _ => BAD,
    }
}

pub(super) fn posture(posture: &str) -> Style {
    match posture {
        "guarded" => GOOD,
        "open" => NOTE,
        _ => BAD.add_modifier(Modifier::BOLD),
    }
}

/// Of how full something is, in percent.
pub(super) fn fill(percent: f64) -> Style {
    match percent {
        percent if percent >= 90.0 => BAD,
        percent if percent >= 70.0 => NOTE,
        _ => PLAIN,
    }
}
