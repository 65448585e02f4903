//! Arguments and exits.

use clap::{CommandFactory, error::ErrorKind};

use super::{exit::Exit, *};
use crate::api::{client::ClientError, wire};

fn parse(line: &str) -> Result<Args, ErrorKind> {
    Args::try_parse_from(line.split_whitespace()).map_err(|error| error.kind())
}

#[test]
fn the_command_is_well_formed() {
    Args::command().debug_assert();
}

#[test]
fn every_verb_as_documented() {
    for line in [
        "sipguard run --iface eth0 --iface eth1 --config /tmp --mode native --log debug",
        "sipguard run",
        "sipguard check",
        "sipguard check config --json",
        "sipguard reload",
        "sipguard stats",
        "sipguard stats --json",
        "sipguard stats --watch",
        "sipguard stats --watch 0.5 --json",
        "sipguard top",
        "sipguard top --plain",
        "sipguard top --json --once",
        "sipguard block 192.0.2.7",
        "sipguard block 2001:db8::/48 --ttl 1h --reason scanner",
        "sipguard unblock 192.0.2.0/24",
        "sipguard allow [2001:db8::1]:5060 --ttl 24h",
        "sipguard allow --remove 203.0.113.10",
        "sipguard list",
        "sipguard list blocked --json",
        "sipguard list banned",
        "sipguard list verified --json",
        "sipguard why 198.51.100.7",
        "sipguard why 2001:db8::1 --json",
        "sipguard log",
        "sipguard log --ip 198.51.100.0/24 --since 24h --type ban --limit 5 --json",
        "sipguard run --state /tmp/state",
        "sipguard stats --signatures --json",
        "sipguard events",
        "sipguard events --json --rule signature --source 198.51.100.0/24 -n 5 --no-follow",
        "sipguard events --last 0",
        "sipguard capture -w drops.pcapng",
        "sipguard capture --write - --rule options --rule stranger --source 198.51.100.0/24",
        "sipguard capture -w x --all --snaplen 128 --max-size 10M --duration 1h --count 5 --rotate --force --per-second 10",
        "sipguard posture",
        "sipguard posture closed",
        "sipguard posture file --json",
        "sipguard list trusted",
        "sipguard status --json",
        "sipguard explain 198.51.100.7",
        "sipguard explain [2001:db8::1]:5060 --json --config config",
        "sipguard explain --packet 00:11:22",
        "sipguard explain --message - --from 198.51.100.7 --tcp",
        "sipguard import auto rules.save",
        "sipguard import ipset - --into blacklist --list bad --list worse",
        "sipguard import iptables /tmp/x --file trusted --port 5060 --port 5080",
        "sipguard import fail2ban x.sqlite3 --ttl 7d",
        "sipguard --socket /tmp/x.sock status",
        "sipguard status --socket /tmp/x.sock",
    ] {
        assert!(parse(line).is_ok(), "{line}");
    }
}

#[test]
fn wrong_usage_is_refused() {
    for line in [
        "sipguard",
        "sipguard fly",
        "sipguard block",
        "sipguard block nonsense",
        "sipguard block 192.0.2.7/24",
        "sipguard block 192.0.2.7:5060",
        "sipguard block 192.0.2.7 --ttl 1",
        "sipguard allow 203.0.113.10:0",
        "sipguard allow 203.0.113.10 --remove --ttl 1h",
        "sipguard list everything",
        "sipguard why",
        "sipguard why 198.51.100.0/24",
        "sipguard log --type crime",
        "sipguard log --since yesterday",
        "sipguard log --ip nonsense",
        "sipguard stats --watch 0",
        "sipguard stats --signatures --watch",
        "sipguard top --plain --json",
        "sipguard events --rule stranger",
        "sipguard events --rule nonsense",
        "sipguard events --source 198.51.100.7:5060",
        "sipguard events --last -1",
        "sipguard capture",
        "sipguard capture -w x --rule auth",
        "sipguard capture -w x --max-size big",
        "sipguard capture -w x --source 198.51.100.7:5060",
        "sipguard posture locked",
        "sipguard run --mode fast",
        "sipguard explain",
        "sipguard explain 198.51.100.0/24",
        "sipguard explain 198.51.100.7 --packet 00",
        "sipguard explain 198.51.100.7 --tcp",
        "sipguard explain --packet 0x00",
        "sipguard run --log =loud=",
    ] {
        assert!(parse(line).is_err(), "{line}");
    }
}

#[test]
fn the_long_help_lists_every_exit_code() {
    let help = Args::command().render_long_help().to_string();
    for exit in
        [Exit::Failure, Exit::Usage, Exit::NotRunning, Exit::NotPermitted, Exit::Configuration]
    {
        assert!(help.contains(&format!("\n  {} ", u8::from(exit))), "{exit:?}");
    }
}

fn exit_of(failure: Failure) -> Exit {
    let Failure::Told { exit, .. } = failure else { panic!("told nothing") };
    exit
}

fn failed(forbidden: bool, report: Option<&str>) -> ClientError {
    let failure = wire::Failure { report: report.map(str::to_owned), ..wire::Failure::default() };
    ClientError::Failed { forbidden, failure: Box::new(failure) }
}

#[test]
fn failures_have_their_exit_codes() {
    for (error, exit) in [
        (ClientError::NotRunning("/x".into()), Exit::NotRunning),
        (ClientError::NotPermitted("/x".into()), Exit::NotPermitted),
        (ClientError::NoAnswer, Exit::Failure),
        (failed(true, None), Exit::NotPermitted),
        (failed(false, Some("report")), Exit::Configuration),
        (failed(false, None), Exit::Failure),
    ] {
        assert_eq!(exit_of(error.into()), exit);
    }
}

#[test]
fn a_missing_daemon_is_told_apart() {
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("control.sock");
    let args = |socket: &std::path::Path| Args {
        socket: Some(socket.to_owned()),
        pins: dir.path().join("pins"),
        verb: parse("sipguard status").unwrap().verb,
    };
    assert_eq!(exit_of(dispatch(args(&socket)).unwrap_err()), Exit::NotRunning);
    drop(std::os::unix::net::UnixListener::bind(&socket).unwrap());
    assert_eq!(exit_of(dispatch(args(&socket)).unwrap_err()), Exit::NotRunning);
}
