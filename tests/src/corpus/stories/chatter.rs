//! Talk between the server and some phones without end, the same for the same
//! seed: requests and replies that belong together, and some that only seem to.

use std::mem::take;

use super::cast::Phone;
use crate::{
    mutate::{MAX_FRAME, mutated},
    random::Random,
    sip::Message,
};

/// On its way out BPF_PROG_TEST_RUN takes no frame without a whole header of IP.
const MIN_LEAVING: usize = 14 + 40;

/// One packet of it.
#[derive(Clone, Debug)]
pub struct Step {
    /// How much later than the one before, in nanoseconds.
    pub after_ns: u64,
    /// Whether the server sends it.
    pub leaves: bool,
    pub frame: Vec<u8>,
}

/// An endless talk.
#[derive(Debug)]
pub struct Chatter {
    random: Random,
    phones: Vec<Phone>,
    /// Requests that may be answered.
    open: Vec<Phone>,
    nonces: u32,
}

const METHODS: &[&str] = &[
    "REGISTER",
    "REGISTER",
    "REGISTER",
    "REGISTER",
    "INVITE",
    "INVITE",
    "OPTIONS",
    "SUBSCRIBE",
    "UPDATE",
    "BYE",
    "CANCEL",
    "ACK",
];

const STATUSES: &[&str] = &[
    "200 OK",
    "200 OK",
    "200 OK",
    "202 Accepted",
    "401 Unauthorized",
    "401 Unauthorized",
    "407 Proxy Authentication Required",
    "401 Unauthorized",
    "403 Forbidden",
    "404 Not Found",
    "100 Trying",
    "180 Ringing",
    "486 Busy Here",
    "500 Server Internal Error",
    "604 Nowhere",
];

const REFUSALS: &[&str] =
    &["401 Unauthorized", "401 Unauthorized", "403 Forbidden", "404 Not Found", "486 Busy Here"];

/// Often nothing at all, seldom long.
const PAUSES_MS: &[u64] = &[0, 1, 20, 500, 1000, 5000, 70_000, 400_000];

impl Chatter {
    /// The talk of a seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        let phone = Phone::new;
        let phones = vec![
            phone("198.51.100.7:5061", "200"),
            phone("198.51.100.7:5062", "201"),
            phone("198.51.100.7:5063", "202").tcp(),
            phone("198.51.100.8:5060", "300"),
            phone("198.51.101.9:5060", "400").tcp(),
            phone("[2001:db8:5::7]:5061", "500"),
            phone("[2001:db8:5::8]:5061", "501"),
            phone("192.0.2.10:5060", "600"),
            // These never have the right password.
            phone("198.51.100.66:5060", "900"),
            phone("198.51.100.66:5061", "901"),
            phone("198.51.100.67:5060", "902").tcp(),
            phone("[2001:db8:6::7]:5061", "903"),
        ];
        Self { random: Random::new(seed), phones, open: Vec::new(), nonces: 0 }
    }

    fn request(&mut self) -> Vec<u8> {
        let random = &mut self.random;
        let (who, other) = (random.below(self.phones.len()), random.below(self.phones.len()));
        let strange = self.phones[other].nonce.clone();
        let phone = &mut self.phones[who];
        // The numbers of a request before, now and then.
        if random.once_in(6) {
            phone.number = phone.number.saturating_sub(1);
        }
        let kept = phone.nonce.clone();
        phone.nonce = match random.below(6) {
            0 => strange,
            1 => format!("made-up-{}", random.below(3)),
            _ => kept.clone(),
        };
        let method = *random.pick(METHODS);
        let message = if random.once_in(3) { phone.ask(method) } else { phone.answer(method) };
        phone.nonce = kept;
        let asked = match random.below(10) {
            0 => phone.clone().port(7000),
            _ => phone.clone(),
        };
        if self.open.len() >= 6 {
            self.open.remove(0);
        }
        self.open.push(asked);
        phone.sends(message.build()).build()
    }

    fn reply(&mut self) -> Vec<u8> {
        let random = &mut self.random;
        if self.open.is_empty() || random.once_in(20) {
            let (phone, method) = (random.pick(&self.phones[..8]), *random.pick(METHODS));
            let message = Message::request(method, "sip:200@198.51.100.7");
            return phone.gets(message.build()).build();
        }
        let at = random.below(self.open.len());
        // It is answered again, now and then.
        let phone = match random.below(5) {
            0 => self.open[at].clone(),
            _ => self.open.remove(at),
        };
        let statuses = if phone.account.starts_with('9') { REFUSALS } else { STATUSES };
        let status = *random.pick(statuses);
        let mut reply = phone.reply(status);
        let name =
            if status.starts_with("401") { "WWW-Authenticate" } else { "Proxy-Authenticate" };
        if status.starts_with("401") || status.starts_with("407") || random.once_in(10) {
            self.nonces += 1;
            let nonce = format!("{:016x}", u64::from(self.nonces) * 0x9e37_79b9_7f4a);
            let stale = random.pick(&["", "", "", ", stale=true", ", stale=FALSE"]);
            let challenge = format!("Digest realm=\"pbx\", nonce=\"{nonce}\"{stale}");
            reply = reply.header(name, &challenge);
            for one in &mut self.phones {
                if one.account == phone.account {
                    one.nonce.clone_from(&nonce);
                }
            }
        }
        if status.starts_with('2') {
            let contact = format!("<sip:{}@x>", phone.account);
            reply = match random.below(5) {
                0 => reply.header("Contact", &format!("{contact};expires=0")),
                1 => reply.header("Contact", &contact).header("Expires", "700"),
                2 => reply,
                _ => reply.header("Contact", &format!("{contact};expires=600")),
            };
        }
        phone.gets(reply.build()).build()
    }
}

impl Iterator for Chatter {
    type Item = Step;

    fn next(&mut self) -> Option<Step> {
        let leaves = self.random.once_in(2);
        let mut frame = if leaves { self.reply() } else { self.request() };
        if self.random.once_in(3) {
            frame = mutated(&mut self.random, take(&mut frame));
            frame.truncate(MAX_FRAME);
            frame.resize(frame.len().max(MIN_LEAVING), 0);
        }
        let pause_ms = match self.random.below(12) {
            0 => *self.random.pick(PAUSES_MS),
            _ => 10,
        };
        Some(Step { after_ns: pause_ms * 1_000_000 + 1, leaves, frame })
    }
}
