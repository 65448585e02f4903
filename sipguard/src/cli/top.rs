//! `sipguard top`

mod data;
mod draw;
mod feed;
mod form;
mod keys;
mod layout;
mod line;
mod numbers;
mod plain;
#[cfg(test)]
mod samples;
mod state;
mod terminal;
mod wish;

use std::{
    io,
    sync::mpsc::{self, RecvTimeoutError},
    time::{Duration, Instant},
};

use jiff::Timestamp;

use self::{feed::Input, state::State, terminal::Screen, wish::Wish};
use super::{
    exit::{Exit, Failure},
    out::{print, print_json_line},
};
use crate::api::{client::Client, wire::Pulse};

/// How often time is looked at where nothing happens.
const TICK: Duration = Duration::from_millis(500);

/// How long what comes in may wait for the next drawing, except keys.
const FRAME: Duration = Duration::from_millis(100);

/// Inputs that may wait.
const WAITING: usize = 1024;

/// Watch what happens, second by second, and act upon it
///
/// Rates of rules and sources, and events, on the whole terminal; keys block,
/// allow, take back and ask why (`?` lists them). Without a terminal a line for
/// each second.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Print JSON, one line for each second
    #[arg(long)]
    json: bool,
    /// Print a line for each second, also on a terminal
    #[arg(long, conflicts_with = "json")]
    plain: bool,
    /// Print one second and end
    #[arg(long)]
    once: bool,
}

pub(super) fn run(args: &Args, client: &Client) -> Result<(), Failure> {
    if args.json || args.plain || args.once || !terminal::is_there() {
        return lines(args, client);
    }
    // Whether there is somebody to watch is said where it can be read.
    client.pulse(1, false, |_| Ok::<_, Failure>(()))?;
    watch(client).map_err(|error| {
        Failure::new(Exit::Failure, format!("cannot use the terminal: {error}"), None)
    })
}

/// Seconds as lines, until the daemon or the reader is gone.
fn lines(args: &Args, client: &Client) -> Result<(), Failure> {
    let show = |pulse: Pulse| match (args.json, args.once) {
        (true, _) => print_json_line(&pulse),
        (false, true) => print(&plain::tables(pulse)),
        (false, false) => print(&plain::line(pulse)),
    };
    let ended = client.pulse(1, true, |pulse| match show(pulse) {
        Ok(()) if args.once => Err(Ended::Enough),
        shown => shown.map_err(Ended::Failed),
    });
    match ended {
        Ok(()) => Err(Failure::new(Exit::NotRunning, "sipguard has stopped", None)),
        Err(Ended::Enough) => Ok(()),
        Err(Ended::Failed(failure)) => Err(failure),
    }
}

/// Why no more lines are printed.
enum Ended {
    Enough,
    Failed(Failure),
}

impl From<crate::api::client::ClientError> for Ended {
    fn from(error: crate::api::client::ClientError) -> Self {
        Self::Failed(error.into())
    }
}

/// The picture, until the operator has seen enough, or the terminal is gone.
fn watch(client: &Client) -> io::Result<()> {
    let (to, from) = mpsc::sync_channel(WAITING);
    feed::start(client, &to)?;
    let mut screen = Screen::take()?;
    let mut state = State::default();
    let mut drawn: Option<Instant> = None;
    let mut is_urgent = true;
    loop {
        let now = Instant::now();
        state.tick(now);
        state.size = screen.size();
        let wait = drawn.map_or(Duration::ZERO, |then| FRAME.saturating_sub(now - then));
        if is_urgent || wait.is_zero() {
            if screen.draw(|frame| draw::draw(frame, &state)).is_err() {
                // Nobody sees it any more.
                return Ok(());
            }
            drawn = Some(now);
        }
        let wait = if is_urgent || wait.is_zero() { TICK } else { wait };
        is_urgent = false;
        let first = match from.recv_timeout(wait) {
            Ok(input) => input,
            Err(RecvTimeoutError::Timeout) => continue,
            Err(RecvTimeoutError::Disconnected) => return Ok(()),
        };
        for input in std::iter::once(first).chain(from.try_iter().take(WAITING)) {
            match take(&mut state, input) {
                Todo::Nothing => {}
                Todo::Draw => is_urgent = true,
                Todo::End | Todo::Wish(Wish::Quit) => return Ok(()),
                Todo::Wish(Wish::Suspend) => Screen::suspend()?,
                Todo::Retake => {
                    screen.retake()?;
                    is_urgent = true;
                }
                Todo::Repaint | Todo::Wish(Wish::Repaint) => {
                    screen.repaint()?;
                    is_urgent = true;
                }
                Todo::Wish(Wish::Ask(ask)) => feed::ask(client, &to, ask),
            }
        }
    }
}

/// What an input asks of the loop.
enum Todo {
    Nothing,
    /// At once.
    Draw,
    Repaint,
    Retake,
    Wish(Wish),
    End,
}

fn take(state: &mut State, input: Input) -> Todo {
    let now = Instant::now();
    match input {
        Input::Key(key) => return keys::press(state, key, now).map_or(Todo::Draw, Todo::Wish),
        Input::Paste(text) => keys::paste(state, &text),
        Input::Connected => state.connected(now),
        Input::Pulse(pulse) => state.pulse(*pulse, now),
        Input::Lost(why) => state.lost(&why, Timestamp::now()),
        Input::EventsBegin => state.events_begin(),
        Input::Event(event) => state.event(*event),
        Input::Missed(missed) => state.missed(missed),
        Input::Answer(answer) => state.answered(answer, now),
        Input::Repaint => return Todo::Repaint,
        Input::Awake => return Todo::Retake,
        Input::End => return Todo::End,
    }
    Todo::Nothing
}
