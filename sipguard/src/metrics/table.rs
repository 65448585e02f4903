//! The one table of metrics: names, types, labels and help.

use prometheus_client::metrics::MetricType;

/// What kind of number it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Type {
    /// It only grows, from the start of sipguard on.
    Counter,
    /// It goes up and down.
    Gauge,
    /// It is always 1; its labels are what it tells.
    Info,
}

impl Type {
    /// As the reference shows it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Info => "info",
        }
    }

    /// What OpenMetrics hangs on the name of a family for its samples.
    pub(super) const fn suffix(self) -> &'static str {
        match self {
            Self::Counter => "_total",
            Self::Gauge => "",
            Self::Info => "_info",
        }
    }

    pub(super) const fn encoded(self) -> MetricType {
        match self {
            Self::Counter => MetricType::Counter,
            Self::Gauge => MetricType::Gauge,
            Self::Info => MetricType::Info,
        }
    }
}

/// One row of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Metric {
    /// Without the suffix of its type.
    pub(super) family: &'static str,
    pub kind: Type,
    pub labels: &'static [&'static str],
    pub help: &'static str,
}

impl Metric {
    /// As it is asked for in queries.
    #[must_use]
    pub fn name(&self) -> String {
        format!("{}{}", self.family, self.kind.suffix())
    }
}

/// A metric with so many labels.
#[derive(Debug)]
pub(super) struct Family<const LABELS: usize> {
    name: &'static str,
    kind: Type,
    pub(super) labels: [&'static str; LABELS],
    help: &'static str,
}

impl<const LABELS: usize> Family<LABELS> {
    pub(super) const fn metric(&'static self) -> Metric {
        let Self { name, kind, labels, help } = self;
        Metric { family: name, kind: *kind, labels, help }
    }
}

/// Each with its constant, so that none is listed and forgotten, and one table
/// of them all.
macro_rules! metrics {
    ($($constant:ident = $kind:ident $name:literal [$($label:literal),*] $help:literal;)+) => {
        $(pub(super) static $constant: Family<{ <[&str]>::len(&[$($label),*]) }> = Family {
            name: $name,
            kind: Type::$kind,
            labels: [$($label),*],
            help: $help,
        };)+

        /// Every metric, in the order in which they are scraped.
        pub static METRICS: &[Metric] = &[$($constant.metric()),+];
    };
}

metrics! {
    PACKETS = Counter "sipguard_packets" ["interface", "rule", "verdict"]
        "Packets that came in, each under the one rule that decided.";
    BYTES = Counter "sipguard_bytes" ["interface", "rule", "verdict"]
        "Bytes of these packets, whole frames.";
    WOULD_PACKETS = Counter "sipguard_would_drop_packets" ["interface", "rule"]
        "Packets that a rule would have dropped, had it not been in mode observe.";
    WOULD_BYTES = Counter "sipguard_would_drop_bytes" ["interface", "rule"]
        "Bytes of these packets, whole frames.";
    RULE_LAST_HIT = Gauge "sipguard_rule_last_hit_timestamp_seconds" ["rule"]
        "When a rule last counted a packet, in seconds since 1970.";
    STRANGER_REQUESTS = Counter "sipguard_stranger_requests" ["method", "verdict"]
        "Requests of strangers whose method was read.";
    REPLIES = Counter "sipguard_replies" ["method", "class"]
        "Replies of the server by the method they answer and the class of their status.";
    SERVER_REQUESTS = Counter "sipguard_server_requests" ["method"]
        "Requests that the server has sent.";
    OTHER_SENT = Counter "sipguard_other_sent" []
        "Packets of the server that were neither reply nor request.";
    LEARNED = Counter "sipguard_learned" ["what"]
        "What the server's replies have taught.";
    SIGNATURE_MATCHES = Counter "sipguard_signature_matches" ["signature"]
        "Packets that matched a signature since it was enabled.";
    VERIFIED = Gauge "sipguard_verified_endpoints" []
        "Endpoints that the server has accepted or contacted.";
    ACTIVE_BANS = Gauge "sipguard_active_bans" []
        "Bans that hold.";
    BANS_MADE = Counter "sipguard_bans" ["rule"]
        "Bans that sipguard has made by itself.";
    WOULD_BAN = Counter "sipguard_would_ban" ["rule"]
        "Bans that there would have been, had the rule not been in mode observe.";
    BANS_LIFTED = Counter "sipguard_bans_lifted" ["rule"]
        "Bans of trusted peers and of this host, lifted at once.";
    RULE_MODE = Info "sipguard_rule_mode" ["rule", "mode"]
        "The mode of each rule that drops.";
    POSTURE = Gauge "sipguard_posture" ["posture"]
        "1 for the posture in force, 0 for the others.";
    INTERFACE = Info "sipguard_interface" ["interface", "mode", "egress"]
        "How each protected interface is attached.";
    INTERFACE_PROTECTED = Gauge "sipguard_interface_protected" ["interface"]
        "1 while the interface is filtered; 0 while it is gone, or another program is there.";
    LIST_ENTRIES = Gauge "sipguard_list_entries" ["list", "origin"]
        "Entries of the lists by where they come from.";
    MAP_ENTRIES = Gauge "sipguard_map_entries" ["map"]
        "Entries of a list or of what is learned.";
    MAP_CAPACITY = Gauge "sipguard_map_capacity" ["map"]
        "Entries that fit.";
    SIGNATURES = Gauge "sipguard_signatures" []
        "Enabled signatures.";
    RELOADS = Counter "sipguard_config_reloads" ["result"]
        "Reloads of the configuration.";
    RELOAD_SUCCESSFUL = Gauge "sipguard_config_last_reload_successful" []
        "1 where the configuration was good when it was last read, else 0.";
    RELOAD_TIME = Gauge "sipguard_config_last_reload_success_timestamp_seconds" []
        "When the configuration in force was read, in seconds since 1970.";
    EVENTS_SUPPRESSED = Counter "sipguard_events_suppressed" []
        "Events of packets that the limits of [events] held back.";
    EVENTS_LOST = Counter "sipguard_events_lost" []
        "Events for which the ring buffer had no room.";
    HISTORY_LOST = Counter "sipguard_history_lost_lines" []
        "Lines of the history for which there was no room.";
    HISTORY_IN_FILE = Gauge "sipguard_history_in_file" []
        "1 where the history is written to its file, 0 where it is in memory only.";
    CROWDSEC_UP = Gauge "sipguard_crowdsec_up" ["part"]
        "0 where the last try to talk to CrowdSec has failed, else 1.";
    CROWDSEC_ANSWERS = Counter "sipguard_crowdsec_answers" ["result"]
        "Tries to read decisions of CrowdSec.";
    CROWDSEC_ALERTS = Counter "sipguard_crowdsec_alerts" ["result"]
        "Alerts that CrowdSec was told of, and those that were lost.";
    BUILD = Info "sipguard_build" ["version"]
        "The version of sipguard.";
    START_TIME = Gauge "process_start_time_seconds" []
        "When the protection began, in seconds since 1970.";
}
