//! The section `[alerts]` of sipguard.toml.

use std::{
    collections::BTreeSet,
    fs,
    os::unix::fs::{MetadataExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
    time::Duration,
};

use super::values::{check_secret, duration};
use crate::{
    policy::{
        alerts::{
            Action, ActionKind, AlertRule, AlertRuleSettings, AlertSettings, AlertSeverity, Span,
            Threshold, log_action,
        },
        plan::Plan,
        reader::{Reader, Value},
        source::Problems,
    },
    ttl::Ttl,
};

/// Those of the section, and a table for each rule.
pub(in crate::policy) const ALERTS: &[&str] = &{
    let mut names = ["enabled"; 4 + AlertRule::ALL.len()];
    names[1] = "clear";
    names[2] = "remind";
    names[3] = "action";
    let mut i = 0;
    while i < AlertRule::ALL.len() {
        names[4 + i] = AlertRule::ALL[i].name();
        i += 1;
    }
    names
};

pub(in crate::policy) const ACTION: &[&str] =
    &["name", "type", "severity", "command", "url", "token_file", "timeout", "retries"];

/// The types, each with the keys that only some of them have.
const TYPES: [(&str, &[&str]); 3] = [
    ("log", &[]),
    ("exec", &["command", "timeout"]),
    ("webhook", &["url", "token_file", "timeout", "retries"]),
];

/// Actions at most.
const MAX_ACTIONS: usize = 16;

/// Words of a command at most.
const MAX_WORDS: usize = 32;

/// The longest time an action may take.
const MAX_TIMEOUT: u64 = 60;

/// Bits of a mode by which a file can be written by the group or by others.
const WRITABLE: u32 = 0o022;

/// The bit of a directory in which only its owner can replace a file.
const STICKY: u32 = 0o1000;

/// The keys that a rule has.
pub(in crate::policy) fn keys(rule: AlertRule) -> &'static [&'static str] {
    match (rule.threshold().is_some(), rule.span()) {
        (false, Span::Now) => &["enabled", "severity", "actions"],
        (false, Span::For(_)) => &["enabled", "for", "severity", "actions"],
        (false, Span::Window(_)) => &["enabled", "window", "severity", "actions"],
        (true, Span::Now) => &["enabled", "threshold", "severity", "actions"],
        (true, Span::For(_)) => &["enabled", "threshold", "for", "severity", "actions"],
        (true, Span::Window(_)) => &["enabled", "threshold", "window", "severity", "actions"],
    }
}

pub(super) fn alerts(section: Reader<'_, '_>, plan: &mut Plan, problems: &mut Problems<'_>) {
    let mut alerts = AlertSettings::default();
    if let Some(enabled) = section.get("enabled").and_then(|value| value.boolean(problems)) {
        alerts.enabled = enabled;
    }
    if let Some(clear) = section.get("clear").and_then(|value| duration(value, problems)) {
        alerts.clear = clear.duration();
    }
    if let Some(value) = section.get("remind") {
        alerts.remind = remind(value, problems).unwrap_or(alerts.remind);
    }
    let actions = actions(&section, problems);
    for rule in AlertRule::ALL {
        let Some(reader) = section.section(rule.name(), keys(*rule), problems) else { continue };
        let mut settings = AlertRuleSettings::of(*rule);
        read_rule(*rule, reader, &mut settings, &actions, problems);
        alerts.rules.insert(*rule, settings);
    }
    alerts.actions = actions;
    plan.alerts = alerts.into();
    section.finish(problems);
}

/// A duration, or `"off"`.
fn remind(value: Value<'_, '_>, problems: &mut Problems<'_>) -> Option<Option<Duration>> {
    match value.as_text() {
        Some("off") => Some(None),
        _ => duration(value, problems).map(|ttl| Some(ttl.duration())),
    }
}

fn read_rule(
    rule: AlertRule,
    reader: Reader<'_, '_>,
    settings: &mut AlertRuleSettings,
    actions: &[Action],
    problems: &mut Problems<'_>,
) {
    if let Some(enabled) = reader.get("enabled").and_then(|value| value.boolean(problems)) {
        settings.enabled = enabled;
    }
    if let Some(Threshold { least, most, .. }) = rule.threshold() {
        let value = reader.get("threshold");
        if let Some(number) = value.and_then(|value| value.number(least..=most, problems)) {
            settings.threshold = number;
        }
    }
    if let Some(key) = rule.span().key()
        && let Some(ttl) = reader.get(key).and_then(|value| duration(value, problems))
    {
        settings.span = ttl.duration();
    }
    if let Some(severity) = severity(&reader, problems) {
        settings.severity = severity;
    }
    if let Some(value) = reader.get("actions") {
        settings.actions = names(value, actions, problems);
    }
    reader.finish(problems);
}

fn severity(reader: &Reader<'_, '_>, problems: &mut Problems<'_>) -> Option<AlertSeverity> {
    reader.get("severity")?.choice(&AlertSeverity::ALL, AlertSeverity::name, problems)
}

/// Names of actions that exist.
fn names(
    value: Value<'_, '_>,
    actions: &[Action],
    problems: &mut Problems<'_>,
) -> Option<Vec<String>> {
    let mut names = Vec::new();
    for item in value.list(r#"["log"]"#, problems)? {
        let Some(name) = item.text(r#"["log"]"#, problems) else { continue };
        if actions.iter().any(|action| action.name == name) {
            names.push(name.to_owned());
        } else {
            let known: Vec<&str> = actions.iter().map(|action| action.name.as_str()).collect();
            problems.error(
                item.span(),
                format!("there is no action `{name}`"),
                format!("write [[alerts.action]] with this name; there are {}", known.join(", ")),
            );
        }
    }
    Some(names)
}

/// All actions, with the one for the log, which is there by itself.
fn actions(section: &Reader<'_, '_>, problems: &mut Problems<'_>) -> Vec<Action> {
    let mut actions: Vec<Action> = Vec::new();
    let mut taken = BTreeSet::new();
    for reader in section.sections("action", ACTION, problems) {
        let name = reader.get("name");
        let (span, action) = match read_action(reader, problems) {
            Some(action) => (name.map(Value::span), action),
            None => continue,
        };
        if !taken.insert(action.name.clone()) {
            let message = format!("there are two actions `{}`", action.name);
            problems.error(span.unwrap_or_default(), message, "give each a name of its own");
        } else if actions.len() == MAX_ACTIONS {
            let message = format!("more than {MAX_ACTIONS} actions");
            problems.error(span.unwrap_or_default(), message, "let one program call the others");
        } else {
            actions.push(action);
        }
    }
    if !actions.iter().any(|action| action.kind == ActionKind::Log) {
        actions.insert(0, log_action());
    }
    actions
}

fn read_action(reader: Reader<'_, '_>, problems: &mut Problems<'_>) -> Option<Action> {
    let kind = reader.need("type", r#""webhook""#, problems);
    let kind = kind.and_then(|value| value.choice(&TYPES, |(name, _)| name, problems));
    let (kind, own) = match kind {
        Some(kind) => kind,
        None => {
            reader.finish(problems);
            return None;
        }
    };
    for key in ["command", "url", "token_file", "timeout", "retries"] {
        if let Some(value) = reader.get(key).filter(|_| !own.contains(&key)) {
            let message = format!("an action of type {kind} has no `{key}`");
            problems.error(value.span(), message, "remove it, or write another type");
        }
    }
    let name = match reader.get("name") {
        None => Some(kind.to_owned()),
        Some(value) => action_name(value, problems),
    };
    let severity = severity(&reader, problems).unwrap_or(AlertSeverity::Info);
    let timeout = timeout(&reader, kind, problems);
    let kind = match kind {
        "exec" => command(&reader, problems).map(|command| ActionKind::Exec { command, timeout }),
        "webhook" => webhook(&reader, timeout, problems),
        _ => Some(ActionKind::Log),
    };
    reader.finish(problems);
    Some(Action { name: name?, severity, kind: kind? })
}

/// A word that commands and environment variables can hold.
fn action_name(value: Value<'_, '_>, problems: &mut Problems<'_>) -> Option<String> {
    let text = value.label(r#""pager""#, problems)?;
    let is_word = text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'));
    if !is_word || text.len() > 32 {
        problems.error(
            value.span(),
            "the name of an action has up to 32 letters, digits, dots and dashes",
            "write for example name = \"pager\"",
        );
        return None;
    }
    Some(text.to_owned())
}

fn timeout(reader: &Reader<'_, '_>, kind: &str, problems: &mut Problems<'_>) -> Duration {
    let default = Duration::from_secs(if kind == "exec" { 10 } else { 5 });
    let Some(value) = reader.get("timeout") else { return default };
    match duration(value, problems).map(Ttl::duration) {
        Some(timeout) if timeout.as_secs() > MAX_TIMEOUT => {
            let message = format!("no action may take longer than {MAX_TIMEOUT}s");
            problems.error(value.span(), message, "let it start what takes longer, and end");
            default
        }
        Some(timeout) => timeout,
        None => default,
    }
}

fn command(reader: &Reader<'_, '_>, problems: &mut Problems<'_>) -> Option<Vec<String>> {
    let example = r#"["/usr/local/bin/page", "--quiet"]"#;
    let value = reader.need("command", example, problems)?;
    let mut words = Vec::new();
    for item in value.list(example, problems)? {
        let word = item.text(example, problems)?;
        if word.contains('\0') {
            problems.error(item.span(), "a word holds a NUL", "no program can take it");
            return None;
        }
        words.push(word.to_owned());
    }
    let wrong = match words.first() {
        None => Some("the command is empty".to_owned()),
        Some(program) if !program.starts_with('/') => {
            Some(format!("the path of the program is not absolute: `{program}`"))
        }
        Some(_) if words.len() > MAX_WORDS => {
            Some(format!("the command has more than {MAX_WORDS} words"))
        }
        Some(_) => None,
    };
    if let Some(wrong) = wrong {
        problems.error(value.span(), wrong, format!("write for example command = {example}"));
        return None;
    }
    if let Some(doubt) = words.first().and_then(|program| doubt(Path::new(program))) {
        problems.warning(value.span(), format!("`{}` {doubt}", words[0]), "see to its file");
    }
    Some(words)
}

/// What is wrong with a program, as far as this host tells. Only one that nobody
/// else can write is ever run.
fn doubt(program: &Path) -> Option<String> {
    match fs::metadata(program) {
        Err(error) => Some(format!("cannot be run: {error}")),
        Ok(file) if !file.is_file() => Some("is not a file".to_owned()),
        Ok(file) if file.permissions().mode() & 0o111 == 0 => Some("is not executable".to_owned()),
        Ok(file) => unsafe_program(program, file.mode()).map(str::to_owned),
    }
}

/// Why a program at this path, of this mode, is not run.
pub(crate) fn unsafe_program(path: &Path, mode: u32) -> Option<&'static str> {
    if mode & WRITABLE != 0 {
        return Some("can be written by others than its owner: it is not run");
    }
    let folder = path.parent().and_then(|folder| fs::metadata(folder).ok());
    folder
        .is_some_and(|folder| folder.mode() & WRITABLE != 0 && folder.mode() & STICKY == 0)
        .then_some("lies in a directory where others can replace it: it is not run")
}

fn webhook(
    reader: &Reader<'_, '_>,
    timeout: Duration,
    problems: &mut Problems<'_>,
) -> Option<ActionKind> {
    let example = r#""https://alerts.example.net/hook""#;
    let value = reader.need("url", example, problems)?;
    let url = value.text(example, problems)?;
    let retries = reader.get("retries").and_then(|value| value.number(0..=10, problems));
    let retries = retries.and_then(|retries| u32::try_from(retries).ok()).unwrap_or(4);
    let token_file = match reader.get("token_file") {
        None => None,
        Some(value) => Some(token_file(value, url, problems)?),
    };
    let wrong = match url.parse::<ureq::http::Uri>() {
        Err(error) => Some(error.to_string()),
        Ok(uri) => match (uri.scheme_str(), uri.authority()) {
            (Some("http" | "https"), Some(host)) if host.as_str().contains('@') => {
                Some("it holds a user's name: write the secret into a token_file".to_owned())
            }
            (Some("http" | "https"), Some(_)) => None,
            _ => Some("it begins neither with http:// nor with https://".to_owned()),
        },
    };
    if let Some(wrong) = wrong {
        let message = format!("the URL cannot be called: {wrong}");
        problems.error(value.span(), message, format!("write for example url = {example}"));
        return None;
    }
    Some(ActionKind::Webhook { url: url.to_owned(), token_file, timeout, retries })
}

fn token_file(value: Value<'_, '_>, url: &str, problems: &mut Problems<'_>) -> Option<PathBuf> {
    let example = r#""/etc/sipguard/hook.token""#;
    let path = Path::new(value.text(example, problems)?);
    if !path.is_absolute() {
        let help = format!("write for example token_file = {example}");
        problems.error(value.span(), "the path of the token is not absolute", help);
        return None;
    }
    check_secret(value, "token", path, problems);
    let is_near = ["http://127.", "http://localhost", "http://[::1]"];
    if url.starts_with("http://") && !is_near.iter().any(|near| url.starts_with(near)) {
        problems.warning(
            value.span(),
            "the token goes over the network where everybody can read it",
            "write a URL that begins with https://",
        );
    }
    Some(path.to_owned())
}
