//! What the kernel program costs by itself, by `BPF_PROG_TEST_RUN`: one packet
//! again and again, so that all is warm.

use std::{net::Ipv4Addr, time::Duration};

use anyhow::{Context as _, Result};
use nix::unistd::Pid;
use sipguard::{
    kernel::{BenchKernel, ProgramInfo},
    policy,
};
use tempfile::TempDir;

use super::{
    machine::{self, RECEIVER},
    policy as policies,
    programs::{Programs, Yardstick},
    traffic::{self, PEER, PHONE, STRANGERS},
};
use crate::{
    packet::Packet,
    rig::{lab::SERVER, policy::Folder},
    sip::Message,
};

/// Rounds of each packet; the best counts, for other work only adds.
const ROUNDS: u32 = 5;

/// The rows that targets are set for.
pub const RTP: &str = "RTP";
pub const TRUSTED: &str = "INVITE of a trusted network";

/// Nanoseconds of one run, by packet.
#[derive(Clone, Debug)]
pub struct Alone {
    /// Of the ingress program.
    pub info: ProgramInfo,
    /// Of an empty program that passes, and of one that drops.
    pub pass: f64,
    pub drop: f64,
    pub rows: Vec<Row>,
}

/// One kind of packet.
#[derive(Clone, Debug)]
pub struct Row {
    pub name: &'static str,
    pub bytes: usize,
    pub nanoseconds: f64,
}

impl Alone {
    /// What a packet costs beyond an empty program that passes.
    #[must_use]
    pub fn beyond_pass(&self, name: &str) -> Option<f64> {
        Some(self.rows.iter().find(|row| row.name == name)?.nanoseconds - self.pass)
    }
}

/// Measures with the full policy.
///
/// # Errors
/// Where the kernel refuses.
pub fn measure(runs: u32) -> Result<Alone> {
    machine::pin(Pid::from_raw(0), RECEIVER)?;
    let measured = on_this_cpu(runs);
    machine::unpin(Pid::from_raw(0))?;
    measured
}

fn on_this_cpu(runs: u32) -> Result<Alone> {
    let mut kernel = BenchKernel::load()?;
    let folder = TempDir::new()?;
    policies::full().write(&Folder::new(folder.path().to_owned())?)?;
    let (plan, _) = policy::load(folder.path()).map_err(|found| anyhow::anyhow!("{found}"))?;
    kernel.kernel().apply(&plan)?;
    let info = kernel.kernel().program_info()?.ingress;
    let mut programs = Programs::load()?;
    let frame = traffic::from(STRANGERS, b"OPTIONS");
    let pass = best(|| programs.run(Yardstick::Pass, &frame, runs))?;
    let drop = best(|| programs.run(Yardstick::Drop, &frame, runs))?;
    let mut rows = Vec::new();
    for (name, frame) in frames() {
        let nanoseconds = best(|| Ok(kernel.run(&frame, runs)?)).context(name)?;
        rows.push(Row { name, bytes: frame.len(), nanoseconds });
    }
    Ok(Alone { info, pass, drop, rows })
}

fn best(mut run: impl FnMut() -> Result<Duration>) -> Result<f64> {
    let mut best = Duration::MAX;
    for _ in 0..ROUNDS {
        best = best.min(run()?);
    }
    Ok(best.as_nanos() as f64)
}

/// Packets that stand for the traffic of a server.
fn frames() -> Vec<(&'static str, Vec<u8>)> {
    let stranger = STRANGERS;
    let other = traffic::source(STRANGERS, 1);
    let blocked = |number| traffic::source(traffic::BLOCKED, number);
    let request = |method: &str, agent: &str| {
        Message::request(method, &format!("sip:100@{SERVER}")).agent(agent).build()
    };
    let from = |source: Ipv4Addr, payload: &[u8]| traffic::from(source, payload);
    let scanner = traffic::AGENTS[0];
    let invite = traffic::invite();
    let rtp = Packet::udp(&format!("{stranger}:5061"), &format!("{SERVER}:16000"))
        .payload(vec![0x80; 172])
        .build();
    vec![
        (RTP, rtp),
        ("INVITE of a trusted address", from(Ipv4Addr::new(192, 0, 2, 10), &invite)),
        (TRUSTED, from(PEER, &invite)),
        // Of the lengths in turns, the fourth is an address.
        ("INVITE of a blocked address", from(blocked(3), &invite)),
        ("INVITE of a blocked network", from(blocked(0), &invite)),
        ("keepalive of a stranger", from(stranger, b"\r\n\r\n")),
        ("response to a probe", from(stranger, &Message::response("200 OK", "OPTIONS").build())),
        ("OPTIONS of a scanner", from(stranger, &request("OPTIONS", scanner))),
        ("OPTIONS of a stranger", from(stranger, &request("OPTIONS", PHONE))),
        ("REGISTER of a scanner", from(stranger, &request("REGISTER", scanner))),
        ("REGISTER of a stranger", from(stranger, &request("REGISTER", PHONE))),
        ("INVITE of a stranger", from(other, &invite)),
        ("1,400 bytes of CRLF", from(stranger, &b"\r\n".repeat(700))),
        ("340 lines of 4 bytes", from(stranger, &short_lines())),
    ]
}

fn short_lines() -> Vec<u8> {
    format!("INVITE sip:x SIP/2.0\r\n{}\r\n", "a:\r\n".repeat(340)).into_bytes()
}
