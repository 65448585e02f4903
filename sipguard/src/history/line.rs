//! One line of the history.

use ipnet::IpNet;
use jiff::Timestamp;

macro_rules! kinds {
    ($($(#[doc = $doc:literal])+ $variant:ident = $name:literal;)+) => {
        /// What happened.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Kind {
            $($(#[doc = $doc])+ $variant,)+
        }

        impl Kind {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// The word for it, in the file and for users.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)+ }
            }

            /// One line of explanation.
            #[must_use]
            pub const fn help(self) -> &'static str {
                match self { $(Self::$variant => concat!($($doc),+).trim_ascii(),)+ }
            }
        }
    };
}

kinds! {
    /// The protection began.
    Start = "start";
    /// The protection ended.
    Stop = "stop";
    /// The files were read again, well or not.
    Reload = "reload";
    /// Another posture.
    Posture = "posture";
    /// An operator's block.
    Block = "block";
    /// The end of one, by an operator or because its time has come.
    Unblock = "unblock";
    /// An operator's trust.
    Allow = "allow";
    /// The end of it, likewise.
    Disallow = "disallow";
    /// A ban that sipguard has made by itself.
    Ban = "ban";
    /// A ban that was lifted before its end.
    Unban = "unban";
    /// An alert began.
    Alert = "alert";
    /// An alert is over.
    Clear = "clear";
}

impl Kind {
    /// The kind of this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|kind| kind.name() == name)
    }

    /// Whether a flood can cause many of them.
    #[must_use]
    pub const fn is_of_bans(self) -> bool {
        matches!(self, Self::Ban | Self::Unban | Self::Alert | Self::Clear)
    }
}

/// What happened, when, and through whom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// On the wall clock, to the millisecond.
    pub at: Timestamp,
    pub kind: Kind,
    /// `uid:0`, `signal`, `timer`, `sipguard`, `rule:` with a rule, or `alert:`
    /// with one of alerts.
    pub by: String,
    /// What it happened to.
    pub target: Option<String>,
    /// The addresses of that.
    pub net: Option<IpNet>,
    /// When it ends.
    pub until: Option<Timestamp>,
    /// As it was before.
    pub old: Option<String>,
    /// As it is now.
    pub new: Option<String>,
    /// How many this line stands for.
    pub times: u32,
}

impl Line {
    /// A line of now about nobody in particular.
    #[must_use]
    pub fn new(kind: Kind, by: impl Into<String>) -> Self {
        let at = Timestamp::now();
        Self {
            at: Timestamp::from_millisecond(at.as_millisecond()).unwrap_or(at),
            kind,
            by: by.into(),
            target: None,
            net: None,
            until: None,
            old: None,
            new: None,
            times: 1,
        }
    }
}

/// Which lines somebody wants.
#[derive(Clone, Debug, Default)]
pub struct Wanted {
    /// About addresses of this network.
    pub net: Option<IpNet>,
    pub since: Option<Timestamp>,
    pub kind: Option<Kind>,
    /// The newest so many.
    pub limit: usize,
}
