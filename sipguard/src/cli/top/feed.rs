//! What comes in from all sides, each on a thread of its own.

use std::{io, sync::mpsc::SyncSender, thread, time::Duration};

use ratatui::crossterm::event::{self as keyboard, KeyEvent};
use tokio::{
    runtime,
    signal::unix::{Signal, SignalKind, signal},
};

use super::{
    data::{KEPT_EVENTS, KEPT_SECONDS},
    terminal,
    wish::{self, Answer, Ask},
};
use crate::api::{
    client::{Client, ClientError, EventsQuery},
    wire::{Event, EventLine, Pulse},
};

/// How long to wait before the daemon is tried again.
const AGAIN: Duration = Duration::from_secs(1);

/// Something to take note of.
pub(super) enum Input {
    Key(KeyEvent),
    Paste(String),
    /// The daemon answers: all its seconds follow.
    Connected,
    Pulse(Box<Pulse>),
    /// It answers no more, and why.
    Lost(String),
    /// All its events follow.
    EventsBegin,
    Event(Box<Event>),
    Missed(u64),
    Answer(Answer),
    /// The terminal has another size.
    Repaint,
    /// We were stopped, and go on.
    Awake,
    /// A signal or the loss of the terminal ends us.
    End,
}

/// Why a feed has ended.
enum Ended {
    Client(ClientError),
    /// Nobody takes what comes.
    Unheard,
}

impl From<ClientError> for Ended {
    fn from(error: ClientError) -> Self {
        Self::Client(error)
    }
}

/// Starts all feeds.
pub(super) fn start(client: &Client, to: &SyncSender<Input>) -> io::Result<()> {
    signals(to.clone())?;
    let keys = to.clone();
    thread::spawn(move || {
        terminal::keys(|event| {
            let input = match event {
                keyboard::Event::Key(key) => Input::Key(key),
                keyboard::Event::Paste(text) => Input::Paste(text),
                keyboard::Event::Resize(..) => Input::Repaint,
                _ => return true,
            };
            keys.send(input).is_ok()
        });
        // Nobody is there to be told.
        let _ = keys.send(Input::End);
    });
    let (pulses, events) = (to.clone(), to.clone());
    let (one, other) = (client.clone(), client.clone());
    thread::spawn(move || follow_pulses(&one, &pulses));
    thread::spawn(move || follow_events(&other, &events));
    Ok(())
}

/// Asks on a thread of its own; the answer comes as an input.
pub(super) fn ask(client: &Client, to: &SyncSender<Input>, ask: Ask) {
    let (client, to) = (client.clone(), to.clone());
    thread::spawn(move || {
        // Who has quit waits for no answer.
        let _ = to.send(Input::Answer(wish::perform(&client, ask)));
    });
}

fn follow_pulses(client: &Client, to: &SyncSender<Input>) {
    loop {
        let mut is_first = true;
        let ended: Result<(), Ended> = client.pulse(KEPT_SECONDS, true, |pulse| {
            if std::mem::take(&mut is_first) {
                send(to, Input::Connected)?;
            }
            send(to, Input::Pulse(Box::new(pulse)))
        });
        let why = match ended {
            Ok(()) => "sipguard has stopped".to_owned(),
            Err(Ended::Client(error)) => error.to_string(),
            Err(Ended::Unheard) => return,
        };
        if to.send(Input::Lost(why)).is_err() {
            return;
        }
        thread::sleep(AGAIN);
    }
}

fn follow_events(client: &Client, to: &SyncSender<Input>) {
    let query = EventsQuery { last: Some(KEPT_EVENTS), follow: true, ..EventsQuery::default() };
    loop {
        let mut is_first = true;
        let ended: Result<(), Ended> = client.events(&query, |line| {
            if std::mem::take(&mut is_first) {
                send(to, Input::EventsBegin)?;
            }
            match line {
                EventLine::Event(event) => send(to, Input::Event(event)),
                EventLine::Missed { missed } => send(to, Input::Missed(missed)),
            }
        });
        // What is wrong is told by whoever follows the pulses.
        if matches!(ended, Err(Ended::Unheard)) {
            return;
        }
        thread::sleep(AGAIN);
    }
}

fn send(to: &SyncSender<Input>, input: Input) -> Result<(), Ended> {
    to.send(input).map_err(|_| Ended::Unheard)
}

/// From here on, signals that would end us come as inputs.
fn signals(to: SyncSender<Input>) -> io::Result<()> {
    let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
    let guard = runtime.enter();
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut hang_up = signal(SignalKind::hangup())?;
    let mut resize = signal(SignalKind::window_change())?;
    let mut goes_on = signal(SignalKind::from_raw(nix::libc::SIGCONT))?;
    drop(guard);
    thread::spawn(move || {
        runtime.block_on(async {
            loop {
                let input = tokio::select! {
                    () = came(&mut terminate) => Input::End,
                    () = came(&mut interrupt) => Input::End,
                    () = came(&mut hang_up) => Input::End,
                    () = came(&mut resize) => Input::Repaint,
                    () = came(&mut goes_on) => Input::Awake,
                };
                if to.send(input).is_err() {
                    return;
                }
            }
        });
    });
    Ok(())
}

async fn came(signal: &mut Signal) {
    // None only where the runtime ends.
    let _ = signal.recv().await;
}
