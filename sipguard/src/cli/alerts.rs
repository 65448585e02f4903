//! `sipguard alerts`

use super::{
    exit::{Exit, Failure},
    out::{print, print_json, print_line},
    table::{self, table},
};
use crate::api::{
    client::Client,
    wire::{Alert, AlertAction, AlertTest, AlertTestWish, Alerts},
};

/// Alerts that are over and shown.
const PAST: usize = 20;

/// Show what operators were told of, or try how they are told
///
/// First what is open, the worst first, then what was, the newest first; then
/// how each action does.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Send a test through this action, once, and say how it went
    #[arg(long, value_name = "ACTION")]
    test: Option<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &Args, client: &Client) -> Result<(), Failure> {
    if let Some(action) = &args.test {
        let tested = client.test_alert(&AlertTestWish { action: action.clone() })?;
        return test(&tested, args.json);
    }
    let alerts = client.alerts()?;
    match args.json {
        true => print_json(&alerts),
        false => print(&view(&alerts)),
    }
}

fn test(tested: &AlertTest, json: bool) -> Result<(), Failure> {
    let AlertTest { action, ok, message, seconds } = tested;
    if json {
        print_json(tested)?;
    } else if *ok {
        print_line(&format!("action {action} works: {message}, in {seconds:.3} s"))?;
    }
    match ok {
        true => Ok(()),
        false => {
            let message = format!("action {action} has failed after {seconds:.3} s: {message}");
            Err(Failure::new(Exit::Failure, message, None))
        }
    }
}

fn view(Alerts { open, past, actions }: &Alerts) -> String {
    let header = ["ALERT", "RULE", "SINCE", "UNTIL", "WHAT"];
    let rows: Vec<Vec<String>> = open.iter().chain(past.iter().take(PAST)).map(row).collect();
    let alerts = match rows.is_empty() {
        true => "no alerts".to_owned(),
        false => table(&header, rows, 0),
    };
    if actions.is_empty() {
        return alerts;
    }
    let header = ["ACTION", "TYPE", "FROM", "LAST", "TOLD", "FAILED", "DROPPED", "WAITING"];
    format!("{alerts}\n\n{}", table(&header, actions.iter().map(action).collect(), 4))
}

fn row(alert: &Alert) -> Vec<String> {
    let until = match alert.until {
        None => "open".to_owned(),
        until => table::time(until),
    };
    vec![
        alert.severity.clone(),
        alert.rule.clone(),
        table::time(Some(alert.since)),
        until,
        alert.summary.clone(),
    ]
}

fn action(action: &AlertAction) -> Vec<String> {
    let last = action.last.as_ref().map_or_else(table::none, |last| {
        format!("{} at {}", last.message, table::time(Some(last.time)))
    });
    let AlertAction { name, kind, severity, told, failed, dropped, waiting, .. } = action;
    let words = [name, kind, severity].map(String::clone);
    let numbers = [told, failed, dropped, &(*waiting as u64)].map(u64::to_string);
    words.into_iter().chain([last]).chain(numbers).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn alerts() -> Alerts {
        let since = "2026-01-02T03:04:05.678Z".parse().unwrap();
        let alert = Alert {
            number: 1,
            rule: "map_full".to_owned(),
            subject: Some("blocked".to_owned()),
            severity: "warning".to_owned(),
            since,
            until: None,
            value: 83.0,
            peak: 83.0,
            threshold: Some(80),
            summary: "a\u{1b}[2J\nb".to_owned(),
        };
        let over = Alert { until: Some(since), ..alert.clone() };
        let action = AlertAction {
            name: "log".to_owned(),
            kind: "log".to_owned(),
            severity: "info".to_owned(),
            told: 3,
            failed: 0,
            dropped: 0,
            waiting: 0,
            last: None,
        };
        Alerts { open: vec![alert], past: vec![over; 100], actions: vec![action] }
    }

    #[test]
    fn what_is_open_comes_first_and_acts_on_no_terminal() {
        let shown = view(&alerts());
        let lines: Vec<&str> = shown.lines().collect();
        assert_eq!(lines.len(), 1 + 1 + PAST + 1 + 2, "{shown}");
        assert!(lines[1].ends_with("open                  a\\u{1b}[2J\\u{a}b"), "{shown}");
        assert!(lines[2].contains("2026-01-02T03:04:05Z  2026-01-02T03:04:05Z"), "{shown}");
        assert_eq!(view(&Alerts::default()), "no alerts");
    }

    #[test]
    fn a_test_that_fails_is_a_failure() {
        let tested = AlertTest {
            action: "hook".to_owned(),
            ok: false,
            message: "answered 500".to_owned(),
            seconds: 0.25,
        };
        let Err(Failure::Told { exit, message, .. }) = test(&tested, false) else { panic!() };
        assert_eq!(
            (exit, &*message),
            (Exit::Failure, "action hook has failed after 0.250 s: answered 500")
        );
    }
}
