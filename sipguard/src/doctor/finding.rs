//! One thing that was found, and what to do about it.

use serde::Serialize;

/// How bad it is. The order is that of the exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    Ok,
    /// Worth knowing.
    Note,
    /// It protects, but worse than it could, or not for long.
    Warning,
    /// It does not protect.
    Problem,
}

impl Level {
    pub const ALL: [Self; 4] = [Self::Ok, Self::Note, Self::Warning, Self::Problem];

    /// As shown to users.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Note => "note",
            Self::Warning => "warning",
            Self::Problem => "problem",
        }
    }
}

macro_rules! checks {
    ($($check:ident $name:literal $help:literal)+) => {
        /// What is looked at.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Check { $(#[doc = $help] $check),+ }

        impl Check {
            pub const ALL: &[Self] = &[$(Self::$check),+];

            /// As shown to users.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$check => $name),+ }
            }

            /// What it looks at, for the reference.
            #[must_use]
            pub const fn help(self) -> &'static str {
                match self { $(Self::$check => $help),+ }
            }
        }
    };
}

checks! {
    Kernel "kernel" "The version of Linux, against the floor."
    Binary "binary" "Whether this binary has the kernel program inside."
    Types "types" "The kernel's types (BTF): without them no signature over TCP bans."
    Jit "jit" "Whether BPF is compiled to machine code."
    Lockdown "lockdown" "The kernel's lockdown, which may keep programs from loading."
    Bpffs "bpffs" "Whether a BPF file system is mounted, where fail mode keep pins."
    Rights "rights" "Capabilities of who asks, against those that `run` needs."
    Memory "memory" "Memory that is free, and the limit of the control group, against what the maps take."
    Files "files" "How many files a process may have open."
    Configuration "configuration" "The configuration, as `check` and `run` read it."
    Interface "interface" "Whether each interface is there and up."
    Driver "driver" "Driver of the interface, and whether it can run XDP itself."
    Mtu "mtu" "The largest packet, against what XDP in the driver takes."
    Offloads "offloads" "Offloads that keep XDP out of the driver, or hide something from it."
    Queues "queues" "Receive queues and their length, against the processors."
    Spread "spread" "Which processors take the packets, and whether some were lost there."
    Programs "programs" "Other programs of XDP and traffic control on the interface."
    Server "server" "Whether something listens on the protected ports."
    Neighbours "neighbours" "Other programs that filter: firewalld, fail2ban, CrowdSec, rules of iptables."
    Clock "clock" "Whether the clock is synchronised."
    State "state" "The state directory: whether it can be written, and its free space."
    Journal "journal" "Whether the log is kept over a restart of the machine."
    Daemon "daemon" "Whether sipguard runs, which version, and how it is."
}

/// One thing that was found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    pub level: Level,
    /// The check's name.
    pub check: &'static str,
    /// The interface, where it is about one.
    pub interface: Option<String>,
    /// What is there.
    pub found: String,
    /// Why it matters.
    pub why: Option<String>,
    /// What to do: a command, or words.
    pub remedy: Option<String>,
}

impl Finding {
    fn new(level: Level, check: Check, found: impl Into<String>) -> Self {
        let check = check.name();
        Self { level, check, interface: None, found: found.into(), why: None, remedy: None }
    }

    pub(super) fn ok(check: Check, found: impl Into<String>) -> Self {
        Self::new(Level::Ok, check, found)
    }

    pub(super) fn note(check: Check, found: impl Into<String>) -> Self {
        Self::new(Level::Note, check, found)
    }

    pub(super) fn warning(check: Check, found: impl Into<String>) -> Self {
        Self::new(Level::Warning, check, found)
    }

    pub(super) fn problem(check: Check, found: impl Into<String>) -> Self {
        Self::new(Level::Problem, check, found)
    }

    pub(super) fn of(self, interface: &str) -> Self {
        Self { interface: Some(interface.to_owned()), ..self }
    }

    pub(super) fn why(self, why: impl Into<String>) -> Self {
        Self { why: Some(why.into()), ..self }
    }

    pub(super) fn remedy(self, remedy: impl Into<String>) -> Self {
        Self { remedy: Some(remedy.into()), ..self }
    }
}
