//! Where a story is played, and the steps that many have.

use sipguard_common::{
    abi::{Ban, Learned},
    learn::Fate,
    method::Budget,
    rule::{Rule, Verdict},
};

use super::cast::Phone;
use crate::{
    sip::Message,
    stage::{Left, Stage},
};

pub(super) const S: u64 = 1_000_000_000;
pub(super) const MINUTE: u64 = 60 * S;
pub(super) const HOUR: u64 = 60 * MINUTE;
pub(super) const DAY: u64 = 24 * HOUR;

/// A stage with a clock that goes on.
pub struct Scene<'a> {
    pub(super) stage: Stage<'a>,
    pub(super) now_ns: u64,
    nonces: u64,
    /// What was learned so far.
    pub(super) learned: Vec<Learned>,
}

impl<'a> Scene<'a> {
    /// The story begins at any time but 0.
    #[must_use]
    pub fn new(mut stage: Stage<'a>) -> Self {
        let now_ns = 10 * DAY;
        stage.set_clock(now_ns);
        Self { stage, now_ns, nonces: 0, learned: Vec::new() }
    }

    pub(super) fn wait(&mut self, ns: u64) {
        self.now_ns += ns;
        self.stage.set_clock(self.now_ns);
    }

    /// The rule that a message of a phone falls under.
    pub(super) fn comes(&mut self, phone: &Phone, message: &Message) -> Rule {
        self.stage.comes(&phone.sends(message.build()).build()).rule
    }

    /// The phone sends, and this must be the rule.
    #[track_caller]
    pub(super) fn expect(&mut self, phone: &Phone, message: &Message, rule: Rule) {
        let found = self.comes(phone, message);
        assert_eq!(found, rule, "{}", String::from_utf8_lossy(&message.build()));
    }

    /// The phone sends, and that must pass.
    #[track_caller]
    pub(super) fn passes(&mut self, phone: &Phone, message: &Message) {
        let found = self.comes(phone, message);
        let text = message.build();
        assert_eq!(found.verdict(), Verdict::Pass, "{found:?}: {}", String::from_utf8_lossy(&text));
    }

    /// The server sends.
    pub(super) fn leaves(&mut self, phone: &Phone, message: &Message) -> Left {
        let left = self.stage.leaves(&phone.gets(message.build()).build());
        self.learned.extend(&left.learned);
        left
    }

    /// The server sends, it must leave as it is, and only this be learned.
    #[track_caller]
    pub(super) fn teaches(&mut self, phone: &Phone, message: &Message, learned: &[Learned]) {
        let left = self.leaves(phone, message);
        let text = message.build();
        let text = String::from_utf8_lossy(&text);
        assert_eq!((left.fate, &left.learned[..]), (Fate::Leaves, learned), "{text}");
    }

    /// The header of a new challenge, which the phone remembers.
    pub(super) fn challenge(&mut self, phone: &mut Phone, more: &str) -> (&'static str, String) {
        self.nonces += 1;
        phone.nonce = format!("{:08x}/{:016x}", self.now_ns / S, self.nonces);
        let name = match phone.method {
            "REGISTER" => "WWW-Authenticate",
            _ => "Proxy-Authenticate",
        };
        let challenge =
            format!("Digest realm=\"pbx\", nonce=\"{}\", algorithm=MD5{more}", phone.nonce);
        (name, challenge)
    }

    /// The server challenges the last request.
    pub(super) fn challenges(&mut self, phone: &mut Phone, more: &str) -> Left {
        let (name, challenge) = self.challenge(phone, more);
        let status = match phone.method {
            "REGISTER" => "401 Unauthorized",
            _ => "407 Proxy Authentication Required",
        };
        let reply = phone.reply(status).header(name, &challenge);
        self.leaves(phone, &reply)
    }

    /// A registration of four messages, all of which must pass.
    #[track_caller]
    pub(super) fn registers(&mut self, phone: &mut Phone, seconds: u32) {
        let first = phone.ask("REGISTER");
        self.passes(phone, &first);
        self.challenges(phone, "");
        let second = phone.answer("REGISTER");
        self.passes(phone, &second);
        let left = self.leaves(phone, &phone.granted(seconds));
        assert_eq!(left.fate, Fate::Leaves);
    }

    /// A registration with a wrong password, as a phone does it: true if that
    /// came to the server.
    pub(super) fn guesses(&mut self, phone: &mut Phone) -> bool {
        let first = phone.ask("REGISTER");
        if self.comes(phone, &first).verdict() == Verdict::Drop {
            return false;
        }
        self.challenges(phone, "");
        self.guesses_again(phone)
    }

    /// The same with the nonce that the phone has, whatever that is.
    pub(super) fn guesses_again(&mut self, phone: &mut Phone) -> bool {
        let guess = phone.answer("REGISTER");
        if self.comes(phone, &guess).verdict() == Verdict::Drop {
            return false;
        }
        let nonce = phone.nonce.clone();
        self.challenges(phone, "");
        phone.nonce = nonce;
        true
    }

    /// How often something was learned so far.
    pub(super) fn count(&self, what: Learned) -> usize {
        self.learned.iter().filter(|learned| **learned == what).count()
    }

    /// The ban of the phone itself that holds.
    pub(super) fn ban(&self, phone: &Phone) -> Option<Ban> {
        self.stage.ban_of(&phone.endpoint()).filter(|ban| self.now_ns < ban.expires_ns)
    }

    /// The ban of its source that holds.
    pub(super) fn ban_of_source(&self, phone: &Phone) -> Option<Ban> {
        self.stage.ban_of(&phone.whole()).filter(|ban| self.now_ns < ban.expires_ns)
    }

    /// Whether the server has accepted the phone, now.
    pub(super) fn is_verified(&self, phone: &Phone) -> bool {
        let state = self.stage.endpoint(&phone.endpoint());
        state.is_some_and(|(verified, _)| self.now_ns < verified.expires_ns)
    }

    /// Strangers have spent what they all may send.
    pub(super) fn spend_budget(&mut self) {
        let limit = self.stage.plan().policy.strangers[Budget::Total as usize];
        let spent = self.now_ns + limit.tolerance_ns + limit.interval_ns;
        self.stage.set_budget(Budget::Total, spent);
    }
}
