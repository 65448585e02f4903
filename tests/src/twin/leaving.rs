//! The twin on the way out: what the server's own messages teach.

use sipguard_common::{
    abi::{Address, Ban, Endpoint, Policy, Replies, stealth},
    decide::Content,
    frame::{self, TCP, Transport},
    learn::{self, Fate, Said, learn},
    message::MIN_MESSAGE,
    method::Method,
    scan::{self, Scratch, host, identity},
};

use super::{Twin, lesson::Lesson};

/// What became of a packet that leaves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Out {
    pub fate: Fate,
    /// What was counted of it; not whether it was dropped or became a challenge,
    /// for that is seen only when it is tried.
    pub counted: Replies,
    /// Bans that were made, or would have been.
    pub bans: Vec<Banned>,
}

/// A ban that a reply has led to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Banned {
    pub who: Endpoint,
    pub ban: Ban,
    /// Whether the rule is in mode observe: then there is no ban.
    pub is_would: bool,
}

/// Messages of one TCP segment that are read.
const MESSAGES: u32 = 4;

impl Twin<'_> {
    /// Reads one frame that leaves.
    pub fn run_out(&mut self, frame: &[u8]) -> Out {
        let mut out = Out { fate: Fate::Leaves, counted: Replies::ZERO, bans: Vec::new() };
        let Some(transport) = frame::parse(frame, &mut self.egress.packet) else { return out };
        let packet = self.egress.packet;
        let port = u16::from_be_bytes(packet.source_port);
        if !matches!(transport, Transport::Udp | Transport::Tcp)
            || !self.plan.ports.iter().any(|one| one == port)
            || !self.is_protected(packet.source)
        {
            return out;
        }
        if packet.len < MIN_MESSAGE {
            out.counted.other += 1;
            return out;
        }
        // SAFETY: the scratch memory is ours.
        unsafe { scan::new_packet(&mut *self.egress) };
        host::read(&mut self.egress, host::payload(frame, &packet));
        if transport == Transport::Udp {
            out.fate = self.message(&mut out);
            return out;
        }
        for _ in 0..MESSAGES {
            self.message(&mut out);
            if !host::advance(&mut self.egress) {
                break;
            }
        }
        out
    }

    /// Remembers a challenge that was put into a reply: the server never sent it.
    pub fn forged(&mut self, client: Address, line: &[u8]) {
        let reply = [b"SIP/2.0 401 Unauthorized\r\n", line, b"\r\n\r\n"].concat();
        host::read(&mut self.egress, &reply);
        host::lines(&mut self.egress);
        if let Some((Some(nonce), _)) = self.reading_out().challenge(client) {
            self.state.sent(nonce, true);
        }
    }

    /// Reads the message that starts at the position of the scratch memory.
    fn message(&mut self, out: &mut Out) -> Fate {
        let packet = self.egress.packet;
        let is_tcp = packet.protocol == u32::from(TCP);
        let policy = &*self.plan.policy;
        let said = match content(&mut self.egress, policy, is_tcp) {
            Content::Request(method) => {
                out.counted.requests[method as usize] += 1;
                if is_tcp {
                    host::scan(&mut self.egress);
                }
                Said { status: 0, method: method as u32 }
            }
            Content::Response => {
                let said = self.reply(is_tcp);
                out.counted.by[said.status as usize / 100][said.method as usize] += 1;
                said
            }
            _ => {
                out.counted.other += 1;
                return Fate::Leaves;
            }
        };
        let is_provisional = said.status / 100 == 1 && policy.stealth != stealth::NONE;
        let is_trusted = self.trusted(packet.destination, packet.destination_port).is_some();
        if said.status == UNREADABLE || is_provisional || is_trusted {
            return Fate::Leaves;
        }
        let (receiver, source) = (packet.receiver(), self.source(packet.destination));
        let (standing, _) = self.state.standing(Some(receiver), source, self.now_ns);
        let (sender, tag, status) = (None, 0, said.status);
        learn(
            &mut Lesson { twin: self, out, receiver, source, standing, status, sender, tag },
            said,
        )
    }

    /// Reads a reply.
    fn reply(&mut self, is_tcp: bool) -> Said {
        // SAFETY: the scratch memory is ours, and sealed.
        let status = unsafe { identity::status(&raw const *self.egress) }.unwrap_or(UNREADABLE);
        match learn::needed(status) {
            need if need != 0 && !is_tcp => host::find(&mut self.egress, need),
            _ => host::lines(&mut self.egress),
        }
        let Some(method) = self.reading_out().cseq() else {
            return Said { status: UNREADABLE, method: Method::Unknown as u32 };
        };
        if is_tcp || (method == Method::Register as u32 && status / 100 == 2) {
            host::scan(&mut self.egress);
        }
        Said { status, method }
    }
}

/// What the message is that starts at the position of the scratch memory.
fn content(scratch: &mut Scratch, policy: &Policy, is_tcp: bool) -> Content {
    if is_tcp {
        host::skip(scratch);
    }
    let scratch = &raw mut *scratch;
    // SAFETY: the scratch memory is the caller's, and sealed.
    unsafe {
        if identity::is_reply(scratch) {
            return Content::Response;
        }
        scan::content(scratch, policy)
    }
}

/// Stands for a status code that cannot be read.
const UNREADABLE: u32 = 1;
