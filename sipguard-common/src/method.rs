//! SIP methods and the classes that limits are set for.

/// The method of a request (RFC 3261 and its extensions), as read from the
/// start line. The number is its slot in the counter maps: never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Method {
    /// The start line holds no method that sipguard knows.
    Unknown = 0,
    Options = 1,
    Register = 2,
    Invite = 3,
    Ack = 4,
    Bye = 5,
    Cancel = 6,
    Update = 7,
    Prack = 8,
    Info = 9,
    Notify = 10,
    Refer = 11,
    Subscribe = 12,
    Message = 13,
    Publish = 14,
}

/// Slots for methods in the counter maps.
pub const METHOD_SLOTS: usize = 16;

impl Method {
    /// Every method, by number.
    pub const ALL: [Self; 15] = [
        Self::Unknown,
        Self::Options,
        Self::Register,
        Self::Invite,
        Self::Ack,
        Self::Bye,
        Self::Cancel,
        Self::Update,
        Self::Prack,
        Self::Info,
        Self::Notify,
        Self::Refer,
        Self::Subscribe,
        Self::Message,
        Self::Publish,
    ];

    /// The method token; `other` for an unknown one.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Unknown => "other",
            Self::Options => "OPTIONS",
            Self::Register => "REGISTER",
            Self::Invite => "INVITE",
            Self::Ack => "ACK",
            Self::Bye => "BYE",
            Self::Cancel => "CANCEL",
            Self::Update => "UPDATE",
            Self::Prack => "PRACK",
            Self::Info => "INFO",
            Self::Notify => "NOTIFY",
            Self::Refer => "REFER",
            Self::Subscribe => "SUBSCRIBE",
            Self::Message => "MESSAGE",
            Self::Publish => "PUBLISH",
        }
    }

    /// The class whose limit the request counts against.
    #[must_use]
    pub const fn class(self) -> Class {
        match self {
            Self::Unknown => Class::Other,
            Self::Options => Class::Options,
            Self::Register => Class::Register,
            Self::Invite => Class::Invite,
            Self::Subscribe | Self::Message | Self::Publish => Class::Event,
            Self::Ack
            | Self::Bye
            | Self::Cancel
            | Self::Update
            | Self::Prack
            | Self::Info
            | Self::Notify
            | Self::Refer => Class::Dialog,
        }
    }
}

/// What a source's packets are counted and limited by. The number is the
/// bucket's place in [`crate::abi::Source`]: never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Class {
    Options = 0,
    Register = 1,
    Invite = 2,
    /// SUBSCRIBE, MESSAGE and PUBLISH.
    Event = 3,
    /// ACK, BYE, CANCEL, UPDATE, PRACK, INFO, NOTIFY and REFER.
    Dialog = 4,
    Response = 5,
    Keepalive = 6,
    /// Unknown methods and packets that are no SIP.
    Other = 7,
    /// All requests of a source together.
    Total = 8,
    /// New TCP connections (SYN).
    Syn = 9,
}

/// Buckets of one source.
pub const BUCKETS: usize = 10;

impl Class {
    /// Every class, by number.
    pub const ALL: [Self; BUCKETS] = [
        Self::Options,
        Self::Register,
        Self::Invite,
        Self::Event,
        Self::Dialog,
        Self::Response,
        Self::Keepalive,
        Self::Other,
        Self::Total,
        Self::Syn,
    ];

    /// The key under `[limits.stranger]`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Options => "options",
            Self::Register => "register",
            Self::Invite => "invite",
            Self::Event => "event",
            Self::Dialog => "dialog",
            Self::Response => "response",
            Self::Keepalive => "keepalive",
            Self::Other => "other",
            Self::Total => "total",
            Self::Syn => "syn",
        }
    }
}

/// A limit that all strangers share. The number is its place in
/// [`crate::abi::Policy`]: never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Budget {
    /// Requests.
    Total = 0,
    Syn = 1,
    Keepalive = 2,
    Response = 3,
    /// Unknown methods and packets that are no SIP: a flood of garbage takes
    /// nothing from the requests.
    Other = 4,
}

/// How many budgets there are.
pub const BUDGETS: usize = 5;

impl Budget {
    /// Every budget, by number.
    pub const ALL: [Self; BUDGETS] =
        [Self::Total, Self::Syn, Self::Keepalive, Self::Response, Self::Other];

    /// The key under `[limits.strangers]`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Total => "total",
            Self::Syn => "syn",
            Self::Keepalive => "keepalive",
            Self::Response => "response",
            Self::Other => "other",
        }
    }
}
