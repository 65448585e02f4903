//! What stories are played on: the host twin alone, or both kernel programs
//! beside it, which must do the same at every step.

use sipguard::{kernel::TestKernel, policy::Plan};
use sipguard_common::{
    abi::{Address, Ban, Endpoint, Failures, Learned, Replies, Site, Verified},
    frame::{self, Packet},
    learn::Fate,
    method::Budget,
};

use crate::twin::{Outcome, Twin};

/// A filter with a clock of its own, what comes to it and what leaves.
pub struct Stage<'a> {
    twin: Twin<'a>,
    plan: &'a Plan,
    kernel: Option<&'a mut TestKernel>,
    counted: Replies,
}

/// What became of a frame that leaves.
#[derive(Clone, Debug)]
pub struct Left {
    pub fate: Fate,
    /// What was learned from it, each as often as it was counted.
    pub learned: Vec<Learned>,
    /// What was counted of it.
    pub counted: Replies,
    /// As it left, where a kernel program has made a challenge of it.
    pub forged: Option<Vec<u8>>,
}

impl<'a> Stage<'a> {
    /// A filter with this plan that has seen nothing yet; with a kernel, what
    /// that has seen is forgotten.
    ///
    /// # Panics
    /// Where the kernel refuses, here and below.
    #[must_use]
    pub fn new(plan: &'a Plan, mut kernel: Option<&'a mut TestKernel>) -> Self {
        let mut twin = Twin::new(plan);
        let mut counted = Replies::ZERO;
        if let Some(kernel) = &mut kernel {
            kernel.forget_sources().expect("no sources");
            kernel.forget_learned().expect("nothing learned");
            kernel.set_peer(0, 0).expect("an unused bucket");
            kernel.apply(plan).expect("a policy");
            twin.set_key(kernel.key().expect("a key"));
            counted = kernel.replies().expect("counts");
        }
        Self { twin, plan, kernel, counted }
    }

    /// The policy.
    #[must_use]
    pub fn plan(&self) -> &Plan {
        self.plan
    }

    /// Whether a kernel plays along.
    #[must_use]
    pub fn has_kernel(&self) -> bool {
        self.kernel.is_some()
    }

    /// Sets the clock, in nanoseconds.
    pub fn set_clock(&mut self, now_ns: u64) {
        self.twin.set_clock(now_ns);
        if let Some(kernel) = &mut self.kernel {
            kernel.set_clock(now_ns).expect("a clock");
        }
    }

    /// A frame comes in.
    pub fn comes(&mut self, frame: &[u8]) -> Outcome {
        let on_host = self.twin.run(frame);
        if let Some(kernel) = &mut self.kernel {
            let verdict = kernel.run(frame).expect("a run");
            let in_kernel = Outcome::from(&verdict);
            assert_eq!(in_kernel, on_host, "kernel and host, coming in: {}", text(frame));
        }
        on_host
    }

    /// A frame leaves.
    pub fn leaves(&mut self, frame: &[u8]) -> Left {
        let out = self.twin.run_out(frame);
        let mut forged = None;
        if let Some(kernel) = &mut self.kernel {
            let left = kernel.run_egress(frame).expect("a run");
            let fate = match left.hidden {
                true => Fate::Dropped,
                false if left.frame != frame => Fate::Challenge,
                false => Fate::Leaves,
            };
            let may_be = match out.fate {
                // What cannot become a challenge is dropped.
                Fate::Challenge => fate != Fate::Leaves,
                other => fate == other,
            };
            assert!(may_be, "kernel {fate:?}, host {:?}: {}", out.fate, text(frame));
            if fate == Fate::Challenge {
                let line = challenge(&left.frame, frame);
                self.twin.forged(receiver(frame).expect("a packet").address, line);
                forged = Some(left.frame);
            }
            let counted = kernel.replies().expect("counts");
            let mut more = difference(&counted, &self.counted);
            self.counted = counted;
            let concealed = &mut more.learned;
            let [hidden, challenged] = [Learned::Hidden, Learned::Challenged]
                .map(|what| std::mem::take(&mut concealed[what as usize]));
            assert_eq!(hidden, u64::from(fate == Fate::Dropped), "{}", text(frame));
            assert_eq!(challenged, u64::from(fate == Fate::Challenge), "{}", text(frame));
            assert_eq!(more, out.counted, "kernel and host count: {}", text(frame));
            for banned in out.bans.iter().filter(|banned| !banned.is_would) {
                assert_eq!(kernel.ban_of(&banned.who).expect("a map"), Some(banned.ban));
            }
        }
        self.compare(frame);
        let learned = Learned::ALL.iter().flat_map(|what| {
            let times = out.counted.learned[*what as usize] as usize;
            std::iter::repeat_n(*what, times)
        });
        Left { fate: out.fate, learned: learned.collect(), counted: out.counted, forged }
    }

    /// Holds against each other what is kept of who gets a frame.
    fn compare(&self, frame: &[u8]) {
        let Some(kernel) = &self.kernel else { return };
        let Some(receiver) = receiver(frame) else { return };
        let source = receiver.address.source(self.plan.policy.source_mask);
        let twin = &self.twin;
        let on_host = twin.endpoint(&receiver);
        assert_eq!(kernel.endpoint(&receiver).expect("a map"), on_host, "{}", text(frame));
        assert_eq!(kernel.site(&source).expect("a map"), twin.site(source), "{}", text(frame));
        for who in [receiver, Endpoint::whole(source)] {
            let in_kernel = kernel.failures(&who).expect("a map");
            assert_eq!(in_kernel, twin.failures(&who), "{}", text(frame));
            assert_eq!(kernel.ban_of(&who).expect("a map"), twin.ban_of(&who), "{}", text(frame));
        }
    }

    /// What is kept of an endpoint, and whether the evidence cannot be forged.
    #[must_use]
    pub fn endpoint(&self, endpoint: &Endpoint) -> Option<(Verified, bool)> {
        self.twin.endpoint(endpoint)
    }

    /// What is kept of the source of an address.
    #[must_use]
    pub fn site(&self, address: Address) -> Option<Site> {
        self.twin.site(address)
    }

    /// What was refused to an endpoint, or to a whole source.
    #[must_use]
    pub fn failures(&self, who: &Endpoint) -> Option<Failures> {
        self.twin.failures(who)
    }

    /// The ban of an endpoint, or of a whole source, whether it still holds or
    /// not.
    #[must_use]
    pub fn ban_of(&self, who: &Endpoint) -> Option<Ban> {
        self.twin.ban_of(who)
    }

    /// Sets the bucket that all strangers share.
    pub fn set_budget(&mut self, budget: Budget, tat_ns: u64) {
        self.twin.set_budget(budget, tat_ns);
        if let Some(kernel) = &mut self.kernel {
            kernel.set_budget(budget, tat_ns).expect("a map");
        }
    }
}

/// Who gets a frame.
fn receiver(frame: &[u8]) -> Option<Endpoint> {
    let mut packet = Packet::ZERO;
    frame::parse(frame, &mut packet).map(|_| packet.receiver())
}

/// The line of a frame's challenge that was not there before.
fn challenge<'f>(frame: &'f [u8], before: &[u8]) -> &'f [u8] {
    let lines = |frame: &'f [u8]| frame.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii_end);
    let is_challenge =
        |line: &&[u8]| line.windows(7).any(|part| part.eq_ignore_ascii_case(b"nonce=\""));
    let was_there = |line: &&[u8]| before.windows(line.len()).any(|part| part == *line);
    let new = lines(frame).filter(is_challenge).find(|line| !was_there(line));
    new.unwrap_or_else(|| panic!("no challenge in {} of {}", text(frame), text(before)))
}

/// What was counted between two counts.
fn difference(now: &Replies, before: &Replies) -> Replies {
    let mut more = *now;
    let less = |more: &mut [u64], before: &[u64]| {
        more.iter_mut().zip(before).for_each(|(more, before)| *more -= before);
    };
    for (more, before) in more.by.iter_mut().zip(&before.by) {
        less(more, before);
    }
    less(&mut more.requests, &before.requests);
    less(&mut more.learned, &before.learned);
    more.other -= before.other;
    more
}

fn text(frame: &[u8]) -> String {
    String::from_utf8_lossy(frame).into_owned()
}
