//! The picture at several sizes.

use std::time::Instant;

use ratatui::{
    Terminal,
    backend::TestBackend,
    buffer::Buffer,
    crossterm::event::{KeyCode, KeyEvent, KeyModifiers},
    style::{Color, Modifier},
};

use super::{
    super::{
        keys::{self, KEYS},
        samples::{event, pulse},
        state::State,
        wish::Answer,
    },
    draw,
};

/// The sizes that matter: usual, larger, wide, and too small.
const SIZES: [(u16, u16); 4] = [(80, 24), (120, 40), (200, 60), (40, 10)];

fn painted(state: &mut State, (width, height): (u16, u16)) -> Buffer {
    state.size = (width, height);
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    terminal.draw(|frame| draw(frame, state)).unwrap();
    terminal.backend().buffer().clone()
}

/// Lines without the blanks at their ends.
fn lines(buffer: &Buffer) -> Vec<String> {
    let width = usize::from(buffer.area.width);
    let rows = buffer.content.chunks(width.max(1));
    let row = |cells: &[ratatui::buffer::Cell]| -> String {
        cells.iter().map(ratatui::buffer::Cell::symbol).collect::<String>().trim_end().to_owned()
    };
    rows.map(row).collect()
}

fn shown(state: &mut State, size: (u16, u16)) -> String {
    lines(&painted(state, size)).join("\n")
}

/// Half a minute of an attack that swells.
fn attacked() -> State {
    let mut state = State::default();
    state.connected(Instant::now());
    for second in 0..30_i32 {
        let rate = f64::from(second * 100);
        let sources = [("198.51.100.7", rate), ("2001:db8:2::/64", 12.0), ("192.0.2.10", 4.0)];
        let mut pulse = pulse(i64::from(second), &sources);
        pulse.sources[1].estimated = true;
        pulse.sources[1].standing = "banned".to_owned();
        pulse.sources[2].standing = "trusted".to_owned();
        pulse.sources[2].dropped = 0.0;
        pulse.sources[2].method = None;
        pulse.sources[2].rule = "trusted".to_owned();
        state.pulse(pulse, Instant::now());
    }
    for host in 1..9 {
        state.event(event(host, "signature"));
    }
    state
}

fn press(state: &mut State, text: &str) {
    for c in text.chars() {
        let code = if c == '\n' { KeyCode::Enter } else { KeyCode::Char(c) };
        keys::press(state, KeyEvent::new(code, KeyModifiers::NONE), Instant::now());
    }
}

#[test]
fn f35_the_whole_picture_at_80x24() {
    let expected = include_str!("80x24.txt").trim_end();
    let shown = shown(&mut attacked(), (80, 24));
    assert_eq!(shown, expected, "\n{shown}");
}

#[test]
fn f35_every_size_shows_what_matters_and_nothing_that_acts() {
    let mut state = attacked();
    for size in SIZES {
        let text = shown(&mut state, size);
        assert!(text.chars().all(|c| c == '\n' || !c.is_control()), "{text}");
        if size == (40, 10) {
            assert!(text.contains("40x10 is too small") && text.contains("needs 60x16"), "{text}");
            continue;
        }
        let wanted = [
            "guarded",
            "dropped 2,916/s",
            "12:00:29Z",
            "verified 12",
            "banned 3",
            "signature",
            "198.51.100.7",
            "2001:db8:2::/64",
            "~12",
            "stranger",
            "198.51.100.8:5061",
            "friendly-sc",
            "b block",
            "q quit",
            "▁",
        ];
        for wanted in wanted {
            assert!(text.contains(wanted), "{wanted} at {size:?} in\n{text}");
        }
        for word in ["OPTIONS▼", "OPTIONS  REGISTER"] {
            assert!(!text.contains(word) || size.0 >= 120, "{text}");
        }
        assert_eq!(text.contains("passed, last"), size.1 >= 34, "{text}");
        assert_eq!(text.contains("203.0.113.1:5060"), size.0 >= 140, "{text}");
    }
}

#[test]
fn f35_no_size_and_no_layer_breaks_it() {
    let mut state = attacked();
    let layers: [&[&str]; 6] = [&[""], &["?"], &["b"], &["b", "x\n"], &["w"], &["/100"]];
    for layer in layers {
        for size in [(0, 0), (1, 1), (5, 300), (300, 5), (60, 16), (61, 17), (80, 24), (250, 90)] {
            for keys in layer {
                press(&mut state, keys);
            }
            let text = shown(&mut state, size);
            assert!(text.chars().all(|c| c == '\n' || !c.is_control()));
            let escape = KeyEvent::new(KeyCode::Esc, KeyModifiers::NONE);
            keys::press(&mut state, escape, Instant::now());
        }
    }
    for size in SIZES {
        shown(&mut State::default(), size);
    }
}

#[test]
fn f35_the_selected_row_is_seen_wherever_it_is() {
    let names: Vec<String> = (0..50).map(|host| format!("198.51.100.{host}")).collect();
    let sources: Vec<(&str, f64)> = names.iter().map(|name| (name.as_str(), 5.0)).collect();
    let mut state = State::default();
    state.pulse(pulse(0, &sources), Instant::now());
    for step in 0..50 {
        let buffer = painted(&mut state, (80, 24));
        let row = lines(&buffer);
        let row = row.iter().position(|line| line.starts_with('>')).unwrap();
        let host = format!("> 198.51.100.{step} ");
        assert!(lines(&buffer)[row].starts_with(&host), "{step}");
        let reversed = buffer[(5, u16::try_from(row).unwrap())].modifier;
        assert_eq!(reversed.contains(Modifier::REVERSED), step > 0);
        press(&mut state, "j");
    }
    assert!(shown(&mut state, (80, 24)).contains("SOURCE 50/50"));
}

#[test]
fn f35_colours_tell_drop_from_pass_and_words_do_so_too() {
    let buffer = painted(&mut attacked(), (80, 24));
    let lines = lines(&buffer);
    let of = |word: &str| {
        let row = lines.iter().position(|line| line.contains(word)).unwrap();
        let column = lines[row].find(word).unwrap() + word.len() - 1;
        buffer[(u16::try_from(column).unwrap(), u16::try_from(row).unwrap())].fg
    };
    assert_eq!(of("signature      drop"), Color::Red);
    assert_eq!(of("stranger       pass"), Color::Green);
    assert_eq!(of("guarded"), Color::Green);
}

#[test]
fn f35_a_question_stands_above_the_picture_with_its_error() {
    let mut state = attacked();
    press(&mut state, "b");
    let text = shown(&mut state, (80, 24));
    assert!(text.contains("Block: everything from there is dropped"), "{text}");
    assert!(text.contains("target  198.51.100.7") && text.contains("for     1h"), "{text}");
    press(&mut state, "x\n");
    let text = shown(&mut state, (80, 24));
    assert!(text.contains("unknown unit `x`"), "{text}");
    press(&mut state, &"y".repeat(150));
    assert!(shown(&mut state, (80, 24)).contains("yyyyyyyy"));
}

#[test]
fn f35_the_help_has_every_key_at_80x24() {
    let mut state = attacked();
    press(&mut state, "?");
    let text = shown(&mut state, (80, 24));
    for (key, what) in KEYS {
        let line = format!("{key:<19}{what}");
        assert!(text.contains(&line), "{line} in\n{text}");
    }
}

#[test]
fn f35_why_is_read_in_a_window() {
    let mut state = attacked();
    press(&mut state, "w");
    assert!(shown(&mut state, (80, 24)).contains("asking…"));
    let long = format!("it is banned\n\n{}END", "word ".repeat(400));
    state.answered(Answer::Why([198, 51, 100, 7].into(), long), Instant::now());
    let text = shown(&mut state, (80, 24));
    assert!(text.contains("Why 198.51.100.7") && text.contains("it is banned"), "{text}");
    assert!(text.contains("↓ more") && !text.contains("END"), "{text}");
    let end = KeyEvent::new(KeyCode::End, KeyModifiers::NONE);
    keys::press(&mut state, end, Instant::now());
    let text = shown(&mut state, (80, 24));
    assert!(text.contains("END") && !text.contains("↓ more"), "{text}");
}

#[test]
fn f35_what_is_wrong_is_seen() {
    let mut state = attacked();
    state.pause();
    assert!(shown(&mut state, (80, 24)).contains("PAUSED"));
    state.lost("sipguard has stopped", "2026-01-02T12:00:31Z".parse().unwrap());
    let text = shown(&mut state, (80, 24));
    assert!(text.contains("since 12:00:31Z, trying again: sipguard has stopped"), "{text}");
    state.connected(Instant::now());
    state.pause();
    assert!(shown(&mut state, (80, 24)).contains("waiting for the first second"));
    let mut full = pulse(40, &[]);
    full.events_lost = 5;
    full.maps[0].entries = full.maps[0].capacity;
    full.rules[1].would_packets = 9;
    state.pulse(full, Instant::now());
    let text = shown(&mut state, (110, 24));
    for wanted in ["5 events lost", "bans 100 % full", "WOULD/S", "would drop 0/s"] {
        assert!(text.contains(wanted), "{wanted} in\n{text}");
    }
    state.tick(Instant::now() + std::time::Duration::from_secs(9));
    assert!(shown(&mut state, (80, 24)).contains("nothing has come for "));
}
