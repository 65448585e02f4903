//! Judging the packets of a capture, one after the other.

use std::net::IpAddr;

use jiff::Timestamp;
use sipguard_common::{
    abi::{LEARNED_SLOTS, Learned},
    frame::{Packet, Transport, parse},
    message::{Start, classify},
    method::Method,
    rule::Rule,
};

use super::{
    Captured,
    clock::{Clock, Step},
    link::to_ethernet,
    side::Sides,
    summary::Summary,
};
use crate::{
    endpoint::Endpoint,
    kernel::{Action, KernelError, TestKernel, Verdict},
    policy::{Plan, RuleMode, Signature},
};

/// Bytes of a frame that the program is run over: more than any packet of IP
/// has, and what BPF_PROG_TEST_RUN takes.
pub const MAX_FRAME: usize = 65_535 + 18;

/// The same of what leaves, where the kernel takes less; more of it than that is
/// not read.
const MAX_EGRESS_FRAME: usize = 3_500;

/// BPF_PROG_TEST_RUN takes no shorter frame, and Ethernet knows none.
const MIN_FRAME: usize = 14;

/// What the program did with a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outcome<'a> {
    pub rule: Rule,
    pub action: Action,
    /// The signature that it matches.
    pub signature: Option<&'a Signature>,
    /// [`Rule::bit`]s of the rules in mode observe that would have dropped it.
    pub would: u64,
    /// How what was decided is applied: observe where a rule in that mode would
    /// have dropped the packet, else the mode of `rule`.
    pub mode: RuleMode,
}

impl Outcome<'_> {
    /// Whether it went on to the server.
    #[must_use]
    pub fn passed(&self) -> bool {
        self.action == Action::Pass
    }

    /// Whether it went on only because a rule that would drop it observes.
    #[must_use]
    pub fn is_spared(&self) -> bool {
        self.passed() && self.would != 0
    }
}

/// A packet of the capture and what became of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen<'a> {
    /// Its number in the capture, from 1.
    pub n: u64,
    pub time: Option<Timestamp>,
    /// Both are there for UDP and TCP only.
    pub source: Option<Endpoint>,
    pub destination: Option<Endpoint>,
    /// Of a request, where it could be read.
    pub method: Option<Method>,
    /// `None` for what the server has sent: that is not judged.
    pub outcome: Option<Outcome<'a>>,
    /// What the filter learns from it, if the server has sent it.
    pub taught: Taught,
}

/// What was learned from a packet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Taught([u64; LEARNED_SLOTS]);

impl Taught {
    /// What was learned, and how often.
    pub fn counts(&self) -> impl Iterator<Item = (Learned, u64)> {
        let counts = Learned::ALL.iter().map(|what| (*what, self.0[*what as usize]));
        counts.filter(|(_, count)| *count > 0)
    }

    fn between(before: &[u64; LEARNED_SLOTS], after: &[u64; LEARNED_SLOTS]) -> Self {
        let mut taught = *after;
        taught.iter_mut().zip(before).for_each(|(after, before)| *after -= before);
        Self(taught)
    }
}

impl Seen<'_> {
    /// Whether it is for the filter: it came in to a protected port and
    /// address, or is a later fragment.
    #[must_use]
    pub fn is_judged(&self) -> bool {
        self.outcome.is_some_and(|outcome| outcome.rule != Rule::NotSip)
    }
}

/// A kernel program with a policy, and the state that packets leave behind.
pub struct Replay {
    kernel: TestKernel,
    plan: Plan,
    clock: Clock,
    sides: Sides,
    summary: Summary,
    /// What the program's clock was set to last.
    set_ns: Option<u64>,
    /// What the program has learned so far.
    learned: [u64; LEARNED_SLOTS],
    frame: Vec<u8>,
}

impl Replay {
    /// Loads the program, with a policy for a capture that starts at `first`.
    /// `own` are addresses of the server as far as they are known.
    ///
    /// # Errors
    /// Where rights or kernel features are missing, or the policy does not fit.
    pub fn new(
        plan: Plan,
        first: Option<Timestamp>,
        own: impl IntoIterator<Item = IpAddr>,
    ) -> Result<Self, KernelError> {
        let mut kernel = TestKernel::load()?;
        let clock = Clock::new(first);
        kernel.set_epoch(first.unwrap_or_else(Timestamp::now), clock.now_ns());
        kernel.apply(&plan)?;
        let sides = Sides::new(&plan, own);
        let (summary, frame) = (Summary::default(), Vec::new());
        let (set_ns, learned) = (None, [0; LEARNED_SLOTS]);
        Ok(Self { kernel, plan, clock, sides, summary, set_ns, learned, frame })
    }

    /// The policy.
    #[must_use]
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// What has come together so far.
    #[must_use]
    pub fn summary(&self) -> &Summary {
        &self.summary
    }

    /// Judges the next packet.
    ///
    /// # Errors
    /// Where the kernel refuses a run.
    pub fn judge(&mut self, captured: &Captured<'_>) -> Result<Seen<'_>, KernelError> {
        let notes = &mut self.summary.notes;
        match captured.time.map(|time| self.clock.follow(time)) {
            None => notes.untimed += 1,
            Some(Step::Back) => notes.backwards += 1,
            Some(Step::On) => {}
        }
        notes.incomplete += u64::from((captured.len as usize) > captured.data.len());
        let told =
            to_ethernet(captured.link, captured.data, &mut self.frame).or(captured.direction);
        notes.long += u64::from(self.frame.len() > MAX_FRAME);
        self.frame.truncate(MAX_FRAME);
        let is_short = self.frame.len() < MIN_FRAME;
        notes.short += u64::from(is_short);

        self.summary.packets += 1;
        let read = read(&self.frame);
        let is_outgoing = match &read {
            Some(read) => self.sides.is_outgoing(told, read.source, read.destination),
            None => told == Some(super::Direction::Out),
        };
        let mut seen = Seen {
            n: self.summary.packets,
            time: captured.time,
            source: read.as_ref().map(|read| read.source),
            destination: read.as_ref().map(|read| read.destination),
            method: read.as_ref().and_then(|read| read.method),
            outcome: None,
            taught: Taught::default(),
        };
        if is_outgoing {
            self.summary.add_outgoing(read.as_ref());
            if read.is_some_and(|read| !read.payload.is_empty()) {
                seen.taught = self.learn()?;
                self.summary.add_taught(&seen.taught);
            }
            return Ok(seen);
        }
        let outcome = if is_short {
            // What the program says of whatever is no IP.
            let (rule, action) = (Rule::NotSip, Action::Pass);
            Outcome { rule, action, signature: None, would: 0, mode: self.plan.modes.of(rule) }
        } else {
            self.set_clock()?;
            let verdict = self.kernel.run(&self.frame)?;
            if verdict.method != Method::Unknown {
                seen.method = Some(verdict.method);
            }
            let signature = verdict.signature.and_then(|index| self.plan.signatures.get(index));
            let mode = match verdict.would {
                0 => self.plan.modes.of(verdict.rule),
                _ => RuleMode::Observe,
            };
            let Verdict { rule, action, would, .. } = verdict;
            Outcome { rule, action, signature, would, mode }
        };
        seen.outcome = Some(outcome);
        self.summary.add(seen.source.map(|source| source.address), outcome, captured.len);
        Ok(seen)
    }

    /// Runs the egress program over the frame, which the server has sent. What
    /// becomes of it there is of no account: the capture says that it has left.
    fn learn(&mut self) -> Result<Taught, KernelError> {
        self.set_clock()?;
        let frame = self.frame.get(..MAX_EGRESS_FRAME).unwrap_or(&self.frame);
        self.kernel.run_egress(frame)?;
        let learned = self.kernel.replies()?.learned;
        let taught = Taught::between(&self.learned, &learned);
        self.learned = learned;
        Ok(taught)
    }

    fn set_clock(&mut self) -> Result<(), KernelError> {
        let now_ns = self.clock.now_ns();
        if self.set_ns != Some(now_ns) {
            self.kernel.set_clock(now_ns)?;
            self.set_ns = Some(now_ns);
        }
        Ok(())
    }
}

/// What can be read of a frame without the program.
#[derive(Debug)]
pub(super) struct Read<'a> {
    source: Endpoint,
    pub(super) destination: Endpoint,
    /// Of a request.
    pub(super) method: Option<Method>,
    /// Of UDP, or of a TCP segment.
    pub(super) payload: &'a [u8],
}

fn read(frame: &[u8]) -> Option<Read<'_>> {
    let mut packet = Packet::ZERO;
    let transport = parse(frame, &mut packet)?;
    let payload = match transport {
        Transport::Udp | Transport::Tcp => {
            let start = packet.payload as usize;
            frame.get(start..start + packet.len as usize).unwrap_or_default()
        }
        Transport::TcpEmpty | Transport::Syn | Transport::LaterFragment => &[],
    };
    Some(Read {
        source: Endpoint::source(&packet, transport),
        destination: Endpoint::destination(&packet, transport),
        method: method(payload),
        payload,
    })
}

/// The method of packets whose content the program does not read.
fn method(payload: &[u8]) -> Option<Method> {
    let mut bytes = [0; 16];
    bytes.iter_mut().zip(payload).for_each(|(to, from)| *to = *from);
    let [word0, word1] =
        [&bytes[..8], &bytes[8..]].map(|half| half.try_into().map_or(0, u64::from_le_bytes));
    match classify(word0, word1) {
        Start::Request(method) => Some(method),
        _ => None,
    }
}
