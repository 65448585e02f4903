//! `sipguard crowdsec`

use super::{
    exit::Failure,
    out::{print, print_json},
    table::{self, table},
};
use crate::{
    api::{
        client::Client,
        wire::{Crowdsec, CrowdsecDecisions, CrowdsecReports},
    },
    crowdsec::LeftOut,
    sanitise::sanitise,
};

/// Characters of an error that are shown.
const MAX_ERROR: usize = 400;

/// Show how CrowdSec is doing: its decisions, and what it is told of
///
/// It stands under [crowdsec] in sipguard.toml.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &Args, client: &Client) -> Result<(), Failure> {
    let crowdsec = client.crowdsec()?;
    match args.json {
        true => print_json(&crowdsec),
        false => print(&view(&crowdsec)),
    }
}

fn view(Crowdsec { url, decisions, reports }: &Crowdsec) -> String {
    let Some(url) = url else {
        return "no CrowdSec: [crowdsec] in sipguard.toml has no url".to_owned();
    };
    let row = |what: &str, state: String| vec![what.to_owned(), state];
    let mut rows = vec![row("local API", sanitise(url, MAX_ERROR))];
    rows.push(row("decisions", decisions.as_ref().map_or_else(|| "no key_file".to_owned(), held)));
    if let Some(one) = decisions {
        rows.push(row("left out", left_out(&one.left_out)));
        rows.push(row("last answer", table::time(one.last_ok)));
        let CrowdsecDecisions { answers, whole, failures, interval, .. } = one;
        let answers = format!("{answers}, {whole} of everything, {failures} failures");
        rows.push(row("answers", format!("{answers}; every {interval}")));
        rows.extend(one.last_error.iter().map(|error| row("error", sanitise(error, MAX_ERROR))));
    }
    rows.push(row("alerts", reports.as_ref().map_or_else(|| "no login_file".to_owned(), told)));
    if let Some(one) = reports {
        rows.push(row("last alert", table::time(one.last_ok)));
        rows.extend(one.last_error.iter().map(|error| row("error", sanitise(error, MAX_ERROR))));
    }
    table(&["WHAT", "STATE"], rows, 0)
}

fn held(CrowdsecDecisions { state, held, .. }: &CrowdsecDecisions) -> String {
    format!("{held} ({state})")
}

fn told(CrowdsecReports { state, sent, waiting, lost, .. }: &CrowdsecReports) -> String {
    format!("{sent} told, {waiting} waiting, {lost} lost ({state})")
}

fn left_out(LeftOut { kind, scope, unreadable, wide, own, full }: &LeftOut) -> String {
    let all = [
        (kind, "of other types"),
        (scope, "of other scopes"),
        (unreadable, "unreadable"),
        (wide, "too wide"),
        (own, "this host's"),
        (full, "without room"),
    ];
    table::counted(&all)
}
