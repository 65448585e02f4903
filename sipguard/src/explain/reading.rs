//! Reading a packet with the steps of the kernel program, in plain loops.

use sipguard_common::{
    abi::Policy,
    frame::{Packet, Transport, parse},
    message::{MIN_MESSAGE, is_options},
    scan::{self, Hit, PAYLOAD_MAX, Scratch},
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

    /// The payload, as much of it as is in the frame.
    fn payload(&self) -> &'a [u8] {
        let Packet { payload, len, .. } = self.scratch.packet;
        self.frame
            .get(payload as usize..)
            .map_or(&[], |rest| rest.get(..len as usize).unwrap_or(rest))
    }

    pub(super) fn starts_with_options(&self) -> bool {
        let payload = self.payload();
        payload.len() >= MIN_MESSAGE as usize
            && payload.first_chunk().is_some_and(|first| is_options(u64::from_le_bytes(*first)))
    }

    /// Takes the payload into the scratch memory.
    pub(super) fn read(&mut self) {
        let payload = self.payload();
        let payload = payload.get(..PAYLOAD_MAX as usize).unwrap_or(payload);
        let scratch: *mut Scratch = &raw mut *self.scratch;
        // SAFETY: the scratch memory is ours, and takes PAYLOAD_MAX bytes.
        unsafe {
            scan::begin(scratch);
            if !payload.is_empty() {
                for (to, from) in (*scratch).bytes.iter_mut().zip(payload) {
                    *to = *from;
                }
                scan::seal(scratch, payload.len() as u32);
            }
        }
    }

    /// What the current message is: `Content::encode`.
    pub(super) fn content(&mut self) -> u32 {
        let scratch: *mut Scratch = &raw mut *self.scratch;
        // SAFETY: the scratch memory is ours and sealed.
        unsafe {
            if scan::needs_skip(scratch) {
                let _ = (0..scan::SKIP_CALLS).any(|_| scan::skip_call(scratch));
            }
            scan::content(scratch, self.policy).encode()
        }
    }

    /// The signature that matches the current message, by index.
    pub(super) fn signature(&mut self) -> Option<usize> {
        let scratch: *mut Scratch = &raw mut *self.scratch;
        let table = &raw const self.policy.automaton;
        // SAFETY: the scratch memory is ours and sealed, the table the policy's.
        let found = unsafe {
            scan::scan_begin(scratch, table);
            let _ = (0..scan::SCAN_CALLS).any(|_| scan::scan_call(scratch));
            scan::scan_end(scratch);
            if scan::body_begin(scratch) {
                let _ = (0..scan::SCAN_CALLS).any(|_| scan::body_call(scratch));
            }
            if scan::match_begin(scratch, table, 0) {
                let _ = (0..scan::MATCH_CALLS).any(|_| scan::match_call(scratch, table));
            }
            scan::match_end(scratch, table)
        };
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
        // SAFETY: the scratch memory is ours, the line scan has run.
        unsafe { scan::is_oversize(&raw const *self.scratch, self.policy) }
    }

    /// Bytes of the message, of its longest line, and number of its lines.
    pub(super) fn sizes(&self) -> [u32; 3] {
        [self.scratch.packet.declared, self.scratch.longest, self.scratch.lines]
    }

    pub(super) fn advance(&mut self) -> bool {
        // SAFETY: the scratch memory is ours and sealed.
        unsafe { scan::advance(&raw mut *self.scratch) }
    }
}
