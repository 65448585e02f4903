//! The first two lines, and the graphs below them.

use ratatui::{
    Frame,
    layout::{Alignment, Rect},
    style::Style,
    text::{Line, Span},
    widgets::Sparkline,
};

use super::colours;
use crate::{
    api::wire::{MapFill, Pulse},
    cli::top::{
        numbers::{count, percent, rate},
        state::{Link, State},
    },
};

/// From so many columns on, the second line says what the server replies.
const REPLIES: u16 = 100;

pub(super) fn head(frame: &mut Frame<'_>, area: Rect, state: &State) {
    let first = Rect { height: 1, ..area };
    let second = Rect { y: area.y + 1, height: 1, ..area };
    let Some(pulse) = state.data().last() else {
        frame.render_widget(Span::styled(" sipguard ", colours::TITLE), first);
        let waits = || Line::styled(" waiting for the first second…", colours::DIM);
        frame.render_widget(trouble(state).unwrap_or_else(waits), second);
        return;
    };
    both(frame, first, rates(pulse), clock(pulse, state));
    match trouble(state) {
        Some(line) => frame.render_widget(line, second),
        None => both(frame, second, lists(pulse, area.width >= REPLIES), warnings(pulse, state)),
    }
}

/// One line at the left, and one at the right that has precedence.
fn both(frame: &mut Frame<'_>, area: Rect, left: Line<'_>, right: Line<'_>) {
    let taken = u16::try_from(right.width()).unwrap_or(area.width).min(area.width);
    frame.render_widget(left, Rect { width: area.width - taken, ..area });
    frame.render_widget(right.alignment(Alignment::Right), area);
}

fn rates(pulse: &Pulse) -> Line<'_> {
    let mut line = Line::from(vec![
        Span::styled(" sipguard ", colours::TITLE),
        Span::raw(" "),
        Span::styled(pulse.posture.as_str(), colours::posture(&pulse.posture)),
        Span::styled("  passed ", colours::DIM),
        Span::styled(format!("{}/s", rate(pulse.passed)), strong(colours::GOOD)),
        Span::styled("  dropped ", colours::DIM),
        Span::styled(format!("{}/s", rate(pulse.dropped)), strong(colours::BAD)),
    ]);
    if pulse.would_drop > 0.0 || pulse.rules.iter().any(|rule| rule.would_packets > 0) {
        line.push_span(Span::styled("  would drop ", colours::DIM));
        line.push_span(Span::styled(format!("{}/s", rate(pulse.would_drop)), colours::NOTE));
    }
    line
}

fn strong(style: Style) -> Style {
    style.patch(colours::STRONG)
}

fn clock(pulse: &Pulse, state: &State) -> Line<'static> {
    let time = pulse.time.strftime(" %H:%M:%SZ ").to_string();
    let mut line = Line::default();
    if state.is_paused() {
        line.push_span(Span::styled(" PAUSED ", colours::ALARM));
    }
    line.push_span(Span::raw(time));
    line
}

fn lists(pulse: &Pulse, has_replies: bool) -> Line<'static> {
    let lists = [
        (" verified ", pulse.verified, colours::standing("verified")),
        ("  banned ", pulse.banned, colours::standing("banned")),
        ("  blocked ", pulse.blocked, colours::standing("blocked")),
        ("  trusted ", pulse.trusted, colours::standing("trusted")),
    ];
    let mut line = Line::default();
    for (label, number, style) in lists {
        line.push_span(Span::styled(label, colours::DIM));
        line.push_span(Span::styled(count(number as u64), style));
    }
    if !has_replies {
        return line;
    }
    let replies = |class: &str| {
        let found = pulse.replies.iter().find(|one| one.class == class);
        found.map_or(0.0, |one| one.rate)
    };
    line.push_span(Span::styled("  replies 2xx ", colours::DIM));
    line.push_span(Span::raw(format!("{}/s", rate(replies("2xx")))));
    line.push_span(Span::styled("  4xx ", colours::DIM));
    line.push_span(Span::raw(format!("{}/s", rate(replies("4xx")))));
    line
}

/// What may soon be wrong.
fn warnings(pulse: &Pulse, state: &State) -> Line<'static> {
    let mut line = Line::default();
    let mut say = |text: String, style| {
        line.push_span(Span::styled(text, style));
        line.push_span(Span::raw(" "));
    };
    let lost = pulse.events_lost + state.data().missed;
    if lost > 0 {
        say(format!(" {} events lost", count(lost)), colours::NOTE);
    }
    let fill = |map: &&MapFill| percent(map.entries, map.capacity);
    let fullest = pulse.maps.iter().max_by(|a, b| fill(a).total_cmp(&fill(b)));
    if let Some(map) = fullest.filter(|map| fill(map) >= 1.0) {
        let percent = fill(&map);
        say(format!(" {} {percent:.0} % full", map.name), colours::fill(percent));
    }
    line
}

/// Why what is shown is old.
fn trouble(state: &State) -> Option<Line<'static>> {
    let text = match (&state.link, state.quiet) {
        (Link::Lost { since, why }, _) => {
            let since = since.strftime("%H:%M:%SZ");
            format!(" since {since}, trying again: {why} ")
        }
        (_, Some(seconds)) => format!(" nothing has come for {seconds} s "),
        _ => return None,
    };
    Some(Line::styled(text, colours::ALARM))
}

/// What has passed and what was dropped in the last minutes.
pub(super) fn graphs(frame: &mut Frame<'_>, area: Rect, state: &State) {
    let half = area.width.saturating_sub(1) / 2;
    let left = Rect { width: half, ..area };
    let right = Rect { x: area.x + half + 1, width: area.width - half - 1, ..area };
    graph(frame, left, state, ("passed", colours::GOOD), |pulse| pulse.passed);
    graph(frame, right, state, ("dropped", colours::BAD), |pulse| pulse.dropped);
}

fn graph(
    frame: &mut Frame<'_>,
    area: Rect,
    state: &State,
    (name, style): (&str, Style),
    of: impl Fn(&Pulse) -> f64,
) {
    let width = usize::from(area.width);
    let mut values = state.data().history(width, of);
    let most = values.iter().copied().fold(0.0, f64::max);
    // The newest at the right.
    values.splice(0..0, vec![0.0; width.saturating_sub(values.len())]);
    let title = format!(" {name}, last {width} s: at most {}/s", rate(most));
    frame.render_widget(Line::styled(title, colours::DIM), Rect { height: 1, ..area });
    let data: Vec<u64> = values.iter().map(|value| thousandths(*value)).collect();
    let graph = Sparkline::default().data(data).max(thousandths(most).max(1)).style(style);
    frame.render_widget(
        graph,
        Rect { y: area.y + 1, height: area.height.saturating_sub(2), ..area },
    );
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "of a rate, and saturating"
)]
fn thousandths(rate: f64) -> u64 {
    (rate * 1e3) as u64
}
