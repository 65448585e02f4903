//! The decision order: which rule a packet falls under.
//!
//! Content is judged before any state of the source is touched, so that a
//! flood of signatures or OPTIONS costs no map write.

use crate::{
    abi::{options, posture},
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

/// Whether the lists name a source; trust wins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Listed {
    Nowhere = 0,
    Trusted = 1,
    Blocked = 2,
    /// By sipguard itself, for a time.
    Banned = 3,
}

/// What the buckets of a source say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Admission {
    Within = 0,
    OverMethod = 1,
    OverSource = 2,
}

/// The state and the payload that a decision may ask for, cheapest first.
pub trait World {
    fn listed(&mut self) -> Listed;
    /// Reads the payload; what it is, as [`Content::encode`] gives it.
    fn content(&mut self) -> u32;
    /// The signature that matches the message, by index plus one, or 0.
    fn signature(&mut self) -> u32;
    /// Spends a token of the class, and with `total` one of the source.
    fn admit(&mut self, class: Class, total: bool) -> Admission;
}

/// The outcome for one packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Judgement {
    pub rule: Rule,
    /// Method of a stranger's request; unknown where it was not read.
    pub method: u32,
    /// Index of the matching signature plus one, or 0.
    pub signature: u32,
}

impl Judgement {
    /// A rule that does not depend on the message.
    #[inline(always)]
    #[must_use]
    pub const fn of(rule: Rule) -> Self {
        Self { rule, method: Method::Unknown as u32, signature: 0 }
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

/// Judges a packet for a protected port.
#[inline(always)]
pub fn decide<W: World>(
    world: &mut W,
    transport: Transport,
    posture: u32,
    options: u32,
) -> Judgement {
    match world.listed() {
        Listed::Trusted => return Judgement::of(Rule::Trusted),
        Listed::Blocked => return Judgement::of(Rule::Blocked),
        Listed::Banned => return Judgement::of(Rule::Banned),
        Listed::Nowhere => {}
    }
    // Before the posture: it has no port, so it may be anybody's, and the first
    // fragment of a SIP message does not come through.
    if transport == Transport::LaterFragment {
        return Judgement::of(Rule::Fragment);
    }
    if posture == posture::CLOSED {
        return Judgement::of(Rule::Closed);
    }
    if transport == Transport::Tcp {
        return Judgement::of(Rule::Stranger);
    }
    let content = world.content();
    let method = match content {
        Content::KEEPALIVE => return own_bucket(world, Class::Keepalive, Rule::Keepalive),
        Content::RESPONSE => return own_bucket(world, Class::Response, Rule::Response),
        Content::LETTER | Content::GARBAGE => Method::Unknown as u32,
        method => method,
    };
    if content != Content::GARBAGE {
        let signature = world.signature();
        if signature != 0 {
            return Judgement { rule: Rule::Signature, method, signature };
        }
    }
    if method == Method::Options as u32 && options == options::DROP {
        return Judgement { rule: Rule::Options, method, signature: 0 };
    }
    let rule = match world.admit(class_of(method), true) {
        Admission::OverMethod => Rule::RateMethod,
        Admission::OverSource => Rule::RateSource,
        Admission::Within if method == Method::Unknown as u32 => Rule::Unparsed,
        Admission::Within => Rule::Stranger,
    };
    Judgement { rule, method, signature: 0 }
}

#[inline(always)]
fn own_bucket<W: World>(world: &mut W, class: Class, rule: Rule) -> Judgement {
    match world.admit(class, false) {
        Admission::Within => Judgement::of(rule),
        _ => Judgement::of(Rule::RateMethod),
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
