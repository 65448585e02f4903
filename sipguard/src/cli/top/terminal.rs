//! The terminal: taken at the start, given back at every end.

use std::{
    io::{self, IsTerminal as _, Write as _},
    os::fd::AsFd as _,
    panic,
    sync::{
        Once,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use nix::{
    errno::Errno,
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::signal::{Signal, raise},
};
use ratatui::{
    Frame, Terminal,
    backend::CrosstermBackend,
    crossterm::{
        cursor, event as keyboard, execute,
        event::{DisableBracketedPaste, EnableBracketedPaste},
        terminal::{
            EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode,
        },
    },
};

/// Whether the terminal is ours.
static TAKEN: AtomicBool = AtomicBool::new(false);

/// How long to wait with keys that are there and cannot be read yet.
const AGAIN: Duration = Duration::from_millis(50);

/// Whether there is a terminal to draw on and to read keys from.
pub(super) fn is_there() -> bool {
    io::stdin().is_terminal() && io::stdout().is_terminal()
}

/// The terminal, given back when this is dropped, and at a panic.
pub(super) struct Screen {
    terminal: Terminal<CrosstermBackend<io::Stdout>>,
}

impl Screen {
    pub(super) fn take() -> io::Result<Self> {
        give_back_at_a_panic();
        let screen = Self { terminal: Terminal::new(CrosstermBackend::new(io::stdout()))? };
        take()?;
        Ok(screen)
    }

    pub(super) fn draw(&mut self, draw: impl FnOnce(&mut Frame<'_>)) -> io::Result<()> {
        self.terminal.draw(draw).map(drop)
    }

    /// Everything is painted at the next drawing.
    pub(super) fn repaint(&mut self) -> io::Result<()> {
        self.terminal.clear()
    }

    /// Back to the shell, until it lets us go on.
    pub(super) fn suspend(&mut self) -> io::Result<()> {
        give_back();
        raise(Signal::SIGSTOP)?;
        take()?;
        self.repaint()
    }

    /// Columns and rows.
    pub(super) fn size(&self) -> (u16, u16) {
        // Who does not know is drawn to as far as is known.
        self.terminal.size().map_or((0, 0), |size| (size.width, size.height))
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        give_back();
    }
}

fn take() -> io::Result<()> {
    enable_raw_mode()?;
    TAKEN.store(true, Ordering::SeqCst);
    let entered = execute!(io::stdout(), EnterAlternateScreen, EnableBracketedPaste, cursor::Hide);
    entered.inspect_err(|_| give_back())
}

/// As it was before. Nothing to do if it was given back already, and nobody to
/// tell where it cannot be.
fn give_back() {
    if !TAKEN.swap(false, Ordering::SeqCst) {
        return;
    }
    let _ = execute!(io::stdout(), DisableBracketedPaste, LeaveAlternateScreen, cursor::Show);
    let _ = disable_raw_mode();
    let _ = io::stdout().flush();
}

/// Whichever thread panics: its words are seen, and the program ends, for it
/// could not go on whole.
fn give_back_at_a_panic() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let told = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            let was_taken = TAKEN.load(Ordering::SeqCst);
            give_back();
            told(info);
            if was_taken {
                std::process::exit(PANIC);
            }
        }));
    });
}

/// The exit code of a program that has panicked.
const PANIC: i32 = 101;

/// Hands each key to `take`, until that says that it has seen enough, or the
/// terminal is gone.
pub(super) fn keys(mut take: impl FnMut(keyboard::Event) -> bool) {
    while wait() {
        let mut nothing_came = true;
        while let Ok(true) = keyboard::poll(Duration::ZERO) {
            let Ok(event) = keyboard::read() else { return };
            nothing_came = false;
            if !take(event) {
                return;
            }
        }
        if nothing_came {
            thread::sleep(AGAIN);
        }
    }
}

/// Waits for keys; false once nobody can press any.
fn wait() -> bool {
    let stdin = io::stdin();
    let mut fds = [PollFd::new(stdin.as_fd(), PollFlags::POLLIN)];
    match poll(&mut fds, PollTimeout::NONE) {
        Ok(_) => {
            let gone = PollFlags::POLLHUP | PollFlags::POLLERR | PollFlags::POLLNVAL;
            fds.iter().all(|fd| fd.revents().is_some_and(|what| !what.intersects(gone)))
        }
        Err(Errno::EINTR) => true,
        Err(_) => false,
    }
}
