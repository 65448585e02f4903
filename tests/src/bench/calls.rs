//! Calls of a trusted trunk through a real SIP server, idle and under a flood.

use std::{fs, path::Path, thread, time::Duration};

use anyhow::{Context as _, Result, ensure};
use nix::unistd::Pid;

use super::{
    filter::{Active, Filter, track_connections},
    generator::Generator,
    machine::{self, RECEIVER, SENDER},
    numbers::percentile,
    stand::Stand,
    traffic::Mix,
};
use crate::rig::{
    lab::{SERVER, TRUSTED, sip},
    process,
    server::Server,
    tool::{Tool, fixture},
};

/// Packets a second of the flood.
pub const FLOOD: u32 = 300_000;
/// Calls a second.
const RATE: u32 = 40;
/// How long a flood goes on before it is measured.
const SETTLE: Duration = Duration::from_millis(200);

/// How calls were set up.
#[derive(Clone, Debug)]
pub struct Calls {
    /// Milliseconds from INVITE to 200, of each call.
    pub set_up_ms: Vec<f64>,
    /// Datagrams that a socket of the server could not take.
    pub socket_full: u64,
    /// Entries of the server's connection tracking at the end.
    pub tracked: u64,
    /// Packets of the flood.
    pub flood: u64,
}

impl Calls {
    /// 99 of 100 calls were set up within so many milliseconds.
    #[must_use]
    pub fn p99(&self) -> Option<f64> {
        percentile(&self.set_up_ms, 0.99)
    }

    /// Half of the calls were.
    #[must_use]
    pub fn p50(&self) -> Option<f64> {
        percentile(&self.set_up_ms, 0.5)
    }
}

/// So many calls without and with a flood of scanners, behind sipguard.
///
/// # Errors
/// Where something cannot be measured, or a call fails.
pub fn idle_and_flooded(calls: u32) -> Result<(Calls, Calls)> {
    let stand = Stand::new()?;
    stand.moderate()?;
    track_connections(&stand)?;
    let active = Active::set_up(Filter::Sipguard, &stand)?;
    // Its children inherit the CPU.
    machine::pin(Pid::from_raw(0), RECEIVER)?;
    let server = Server::start(active.stand.lab());
    machine::unpin(Pid::from_raw(0))?;
    let _server = server?;
    Ok((call(&stand, calls, None)?, call(&stand, calls, Some(FLOOD))?))
}

fn call(stand: &Stand, calls: u32, flood: Option<u32>) -> Result<Calls> {
    let folder = stand.lab().folder().join(if flood.is_some() { "flooded" } else { "idle" });
    fs::create_dir_all(&folder)?;
    let generator = match flood {
        Some(rate) => Some(Generator::start(stand, Mix::Scanners, Some(rate))?),
        None => None,
    };
    thread::sleep(SETTLE);
    let before = stand.snapshot()?;
    sipp(stand, calls, &folder)?;
    let after = stand.snapshot()?;
    let tracked = stand.tracked()?;
    let flood = generator.map_or(Ok(0), Generator::stop)?;
    Ok(Calls {
        set_up_ms: set_up_times(&folder)?,
        socket_full: after.socket_full - before.socket_full,
        tracked,
        flood,
    })
}

fn sipp(stand: &Stand, calls: u32, folder: &Path) -> Result<()> {
    let limit = Duration::from_secs(u64::from(calls / RATE) + 15);
    machine::pin(Pid::from_raw(0), SENDER)?;
    let command = stand.lab().outside().command(Tool::Sipp.path()?);
    let done = command.and_then(|mut command| {
        process::run(
            command
                .arg("-sf")
                .arg(fixture("call.xml"))
                .args(["-i", &TRUSTED.to_string(), "-p", "5062"])
                .args(["-key", "agent", "a trunk", "-key", "user", "alice"])
                .args(["-m", &calls.to_string(), "-r", &RATE.to_string()])
                .args(["-trace_rtt", "-rtt_freq", "1", "-nostdin"])
                .args(["-timeout", &format!("{}s", limit.as_secs()), "-timeout_error"])
                .arg(sip(SERVER).to_string())
                .env("TERM", "dumb")
                .current_dir(folder),
            limit + Duration::from_secs(5),
        )
    });
    machine::unpin(Pid::from_raw(0))?;
    done?.success().context("the calls of SIPp")?;
    Ok(())
}

fn set_up_times(folder: &Path) -> Result<Vec<f64>> {
    for file in fs::read_dir(folder)? {
        let path = file?.path();
        if path.to_string_lossy().ends_with("_rtt.csv") {
            let times = response_times(&fs::read_to_string(&path)?);
            ensure!(!times.is_empty(), "SIPp has written no times");
            return Ok(times);
        }
    }
    anyhow::bail!("SIPp has written no file of times")
}

/// Milliseconds, of lines `time;milliseconds;number` below a line of names.
fn response_times(text: &str) -> Vec<f64> {
    let time = |line: &str| line.split(';').nth(1)?.trim().parse().ok();
    text.lines().skip(1).filter_map(time).collect()
}

#[cfg(test)]
mod tests {
    use super::response_times;

    #[test]
    fn times_of_sipp() {
        let text = "Date_ms;response_time_ms;rtd_no\n1700.5;12.5;1\n1701.5;3;1\n";
        assert_eq!(response_times(text), [12.5, 3.0]);
    }
}
