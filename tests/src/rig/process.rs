//! Programs under a time limit, and what they print.

use std::{
    fmt,
    io::Read,
    process::{Child, Command, ExitStatus, Stdio},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, anyhow, bail};
use nix::{
    sys::signal::{Signal, kill, killpg},
    unistd::Pid,
};

use super::wait;

/// Bytes of each stream that are kept.
const KEPT: usize = 4 << 20;

/// How long the last words of a program that has ended are waited for: what it
/// left behind may hold the pipe open.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// What a program has printed and how it ended.
#[derive(Clone, Debug)]
pub struct Finished {
    pub status: ExitStatus,
    pub stdout: Vec<u8>,
    pub stderr: Vec<u8>,
}

impl Finished {
    /// The exit code, or `None` after a signal.
    #[must_use]
    pub fn code(&self) -> Option<i32> {
        self.status.code()
    }

    /// stdout as text.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }

    /// stderr as text.
    #[must_use]
    pub fn words(&self) -> String {
        String::from_utf8_lossy(&self.stderr).into_owned()
    }

    /// # Errors
    /// Where it did not end with exit code 0; with all that it has printed.
    pub fn success(self) -> Result<Self> {
        self.expect_code(0)
    }

    /// # Errors
    /// Where it ended otherwise; with all that it has printed.
    pub fn expect_code(self, code: i32) -> Result<Self> {
        if self.code() != Some(code) {
            bail!("ended with {} instead of {code}:\n{self}", self.status);
        }
        Ok(self)
    }
}

impl fmt::Display for Finished {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let quoted = |bytes: &[u8]| String::from_utf8_lossy(bytes).replace('\n', "\n  | ");
        write!(f, "  | {}\n  | {}", quoted(&self.stdout), quoted(&self.stderr))
    }
}

/// Runs a program to its end.
///
/// # Errors
/// Where it cannot be started, or has not ended after `limit`; it is killed
/// then.
pub fn run(command: &mut Command, limit: Duration) -> Result<Finished> {
    Process::start(command)?.finish(limit)
}

/// A running program, killed when this is dropped.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    stdout: Stream,
    stderr: Stream,
}

impl Process {
    /// Starts a program that has a process group of its own.
    ///
    /// # Errors
    /// Where it cannot be started.
    pub fn start(command: &mut Command) -> Result<Self> {
        let name = command.get_program().to_string_lossy().into_owned();
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot start {name}"))?;
        let stdout = Stream::of(child.stdout.take());
        let stderr = Stream::of(child.stderr.take());
        Ok(Self { name, child, stdout, stderr })
    }

    /// Waits for its end.
    ///
    /// # Errors
    /// Where it has not ended after `limit`; it is killed then.
    pub fn finish(mut self, limit: Duration) -> Result<Finished> {
        let name = self.name.clone();
        let ended =
            wait::until(&format!("the end of {name}"), limit, || Ok(self.child.try_wait()?));
        let status = ended.map_err(|error| {
            anyhow!("{error}\n  | {}\n  | {}", self.stdout.text(), self.stderr.text())
        })?;
        Ok(Finished { status, stdout: self.stdout.all(), stderr: self.stderr.all() })
    }

    /// Sends a signal to the program itself.
    ///
    /// # Errors
    /// Where it has ended.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        kill(self.pid(), signal).with_context(|| format!("{} has ended", self.name))
    }

    /// What it has printed so far.
    #[must_use]
    pub fn stdout(&self) -> &Stream {
        &self.stdout
    }

    /// What it has said on stderr so far.
    #[must_use]
    pub fn stderr(&self) -> &Stream {
        &self.stderr
    }

    /// How it ended, if it has.
    ///
    /// # Errors
    /// Where the kernel does not tell.
    pub fn ended(&mut self) -> Result<Option<ExitStatus>> {
        Ok(self.child.try_wait()?)
    }

    /// Its process id.
    #[must_use]
    pub fn pid(&self) -> Pid {
        Pid::from_raw(self.child.id().cast_signed())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Not a pid that somebody else has got meanwhile.
        if let Ok(None) = self.child.try_wait() {
            let _ = killpg(self.pid(), Signal::SIGKILL);
            let _ = self.child.wait();
        }
    }
}

/// What a program prints to one pipe, as it comes.
#[derive(Debug)]
pub struct Stream {
    shared: Arc<Shared>,
    reader: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    bytes: Vec<u8>,
    ended: bool,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.lock());
        self.changed.notify_all();
    }
}

impl Stream {
    fn of(pipe: Option<impl Read + Send + 'static>) -> Self {
        let shared = Arc::new(Shared::default());
        let filled = Arc::clone(&shared);
        let reader = pipe.map(|pipe| thread::spawn(move || read_all(pipe, &filled)));
        Self { shared, reader }
    }

    /// Everything up to now.
    #[must_use]
    pub fn bytes(&self) -> Vec<u8> {
        self.shared.lock().bytes.clone()
    }

    /// Everything up to now, as text.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes()).into_owned()
    }

    /// Waits for a complete line for which `wanted` holds, from the beginning.
    ///
    /// # Errors
    /// Where there is none within `limit` or before the stream's end.
    pub fn line(&self, limit: Duration, wanted: impl Fn(&str) -> bool) -> Result<String> {
        let deadline = Instant::now() + limit;
        let mut state = self.shared.lock();
        loop {
            let text = String::from_utf8_lossy(&state.bytes);
            let complete = text.split_inclusive('\n').filter(|line| line.ends_with('\n'));
            if let Some(line) = complete.map(str::trim_end).find(|line| wanted(line)) {
                return Ok(line.to_owned());
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if state.ended || left.is_zero() {
                bail!("the expected line did not come; what came:\n{text}");
            }
            let waited = self.shared.changed.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Everything, after the program's end.
    fn all(&mut self) -> Vec<u8> {
        let state = self.shared.lock();
        let ended = self.shared.changed.wait_timeout_while(state, LAST_WORDS, |now| !now.ended);
        let (state, _) = ended.unwrap_or_else(PoisonError::into_inner);
        let bytes = state.bytes.clone();
        if state.ended
            && let Some(reader) = self.reader.take()
        {
            drop(state);
            // It cannot panic, and has nothing left to do.
            let _ = reader.join();
        }
        bytes
    }
}

fn read_all(mut pipe: impl Read, shared: &Shared) {
    let mut buffer = [0; 16 << 10];
    while let Ok(count @ 1..) = pipe.read(&mut buffer) {
        shared.change(|state| {
            let room = KEPT.saturating_sub(state.bytes.len());
            state.bytes.extend(buffer.iter().take(count.min(room)));
        });
    }
    shared.change(|state| state.ended = true);
}
