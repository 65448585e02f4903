//! Sends frames as fast as the kernel can, or at a steady rate.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, anyhow};
use aya::{
    Pod,
    maps::{Array, MapData},
    programs::{ProgramError, TestRun as _, TestRunAttrs, TestRunOptions},
};
use nix::{
    libc,
    sys::pthread::{Pthread, pthread_kill, pthread_self},
    sys::signal::Signal,
    unistd::Pid,
};

use super::{
    machine::{self, SENDER},
    programs::Programs,
    stand::Stand,
    traffic::{APART, Mix, SPREAD, Template, last_place},
};
use crate::rig::wait;

/// Bytes of a template at most, as in `bench-ebpf`.
const ROOM: usize = 1524;

/// Ends a test run: the kernel looks for signals between batches.
const END: Signal = Signal::SIGUSR1;

/// How long it sends at most, whoever forgets it.
const LIMIT: Duration = Duration::from_secs(60);

/// How long its first frame may take.
const BEGIN: Duration = Duration::from_secs(10);

/// Frames of a batch: a large one is fastest, a small one keeps a rate.
const FAST: u32 = 256;
const STEADY: u32 = 64;

/// As in `bench-ebpf`.
#[repr(C)]
#[derive(Clone, Copy)]
struct RawTemplate {
    len: u32,
    sum: u32,
    fixed: u32,
    bytes: [u8; ROOM],
}

/// As in `bench-ebpf`.
#[repr(C)]
#[derive(Clone, Copy)]
struct Settings {
    templates: u32,
    sources: u32,
    first: u32,
    spread: u32,
    last_place: u32,
    shift: u32,
    ifindex: u32,
    gap_ns: u32,
}

/// As in `bench-ebpf`.
#[repr(C)]
#[derive(Clone, Copy)]
struct State {
    sent: u64,
    next_ns: u64,
}

// SAFETY: integers without padding.
unsafe impl Pod for RawTemplate {}
// SAFETY: integers without padding.
unsafe impl Pod for Settings {}
// SAFETY: integers without padding.
unsafe impl Pod for State {}

/// How fast it sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// As many frames as can be.
    Fastest,
    /// So many a second.
    Steady(u32),
    /// So many a second, where others on its CPU leave time.
    Yielding(u32),
}

impl Pace {
    const fn rate(self) -> Option<u32> {
        match self {
            Self::Fastest => None,
            Self::Steady(rate) | Self::Yielding(rate) => Some(rate),
        }
    }
}

/// A generator that sends until it is stopped or dropped.
pub struct Generator {
    state: Array<MapData, State>,
    stop: Arc<AtomicBool>,
    pthread: Pthread,
    thread: Option<JoinHandle<Result<()>>>,
}

impl Generator {
    /// Begins to send, and waits until the first frames are on their way.
    ///
    /// # Errors
    /// Where the kernel refuses.
    pub fn start(stand: &Stand, mix: Mix, pace: Pace) -> Result<Self> {
        let mut programs = Programs::load()?;
        // A map that was taken is closed with its handle: the program first.
        programs.program("generator")?;
        let frames = mix.templates();
        let mut templates: Array<_, RawTemplate> = programs.map("TEMPLATE")?;
        for (number, template) in (0..).zip(&frames) {
            templates.set(number, raw(template, stand.mac())?, 0)?;
        }
        let sources = mix.sources();
        let mut settings: Array<_, Settings> = programs.map("SETTINGS")?;
        settings.set(
            0,
            Settings {
                templates: frames.len().try_into()?,
                sources: sources.map_or(0, |sources| sources.count),
                first: sources.map_or(0, |sources| sources.first.to_bits()),
                spread: SPREAD,
                last_place: sources.map_or(0, |sources| last_place(sources.first)),
                shift: APART,
                ifindex: stand.far(),
                gap_ns: pace.rate().map_or(0, |rate| 1_000_000_000 / rate.max(1)),
            },
            0,
        )?;
        let state = programs.map("STATE")?;
        // Without a handler it would end us.
        signal_hook::flag::register(END as i32, Arc::new(AtomicBool::new(false)))?;

        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let (sender, receiver) = mpsc::channel();
        let batch = if pace == Pace::Fastest { FAST } else { STEADY };
        let first = frames.into_iter().next().context("nothing to send")?.frame;
        let thread = stand.lab().outside().spawn(move || {
            machine::pin(Pid::from_raw(0), SENDER)?;
            match pace {
                Pace::Fastest | Pace::Steady(_) => machine::prefer(Pid::from_raw(0))?,
                Pace::Yielding(_) => machine::put_off(Pid::from_raw(0))?,
            }
            sender.send(pthread_self())?;
            send(&mut programs, &first, batch, &stopped)
        })?;
        let pthread = receiver.recv().map_err(|_| anyhow!("the generator does not start"))?;
        let generator = Self { state, stop, pthread, thread: Some(thread) };
        wait::until("the first frames of the generator", BEGIN, || {
            Ok((generator.sent()? > 0 || generator.is_over()).then_some(()))
        })?;
        Ok(generator)
    }

    /// Frames that were handed to the wire so far.
    ///
    /// # Errors
    /// Where the kernel does not tell.
    pub fn sent(&self) -> Result<u64> {
        Ok(self.state.get(&0, 0)?.sent)
    }

    /// Stops it; gives the frames that were handed to the wire.
    ///
    /// # Errors
    /// Where it could not send.
    pub fn stop(mut self) -> Result<u64> {
        self.end()?;
        self.sent()
    }

    fn is_over(&self) -> bool {
        self.thread.as_ref().is_none_or(JoinHandle::is_finished)
    }

    fn end(&mut self) -> Result<()> {
        let Some(thread) = self.thread.take() else { return Ok(()) };
        self.stop.store(true, Ordering::Relaxed);
        while !thread.is_finished() {
            // More than one: the first may come before the test run begins. The
            // thread is not joined yet, so its handle is a good one.
            let _ = pthread_kill(self.pthread, END);
            thread::sleep(Duration::from_millis(2));
        }
        thread.join().map_err(|_| anyhow!("the generator has panicked"))?
    }
}

impl Drop for Generator {
    fn drop(&mut self) {
        // Only where something else has failed already.
        let _ = self.end();
    }
}

/// One long test run: each begin and end of one is silent for some 20 ms.
fn send(programs: &mut Programs, frame: &[u8], batch: u32, stop: &AtomicBool) -> Result<()> {
    let program = programs.program("generator")?;
    let deadline = Instant::now() + LIMIT;
    while !stop.load(Ordering::Relaxed) && Instant::now() < deadline {
        let mut options = TestRunOptions::new();
        options.data_in = Some(frame);
        options.repeat = i32::MAX as u32;
        options.attrs = TestRunAttrs::new().xdp_live_frames(batch);
        match program.test_run(options) {
            Err(error) if !is_interrupted(&error) => {
                return Err(error).context("the generator cannot send");
            }
            _ => {}
        }
    }
    Ok(())
}

fn is_interrupted(error: &ProgramError) -> bool {
    match error {
        ProgramError::SyscallError(error) => {
            error.io_error.kind() == io::ErrorKind::Interrupted
                || error.io_error.raw_os_error() == Some(libc::EINTR)
        }
        _ => false,
    }
}

/// As the program wants it: to the server's address, with the sum of the IPv4
/// header but source and checksum.
fn raw(template: &Template, mac: [u8; 6]) -> Result<RawTemplate> {
    let mut frame = template.frame.clone();
    frame.get_mut(..6).context("no frame")?.copy_from_slice(&mac);
    let header = frame.get(14..34).context("no IPv4 header")?;
    let sum = header
        .chunks_exact(2)
        .enumerate()
        // The checksum and the two halves of the source.
        .filter(|(word, _)| !matches!(word, 5..=7))
        .map(|(_, pair)| u32::from(u16::from_ne_bytes([pair[0], pair[1]])))
        .sum();
    let mut bytes = [0; ROOM];
    bytes.get_mut(..frame.len()).context("a frame is too long")?.copy_from_slice(&frame);
    Ok(RawTemplate { len: frame.len() as u32, sum, fixed: template.fixed.into(), bytes })
}

#[cfg(test)]
mod tests {
    use super::raw;
    use crate::{
        bench::traffic::{STRANGERS, Template, from},
        checksum::internet,
    };

    /// What the kernel program makes of the sum is the header's checksum.
    #[test]
    fn the_sum_lacks_source_and_checksum() {
        let frame = from(STRANGERS, b"OPTIONS");
        let raw = raw(&Template { frame: frame.clone(), fixed: false }, [2; 6]).expect("a frame");
        assert_eq!(raw.bytes[..6], [2; 6]);
        let word = |at: usize| u32::from(u16::from_ne_bytes([frame[at], frame[at + 1]]));
        let mut sum = raw.sum + word(26) + word(28);
        while sum > 0xffff {
            sum = (sum & 0xffff) + (sum >> 16);
        }
        assert_eq!(u32::from(!(sum as u16)), word(24));
        assert_eq!(internet(&[&frame[14..34]]), 0);
    }
}
