//! Where everything stands on a screen of some size.

use ratatui::{layout::Rect, text::Span};

/// The smallest screen with room for something: columns and rows.
pub(super) const SMALLEST: (u16, u16) = (60, 16);

/// From so many columns on, rules and sources stand side by side.
const WIDE: u16 = 150;

/// From so many rows on, there are graphs.
const TALL: u16 = 34;

/// Columns that a text to read has at most.
const READABLE: u16 = 132;

/// Columns of what continues a line.
const INDENT: usize = 4;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Areas {
    pub(super) head: Rect,
    pub(super) graphs: Option<Rect>,
    pub(super) rules: Rect,
    pub(super) sources: Rect,
    pub(super) events: Rect,
    pub(super) foot: Rect,
}

/// The parts of a screen that is not too small, with so many rules to show.
pub(super) fn areas(screen: Rect, rules: usize) -> Areas {
    let (head, rest) = split(screen, 2);
    let (rest, foot) = split(rest, rest.height.saturating_sub(1));
    let tall = if screen.height >= TALL { 4 + screen.height / 12 } else { 0 };
    let (graphs, rest) = split(rest, tall);
    let graphs = (tall > 0).then_some(graphs);
    let rules = u16::try_from(rules).unwrap_or(u16::MAX).saturating_add(1);
    if screen.width >= WIDE {
        let (upper, events) = split(rest, rest.height - (rest.height / 3).max(3));
        let left = screen.width * 2 / 5;
        let rules = Rect { width: left, ..upper };
        let sources = Rect { x: upper.x + left + 1, width: upper.width - left - 1, ..upper };
        return Areas { head, graphs, rules, sources, events, foot };
    }
    let (rules, rest) = split(rest, rules.clamp(3, (rest.height / 3).max(3)));
    let (sources, events) = split(rest, rest.height - (rest.height * 3 / 8).max(3));
    Areas { head, graphs, rules, sources, events, foot }
}

/// The upper rows, and those below.
fn split(area: Rect, rows: u16) -> (Rect, Rect) {
    let rows = rows.min(area.height);
    let upper = Rect { height: rows, ..area };
    (upper, Rect { y: area.y + rows, height: area.height - rows, ..area })
}

/// A frame in the middle, with room for lines of text and its border.
pub(super) fn popup(screen: Rect, width: u16, rows: usize) -> Rect {
    let width = width.min(screen.width.saturating_sub(4));
    let rows = u16::try_from(rows).unwrap_or(u16::MAX).saturating_add(2);
    let height = rows.min(screen.height.saturating_sub(2));
    Rect {
        x: screen.x + (screen.width - width) / 2,
        y: screen.y + (screen.height - height) / 2,
        width,
        height,
    }
}

/// Where a text to read stands, and its lines.
pub(super) fn text(screen: Rect, body: &str) -> (Rect, Vec<String>) {
    let width = READABLE.min(screen.width.saturating_sub(4));
    let lines = wrap(body, usize::from(width.saturating_sub(4)));
    (popup(screen, width, lines.len()), lines)
}

/// How many lines can be scrolled past in a screen of this size.
pub(super) fn furthest(size: (u16, u16), body: &str) -> usize {
    let (area, lines) = text(Rect::new(0, 0, size.0, size.1), body);
    lines.len().saturating_sub(usize::from(area.height.saturating_sub(2)))
}

/// Breaks lines that are too long, where there is a space if there is one.
pub(super) fn wrap(body: &str, width: usize) -> Vec<String> {
    let width = width.max(INDENT * 2);
    let mut lines = Vec::new();
    for line in body.trim_end().lines() {
        let mut rest = line.to_owned();
        while Span::raw(&rest).width() > width {
            let end = breaking_point(&rest, width);
            let tail = rest.split_off(end);
            lines.push(rest.trim_end().to_owned());
            rest = " ".repeat(INDENT) + tail.trim_start();
        }
        lines.push(rest);
    }
    lines
}

/// Bytes of a line that fit.
fn breaking_point(line: &str, width: usize) -> usize {
    let mut columns = 0;
    let mut end = 0;
    let mut space = None;
    for (at, c) in line.char_indices() {
        columns += Span::raw(c.encode_utf8(&mut [0; 4]) as &str).width();
        if columns > width {
            break;
        }
        end = at + c.len_utf8();
        if c == ' ' {
            space = Some(end);
        }
    }
    // A space in the first half leaves too much room.
    space.filter(|space| *space > width / 2).unwrap_or(end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn f35_all_parts_have_room_and_none_lies_above_another() {
        for width in (SMALLEST.0..260).step_by(7) {
            for height in SMALLEST.1..120 {
                for rules in [0, 1, 5, 40] {
                    let screen = Rect::new(0, 0, width, height);
                    let areas = areas(screen, rules);
                    let Areas { head, graphs, rules, sources, events, foot } = areas;
                    let parts =
                        [Some(head), graphs, Some(rules), Some(sources), Some(events), Some(foot)];
                    let parts: Vec<Rect> = parts.into_iter().flatten().collect();
                    for (i, part) in parts.iter().enumerate() {
                        assert!(screen.union(*part) == screen && part.area() > 0, "{areas:?}");
                        let others = parts.iter().skip(i + 1);
                        assert!(others.clone().all(|one| !one.intersects(*part)), "{areas:?}");
                    }
                    assert!(sources.height >= 4 && rules.height >= 3 && events.height >= 3);
                }
            }
        }
    }

    #[test]
    fn f35_lines_are_broken_at_spaces_and_nothing_is_lost() {
        assert_eq!(wrap("short\n\nlines", 20), ["short", "", "lines"]);
        assert_eq!(wrap("one two three four", 10), ["one two", "    three", "    four"]);
        let long = "x".repeat(35);
        let lines = wrap(&long, 10);
        assert_eq!(lines[0], "x".repeat(10));
        let together: String = lines.iter().map(|line| line.trim_start()).collect();
        assert_eq!(together, long);
        // Wide characters take two columns.
        assert!(wrap(&"扫".repeat(30), 10).iter().all(|line| Span::raw(line).width() <= 10));
    }

    #[test]
    fn a_popup_stays_on_the_screen() {
        for (width, height) in [(60, 16), (80, 24), (200, 60)] {
            let screen = Rect::new(0, 0, width, height);
            for rows in [0, 5, 1000] {
                assert_eq!(popup(screen, 500, rows).union(screen), screen);
            }
        }
    }
}
