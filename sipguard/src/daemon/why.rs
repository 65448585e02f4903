//! Questions that take a while: what holds for an address, and what happened.

use std::{io, net::IpAddr, time::Duration};

use ipnet::IpNet;
use tokio::time::timeout;

use super::{Error, Shared, Wanted};
use crate::{
    api::wire,
    history::{self, History, Line},
};

/// How long the history may take to answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// Events, and lines of the history, that are told of one address.
const EVENTS: usize = 10;
const LINES: usize = 10;

/// All that is known of an address. Maps of the kernel are walked on a thread of
/// its own, so that events and signals are served meanwhile.
///
/// # Errors
/// The kernel or the history does not answer.
pub async fn why(shared: &Shared, address: IpAddr) -> Result<wire::Why, Error> {
    let asked = shared.clone();
    let work = move || {
        let daemon = asked.blocking_daemon();
        Ok::<_, Error>((daemon.standing(address)?, daemon.history().clone()))
    };
    let (mut why, history) = match tokio::task::spawn_blocking(work).await {
        Ok(done) => done?,
        Err(error) => return Err(Error::Host(io::Error::other(error))),
    };
    let net = IpNet::from(why.address);
    let recent = shared.events().recent(&Wanted { source: Some(net), rule: None }, EVENTS);
    why.events = recent.kept.iter().map(|told| told.wire()).collect();
    let wanted = history::Wanted { net: Some(net), limit: LINES, ..history::Wanted::default() };
    why.history = lines(&history, wanted).await?;
    Ok(why)
}

/// Lines of the history, oldest first.
///
/// # Errors
/// The history does not answer.
pub async fn log(shared: &Shared, wanted: history::Wanted) -> Result<wire::Log, Error> {
    let history = shared.daemon().await.history().clone();
    Ok(wire::Log { lines: lines(&history, wanted).await? })
}

async fn lines(history: &History, wanted: history::Wanted) -> Result<Vec<wire::LogLine>, Error> {
    match timeout(PATIENCE, history.lines(wanted)).await {
        Ok(Ok(lines)) => Ok(lines.into_iter().map(line).collect()),
        _ => Err(Error::History),
    }
}

fn line(line: Line) -> wire::LogLine {
    let Line { at, kind, by, target, net: _, until, old, new, times } = line;
    wire::LogLine { time: at, kind: kind.name().to_owned(), by, target, until, old, new, times }
}
