//! `sipguard status`

use super::{
    exit::Failure,
    out::{print, print_json},
    posture,
    table::{self, table},
};
use crate::api::{
    client::Client,
    wire::{Capture, Events, History, Interface, LastReload, Mirror, Status, Tally, Web},
};

/// Show what is protected, how, and since when
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &Args, client: &Client) -> Result<(), Failure> {
    let status = client.status()?;
    match args.json {
        true => print_json(&status),
        false => print(&view(&status)),
    }
}

fn view(status: &Status) -> String {
    let mut rows = vec![
        row("version", format!("{} (pid {})", status.version, status.pid)),
        row("since", table::time(Some(status.since))),
        row("configuration", status.config.display().to_string()),
        row("posture", posture::view(&status.posture)),
    ];
    rows.push(row("fail mode", fail_mode(&status.fail_mode)));
    rows.extend(status.interfaces.iter().map(|one| row("interface", interface(one))));
    rows.push(row("signatures", status.signatures.to_string()));
    rows.push(row("trusted", tally(&status.trusted)));
    let (blocked, fed, decided) = (tally(&status.blocked), status.fed, status.decided);
    rows.push(row("blocked", format!("{blocked}, {fed} by feeds, {decided} by CrowdSec")));
    rows.push(row("banned", status.banned.to_string()));
    rows.push(row("events", events(status.events)));
    rows.push(row("alerts", format!("{} open", status.alerts)));
    rows.push(row("history", history(&status.history)));
    rows.push(row("web", web(&status.web)));
    rows.extend(status.capture.iter().map(|one| row("capture", capture(one))));
    rows.extend(status.mirror.iter().map(|one| row("mirror", mirror(one))));
    rows.push(row("last reload", status.reload.as_ref().map_or_else(table::none, reload)));
    table(&["WHAT", "STATE"], rows, 0)
}

fn fail_mode(mode: &str) -> String {
    let what = match mode {
        "keep" => "the filter outlives the daemon",
        _ => "the filter leaves with the daemon",
    };
    format!("{mode}: {what}")
}

fn row(what: &str, state: String) -> Vec<String> {
    vec![what.to_owned(), state]
}

fn interface(Interface { name, mode, note, egress, unprotected, .. }: &Interface) -> String {
    if let Some(why) = unprotected {
        return format!("{name} NOT PROTECTED: {why}");
    }
    match note {
        None => format!("{name} ({mode}, {egress})"),
        Some(note) => format!("{name} ({mode}, {egress}: {note})"),
    }
}

fn tally(Tally { file, operator }: &Tally) -> String {
    format!("{file} by file, {operator} by operator")
}

fn events(Events { suppressed, lost }: Events) -> String {
    format!("{suppressed} held back by their limits, {lost} lost")
}

fn history(History { file, problem, lost }: &History) -> String {
    let place = match (file, problem) {
        (Some(file), _) => file.display().to_string(),
        (None, Some(problem)) => format!("in memory only: {problem}"),
        (None, None) => "in memory only".to_owned(),
    };
    match lost {
        0 => place,
        lost => format!("{place}, {lost} lines lost"),
    }
}

fn web(Web { address, problem }: &Web) -> String {
    let place = address.map_or_else(|| "off".to_owned(), |address| format!("http://{address}/"));
    match problem {
        None => place,
        Some(problem) => format!("{place} PROBLEM: {problem}"),
    }
}

fn capture(Capture { uid, since, packets, held_back, lost }: &Capture) -> String {
    let since = table::time(Some(*since));
    format!("by uid {uid} since {since}: {packets} packets, {held_back} held back, {lost} lost")
}

fn mirror(mirror: &Mirror) -> String {
    let Mirror { collector, sent, failed, not_sip, held_back, lost, problem } = mirror;
    let problem = problem.as_ref().map(|problem| format!(": {problem}")).unwrap_or_default();
    format!(
        "{collector}: {sent} sent, {failed} failed, {not_sip} without SIP, {held_back} held back, \
         {lost} lost{problem}"
    )
}

fn reload(LastReload { at, ok, message }: &LastReload) -> String {
    let result = if *ok { "ok" } else { "FAILED, the policy before it holds" };
    format!("{}, {result}: {message}", table::time(Some(*at)))
}
