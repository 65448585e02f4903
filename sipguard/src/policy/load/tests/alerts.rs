//! The section `[alerts]`.

use std::{fs::Permissions, os::unix::fs::PermissionsExt as _, time::Duration};

use super::*;
use crate::policy::{Action, ActionKind, AlertRule, AlertSettings, AlertSeverity};

fn alerts(text: &str) -> AlertSettings {
    AlertSettings::clone(&plan(SETTINGS, text).alerts)
}

#[test]
fn f45_rules_and_actions_reach_the_plan() {
    assert_eq!(alerts(""), AlertSettings::default());
    let written = alerts(
        r#"
[alerts]
clear = "5m"
remind = "1h"
drops = { threshold = 7, for = "2s", severity = "critical", actions = ["pager"] }
silence.enabled = false

[[alerts.action]]
type = "exec"
name = "pager"
command = ["/bin/sh", "-c", "exit 0"]
severity = "critical"
timeout = "3s"

[[alerts.action]]
type = "webhook"
url = "https://alerts.example.net/hook"
"#,
    );
    assert_eq!(
        (written.clear, written.remind),
        (Duration::from_secs(300), Some(Duration::from_secs(3600)))
    );
    let drops = written.rule(AlertRule::Drops);
    assert_eq!((drops.threshold, drops.span), (7, Duration::from_secs(2)));
    assert_eq!(
        (drops.severity, drops.actions),
        (AlertSeverity::Critical, Some(vec!["pager".to_owned()]))
    );
    assert!(!written.rule(AlertRule::Silence).enabled && written.rule(AlertRule::MapFull).enabled);
    let names: Vec<&str> = written.actions.iter().map(|action| action.name.as_str()).collect();
    assert_eq!(names, ["log", "pager", "webhook"]);
    let pager = ActionKind::Exec {
        command: vec!["/bin/sh".to_owned(), "-c".to_owned(), "exit 0".to_owned()],
        timeout: Duration::from_secs(3),
    };
    let expected =
        Action { name: "pager".to_owned(), severity: AlertSeverity::Critical, kind: pager };
    assert_eq!(written.actions[1], expected);
    let ActionKind::Webhook { timeout, retries, token_file, .. } = &written.actions[2].kind else {
        panic!("{:?}", written.actions);
    };
    assert_eq!((*timeout, *retries, token_file), (Duration::from_secs(5), 4, &None));
}

#[test]
fn an_own_action_for_the_log_takes_the_place_of_the_other() {
    let written = alerts("[[alerts.action]]\ntype = \"log\"\nseverity = \"critical\"\n");
    let [Action { severity: AlertSeverity::Critical, .. }] = written.actions.as_slice() else {
        panic!("{:?}", written.actions);
    };
}

/// All errors at once, each with its place.
#[test]
fn what_is_wrong_is_said_with_its_place() {
    for (text, message) in [
        ("[alerts]\nsilense.for = \"1m\"\n", "unknown key `silense`"),
        ("[alerts]\nsilence.threshold = 1\n", "unknown key `threshold`"),
        ("[alerts]\nmap_full.threshold = 101\n", "must be between 10 and 100"),
        ("[alerts]\ndrops.window = \"1m\"\n", "unknown key `window`"),
        ("[alerts]\ndrops.severity = \"bad\"\n", "`severity` cannot be `bad`"),
        ("[alerts]\ndrops.actions = [\"pager\"]\n", "there is no action `pager`"),
        ("[alerts]\nclear = \"8d\"\n", "longer than 7d"),
        ("[[alerts.action]]\nname = \"x\"\n", "`type` is missing"),
        ("[[alerts.action]]\ntype = \"mail\"\n", "`type` cannot be `mail`"),
        ("[[alerts.action]]\ntype = \"exec\"\n", "`command` is missing"),
        ("[[alerts.action]]\ntype = \"exec\"\ncommand = []\n", "the command is empty"),
        ("[[alerts.action]]\ntype = \"exec\"\ncommand = [\"page\"]\n", "not absolute: `page`"),
        (
            "[[alerts.action]]\ntype = \"exec\"\ncommand = [\"/bin/sh\"]\nurl = \"\"\n",
            "has no `url`",
        ),
        ("[[alerts.action]]\ntype = \"webhook\"\n", "`url` is missing"),
        (
            "[[alerts.action]]\ntype = \"webhook\"\nurl = \"ftp://x/\"\n",
            "begins neither with http://",
        ),
        ("[[alerts.action]]\ntype = \"webhook\"\nurl = \"http://u:p@x/\"\n", "a user's name"),
        (
            "[[alerts.action]]\ntype = \"webhook\"\nurl = \"http://x/\"\ntimeout = \"2m\"\n",
            "longer than 60s",
        ),
        (
            "[[alerts.action]]\ntype = \"log\"\n[[alerts.action]]\ntype = \"log\"\n",
            "two actions `log`",
        ),
        ("[[alerts.action]]\ntype = \"log\"\nname = \"a b\"\n", "letters, digits"),
    ] {
        let found = errors(SETTINGS, text).join("\n");
        assert!(found.contains(message), "{text}: {found}");
    }
}

/// What others can write or read is said before it matters.
#[test]
fn programs_and_tokens_of_others_are_warned_of() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("file");
    fs::write(&path, "#!/bin/sh\n").unwrap();
    let warned = |mode: u32, text: &str| {
        fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        let text = text.replace("FILE", &path.display().to_string());
        warnings(SETTINGS, &text).concat()
    };
    let exec = "[[alerts.action]]\ntype = \"exec\"\ncommand = [\"FILE\"]\n";
    assert_eq!(warned(0o755, exec), "");
    assert!(warned(0o775, exec).contains("can be written by others"));
    assert!(warned(0o757, exec).contains("can be written by others"));
    assert!(warned(0o644, exec).contains("is not executable"));
    let hook = "[[alerts.action]]\ntype = \"webhook\"\nurl = \"https://x.example/\"\ntoken_file = \"FILE\"\n";
    assert_eq!(warned(0o600, hook), "");
    assert_eq!(warned(0o640, hook), "");
    let readable = warned(0o644, hook);
    assert!(readable.contains("the token can be read by everybody"), "{readable}");
    assert!(readable.contains("chmod 0640") && readable.contains("group sipguard"), "{readable}");
    let plain = hook.replace("https", "http");
    assert!(warned(0o600, &plain).contains("goes over the network"));
    assert_eq!(warned(0o600, &plain.replace("x.example", "127.0.0.1:9000")), "");
}
