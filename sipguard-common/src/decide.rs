//! The decision order: which rule a packet falls under.
//!
//! Content is judged before any state of the source is touched, so that a
//! flood of signatures or OPTIONS costs no map write.

use crate::{
    abi::{Policy, fragments, options, posture},
    frame::Transport,
    method::{Class, Method},
    rule::Rule,
};

/// What a payload is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content {
    Request(Method),
    Response,
    Keepalive,
    /// Starts with a letter: perhaps a request of an unknown method.
    Letter,
    Garbage,
}

impl Content {
    const RESPONSE: u32 = 32;
    const KEEPALIVE: u32 = 33;
    const LETTER: u32 = 34;
    const GARBAGE: u32 = 35;

    /// As a number, for the kernel's subprograms return nothing else.
    #[inline(always)]
    #[must_use]
    pub const fn encode(self) -> u32 {
        match self {
            Self::Request(method) => method as u32,
            Self::Response => Self::RESPONSE,
            Self::Keepalive => Self::KEEPALIVE,
            Self::Letter => Self::LETTER,
            Self::Garbage => Self::GARBAGE,
        }
    }
}

/// What the lists say about a source; trust wins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Listed {
    Nowhere = 0,
    Trusted = 1,
    Blocked = 2,
    /// The whole source, by sipguard itself, for a time.
    Banned = 3,
    /// The same of this very endpoint.
    EndpointBanned = 4,
}

/// How the server stands to an endpoint that no list names.
pub mod standing {
    /// It does not know it.
    pub const STRANGER: u32 = 0;
    /// The endpoint is a stranger, but others of its source are or were verified.
    pub const SITE: u32 = 1;
    /// It has accepted the endpoint, but the packets that made it do so may have
    /// been forged.
    pub const UNPROVEN: u32 = 2;
    /// It has accepted the endpoint.
    pub const VERIFIED: u32 = 3;

    /// Whether it has accepted the endpoint, on whatever evidence.
    #[inline(always)]
    #[must_use]
    pub const fn is_verified(standing: u32) -> bool {
        standing >= UNPROVEN
    }
}

/// What every step of a decision may ask for.
pub trait Basis {
    /// The policy in force.
    fn policy(&self) -> &Policy;
    /// The [`standing`] of the packet's sender, once [`World::look_up`] has
    /// found it.
    fn standing(&self) -> u32;
    /// The rule of a limit that drops the packet, by number, or 0:
    /// [`crate::admission::admit`].
    fn admit(&mut self, class: Class) -> u32;
    /// Notes that a rule in mode observe would have dropped the packet.
    fn would(&mut self, rule: Rule);

    /// Whether the rule, whose condition holds, drops.
    #[inline(always)]
    fn hit(&mut self, rule: Rule) -> bool {
        if self.policy().enforced & rule.bit() != 0 {
            return true;
        }
        if self.policy().observed & rule.bit() != 0 {
            self.would(rule);
        }
        false
    }
}

/// A packet for a protected port, cheapest questions first.
pub trait World: Basis {
    fn listed(&mut self) -> Listed;
    /// Finds the [`standing`] of the sender: of the endpoint, or where there is
    /// no port, of the source.
    fn look_up(&mut self, transport: Transport) -> u32;
    /// Whether the packet is an INVITE of a trusted peer over the calls per
    /// second of its class; spends a token of the peer.
    fn over_cps(&mut self) -> bool;
    /// Whether the destination port is one of TLS.
    fn is_tls(&mut self) -> bool;
    /// Whether the payload is a message that starts with `OPTIONS `, letters in
    /// any case.
    fn starts_with_options(&mut self) -> bool;
    /// Reads the payload.
    fn read(&mut self);
    /// Judges the message that starts here: [`message`].
    fn message(&mut self, is_tcp: bool) -> Judgement;
    /// Goes on to the next message of the payload; false where there is none.
    fn advance(&mut self) -> bool;
}

/// A message of a stranger or of a verified endpoint.
pub trait Message: Basis {
    /// What it is, as [`Content::encode`] gives it.
    fn content(&mut self) -> u32;
    /// The signature that matches it, by index plus one, or 0.
    fn signature(&mut self) -> u32;
    /// Whether it is over the limits on size and header lines.
    fn is_oversize(&mut self) -> bool;
    /// Notes a request that goes on to the server, if it has credentials: the
    /// reply will tell whether they are right. False where a stranger has tried
    /// as many REGISTERs as ban, and none was right so far: with rule
    /// [`Rule::RateAuth`] enforced it is not noted then.
    fn note(&mut self) -> bool;
}

/// The outcome for one packet, by number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Judgement {
    /// A [`Rule`].
    pub rule: u32,
    /// The [`Method`] of a stranger's request; unknown where it was not read.
    pub method: u32,
}

impl Judgement {
    /// A rule that does not depend on the message.
    #[inline(always)]
    #[must_use]
    pub const fn of(rule: Rule) -> Self {
        Self { rule: rule.number(), method: Method::Unknown as u32 }
    }

    /// As one number, for the kernel's subprograms return nothing else.
    #[inline(always)]
    #[must_use]
    pub const fn encode(self) -> u32 {
        self.rule | self.method << 8
    }

    /// What [`Self::encode`] has made.
    #[inline(always)]
    #[must_use]
    pub const fn decode(number: u32) -> Self {
        Self { rule: number & 0xff, method: number >> 8 & 0xff }
    }

    /// Whether the packet ends here.
    #[inline(always)]
    #[must_use]
    pub const fn is_drop(self) -> bool {
        Rule::DROPS >> (self.rule & 63) & 1 == 1
    }
}

#[inline(always)]
fn class_of(method: u32) -> Class {
    // By number, not by `Method`: the kernel has no table lookups.
    match method {
        1 => Class::Options,
        2 => Class::Register,
        3 => Class::Invite,
        4..=11 => Class::Dialog,
        12..=14 => Class::Event,
        _ => Class::Other,
    }
}

/// Messages of one TCP segment that are judged. More of them in so little room
/// are no calls.
pub const MESSAGES: u32 = 8;

/// Judges a packet for a protected port.
#[inline(always)]
pub fn decide<W: World>(world: &mut W, transport: Transport) -> Judgement {
    match world.listed() {
        Listed::Nowhere => {}
        Listed::Trusted => {
            return match world.over_cps() && world.hit(Rule::TrustedCps) {
                true => Judgement { rule: Rule::TrustedCps.number(), method: INVITE },
                false => Judgement::of(Rule::Trusted),
            };
        }
        Listed::Blocked => {
            if world.hit(Rule::Blocked) {
                return Judgement::of(Rule::Blocked);
            }
        }
        // The neighbours of whoever was banned are customers still.
        Listed::Banned => {
            if world.look_up(transport) != standing::VERIFIED && world.hit(Rule::Banned) {
                return Judgement::of(Rule::Banned);
            }
        }
        Listed::EndpointBanned => {
            if world.hit(Rule::Banned) {
                return Judgement::of(Rule::Banned);
            }
        }
    }
    let standing = world.look_up(transport);
    // Before the posture: it has no port, so it may be anybody's, and the first
    // fragment of a SIP message does not come through.
    if transport == Transport::LaterFragment {
        let is_dropped =
            world.policy().fragments == fragments::DROP && standing == standing::STRANGER;
        if is_dropped && world.hit(Rule::FragmentStranger) {
            return Judgement::of(Rule::FragmentStranger);
        }
        return Judgement::of(Rule::Fragment);
    }
    // Not the strangers of a site: phones that have lost their port register
    // anew from another one.
    if world.policy().posture == posture::CLOSED
        && standing == standing::STRANGER
        && world.hit(Rule::Closed)
    {
        return Judgement::of(Rule::Closed);
    }
    if transport == Transport::Syn {
        return limited(world, Class::Syn, Rule::Stranger);
    }
    let is_tcp = transport == Transport::Tcp;
    if transport == Transport::TcpEmpty || (is_tcp && world.is_tls()) {
        return Judgement::of(passed(standing));
    }
    // Ahead of everything that reads the message, for this is what scanners
    // send most of.
    if !is_tcp
        && !standing::is_verified(standing)
        && drops_options(world.policy())
        && world.starts_with_options()
    {
        return Judgement { rule: Rule::Options.number(), method: OPTIONS };
    }
    world.read();
    let mut judged = world.message(is_tcp);
    if is_tcp {
        for _ in 1..MESSAGES {
            if judged.is_drop() || !world.advance() {
                break;
            }
            judged = world.message(is_tcp);
        }
    }
    judged
}

const OPTIONS: u32 = Method::Options as u32;
const INVITE: u32 = Method::Invite as u32;

#[inline(always)]
fn drops_options(policy: &Policy) -> bool {
    policy.options == options::DROP && policy.enforced & Rule::Options.bit() != 0
}

/// The rule of what nothing objects to.
#[inline(always)]
const fn passed(standing: u32) -> Rule {
    if standing::is_verified(standing) { Rule::Verified } else { Rule::Stranger }
}

/// Judges one message of a stranger or of a verified endpoint.
#[inline(always)]
pub fn message<M: Message>(message: &mut M, is_tcp: bool) -> Judgement {
    let content = message.content();
    let (rule, class) = match content {
        Content::KEEPALIVE => (Rule::Keepalive, Class::Keepalive),
        Content::RESPONSE => (Rule::Response, Class::Response),
        _ => return request(message, content, is_tcp),
    };
    if is_tcp {
        // What looks like one may be a piece of something else, and TCP has a
        // flow control of its own.
        return Judgement::of(rule);
    }
    limited(message, class, rule)
}

#[inline(always)]
fn request<M: Message>(message: &mut M, content: u32, is_tcp: bool) -> Judgement {
    let method = match content {
        Content::LETTER | Content::GARBAGE => Method::Unknown as u32,
        method => method,
    };
    let of = |rule: Rule| Judgement { rule: rule.number(), method };
    let standing = message.standing();
    if method == OPTIONS
        && !standing::is_verified(standing)
        && message.policy().options == options::DROP
        && message.hit(Rule::Options)
    {
        return of(Rule::Options);
    }
    if content != Content::GARBAGE && message.signature() != 0 && message.hit(Rule::Signature) {
        return of(Rule::Signature);
    }
    if message.is_oversize() && message.hit(Rule::Oversize) {
        return of(Rule::Oversize);
    }
    let is_unknown = method == Method::Unknown as u32;
    if is_tcp && is_unknown {
        // The rest of a message that was split, perhaps.
        return of(Rule::Unparsed);
    }
    let rule = message.admit(class_of(method));
    if rule != 0 {
        return Judgement { rule, method };
    }
    // The replies to what comes at once come too late to count.
    if !message.note() && message.hit(Rule::RateAuth) {
        return of(Rule::RateAuth);
    }
    of(if is_unknown { Rule::Unparsed } else { passed(standing) })
}

/// What only its limits stop.
#[inline(always)]
fn limited<B: Basis>(basis: &mut B, class: Class, rule: Rule) -> Judgement {
    match basis.admit(class) {
        0 => Judgement::of(rule),
        over => Judgement { rule: over, method: Method::Unknown as u32 },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_by_number_are_the_methods_classes() {
        for method in Method::ALL {
            assert_eq!(class_of(method as u32), method.class());
            assert_eq!(Content::Request(method).encode(), method as u32);
        }
    }
}
