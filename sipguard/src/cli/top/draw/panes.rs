//! Rules, sources and events, each a table that shows what is selected.

use ratatui::{
    Frame,
    layout::{Constraint, Rect},
    style::Style,
    text::{Line, Span},
    widgets::{Cell, Row, Table},
};

use super::colours;
use crate::{
    api::wire::{Event, Pulse, RuleRate, SourceRate},
    cli::top::{
        numbers::{bars, count, rate},
        state::{Pane, Sort, State},
    },
};

/// Columns of an IPv6 network, the longest source.
const SOURCE: u16 = 24;

/// Columns of the longest name of a rule.
const RULE: u16 = 14;

/// From so many columns on, sources have rates of methods, too.
const METHODS: u16 = 105;

/// From so many columns on, events have milliseconds and longer sources.
const PRECISE: u16 = 110;

/// From so many columns on, events have destination and interface.
const PLACES: u16 = 140;

/// A column: its heading, how wide, whether it holds numbers.
struct Column {
    heading: String,
    width: Constraint,
    is_number: bool,
}

fn words(heading: impl Into<String>, width: u16) -> Column {
    Column { heading: heading.into(), width: Constraint::Length(width), is_number: false }
}

fn number(heading: impl Into<String>, width: u16) -> Column {
    Column { heading: heading.into(), width: Constraint::Length(width), is_number: true }
}

fn rest(heading: impl Into<String>) -> Column {
    Column { heading: heading.into(), width: Constraint::Fill(1), is_number: false }
}

/// A table of the rows round the selected one.
fn table<T>(
    frame: &mut Frame<'_>,
    area: Rect,
    (state, pane): (&State, Pane),
    columns: Vec<Column>,
    rows: &[T],
    cells: impl Fn(&T) -> Vec<Span<'static>>,
) {
    let room = usize::from(area.height.saturating_sub(1));
    let selected = state.row(pane);
    let first = (selected + 1).saturating_sub(room);
    let is_focused = state.pane == pane;
    let line = |(at, row): (usize, &T)| {
        let is_selected = at == selected && is_focused;
        let style = match (is_selected, state.has_selected(pane)) {
            (true, true) => colours::SELECTED,
            (true, false) => colours::FIRST,
            (false, _) => colours::PLAIN,
        };
        let mark = Cell::from(if is_selected { ">" } else { " " });
        let cells = cells(row).into_iter().zip(&columns).map(|(span, column)| {
            let line = Line::from(span);
            Cell::from(if column.is_number { line.right_aligned() } else { line })
        });
        Row::new(std::iter::once(mark).chain(cells).collect::<Vec<_>>()).style(style)
    };
    let lines = rows.iter().enumerate().skip(first).take(room).map(line);
    let headings = columns.iter().map(|column| {
        let line = Line::from(column.heading.as_str());
        Cell::from(if column.is_number { line.right_aligned() } else { line })
    });
    let headings = std::iter::once(Cell::from("")).chain(headings).collect::<Vec<_>>();
    let style = if is_focused { colours::FOCUSED } else { colours::HEADING };
    let widths = columns.iter().map(|column| column.width);
    let widths = std::iter::once(Constraint::Length(1)).chain(widths).collect::<Vec<_>>();
    let table = Table::new(lines.collect::<Vec<_>>(), widths)
        .header(Row::new(headings).style(style))
        .column_spacing(1);
    frame.render_widget(table, area);
}

/// Rules, each with what it did in the last seconds.
pub(super) fn rules(frame: &mut Frame<'_>, area: Rect, state: &State) {
    let rules = state.rules();
    let has_would = rules.iter().any(|rule| rule.would_packets > 0);
    let mut columns = vec![
        words(of_all("RULE", state, Pane::Rules, rules.len(), area), RULE),
        words("", 4),
        number("NOW/S", 7),
    ];
    if has_would {
        columns.push(number("WOULD/S", 7));
    }
    columns.push(number("PACKETS", 9));
    let taken: u16 = if has_would { 49 } else { 41 };
    let seconds = usize::from(area.width.saturating_sub(taken));
    columns.push(rest(format!("LAST {seconds} S")));
    table(frame, area, (state, Pane::Rules), columns, &rules, |rule| {
        let style = colours::verdict(&rule.verdict);
        let mut cells = vec![
            Span::raw(rule.rule.clone()),
            Span::styled(rule.verdict.clone(), style),
            busy(rule.rate, rate(rule.rate)),
        ];
        if has_would {
            let style = if rule.would_rate > 0.0 { colours::NOTE } else { colours::DIM };
            cells.push(Span::styled(rate(rule.would_rate), style));
        }
        cells.push(Span::raw(count(rule.packets)));
        let history = history(state, &rule.rule, seconds);
        cells
            .push(Span::styled(history, if rule.would_rate > 0.0 { colours::NOTE } else { style }));
        cells
    });
}

/// Bars of what a rule has counted, the newest at the right.
fn history(state: &State, name: &str, seconds: usize) -> String {
    let of = |pulse: &Pulse| {
        let rule: Option<&RuleRate> = pulse.rules.iter().find(|rule| rule.rule == name);
        rule.map_or(0.0, |rule| rule.rate + rule.would_rate)
    };
    let values = state.data().history(seconds, of);
    let missing = seconds.saturating_sub(values.len());
    " ".repeat(missing) + &bars(&values)
}

/// A heading with how many rows there are, where not all are seen.
fn of_all(heading: &str, state: &State, pane: Pane, rows: usize, area: Rect) -> String {
    let room = usize::from(area.height.saturating_sub(1));
    if rows <= room {
        return heading.to_owned();
    }
    let last = (state.row(pane) + 1).max(room);
    format!("{heading} {last}/{rows}")
}

/// Sources, the busiest first or as they are sorted.
pub(super) fn sources(frame: &mut Frame<'_>, area: Rect, state: &State) {
    let sources = state.sources();
    let has_methods = area.width >= METHODS;
    let by = |heading: &str, sort: Sort| {
        if state.sort == sort { format!("{heading}▼") } else { heading.to_owned() }
    };
    let mut name = of_all("SOURCE", state, Pane::Sources, sources.len(), area);
    let is_hidden = !has_methods
        && matches!(state.sort, Sort::Options | Sort::Register | Sort::Invite | Sort::Packets);
    match state.sort {
        Sort::Source => name += "▼",
        sort if is_hidden => name += &format!(" by {}", sort.name()),
        _ => {}
    }
    let mut columns = vec![
        words(name, SOURCE),
        number(by("NOW/S", Sort::Rate), 8),
        number(by("DROPPED", Sort::Dropped), 8),
    ];
    if has_methods {
        columns.extend([
            number(by("OPTIONS", Sort::Options), 8),
            number(by("REGISTER", Sort::Register), 9),
            number(by("INVITE", Sort::Invite), 7),
            number(by("PACKETS", Sort::Packets), 9),
        ]);
    }
    columns.extend([words("METHOD", 9), words("RULE", RULE), rest("STATE")]);
    table(frame, area, (state, Pane::Sources), columns, &sources, |one| source(one, has_methods));
}

fn source(one: &SourceRate, has_methods: bool) -> Vec<Span<'static>> {
    let about = if one.estimated { "~" } else { "" };
    let style = if one.dropped > 0.0 { colours::BAD } else { colours::DIM };
    let mut cells = vec![
        Span::raw(one.source.clone()),
        busy(one.rate, format!("{about}{}", rate(one.rate))),
        Span::styled(rate(one.dropped), style),
    ];
    if has_methods {
        let methods = [one.options, one.register, one.invite];
        cells.extend(methods.map(|number| busy(number, rate(number))));
        cells.push(Span::raw(count(one.packets)));
    }
    cells.extend([
        Span::raw(one.method.clone().unwrap_or_else(|| "-".to_owned())),
        Span::raw(one.rule.clone()),
        Span::styled(one.standing.clone(), colours::standing(&one.standing)),
    ]);
    cells
}

/// A rate; nothing is dim.
fn busy(number: f64, text: String) -> Span<'static> {
    let style: Style = if number > 0.0 { colours::PLAIN } else { colours::DIM };
    Span::styled(text, style)
}

/// Events, newest first.
pub(super) fn events(frame: &mut Frame<'_>, area: Rect, state: &State) {
    let events = state.events();
    let is_precise = area.width >= PRECISE;
    let has_places = area.width >= PLACES;
    let mut columns = vec![
        words("EVENT", if is_precise { 12 } else { 8 }),
        words("RULE", RULE),
        words("OUTCOME", 10),
        words("METHOD", 9),
        words("FROM", if is_precise { 30 } else { 21 }),
    ];
    if has_places {
        columns.extend([words("TO", 30), words("BY", 12)]);
    }
    columns.push(rest("SIGNATURE"));
    let format = if is_precise { "%H:%M:%S%.3f" } else { "%H:%M:%S" };
    table(frame, area, (state, Pane::Events), columns, &events, |noted| {
        let event = &noted.event;
        let text = |text: &Option<String>| Span::raw(text.clone().unwrap_or_default());
        let mut cells = vec![
            Span::styled(event.time.strftime(format).to_string(), colours::DIM),
            Span::raw(event.rule.clone()),
            Span::styled(event.outcome.clone(), colours::outcome(&event.outcome)),
            text(&event.method),
            Span::raw(place(event.source, event.source_port)),
        ];
        if has_places {
            cells.push(Span::raw(place(event.destination, event.destination_port)));
            cells.push(Span::raw(by(event)));
        }
        cells.push(text(&event.signature));
        cells
    });
}

fn place(ip: std::net::IpAddr, port: Option<u16>) -> String {
    match port {
        Some(port) => std::net::SocketAddr::new(ip, port).to_string(),
        None => ip.to_string(),
    }
}

fn by(event: &Event) -> String {
    match &event.transport {
        Some(transport) => format!("{transport} {}", event.interface),
        None => event.interface.clone(),
    }
}
