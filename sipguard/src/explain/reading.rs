//! A frame, read with the steps of the kernel program.

use sipguard_common::{
    abi::Policy,
    frame::{Packet, Transport, parse},
    scan::{Hit, Scratch, host},
};

/// A frame and the memory in which it is read.
pub(super) struct Reading<'a> {
    frame: &'a [u8],
    policy: &'a Policy,
    scratch: Box<Scratch>,
}

impl<'a> Reading<'a> {
    pub(super) fn new(frame: &'a [u8], policy: &'a Policy) -> Self {
        Self { frame, policy, scratch: Box::new(Scratch::ZERO) }
    }

    /// Reads the headers; `None` where that is neither UDP nor TCP.
    pub(super) fn headers(&mut self) -> Option<Transport> {
        parse(self.frame, &mut self.scratch.packet)
    }

    pub(super) fn packet(&self) -> &Packet {
        &self.scratch.packet
    }

    pub(super) fn starts_with_options(&self) -> bool {
        host::starts_with_options(host::payload(self.frame, &self.scratch.packet))
    }

    /// Takes the payload into the scratch memory.
    pub(super) fn read(&mut self) {
        let payload = host::payload(self.frame, &self.scratch.packet);
        host::read(&mut self.scratch, payload);
    }

    /// What the current message is: `Content::encode`.
    pub(super) fn content(&mut self) -> u32 {
        host::content(&mut self.scratch, self.policy)
    }

    /// The signature that matches the current message, by index.
    pub(super) fn signature(&mut self) -> Option<usize> {
        let found = host::signature(&mut self.scratch, &self.policy.automaton);
        (found as usize).checked_sub(1)
    }

    /// The value at which the matching stopped: where the signature has one
    /// condition, the one that matched it.
    pub(super) fn value(&self) -> String {
        let hit = self.scratch.hits.get(self.scratch.hit as usize);
        let bytes = hit.and_then(|Hit { offset, .. }| self.scratch.bytes.get(*offset as usize..));
        let line = bytes.unwrap_or_default().split(|byte| matches!(byte, b'\r' | b'\n'));
        let line = line.into_iter().next().unwrap_or_default();
        let text = String::from_utf8_lossy(line);
        text.trim_start_matches([':', ' ', '\t']).trim_end().to_owned()
    }

    pub(super) fn is_oversize(&self) -> bool {
        host::is_oversize(&self.scratch, self.policy)
    }

    /// Bytes of the message, of its longest line, and number of its lines.
    pub(super) fn sizes(&self) -> [u32; 3] {
        [self.scratch.packet.declared, self.scratch.longest, self.scratch.lines]
    }

    pub(super) fn advance(&mut self) -> bool {
        host::advance(&mut self.scratch)
    }
}
