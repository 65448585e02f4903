//! docs/reference.md against the code: what has a name or a number stands
//! there, and what stands there exists.

use std::{collections::BTreeSet, fs, iter, path::PathBuf};

use clap::{Arg, Command};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;
use sipguard::{
    api::wire,
    cli, daemon,
    doctor::{Check, Level},
    history,
    metrics::METRICS,
    policy,
};
use sipguard_common::{
    abi::{
        BANS, ENDPOINTS, ENDPOINTS_UNPROVEN, EVENT_BYTES, INTERFACE_SLOTS, KEEPALIVES, Learned,
        SITES, SNAPLEN_MAX,
    },
    automaton::{MAX_CONDITIONS, MAX_JOINED, MAX_SIGNATURES},
    frame::MAX_EXTENSIONS,
    method::{Budget, Class, Method},
    rule::{Rule, Verdict},
    scan::{MAX_BODY_LINES, MAX_HEADERS, PAYLOAD_MAX},
};

fn read(path: &str) -> String {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..").join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// What stands under a heading of the reference, up to the next one.
fn section(heading: &str) -> String {
    let text = read("docs/reference.md");
    let mut lines = text.lines().skip_while(|line| *line != heading);
    assert!(lines.next().is_some(), "docs/reference.md has no `{heading}`");
    lines.take_while(|line| !line.starts_with('#')).collect::<Vec<_>>().join("\n")
}

/// The rows of the table whose first column is called `first`.
fn table(text: &str, first: &str) -> Vec<Vec<String>> {
    let head = format!("| {first} |");
    let lines = text.lines().skip_while(|line| !line.starts_with(&head));
    let rows: Vec<_> = lines.skip(2).take_while(|line| line.starts_with('|')).map(cells).collect();
    assert!(!rows.is_empty(), "there is no table `{head}`");
    rows
}

fn cells(row: &str) -> Vec<String> {
    let inner = row.strip_prefix('|').unwrap_or(row);
    let inner = inner.strip_suffix('|').unwrap_or(inner);
    inner.split('|').map(|cell| cell.trim().to_owned()).collect()
}

/// Names behind `--`.
fn long_options(text: &str) -> BTreeSet<String> {
    text.split(|c: char| !c.is_ascii_alphanumeric() && c != '-')
        .filter_map(|word| word.strip_prefix("--"))
        .filter(|name| name.starts_with(|c: char| c.is_ascii_lowercase()))
        .map(str::to_owned)
        .collect()
}

/// The command with everything that clap adds by itself.
fn command() -> Command {
    let mut command = cli::command();
    command.build();
    command
}

fn verbs(command: &Command) -> Vec<&Command> {
    // The hidden ones are for those who build sipguard.
    command.get_subcommands().filter(|verb| !verb.is_hide_set()).collect()
}

/// Arguments that only this verb has.
fn own_arguments(verb: &Command) -> Vec<&Arg> {
    let is_global =
        |arg: &Arg| arg.is_global_set() || matches!(arg.get_id().as_str(), "help" | "version");
    verb.get_arguments().filter(|arg| !is_global(arg)).collect()
}

fn names(args: &[&Arg]) -> BTreeSet<String> {
    args.iter().filter_map(|arg| arg.get_long()).map(str::to_owned).collect()
}

#[test]
fn rules_are_the_table_of_rules() {
    let documented = table(&section("## Rules"), "Number");
    for (row, rule) in documented.iter().zip(Rule::ALL) {
        let (number, name) = (rule.number().to_string(), format!("`{}`", rule.name()));
        assert_eq!(*row, [&number, &name, rule.verdict().name(), rule.help()]);
    }
    assert_eq!(documented.len(), Rule::ALL.len());
}

#[test]
fn classes_have_their_methods() {
    let documented = table(&section("## Rules"), "Class");
    let class = |row: &[String]| row[0].trim_matches('`').to_owned();
    let classes: Vec<String> = documented.iter().map(|row| class(row)).collect();
    assert_eq!(classes, Class::ALL.map(Class::name));
    for method in Method::ALL.into_iter().filter(|method| *method != Method::Unknown) {
        let holders: Vec<String> = documented
            .iter()
            .filter(|row| row[1].split(", ").any(|name| name == method.name()))
            .map(|row| class(row))
            .collect();
        assert_eq!(holders, [method.class().name()], "{}", method.name());
    }
}

#[test]
fn budgets_are_those_of_the_code() {
    let documented = table(&section("## Rules"), "Budget");
    let names: Vec<&str> = documented.iter().map(|row| row[0].trim_matches('`')).collect();
    let reserve = iter::once("reserve");
    assert!(names.iter().copied().eq(Budget::ALL.map(Budget::name).into_iter().chain(reserve)));
}

#[test]
fn what_replies_teach_is_what_is_counted() {
    let documented = table(&section("### What replies teach"), "Name");
    let learned: Vec<Vec<String>> = Learned::ALL
        .iter()
        .map(|one| vec![format!("`{}`", one.name()), one.help().to_owned()])
        .collect();
    assert_eq!(documented, learned);
}

#[test]
fn types_of_the_log_are_those_of_the_history() {
    let documented = table(&section("### `sipguard log`"), "Type");
    let kinds: Vec<Vec<String>> = history::Kind::ALL
        .iter()
        .map(|kind| vec![format!("`{}`", kind.name()), kind.help().to_owned()])
        .collect();
    assert_eq!(documented, kinds);
}

/// What the code says of each alert rule, as the table of the reference has it.
#[test]
fn alerts_are_the_table_of_alerts() {
    let rows = table(&section("## Alerts"), "Alert");
    let expected: Vec<Vec<String>> = policy::AlertRule::ALL
        .iter()
        .map(|rule| {
            let none = || "-".to_owned();
            let threshold = rule.threshold().map(|one| format!("{} {}", one.default, one.unit));
            let span = rule.span();
            let time = span.key().zip(span.default()).map(|(key, ttl)| format!("`{key}` {ttl}"));
            vec![
                format!("`{}`", rule.name()),
                rule.severity().name().to_owned(),
                threshold.unwrap_or_else(none),
                time.unwrap_or_else(none),
                rule.help().to_owned(),
            ]
        })
        .collect();
    assert_eq!(rows, expected);
}

/// The variables that a program gets.
#[test]
fn variables_of_alerts_are_those_of_the_code() {
    let code = read("sipguard/src/daemon/alerts/notice.rs");
    let expected: BTreeSet<String> = code
        .lines()
        .filter_map(|line| line.trim().strip_prefix("(\"SIPGUARD_ALERT_")?.split_once('"'))
        .map(|(name, _)| format!("`SIPGUARD_ALERT_{name}`"))
        .collect();
    assert!(expected.len() > 10, "{expected:?}");
    let rows = table(&section("## Alerts"), "Variable of exec");
    let documented: BTreeSet<String> = rows.into_iter().map(|row| row[0].clone()).collect();
    assert_eq!(documented, expected);
}

#[test]
fn verbs_are_documented_and_exist() {
    let command = command();
    let expected: BTreeSet<&str> = verbs(&command).iter().map(|verb| verb.get_name()).collect();
    let text = read("docs/reference.md");
    let documented: BTreeSet<&str> = text
        .lines()
        .filter_map(|line| line.strip_prefix("### `sipguard ")?.strip_suffix('`'))
        .collect();
    assert_eq!(documented, expected);
}

#[test]
fn verbs_have_their_options() {
    let command = command();
    for verb in verbs(&command) {
        let name = verb.get_name();
        let args = own_arguments(verb);
        if args.is_empty() {
            continue;
        }
        let rows = table(&section(&format!("### `sipguard {name}`")), "Option");
        let documented: BTreeSet<String> =
            rows.iter().flat_map(|row| long_options(&row[0])).collect();
        assert_eq!(documented, names(&args), "sipguard {name}");

        let positional = args.iter().filter(|arg| arg.is_positional()).count();
        let without_dashes = rows.iter().filter(|row| !row[0].contains("--")).count();
        assert_eq!(without_dashes, positional, "arguments of sipguard {name}");

        let choices = args.iter().filter(|arg| arg.get_action().takes_values());
        for choice in choices.flat_map(|arg| arg.get_possible_values()) {
            let end = format!("{}`", choice.get_name());
            assert!(rows.iter().any(|row| row[0].contains(&end)), "sipguard {name}: {end}");
        }
    }
}

#[test]
fn options_of_every_verb_are_documented() {
    let command = command();
    let rows = table(&section("## Verbs"), "Option of every verb");
    let documented: BTreeSet<String> = rows.iter().flat_map(|row| long_options(&row[0])).collect();
    assert_eq!(documented, names(&command.get_arguments().collect::<Vec<_>>()));
}

#[test]
fn environment_variables_are_those_of_the_command_line() {
    let command = command();
    let expected: BTreeSet<String> = verbs(&command)
        .into_iter()
        .chain([&command])
        .flat_map(Command::get_arguments)
        .filter_map(|arg| Some(format!("`{}`", arg.get_env()?.to_str()?)))
        .collect();
    let rows = table(&section("## Environment variables"), "Variable");
    let documented: BTreeSet<String> = rows.iter().map(|row| row[0].clone()).collect();
    assert_eq!(documented, expected);
}

#[test]
fn exit_codes_are_those_of_the_long_help() {
    let help = command().render_long_help().to_string();
    let (_, codes) = help.split_once("Exit codes:").expect("exit codes in the long help");
    let expected: Vec<[String; 2]> = codes
        .lines()
        .filter_map(|line| line.trim().split_once(' '))
        .map(|(code, meaning)| [code, meaning.trim()].map(str::to_owned))
        .collect();
    assert_eq!(table(&section("## Exit codes"), "Code"), expected);
}

#[test]
fn checks_of_the_doctor_are_those_of_the_code() {
    let section = section("### `sipguard doctor`");
    let checks: Vec<Vec<String>> = Check::ALL
        .iter()
        .map(|check| vec![format!("`{}`", check.name()), check.help().to_owned()])
        .collect();
    assert_eq!(table(&section, "Check"), checks);
    let levels = table(&section, "Level");
    let names: Vec<&str> = levels.iter().map(|row| row[0].trim_matches('`')).collect();
    assert_eq!(names, Level::ALL.map(Level::name));
}

#[test]
fn words_of_what_replies_teach_are_rules() {
    let rows = table(&section("## What the server's replies teach"), "Word");
    let explained: BTreeSet<&str> = rows.iter().map(|row| row[0].trim_matches('`')).collect();
    let others = [Rule::Verified, Rule::RateVerified, Rule::RateAuth, Rule::Banned, Rule::Greylist];
    let expected = Rule::in_bits(Rule::EGRESS).chain(others).map(Rule::name);
    assert_eq!(explained, expected.collect());
}

/// Where an unknown key is refused, all that are known are listed.
fn known_keys(file: &str, head: &str) -> Vec<String> {
    let dir = tempfile::tempdir().expect("a directory");
    for name in policy::FILES {
        let text = format!("{head}\nzzzzzzzzzzzzzzzz = 1\n");
        let text = if name == file { text.as_str() } else { "" };
        fs::write(dir.path().join(name), text).expect("a file");
    }
    let found = policy::load(dir.path()).expect_err("an error");
    let list =
        found.0.iter().find_map(|finding| finding.help.strip_prefix("what can stand here: "));
    let list = list.unwrap_or_else(|| panic!("no list of keys: {found}"));
    list.split(", ").map(str::to_owned).collect()
}

/// Whether a key stands in the file, or in an example among its comments.
fn is_written(manual: &str, key: &str) -> bool {
    manual.lines().any(|line| {
        let line = line.strip_prefix('#').unwrap_or(line);
        line.strip_prefix(key).is_some_and(|rest| rest.starts_with(" = "))
    })
}

#[test]
fn configuration_files_are_listed_and_hold_every_key() {
    let configuration = section("## Configuration");
    let rows = table(&configuration, "File");
    let files: Vec<&String> = rows.iter().map(|row| &row[0]).collect();
    assert_eq!(files, policy::FILES.map(|name| format!("[{name}](../config/{name})")).each_ref());

    for (file, row) in policy::FILES.into_iter().zip(&rows) {
        let manual = read(&format!("config/{file}"));
        for name in known_keys(file, "") {
            let head =
                if file == policy::SETTINGS { format!("[{name}]") } else { format!("[[{name}]]") };
            assert!(row[2].contains(&format!("`{head}`")), "{file}: {head}");
            for key in known_keys(file, &head).into_iter().filter(|key| can_be_set(key)) {
                let is_section = manual.contains(&format!("\n[{name}.{key}]\n"));
                let is_list = manual.contains(&format!("\n#[[{name}.{key}]]\n"));
                assert!(is_section || is_list || is_written(&manual, &key), "{file}: {head} {key}");
            }
        }
    }
    let manual = read("config/sipguard.toml");
    for key in known_keys(policy::SETTINGS, "[[feeds.feed]]") {
        assert!(is_written(&manual, &key), "feeds.feed.{key}");
    }
    for part in ["stranger", "strangers", "verified", "subnet", "ports", "message"] {
        for key in known_keys(policy::SETTINGS, &format!("[limits.{part}]")) {
            assert!(is_written(&manual, &key), "limits.{part}.{key}");
        }
    }
}

/// Rules that never drop are known under `[rules]`, but have nothing to set.
fn can_be_set(key: &str) -> bool {
    let rule = Rule::ALL.iter().find(|rule| rule.name() == key);
    rule.is_none_or(|rule| rule.verdict() == Verdict::Drop)
}

#[test]
fn routes_are_those_of_the_router() {
    let router = read("sipguard/src/api/server.rs");
    let expected: BTreeSet<String> = router
        .lines()
        .filter_map(|line| line.trim().strip_prefix(".route(\"")?.split_once("\", "))
        .filter_map(|(path, method)| Some((path, method.split_once('(')?.0)))
        .map(|(path, method)| format!("{} {}", method.to_uppercase(), path.replace("{*", "{")))
        .collect();
    assert!(!expected.is_empty());
    let rows = table(&section("## Control API"), "Request");
    let documented: BTreeSet<String> = rows
        .iter()
        .filter_map(|row| row[0].trim_matches('`').split('?').next())
        .map(str::to_owned)
        .collect();
    assert_eq!(documented, expected);
}

#[test]
fn metrics_are_the_table_of_metrics() {
    let metrics = section("## Metrics");
    let code = |name: &str| format!("`{name}`");
    let expected: Vec<Vec<String>> = METRICS
        .iter()
        .map(|metric| {
            let labels: Vec<String> = metric.labels.iter().map(|label| code(label)).collect();
            let kind = metric.kind.name().to_owned();
            vec![code(&metric.name()), kind, labels.join(", "), metric.help.to_owned()]
        })
        .collect();
    assert_eq!(table(&metrics, "Name"), expected);
    let labels: BTreeSet<String> =
        METRICS.iter().flat_map(|metric| metric.labels).map(|label| code(label)).collect();
    let rows = table(&metrics, "Label");
    assert_eq!(rows.iter().map(|row| row[0].clone()).collect::<BTreeSet<_>>(), labels);
}

/// The example under a heading, read as `T`. It comes out as it went in: no
/// field is missing, none is made up.
fn example<T: Serialize + DeserializeOwned>(heading: &str) -> T {
    let text = section(heading);
    let (_, json) = text.split_once("```json\n").expect("an example");
    let (json, _) = json.split_once("```").expect("the end of the example");
    let written: Value = serde_json::from_str(json).expect(heading);
    let read: T = serde_json::from_value(written.clone()).expect(heading);
    assert_eq!(serde_json::to_value(&read).expect(heading), written, "{heading}");
    read
}

fn keys(value: &Value) -> BTreeSet<&str> {
    value.as_object().into_iter().flatten().map(|(key, _)| key.as_str()).collect()
}

#[test]
fn examples_of_json_are_what_the_socket_speaks() {
    let status: wire::Status = example("### Status");
    assert_eq!(status.version, env!("CARGO_PKG_VERSION"));
    let stats: wire::Stats = example("### Stats");
    for count in &stats.rules {
        let rule = Rule::ALL.iter().find(|rule| rule.name() == count.rule).expect("a rule");
        assert_eq!(count.verdict, rule.verdict().name());
    }
    example::<wire::Signatures>("### Signatures");
    example::<wire::Dashboard>("### Dashboard");
    example::<wire::Pulse>("### Pulse");
    let report: wire::Report = example("### Report");
    for count in &report.rules {
        assert!(Rule::ALL.iter().any(|rule| rule.name() == count.rule), "{}", count.rule);
    }
    let event: wire::Event = example("### Event");
    assert_eq!(event.hex.len(), 2 * event.length as usize);
    let alerts: wire::Alerts = example("### Alerts");
    let rule = policy::AlertRule::from_name(&alerts.open[0].rule).expect("a rule");
    assert_eq!(rule.threshold().map(|one| one.default), alerts.open[0].threshold);
    example::<wire::AlertNotice>("### AlertNotice");
    example::<wire::AlertTestWish>("### AlertTestWish");
    example::<wire::AlertTest>("### AlertTest");
    example::<wire::Posture>("### Posture");
    example::<wire::PostureWish>("### PostureWish");
    example::<wire::PostureChanged>("### PostureChanged");
    example::<wire::Lists>("### Lists");
    example::<wire::Why>("### Why");
    let log: wire::Log = example("### Log");
    assert!(log.lines.iter().all(|line| history::Kind::from_name(&line.kind).is_some()));
    example::<wire::Feeds>("### Feeds");
    example::<wire::FeedsWish>("### FeedsWish");
    example::<wire::Crowdsec>("### Crowdsec");
    example::<wire::Entry>("### Entry");
    example::<wire::Added>("### Added");
    example::<wire::Removed>("### Removed");
    example::<wire::Failure>("### Failure");

    let reloaded: wire::Reloaded = example("### Reloaded");
    let changes = serde_json::to_value(policy::Changes::default()).expect("JSON");
    assert_eq!(keys(&reloaded.changes), keys(&changes));
    for key in keys(&changes) {
        assert_eq!(keys(&reloaded.changes[key]), keys(&changes[key]), "{key}");
    }
}

#[test]
fn capacities_are_those_of_the_code() {
    let rows = table(&section("## Capacities"), "What");
    for (what, number) in [
        ("interfaces", INTERFACE_SLOTS - 1),
        ("entries of trusted.toml", policy::MAX_TRUSTED),
        ("entries of blacklist.toml", policy::MAX_BLOCKED),
        ("protected destinations", policy::MAX_PROTECTED),
        ("configured keepalives", KEEPALIVES),
        ("enabled signatures", MAX_SIGNATURES),
        ("verified endpoints", ENDPOINTS),
        ("the same on evidence that may be forged", ENDPOINTS_UNPROVEN),
        ("sources that are remembered", SITES),
        ("bans", BANS),
        ("days that lines", usize::try_from(history::KEPT_DAYS).expect("days")),
        ("lines of the history about bans", history::KEPT_BANS as usize),
        ("other lines of the history", history::KEPT_ACTIONS as usize),
        ("lines of one answer of `log`", history::MAX_LINES),
        ("events kept of each rule", daemon::KEPT_PER_RULE),
        ("events that a follower", daemon::BEHIND),
        ("bytes of a packet in a capture", SNAPLEN_MAX as usize),
        ("bytes of a payload in an event", EVENT_BYTES),
        ("bytes of a UDP payload", PAYLOAD_MAX as usize),
        ("bytes of a signature's text", policy::MAX_TEXT),
        ("bytes of a signature's regular expression", policy::MAX_REGEX),
        ("signatures with several conditions", MAX_JOINED),
        ("different conditions", MAX_CONDITIONS),
        ("headers of one name", MAX_HEADERS as usize),
        ("lines of a body", MAX_BODY_LINES as usize),
        ("IPv6 extension headers", MAX_EXTENSIONS as usize),
        ("feeds", policy::MAX_FEEDS),
        ("MiB of a configuration file", (policy::MAX_FILE_BYTES >> 20) as usize),
    ] {
        let row = rows.iter().find(|row| row[0].starts_with(what));
        let documented = row.map(|row| row[1].replace(',', ""));
        assert_eq!(documented, Some(number.to_string()), "{what}");
    }
}

#[test]
fn classes_of_peers_are_those_of_the_code() {
    let documented = table(&section("## Capacities"), "Class");
    let classes: Vec<Vec<String>> = policy::CpsClass::ALL
        .iter()
        .map(|class| {
            let (rate, burst) = (class.rate(), 2 * class.rate());
            vec![format!("`{}`", class.name()), rate.to_string(), burst.to_string()]
        })
        .collect();
    assert_eq!(documented, classes);
}

#[test]
fn the_history_is_where_the_reference_says() {
    let file = policy::Plan::default().state.join(history::FILE);
    let token = policy::Plan::default().state.join(daemon::TOKEN_FILE);
    let text = section("## Files and sockets");
    for file in [file, token] {
        assert!(text.contains(&format!("`{}`", file.display())), "{}", file.display());
    }
}

#[test]
fn the_socket_is_where_the_reference_says() {
    let text = section("## Files and sockets");
    let socket = daemon::DEFAULT_SOCKET;
    for part in [format!("`{socket}`"), format!("`{socket}.lock`"), format!("`{}`", daemon::GROUP)]
    {
        assert!(text.contains(&part), "{part}");
    }
}

/// Every `sipguard` that a document shows at a prompt exists.
#[test]
fn commands_in_documents_exist() {
    let command = command();
    let documents =
        ["README.md", "docs/migration.md", "docs/platforms.md", "docs/troubleshooting.md"];
    for document in documents {
        let (text, mut seen) = (read(document), 0);
        let lines = text.lines().map(str::trim_start);
        for line in lines.filter(|line| line.starts_with("$ ") || line.starts_with("# ")) {
            let Some((_, call)) = line.split_once("sipguard ") else { continue };
            let call = call.split(['|', ';']).next().unwrap_or(call);
            let name = call.split_whitespace().next().expect(line);
            // Other programs are asked about it: `journalctl -u sipguard -n 50`.
            if name.starts_with('-') {
                continue;
            }
            let verb = command.find_subcommand(name).unwrap_or_else(|| panic!("`{line}`: {name}"));
            let known = names(&verb.get_arguments().collect::<Vec<_>>());
            assert!(long_options(call).is_subset(&known), "`{line}`");
            seen += 1;
        }
        assert!(seen >= 5, "{document}: {seen} commands");
    }
}
