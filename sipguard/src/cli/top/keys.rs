//! What keys do. Everything that changes something is asked first.

use std::time::Instant;

use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyEventKind, KeyModifiers};

use super::{
    form::{Deed, Form},
    layout,
    line::Line,
    state::{Layer, Pane, State},
    wish::Wish,
};

/// Rows that a page is.
const PAGE: isize = 10;

/// More rows than there are.
const ALL: isize = 1 << 20;

/// Keys and what they do, as the help and the reference list them.
pub(super) const KEYS: [(&str, &str); 17] = [
    ("↑ ↓ j k", "select a row; it stays selected wherever it moves"),
    ("PgUp PgDn Home End", "the same by ten rows, or to an end"),
    ("Tab", "go to the next part: sources, events, rules"),
    ("b", "block the selected source, or that of the event"),
    ("a", "allow (trust) it"),
    ("u", "take back: end a block, a ban or the trust"),
    ("w", "why: all that holds for it"),
    ("Enter", "why; of an event its message; of a rule: filter"),
    ("s S", "sort the sources by the next, by the previous column"),
    ("/", "filter sources and events: words that all must occur"),
    ("Esc", "close what is open; else select and filter nothing"),
    ("Space p", "pause, and go on"),
    ("h ?", "list the keys"),
    ("Ctrl-L", "paint everything anew"),
    ("Ctrl-Z", "back to the shell; `fg` returns"),
    ("q", "close what is open, else quit"),
    ("Ctrl-C", "quit"),
];

/// A key was pressed.
pub(super) fn press(state: &mut State, key: KeyEvent, now: Instant) -> Option<Wish> {
    if key.kind == KeyEventKind::Release {
        return None;
    }
    if key.modifiers.contains(KeyModifiers::CONTROL) && key.code != KeyCode::Char('h') {
        return match key.code {
            KeyCode::Char('c') => Some(Wish::Quit),
            KeyCode::Char('l') => Some(Wish::Repaint),
            KeyCode::Char('z') => Some(Wish::Suspend),
            KeyCode::Char('u') => {
                if let Some(line) = typed(state) {
                    line.clear();
                }
                settle(state);
                None
            }
            _ => None,
        };
    }
    // What the backspace key sends on some terminals.
    let is_backspace = key.modifiers.contains(KeyModifiers::CONTROL);
    let code = if is_backspace { KeyCode::Backspace } else { key.code };
    match &state.layer {
        Layer::None => watch(state, code, now),
        Layer::Help => {
            state.layer = Layer::None;
            None
        }
        Layer::Filter(_) => filter(state, code),
        Layer::Form(_) => form(state, code),
        Layer::Text(_) => read(state, code, now),
    }
}

/// Something was pasted: text for whoever is being asked, else nothing.
pub(super) fn paste(state: &mut State, text: &str) {
    if let Some(line) = typed(state) {
        line.insert(text);
    }
    settle(state);
}

/// What is being typed into.
fn typed(state: &mut State) -> Option<&mut Line> {
    match &mut state.layer {
        Layer::Filter(line) => Some(line),
        Layer::Form(form) => form.line(),
        Layer::None | Layer::Help | Layer::Text(_) => None,
    }
}

/// What is typed filters at once.
fn settle(state: &mut State) {
    if let Layer::Filter(line) = &state.layer {
        line.text().clone_into(&mut state.filter);
    }
}

fn watch(state: &mut State, code: KeyCode, now: Instant) -> Option<Wish> {
    match code {
        KeyCode::Char('q') => return Some(Wish::Quit),
        KeyCode::Up | KeyCode::Char('k') => state.walk(-1),
        KeyCode::Down | KeyCode::Char('j') => state.walk(1),
        KeyCode::PageUp => state.walk(-PAGE),
        KeyCode::PageDown => state.walk(PAGE),
        KeyCode::Home => state.walk(-ALL),
        KeyCode::End => state.walk(ALL),
        KeyCode::Tab => state.pane = state.pane.next(),
        KeyCode::BackTab => state.pane = state.pane.back(),
        KeyCode::Char('s') => state.sort = state.sort.step(1),
        KeyCode::Char('S') => state.sort = state.sort.step(super::state::Sort::ALL.len() - 1),
        KeyCode::Char('/') => state.layer = Layer::Filter(Line::new(state.filter.as_str())),
        KeyCode::Esc => {
            state.message = None;
            state.release();
        }
        KeyCode::Char(' ' | 'p') => state.pause(),
        KeyCode::Char('h' | '?') | KeyCode::F(1) => state.layer = Layer::Help,
        KeyCode::Enter => return enter(state, now),
        KeyCode::Char(letter) => {
            let source = state.source();
            return about(state, letter, source, now);
        }
        _ => {}
    }
    None
}

fn enter(state: &mut State, now: Instant) -> Option<Wish> {
    match state.pane {
        Pane::Sources => {
            let source = state.source();
            return about(state, 'w', source, now);
        }
        Pane::Events => state.open_event(),
        Pane::Rules => {
            if let Some(rule) = state.rule() {
                state.filter = rule;
                state.pane = Pane::Sources;
            }
        }
    }
    None
}

/// Keys about a source.
fn about(state: &mut State, letter: char, source: Option<String>, now: Instant) -> Option<Wish> {
    if !matches!(letter, 'b' | 'a' | 'u' | 'w') {
        return None;
    }
    let Some(source) = source else {
        state.say("select a source or an event first (Tab, ↑, ↓)".to_owned(), false, now);
        return None;
    };
    let deed = match letter {
        'b' => Deed::Block,
        'a' => Deed::Allow,
        'w' => return state.ask_why(&source).map(Wish::Ask),
        _ if state.standing(&source) == Some("trusted") => Deed::Disallow,
        _ => Deed::Unblock,
    };
    state.layer = Layer::Form(Form::new(deed, &source));
    None
}

fn filter(state: &mut State, code: KeyCode) -> Option<Wish> {
    match code {
        KeyCode::Enter => state.layer = Layer::None,
        KeyCode::Esc => {
            state.layer = Layer::None;
            state.filter.clear();
        }
        code => {
            if let Some(line) = typed(state) {
                edit(line, code);
            }
            settle(state);
        }
    }
    None
}

fn form(state: &mut State, code: KeyCode) -> Option<Wish> {
    let Layer::Form(form) = &mut state.layer else { return None };
    match code {
        KeyCode::Esc => state.layer = Layer::None,
        KeyCode::Tab | KeyCode::Down => form.next(1),
        KeyCode::BackTab | KeyCode::Up => form.back(),
        KeyCode::Enter => {
            let ask = form.submit()?;
            state.layer = Layer::None;
            return Some(Wish::Ask(ask));
        }
        code => {
            if let Some(line) = form.line() {
                edit(line, code);
            }
        }
    }
    None
}

fn edit(line: &mut Line, code: KeyCode) {
    match code {
        KeyCode::Char(c) => line.insert(c.encode_utf8(&mut [0; 4])),
        KeyCode::Backspace => line.backspace(),
        KeyCode::Delete => line.delete(),
        KeyCode::Left => line.left(),
        KeyCode::Right => line.right(),
        KeyCode::Home => line.home(),
        KeyCode::End => line.end(),
        _ => {}
    }
}

fn read(state: &mut State, code: KeyCode, now: Instant) -> Option<Wish> {
    let size = state.size;
    let Layer::Text(text) = &mut state.layer else { return None };
    let furthest = layout::furthest(size, &text.body);
    let scroll = text.scroll.min(furthest);
    let page = PAGE.unsigned_abs();
    text.scroll = match code {
        KeyCode::Up | KeyCode::Char('k') => scroll.saturating_sub(1),
        KeyCode::Down | KeyCode::Char('j') => (scroll + 1).min(furthest),
        KeyCode::PageUp => scroll.saturating_sub(page),
        KeyCode::PageDown | KeyCode::Char(' ') => (scroll + page).min(furthest),
        KeyCode::Home => 0,
        KeyCode::End => furthest,
        KeyCode::Esc | KeyCode::Enter | KeyCode::Char('q') => {
            state.layer = Layer::None;
            return None;
        }
        KeyCode::Char(letter) if text.source.is_some() => {
            let source = text.source.clone();
            return about(state, letter, source, now);
        }
        _ => scroll,
    };
    None
}

#[cfg(test)]
mod tests {
    use super::{
        super::{
            samples::{event, pulse},
            state::Sort,
            wish::Ask,
        },
        *,
    };

    fn state() -> State {
        let mut state = State::default();
        state.size = (80, 24);
        state.connected(Instant::now());
        let mut first = pulse(0, &[("198.51.100.7", 9.0), ("198.51.100.8", 3.0)]);
        first.sources[1].standing = "trusted".to_owned();
        state.pulse(first, Instant::now());
        state.event(event(9, "options"));
        state
    }

    fn code(state: &mut State, code: KeyCode) -> Option<Wish> {
        press(state, KeyEvent::new(code, KeyModifiers::NONE), Instant::now())
    }

    fn control(state: &mut State, letter: char) -> Option<Wish> {
        let key = KeyEvent::new(KeyCode::Char(letter), KeyModifiers::CONTROL);
        press(state, key, Instant::now())
    }

    /// Presses these keys; `\n` is Enter, `\t` Tab, `^` Up, `v` is a letter.
    fn keys(state: &mut State, text: &str) -> Option<Wish> {
        let mut wish = None;
        for c in text.chars() {
            wish = code(
                state,
                match c {
                    '\n' => KeyCode::Enter,
                    '\t' => KeyCode::Tab,
                    c => KeyCode::Char(c),
                },
            );
        }
        wish
    }

    #[test]
    fn f35_the_reference_has_every_key() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/reference.md");
        let text = std::fs::read_to_string(path).unwrap();
        let (_, rows) = text.split_once("| Key | What it does |\n|---|---|\n").unwrap();
        let (rows, _) = rows.split_once("\n\n").unwrap();
        let expected: Vec<String> = KEYS
            .iter()
            .map(|(keys, what)| {
                let keys: Vec<String> = keys.split(' ').map(|key| format!("`{key}`")).collect();
                format!("| {} | {what} |", keys.join(", "))
            })
            .collect();
        assert_eq!(rows.lines().collect::<Vec<_>>(), expected);
    }

    #[test]
    fn f35_b_blocks_who_is_selected_after_a_question() {
        let mut state = state();
        assert!(keys(&mut state, "b").is_none());
        control(&mut state, 'u');
        let wish = keys(&mut state, "10m\tscans\n");
        let Some(Wish::Ask(Ask::Block(entry))) = wish else { panic!("{wish:?}") };
        assert_eq!(
            (entry.target.as_str(), entry.reason.as_deref()),
            ("198.51.100.7", Some("scans"))
        );
        assert_eq!(entry.ttl.unwrap().to_string(), "10m");
        assert!(matches!(state.layer, Layer::None));
    }

    #[test]
    fn f35_the_question_is_about_who_was_selected_then() {
        let mut state = state();
        keys(&mut state, "b");
        state.pulse(pulse(1, &[("203.0.113.99", 1e6)]), Instant::now());
        let wish = keys(&mut state, "\n");
        assert!(
            matches!(&wish, Some(Wish::Ask(Ask::Block(entry))) if entry.target == "198.51.100.7"),
            "{wish:?}"
        );
    }

    #[test]
    fn f35_nothing_is_done_after_escape_or_with_an_error() {
        let mut state = state();
        keys(&mut state, "b");
        assert!(code(&mut state, KeyCode::Esc).is_none());
        assert!(matches!(state.layer, Layer::None));
        keys(&mut state, "b");
        control(&mut state, 'u');
        assert!(keys(&mut state, "soon\n").is_none());
        assert!(matches!(&state.layer, Layer::Form(form) if form.error.is_some()));
        // q is a letter there.
        assert!(keys(&mut state, "q").is_none());
        assert!(matches!(control(&mut state, 'c'), Some(Wish::Quit)));
    }

    #[test]
    fn f35_allow_unblock_and_the_end_of_trust() {
        let mut state = state();
        let wish = keys(&mut state, "a\n");
        assert!(matches!(&wish, Some(Wish::Ask(Ask::Allow(entry))) if entry.ttl.is_some()));
        let wish = keys(&mut state, "u\n");
        assert!(matches!(&wish, Some(Wish::Ask(Ask::Unblock(target))) if target == "198.51.100.7"));
        let wish = keys(&mut state, "ju\n");
        assert!(
            matches!(&wish, Some(Wish::Ask(Ask::Disallow(target))) if target == "198.51.100.8"),
            "{wish:?}"
        );
    }

    #[test]
    fn f35_why_of_a_source_and_of_an_event() {
        let mut state = state();
        let wish = keys(&mut state, "w");
        assert!(matches!(&wish, Some(Wish::Ask(Ask::Why(ip))) if ip.to_string() == "198.51.100.7"));
        // From there, it can be blocked.
        keys(&mut state, "b");
        assert!(matches!(&state.layer, Layer::Form(form) if form.deed == Deed::Block));
        code(&mut state, KeyCode::Esc);
        let wish = keys(&mut state, "\tw");
        assert!(matches!(&wish, Some(Wish::Ask(Ask::Why(ip))) if ip.to_string() == "198.51.100.9"));
        keys(&mut state, "q\n");
        assert!(matches!(&state.layer, Layer::Text(text) if text.body.contains("OPTIONS sip:")));
        assert!(keys(&mut state, "q").is_none());
        assert!(matches!(keys(&mut state, "q"), Some(Wish::Quit)));
    }

    #[test]
    fn f35_a_rule_filters_and_has_nobody_to_block() {
        let mut state = state();
        keys(&mut state, "\t\tb");
        assert!(state.message.as_ref().is_some_and(|message| !message.is_good));
        assert_eq!(state.pane, Pane::Rules);
        keys(&mut state, "\n");
        assert_eq!((state.filter.as_str(), state.pane), ("signature", Pane::Sources));
        code(&mut state, KeyCode::Esc);
        assert_eq!(state.filter, "");
    }

    #[test]
    fn f35_a_filter_works_while_it_is_typed() {
        let mut state = state();
        keys(&mut state, "/100.8");
        assert_eq!(state.sources().len(), 1);
        code(&mut state, KeyCode::Backspace);
        assert_eq!(state.sources().len(), 2);
        keys(&mut state, "8\n");
        assert_eq!(state.source().as_deref(), Some("198.51.100.8"));
        keys(&mut state, "/");
        code(&mut state, KeyCode::Esc);
        assert_eq!(state.sources().len(), 2);
    }

    #[test]
    fn f35_what_is_pasted_presses_no_keys() {
        let mut state = state();
        paste(&mut state, "b\nq");
        assert!(matches!(state.layer, Layer::None));
        keys(&mut state, "b\t");
        paste(&mut state, "a\nb\u{1b}");
        let wish = keys(&mut state, "\n");
        let Some(Wish::Ask(Ask::Block(entry))) = wish else { panic!("{wish:?}") };
        assert_eq!(entry.reason.as_deref(), Some("a b"));
        keys(&mut state, "/");
        paste(&mut state, "nobody");
        assert!(state.sources().is_empty());
    }

    #[test]
    fn f35_sort_pause_help() {
        let mut state = state();
        keys(&mut state, "s");
        assert_eq!(state.sort, Sort::Dropped);
        keys(&mut state, "SS");
        assert_eq!(state.sort, Sort::Source);
        keys(&mut state, " ");
        assert!(state.is_paused());
        keys(&mut state, "p");
        assert!(!state.is_paused());
        keys(&mut state, "?");
        assert!(matches!(state.layer, Layer::Help));
        assert!(keys(&mut state, "q").is_none());
        assert!(matches!(control(&mut state, 'z'), Some(Wish::Suspend)));
        assert!(matches!(control(&mut state, 'l'), Some(Wish::Repaint)));
    }

    #[test]
    fn f35_a_long_text_is_scrolled_to_its_end_and_back() {
        let mut state = state();
        keys(&mut state, "w");
        if let Layer::Text(text) = &mut state.layer {
            text.body = "line\n".repeat(100);
        }
        let scroll = |state: &State| match &state.layer {
            Layer::Text(text) => text.scroll,
            _ => panic!("no text"),
        };
        code(&mut state, KeyCode::End);
        let end = scroll(&state);
        assert!((70..100).contains(&end), "{end}");
        keys(&mut state, "jj ");
        assert_eq!(scroll(&state), end);
        keys(&mut state, "k");
        assert_eq!(scroll(&state), end - 1);
        state.size = (200, 90);
        code(&mut state, KeyCode::Up);
        assert!(scroll(&state) < 30);
        code(&mut state, KeyCode::Home);
        assert_eq!(scroll(&state), 0);
    }

    #[test]
    fn nothing_to_select_is_no_harm() {
        let mut state = State::default();
        for key in ["b", "w", "u", "\n", "\t\n", "\t\n", "j", "k", " ", "s"] {
            assert!(keys(&mut state, key).is_none(), "{key:?}");
            state.layer = Layer::None;
        }
    }
}
