//! The running sipguard.

use std::path::Path;

use super::{Check, Finding};
use crate::api::{
    client::{Client, ClientError},
    wire::Status,
};

/// What its control socket says.
pub(super) enum Running {
    Yes(Box<Status>),
    Not,
    /// It may run, but does not tell.
    Silent(String),
}

impl Running {
    pub(super) fn ask(socket: &Path) -> Self {
        match Client::new(socket.to_owned()).status() {
            Ok(status) => Self::Yes(Box::new(status)),
            Err(ClientError::NotRunning(_)) => Self::Not,
            Err(error) => Self::Silent(error.to_string()),
        }
    }

    pub(super) fn is_there(&self) -> bool {
        matches!(self, Self::Yes(_))
    }

    /// The protected interfaces.
    pub(super) fn interfaces(&self) -> Vec<String> {
        match self {
            Self::Yes(status) => status.interfaces.iter().map(|one| one.name.clone()).collect(),
            Self::Not | Self::Silent(_) => Vec::new(),
        }
    }

    /// How it is attached to an interface, if it is.
    pub(super) fn mode(&self, interface: &str) -> Option<&str> {
        let Self::Yes(status) = self else { return None };
        let found = status.interfaces.iter().find(|one| one.name == interface)?;
        Some(&found.mode)
    }

    pub(super) fn examine(&self) -> Vec<Finding> {
        match self {
            Self::Yes(status) => judge(status),
            Self::Not => vec![
                Finding::note(Check::Daemon, "sipguard does not run")
                    .why("nothing is protected")
                    .remedy("systemctl start sipguard, or `sipguard run --iface NAME`"),
            ],
            Self::Silent(error) => vec![
                Finding::note(Check::Daemon, format!("sipguard cannot be asked: {error}"))
                    .why("what is said here of interfaces may be about what it does itself")
                    .remedy("run this as root or as a member of the group sipguard"),
            ],
        }
    }
}

fn judge(status: &Status) -> Vec<Finding> {
    let found = format!("sipguard {} protects since {}", status.version, status.since);
    let mut findings = vec![Finding::ok(Check::Daemon, found)];
    let ours = env!("CARGO_PKG_VERSION");
    if status.version != ours {
        let found = format!("version {} runs, this is {ours}", status.version);
        findings.push(
            Finding::warning(Check::Daemon, found)
                .why("what a newer version mends is not in force")
                .remedy("systemctl restart sipguard"),
        );
    }
    if let Some(reload) = status.reload.as_ref().filter(|reload| !reload.ok) {
        findings.push(
            Finding::warning(Check::Daemon, format!("the last reload failed: {}", reload.message))
                .why("the policy in force is older than the files")
                .remedy("sipguard check, then `sipguard reload`"),
        );
    }
    if let Some(problem) = &status.history.problem {
        findings.push(
            Finding::warning(Check::Daemon, format!("history is in memory only: {problem}"))
                .why("bans and entries by hand do not survive a restart")
                .remedy("see `state`"),
        );
    }
    if status.posture.posture == "open" {
        findings.push(
            Finding::warning(Check::Daemon, "the posture is open")
                .why("nothing is limited, and nobody is banned for what the server refuses")
                .remedy("sipguard posture guarded"),
        );
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::{super::Level, *};

    fn status(json: &serde_json::Value) -> Status {
        serde_json::from_value(json.clone()).unwrap()
    }

    #[test]
    fn what_runs_is_looked_at() {
        let mut json = serde_json::json!({
            "version": env!("CARGO_PKG_VERSION"), "pid": 1, "since": "2026-01-02T03:04:05Z",
            "config": "/etc/sipguard",
            "fail_mode": "keep",
            "posture": { "posture": "guarded", "origin": "file", "file": "guarded" },
            "interfaces": [
                { "name": "eth0", "ifindex": 2, "mode": "native", "note": null, "egress": "tcx" }
            ],
            "signatures": 69, "trusted": { "file": 2, "operator": 0 },
            "blocked": { "file": 0, "operator": 0 }, "fed": 0,
            "decided": 0, "banned": 0, "alerts": 0,
            "events": { "suppressed": 0, "lost": 0 },
            "history": { "file": "/x", "problem": null, "lost": 0 },
            "web": { "listen": null, "problem": null }, "reload": null
        });
        assert!(judge(&status(&json)).iter().all(|finding| finding.level == Level::Ok));
        let running = Running::Yes(Box::new(status(&json)));
        assert_eq!((running.mode("eth0"), running.mode("eth1")), (Some("native"), None));
        json["version"] = "0.0.1".into();
        json["posture"]["posture"] = "open".into();
        json["history"]["problem"] = "disk full".into();
        json["reload"] =
            serde_json::json!({ "at": "2026-01-02T03:04:05Z", "ok": false, "message": "no" });
        let warnings = judge(&status(&json)).into_iter().filter(|one| one.level == Level::Warning);
        assert_eq!(warnings.count(), 4);
    }
}
