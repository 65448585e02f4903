//! The picture.

mod colours;
mod head;
mod panes;
mod popups;

use ratatui::{
    Frame,
    layout::Rect,
    text::{Line, Span},
};

use super::{
    layout::{self, SMALLEST},
    state::{Layer, State},
};

/// Keys in the last line, as many as fit, and those behind that always do.
const HINTS: [&str; 9] = [
    "b block",
    "a allow",
    "u undo",
    "w why",
    "/ filter",
    "s sort",
    "p pause",
    "Tab part",
    "↑↓ select",
];
const ALWAYS: [&str; 2] = ["? help", "q quit"];

pub(super) fn draw(frame: &mut Frame<'_>, state: &State) {
    let screen = frame.area();
    if screen.width < SMALLEST.0 || screen.height < SMALLEST.1 {
        too_small(frame);
        return;
    }
    let areas = layout::areas(screen, state.rules().len());
    head::head(frame, areas.head, state);
    if let Some(area) = areas.graphs {
        head::graphs(frame, area, state);
    }
    panes::rules(frame, areas.rules, state);
    panes::sources(frame, areas.sources, state);
    panes::events(frame, areas.events, state);
    foot(frame, areas.foot, state);
    match &state.layer {
        Layer::None | Layer::Filter(_) => {}
        Layer::Help => popups::help(frame),
        Layer::Form(form) => popups::form(frame, form),
        Layer::Text(text) => popups::text(frame, text),
    }
}

fn too_small(frame: &mut Frame<'_>) {
    let Rect { width, height, .. } = frame.area();
    let lines = vec![
        Line::from("sipguard top"),
        Line::from(format!("{width}x{height} is too small")),
        Line::from(format!("needs {}x{}", SMALLEST.0, SMALLEST.1)),
        Line::from("q quits"),
    ];
    frame.render_widget(ratatui::text::Text::from(lines), frame.area());
}

/// What is being typed, what has happened, or what could be pressed.
fn foot(frame: &mut Frame<'_>, area: Rect, state: &State) {
    if let Layer::Filter(line) = &state.layer {
        let before =
            format!(" filter: {}", line.text().chars().take(line.cursor()).collect::<String>());
        let column = Span::raw(&before).width();
        let shown = format!(" filter: {}", line.text());
        frame.render_widget(Line::styled(shown, colours::NOTE), area);
        let column = u16::try_from(column).unwrap_or(u16::MAX).min(area.width.saturating_sub(1));
        frame.set_cursor_position((area.x + column, area.y));
        return;
    }
    if let Some(message) = &state.message {
        let style = if message.is_good { colours::GOOD } else { colours::BAD };
        frame.render_widget(Line::styled(format!(" {}", message.text), style), area);
        return;
    }
    let always = hints(&ALWAYS, usize::from(area.width));
    let mut room = usize::from(area.width).saturating_sub(always.width());
    let mut line = Line::default();
    if !state.filter.is_empty() {
        let filter = Span::styled(format!(" /{} ", state.filter), colours::NOTE);
        room = room.saturating_sub(filter.width());
        line.push_span(filter);
    }
    line.extend(hints(&HINTS, room));
    frame.render_widget(line, area);
    frame.render_widget(always.right_aligned(), area);
}

/// As many as fit.
fn hints(hints: &[&'static str], mut room: usize) -> Line<'static> {
    let mut line = Line::default();
    for hint in hints {
        let (key, what) = hint.split_once(' ').unwrap_or((hint, ""));
        let taken = Span::raw(*hint).width() + 2;
        if taken > room {
            break;
        }
        room -= taken;
        line.push_span(Span::raw(" "));
        line.push_span(Span::styled(key, colours::KEY));
        line.push_span(Span::styled(format!(" {what} "), colours::DIM));
    }
    line
}

#[cfg(test)]
mod tests;
