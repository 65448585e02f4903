//! What lies above the picture.

use ratatui::{
    Frame,
    layout::Rect,
    style::Style,
    text::{Line, Span, Text as Lines},
    widgets::{Block, Clear, Padding, Paragraph},
};

use super::colours;
use crate::cli::top::{
    form::{Deed, Form},
    keys::KEYS,
    layout,
    state::Text,
};

/// Columns of a question.
const QUESTION: u16 = 64;

/// Columns of the help.
const HELP: u16 = 76;

fn framed<'a>(
    frame: &mut Frame<'_>,
    area: Rect,
    (title, keys): (&'a str, &'a str),
    style: Style,
) -> Rect {
    let block = Block::bordered()
        .border_style(style)
        .title(Line::styled(format!(" {title} "), colours::STRONG))
        .title_bottom(Line::styled(format!(" {keys} "), colours::DIM))
        .padding(Padding::horizontal(1));
    let inner = block.inner(area);
    frame.render_widget(Clear, area);
    frame.render_widget(block, area);
    inner
}

pub(super) fn help(frame: &mut Frame<'_>) {
    let area = layout::popup(frame.area(), HELP, KEYS.len());
    let inner = framed(frame, area, ("Keys", "any key closes"), colours::KEY);
    let line = |(key, what): &(&'static str, &'static str)| {
        Line::from(vec![Span::styled(format!("{key:<19}"), colours::KEY), Span::raw(*what)])
    };
    let lines: Vec<Line<'_>> = KEYS.iter().map(line).collect();
    frame.render_widget(Lines::from(lines), inner);
}

pub(super) fn form(frame: &mut Frame<'_>, form: &Form) {
    let has_end = form.fields.iter().any(|field| field.label == "for");
    let errors = form.error.as_ref().map(|error| layout::wrap(error, usize::from(QUESTION) - 4));
    let errors = errors.unwrap_or_default();
    let notes = usize::from(has_end) + errors.len();
    let area = layout::popup(frame.area(), QUESTION, form.fields.len() + notes);
    let keys = match form.fields.len() {
        1 => "Enter does it · Esc does not",
        _ => "Enter does it · Tab next field · Esc does not",
    };
    let style = match form.deed {
        Deed::Block => colours::BAD,
        Deed::Allow => colours::GOOD,
        Deed::Unblock | Deed::Disallow => colours::KEY,
    };
    let inner = framed(frame, area, (form.title(), keys), style);
    let mut row = inner.y;
    let room = usize::from(inner.width).saturating_sub(10);
    for (at, field) in form.fields.iter().enumerate() {
        let area = Rect { y: row, height: 1, ..inner }.intersection(inner);
        let style = if at == form.focus { colours::SELECTED } else { colours::PLAIN };
        // What is typed at the end is what is looked at.
        let (text, cursor) = (field.line.text(), field.line.cursor());
        let first = (cursor + 1).saturating_sub(room);
        let seen: String = text.chars().skip(first).take(room).collect();
        let before: String = text.chars().take(cursor).skip(first).collect();
        let line = vec![
            Span::styled(format!("{:<8}", field.label), colours::DIM),
            Span::styled(format!("{seen:<room$}"), style),
        ];
        frame.render_widget(Line::from(line), area);
        if at == form.focus && !area.is_empty() {
            let column = 8 + Span::raw(before).width();
            let column = u16::try_from(column).unwrap_or(0).min(area.width.saturating_sub(1));
            frame.set_cursor_position((area.x + column, area.y));
        }
        row += 1;
    }
    let mut say = |text: &str, style: Style| {
        let area = Rect { y: row, height: 1, ..inner }.intersection(inner);
        frame.render_widget(Line::styled(text.to_owned(), style), area);
        row += 1;
    };
    if has_end {
        say("for: such as 10m, 1h, 7d; nothing: until it is taken back", colours::DIM);
    }
    for error in &errors {
        say(error, colours::BAD);
    }
}

pub(super) fn text(frame: &mut Frame<'_>, text: &Text) {
    let (area, lines) = layout::text(frame.area(), &text.body);
    let height = usize::from(area.height.saturating_sub(2));
    let furthest = lines.len().saturating_sub(height);
    let first = text.scroll.min(furthest);
    let more = if first < furthest { "↓ more · " } else { "" };
    let keys = match text.source {
        Some(_) => format!("{more}b block · a allow · u undo · w why · Esc closes"),
        None => format!("{more}Esc closes"),
    };
    let inner = framed(frame, area, (&text.title, &keys), colours::KEY);
    let seen: Vec<Line<'_>> = lines.into_iter().skip(first).take(height).map(Line::from).collect();
    frame.render_widget(Paragraph::new(seen), inner);
}
