//! The one table of rules: what a packet was counted under, and why.
//!
//! The number of a rule is its slot in the counter maps, and so part of the
//! ABI: numbers are never reused and never change. They follow the decision
//! order, with room for the rules that stand between two present ones.

/// What a rule does with a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The packet goes on to the SIP server.
    Pass,
    /// The packet ends here.
    Drop,
}

impl Verdict {
    /// `pass` or `drop`, as shown to users.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Drop => "drop",
        }
    }
}

macro_rules! rules {
    ($($(#[doc = $doc:literal])+ $variant:ident = $number:literal, $name:literal, $verdict:ident;)+) => {
        /// A named reason to pass or drop, with a counter of its own.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(u8)]
        pub enum Rule {
            $($(#[doc = $doc])+ $variant = $number,)+
        }

        impl Rule {
            /// Every rule, by number.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// The name that users meet in tables, metrics and configuration.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)+ }
            }

            /// Whether packets of this rule pass or are dropped.
            #[must_use]
            pub const fn verdict(self) -> Verdict {
                match self { $(Self::$variant => Verdict::$verdict,)+ }
            }

            /// One line of explanation for operators.
            #[must_use]
            pub const fn help(self) -> &'static str {
                match self { $(Self::$variant => concat!($($doc),+).trim_ascii(),)+ }
            }

            /// The rule with this number, if there is one.
            #[must_use]
            pub const fn from_number(number: u32) -> Option<Self> {
                match number { $($number => Some(Self::$variant),)+ _ => None }
            }
        }
    };
}

rules! {
    /// Not IP, not UDP or TCP, or not for a protected port or address: passed untouched.
    NotSip = 0, "not_sip", Pass;
    /// The source is in trusted.toml or was allowed by the operator: passed unread.
    Trusted = 2, "trusted", Pass;
    /// An INVITE of a trusted peer that is over the calls per second of its class.
    TrustedCps = 4, "trusted_cps", Drop;
    /// The source is in blacklist.toml or a feed, or was blocked by the operator.
    Blocked = 6, "blocked", Drop;
    /// The source is banned by sipguard itself: `sipguard why` says for what.
    Banned = 8, "banned", Drop;
    /// A later fragment of a datagram: it carries no port, so only the lists judge it.
    Fragment = 10, "fragment", Pass;
    /// A later fragment of a source with nobody verified, where the policy says drop.
    FragmentStranger = 11, "fragment_stranger", Drop;
    /// Posture closed: the source is not trusted, and nobody there is verified.
    Closed = 12, "closed", Drop;
    /// A stranger over its limit of new TCP connections (SYN).
    SynRate = 13, "syn_rate", Drop;
    /// A keepalive: empty, CR, LF and NUL only, under 12 bytes, STUN, or a configured string.
    Keepalive = 14, "keepalive", Pass;
    /// A response (`SIP/2.0 ...`), such as an answer to the server's own probe.
    Response = 16, "response", Pass;
    /// A request that matches an entry of signatures.toml.
    Signature = 18, "signature", Drop;
    /// An OPTIONS request from a stranger, where the policy says drop.
    Options = 20, "options", Drop;
    /// A request of a stranger over the limits on size and headers, where the policy sets any.
    Oversize = 22, "oversize", Drop;
    /// A verified endpoint over its own limits.
    RateVerified = 24, "rate_verified", Drop;
    /// A stranger over the limit of its method class.
    RateMethod = 26, "rate_method", Drop;
    /// A stranger's REGISTERs with passwords, as many as ban, until one of them is right.
    RateAuth = 27, "rate_auth", Drop;
    /// A stranger over the limit of its source address.
    RateSource = 28, "rate_source", Drop;
    /// A stranger over the limit of its network.
    RateSubnet = 30, "rate_subnet", Drop;
    /// A stranger that sends from too many ports, where the policy sets a limit.
    Fanout = 32, "fanout", Drop;
    /// All strangers together are over their limit.
    RateStrangers = 34, "rate_strangers", Drop;
    /// A stranger's first request while all strangers are over their limit: sent again, it may pass.
    Greylist = 36, "greylist", Drop;
    /// A verified endpoint's packet that no rule objected to.
    Verified = 38, "verified", Pass;
    /// A stranger's packet that no rule objected to.
    Stranger = 40, "stranger", Pass;
    /// A stranger's packet that is no SIP message sipguard can read, within the limit of its source.
    Unparsed = 42, "unparsed", Pass;
    /// Bans whoever guesses passwords: the server's replies have refused too many.
    Auth = 44, "auth", Drop;
    /// Bans a stranger that only tries out accounts: too many challenges and unknown users, no success.
    Harvest = 46, "harvest", Drop;
    /// Hides those of the server's replies to strangers from which they learn who has an account.
    Stealth = 48, "stealth", Drop;
}

impl Rule {
    /// [`Self::bit`]s of all rules that drop.
    pub const DROPS: u64 = {
        let mut bits = 0;
        let mut i = 0;
        while i < Self::ALL.len() {
            if matches!(Self::ALL[i].verdict(), Verdict::Drop) {
                bits |= Self::ALL[i].bit();
            }
            i += 1;
        }
        bits
    };

    /// [`Self::bit`]s of the rules that look at what the server sends. No packet
    /// that comes in is counted under them.
    pub const EGRESS: u64 = Self::Auth.bit() | Self::Harvest.bit() | Self::Stealth.bit();

    /// Whether the rule looks at what the server sends, and not at what comes
    /// in.
    #[must_use]
    pub const fn is_egress(self) -> bool {
        Self::EGRESS & self.bit() != 0
    }

    /// The rule's bit in the masks of a policy.
    #[must_use]
    pub const fn bit(self) -> u64 {
        1 << self as u32
    }

    /// [`Self::bit`]s of the rules that look at what was said, and not at how
    /// often: a TCP segment that they refuse would be sent again and again, for
    /// ever in vain, so they close its connection.
    pub const CLOSES: u64 = Self::Signature.bit() | Self::Options.bit() | Self::Oversize.bit();

    /// The rules of a mask of [`Self::bit`]s, by number.
    pub fn in_bits(bits: u64) -> impl Iterator<Item = Self> {
        Self::ALL.iter().copied().filter(move |rule| rule.bit() & bits != 0)
    }

    /// The rule's slot in the counter maps.
    #[must_use]
    pub const fn number(self) -> u32 {
        self as u32
    }
}

/// Slots for rules in the counter maps. Room for rules to come.
pub const RULE_SLOTS: usize = 64;

const _: () = {
    let mut i = 0;
    while i < Rule::ALL.len() {
        assert!((Rule::ALL[i] as usize) < RULE_SLOTS);
        assert!(i == 0 || (Rule::ALL[i - 1] as usize) < (Rule::ALL[i] as usize));
        i += 1;
    }
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_find_their_rule_and_names_are_unique() {
        for (i, rule) in Rule::ALL.iter().enumerate() {
            assert_eq!(Rule::from_number(rule.number()), Some(*rule));
            assert!(!rule.help().is_empty() && !rule.help().starts_with(' '));
            assert!(Rule::ALL[..i].iter().all(|other| other.name() != rule.name()));
        }
        assert_eq!(Rule::from_number(63), None);
        assert!(Rule::in_bits(Rule::Options.bit() | 1).eq([Rule::NotSip, Rule::Options]));
    }
}
