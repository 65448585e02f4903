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
        cursor, event as keyboard,
        event::{DisableBracketedPaste, EnableBracketedPaste},
        execute,
        terminal::{EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode},
    },
    layout::Rect,
};

/// Whether the terminal is ours.
static TAKEN: AtomicBool = AtomicBool::new(false);

/// How long to wait with keys that are there and cannot be read yet.
const AGAIN: Duration = Duration::from_millis(50);

/// How long a key that is there may take to be read: without any time at all,
/// crossterm does not look.
const AT_ONCE: Duration = Duration::from_millis(1);

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
        // Not `clear`, which asks the terminal where its cursor is: the answer
        // would come among the keys.
        let (width, height) = self.size();
        self.terminal.resize(Rect::new(0, 0, width, height))
    }

    /// Back to the shell, until it lets us go on: SIGCONT comes then.
    pub(super) fn suspend() -> io::Result<()> {
        give_back();
        Ok(raise(Signal::SIGSTOP)?)
    }

    /// Takes the terminal again, as whoever had it meanwhile may have left it.
    pub(super) fn retake(&mut self) -> io::Result<()> {
        give_back();
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
        while let Ok(true) = keyboard::poll(AT_ONCE) {
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

#[cfg(test)]
mod tests {
    use std::{
        env,
        fs::File,
        io::Read as _,
        process::{Command, Stdio},
    };

    use nix::{
        pty::{Winsize, openpty},
        sys::termios::tcgetattr,
    };

    use super::*;

    /// Set in the process that panics.
    const CHILD: &str = "SIPGUARD_TEST_PANICS";

    fn panics_on_its_terminal() {
        let mut screen = Screen::take().unwrap();
        screen.draw(|frame| frame.render_widget("picture", frame.area())).unwrap();
        thread::spawn(|| panic!("words of a panic")).join().unwrap();
    }

    #[test]
    fn f35_a_panic_gives_the_terminal_back_and_is_read_there() {
        if env::var_os(CHILD).is_some() {
            return panics_on_its_terminal();
        }
        let name =
            "cli::top::terminal::tests::f35_a_panic_gives_the_terminal_back_and_is_read_there";
        let size = Winsize { ws_row: 24, ws_col: 80, ws_xpixel: 0, ws_ypixel: 0 };
        let pty = openpty(Some(&size), None).unwrap();
        let before = tcgetattr(&pty.slave).unwrap();
        let stdio = || Stdio::from(pty.slave.try_clone().unwrap());
        let mut child = Command::new(env::current_exe().unwrap())
            .args(["--exact", name, "--nocapture"])
            .env(CHILD, "1")
            .stdin(stdio())
            .stdout(stdio())
            .stderr(stdio())
            .spawn()
            .unwrap();
        let status = child.wait().unwrap();
        assert_eq!(tcgetattr(&pty.slave).unwrap(), before);
        drop(pty.slave);
        let mut output = Vec::new();
        // Ends with an error, for nobody holds the other end any more.
        let _ = File::from(pty.master).read_to_end(&mut output);
        let output = String::from_utf8_lossy(&output);
        let at = |text: &str| output.find(text).unwrap_or_else(|| panic!("{text:?} in {output:?}"));
        assert!(at("\u{1b}[?1049h") < at("picture"));
        assert!(at("picture") < at("\u{1b}[?1049l"));
        assert!(at("\u{1b}[?1049l") < at("words of a panic"));
        assert!(output.contains("\u{1b}[?25h") && output.contains("\u{1b}[?2004l"));
        assert_eq!(status.code(), Some(PANIC), "{output}");
    }
}
