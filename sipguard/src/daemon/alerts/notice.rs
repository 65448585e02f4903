//! An alert in words and as data, safe for whoever gets it.

use std::fs;

use jiff::Timestamp;

use crate::{
    alerts::{Alert, Change, Transition},
    api::wire::{self, AlertNotice},
    policy::AlertSeverity,
    sanitise::sanitise,
};

/// Characters of a subject.
const MAX_SUBJECT: usize = 100;

/// Characters of a summary.
const MAX_SUMMARY: usize = 300;

/// What the word of a test is.
pub(super) const TEST: &str = "test";

/// The name of this host.
pub(super) fn host() -> String {
    let name = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    sanitise(name.trim(), MAX_SUBJECT)
}

/// As the control socket tells it. Nothing in it acts on a terminal.
pub(super) fn wire(alert: &Alert) -> wire::Alert {
    wire::Alert {
        number: alert.number,
        rule: alert.rule.name().to_owned(),
        subject: alert.subject.as_deref().map(|subject| sanitise(subject, MAX_SUBJECT)),
        severity: alert.severity.name().to_owned(),
        since: alert.since,
        until: alert.until,
        value: rounded(alert.value),
        peak: rounded(alert.peak),
        threshold: alert.threshold,
        summary: sanitise(&alert.summary, MAX_SUMMARY),
    }
}

/// Nobody needs more.
fn rounded(value: f64) -> f64 {
    (value * 10.0).round() / 10.0
}

/// What everybody is told.
pub(super) fn notice(told: &Transition, host: &str) -> AlertNotice {
    let alert = wire(&told.alert);
    let text = match told.change {
        Change::Raised => line(&alert, &alert.summary),
        Change::Reminded => line(&alert, &format!("still: {}", alert.summary)),
        Change::Cleared => line(&alert, &format!("over since now; it was: {}", alert.summary)),
    };
    let time = alert.until.unwrap_or_else(Timestamp::now);
    envelope(text, told.change.name(), time, host, alert)
}

/// What a test of an action tells.
pub(super) fn test(host: &str) -> AlertNotice {
    let now = Timestamp::now();
    let alert = wire::Alert {
        number: 0,
        rule: TEST.to_owned(),
        subject: None,
        severity: AlertSeverity::Info.name().to_owned(),
        since: now,
        until: None,
        value: 1.0,
        peak: 1.0,
        threshold: None,
        summary: "this is a test: nothing has happened".to_owned(),
    };
    let text = line(&alert, &alert.summary);
    envelope(text, TEST, now, host, alert)
}

fn line(alert: &wire::Alert, words: &str) -> String {
    let wire::Alert { rule, severity, .. } = alert;
    format!("{severity} {rule}: {words}")
}

fn envelope(
    text: String,
    change: &str,
    time: Timestamp,
    host: &str,
    alert: wire::Alert,
) -> AlertNotice {
    AlertNotice {
        text: format!("sipguard on {host}: {text}"),
        change: change.to_owned(),
        time,
        host: host.to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        alert,
    }
}

/// The same line without the host, for our own log and history.
pub(super) fn words(notice: &AlertNotice) -> &str {
    let head = notice.host.len() + "sipguard on : ".len();
    notice.text.get(head..).unwrap_or(&notice.text)
}

/// What a program gets as environment.
pub(super) fn environment(notice: &AlertNotice) -> Vec<(&'static str, String)> {
    let alert = &notice.alert;
    vec![
        ("SIPGUARD_ALERT_CHANGE", notice.change.clone()),
        ("SIPGUARD_ALERT_RULE", alert.rule.clone()),
        ("SIPGUARD_ALERT_SUBJECT", alert.subject.clone().unwrap_or_default()),
        ("SIPGUARD_ALERT_SEVERITY", alert.severity.clone()),
        ("SIPGUARD_ALERT_NUMBER", alert.number.to_string()),
        ("SIPGUARD_ALERT_SINCE", alert.since.to_string()),
        ("SIPGUARD_ALERT_TIME", notice.time.to_string()),
        ("SIPGUARD_ALERT_VALUE", alert.value.to_string()),
        ("SIPGUARD_ALERT_PEAK", alert.peak.to_string()),
        ("SIPGUARD_ALERT_THRESHOLD", alert.threshold.map_or_else(String::new, |n| n.to_string())),
        ("SIPGUARD_ALERT_TEXT", notice.text.clone()),
        ("SIPGUARD_ALERT_HOST", notice.host.clone()),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::AlertRule;

    fn transition(change: Change) -> Transition {
        let alert = Alert {
            number: 7,
            rule: AlertRule::PacketsFromSource,
            subject: Some("198.51.100.7\n\u{1b}[2J".to_owned()),
            severity: AlertSeverity::Warning,
            since: Timestamp::UNIX_EPOCH,
            until: None,
            value: 250.04,
            peak: 300.0,
            threshold: Some(100),
            summary: "250 packets\0 a second".to_owned(),
        };
        Transition { change, alert }
    }

    /// What comes from packets, feeds and files moves no cursor and starts no
    /// second line or variable.
    #[test]
    fn nothing_in_a_notice_acts_on_a_terminal_or_a_shell_variable() {
        let notice = notice(&transition(Change::Raised), "pbx\u{202e}");
        let json = serde_json::to_string(&notice).unwrap();
        assert!(!json.contains("\\u001b") && !json.contains("\\n"), "{json}");
        for (name, value) in environment(&notice) {
            assert!(!value.contains(['\0', '\n', '\u{1b}']), "{name} = {value:?}");
        }
        assert_eq!(words(&notice), "warning packets_from_source: 250 packets\\u{0} a second");
        assert_eq!(notice.alert.value, 250.0);
    }

    #[test]
    fn the_words_say_what_has_become_of_it() {
        let text = |change| notice(&transition(change), "pbx").text;
        assert!(
            text(Change::Raised).starts_with("sipguard on pbx: warning packets_from_source: 250")
        );
        assert!(text(Change::Reminded).contains(": still: 250"));
        assert!(text(Change::Cleared).contains(": over since now; it was: 250"));
        assert!(test("pbx").text.contains("this is a test"));
    }
}
