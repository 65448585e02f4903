//! A program on a terminal of its own.

use std::{
    fs::File,
    io::{Read as _, Write as _},
    os::{
        fd::{AsFd as _, AsRawFd as _, OwnedFd},
        unix::{fs::OpenOptionsExt as _, process::CommandExt as _},
    },
    process::{Child, Command, ExitStatus, Stdio},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use anyhow::{Context as _, Result, anyhow};
use nix::{
    fcntl::OFlag,
    libc,
    poll::{PollFd, PollFlags, PollTimeout, poll},
    pty::{Winsize, grantpt, posix_openpt, ptsname_r, unlockpt},
    sys::{
        prctl,
        signal::{Signal, kill},
        termios::{Termios, tcgetattr},
    },
    unistd::{Pid, setsid},
};

use super::{screen::Screen, wait};

/// How often the reader looks whether to stop.
const NAP: u16 = 20;

/// Bytes of what was written that are kept.
const KEPT: usize = 8 << 20;

nix::ioctl_write_ptr_bad!(set_size, libc::TIOCSWINSZ, Winsize);
nix::ioctl_write_int_bad!(control, libc::TIOCSCTTY);

/// A program and its terminal. The program is killed when this is dropped.
#[derive(Debug)]
pub struct Terminal {
    child: Child,
    /// None once it was hung up.
    master: Option<Arc<OwnedFd>>,
    slave: Option<OwnedFd>,
    before: Termios,
    seen: Arc<Mutex<Seen>>,
    stop: Arc<AtomicBool>,
    reader: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Seen {
    screen: Screen,
    bytes: Vec<u8>,
}

impl Terminal {
    /// Starts a program as the leader of a session on a terminal of this size.
    ///
    /// # Errors
    /// Where the kernel refuses.
    pub fn start(command: &mut Command, columns: u16, rows: u16) -> Result<Self> {
        let (master, slave) = open().context("cannot make a terminal")?;
        enlarge(&master, columns, rows)?;
        let before = tcgetattr(&slave)?;
        let stdio = || slave.try_clone().map(Stdio::from);
        command.stdin(stdio()?).stdout(stdio()?).stderr(stdio()?).env("TERM", "xterm-256color");
        // SAFETY: between fork and exec; these are bare system calls.
        unsafe { command.pre_exec(lead) };
        let child = command.spawn().context("cannot start it")?;
        // What the command holds of the terminal goes with it.
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let master = Arc::new(master);
        let screen = Screen::new(columns.into(), rows.into());
        let seen = Arc::new(Mutex::new(Seen { screen, bytes: Vec::new() }));
        let stop = Arc::new(AtomicBool::new(false));
        let (from, to, stopped) = (Arc::clone(&master), Arc::clone(&seen), Arc::clone(&stop));
        let reader = Some(thread::spawn(move || read(&from, &to, &stopped)));
        let (master, slave) = (Some(master), Some(slave));
        Ok(Self { child, master, slave, before, seen, stop, reader })
    }

    fn lock(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is shown now.
    #[must_use]
    pub fn screen(&self) -> Screen {
        self.lock().screen.clone()
    }

    /// All that was written so far.
    #[must_use]
    pub fn output(&self) -> String {
        String::from_utf8_lossy(&self.lock().bytes).into_owned()
    }

    /// Waits until the screen is as `wanted`, and gives it.
    ///
    /// # Errors
    /// Where it is not within `limit`; with what it showed last.
    pub fn wait(
        &self,
        what: &str,
        limit: Duration,
        wanted: impl Fn(&Screen) -> bool,
    ) -> Result<Screen> {
        let found = wait::until(what, limit, || Ok(Some(self.screen()).filter(|now| wanted(now))));
        found.map_err(|error| anyhow!("{error}; the screen:\n{}", self.screen()))
    }

    /// Presses keys, as a terminal sends them.
    ///
    /// # Errors
    /// Where it was hung up.
    pub fn press(&self, keys: &str) -> Result<()> {
        let master = self.master.as_ref().context("hung up")?;
        let mut file = File::from(master.try_clone()?);
        Ok(file.write_all(keys.as_bytes())?)
    }

    /// Gives it another size.
    ///
    /// # Errors
    /// Where it was hung up.
    pub fn resize(&self, columns: u16, rows: u16) -> Result<()> {
        self.lock().screen.resize(columns.into(), rows.into());
        enlarge(self.master.as_ref().context("hung up")?, columns, rows)
    }

    /// Whether the terminal is set as it was before the program.
    ///
    /// # Errors
    /// Where it was hung up.
    pub fn is_set_as_before(&self) -> Result<bool> {
        Ok(tcgetattr(self.slave.as_ref().context("hung up")?)? == self.before)
    }

    /// Closes the terminal, as when its window is closed.
    pub fn hang_up(&mut self) {
        self.stop_reading();
        self.slave = None;
        self.master = None;
    }

    /// Sends a signal to the program.
    ///
    /// # Errors
    /// Where it has ended.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        kill(Pid::from_raw(self.child.id().cast_signed()), signal).context("it has ended")
    }

    /// Waits for the program's end.
    ///
    /// # Errors
    /// Where it has not ended within `limit`.
    pub fn ended(&mut self, limit: Duration) -> Result<ExitStatus> {
        let status = wait::until("the program's end", limit, || Ok(self.child.try_wait()?))?;
        self.stop_reading();
        Ok(status)
    }

    /// All that was written is read then.
    fn stop_reading(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(reader) = self.reader.take() {
            // It cannot panic.
            let _ = reader.join();
        }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // Not a pid that somebody else has got meanwhile.
        if let Ok(None) = self.child.try_wait() {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
        self.stop_reading();
    }
}

/// Both ends of a new terminal. No program that is started meanwhile gets them:
/// it would keep the terminal from being hung up.
fn open() -> Result<(OwnedFd, OwnedFd)> {
    let master = posix_openpt(OFlag::O_RDWR | OFlag::O_NOCTTY | OFlag::O_CLOEXEC)?;
    grantpt(&master)?;
    unlockpt(&master)?;
    let slave = File::options()
        .read(true)
        .write(true)
        .custom_flags(OFlag::O_NOCTTY.bits())
        .open(ptsname_r(&master)?)?;
    Ok((master.as_fd().try_clone_to_owned()?, slave.into()))
}

fn enlarge(master: &OwnedFd, columns: u16, rows: u16) -> Result<()> {
    let size = Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
    // SAFETY: the size is read before this returns.
    unsafe { set_size(master.as_raw_fd(), &raw const size) }?;
    Ok(())
}

/// In the child: a session of its own on the terminal that is its stdin; and it
/// ends with the thread that has started it.
fn lead() -> std::io::Result<()> {
    prctl::set_pdeathsig(Signal::SIGKILL)?;
    setsid()?;
    // SAFETY: takes a number.
    unsafe { control(0, 0) }?;
    Ok(())
}

fn read(master: &OwnedFd, to: &Mutex<Seen>, stop: &AtomicBool) {
    let Ok(master) = master.try_clone() else { return };
    let mut file = File::from(master);
    let mut buffer = [0; 16 << 10];
    loop {
        let stops = stop.load(Ordering::Relaxed);
        let mut fds = [PollFd::new(file.as_fd(), PollFlags::POLLIN)];
        let ready = poll(&mut fds, PollTimeout::from(NAP)).unwrap_or(0);
        if ready == 0 && stops {
            return;
        }
        if ready == 0 {
            continue;
        }
        let Ok(count @ 1..) = file.read(&mut buffer) else { return };
        let bytes = buffer.get(..count).unwrap_or_default();
        let mut seen = to.lock().unwrap_or_else(PoisonError::into_inner);
        seen.screen.write(bytes);
        let room = KEPT.saturating_sub(seen.bytes.len());
        seen.bytes.extend(bytes.iter().take(room));
    }
}
