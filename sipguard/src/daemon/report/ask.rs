//! The answer to whoever asks what happened.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::{sync::oneshot, time::timeout};

use super::assemble::{Facts, assemble, span};
use crate::{
    api::wire::Report,
    daemon::{Error, Shared},
    history::{self, Kind, MAX_LINES},
};

/// How long the history may take to answer.
const PATIENCE: Duration = Duration::from_secs(20);

/// What happened since a while ago, up to now.
///
/// # Errors
/// The kernel or the history does not answer.
pub async fn report(shared: &Shared, since: SignedDuration) -> Result<Report, Error> {
    let until = Timestamp::now();
    let from = until.checked_sub(since).unwrap_or(Timestamp::UNIX_EPOCH);
    let history = shared.daemon().await.history().clone();
    let span = span(from, until);
    let mut totals = answer(history.totals(span)).await?;
    // What is not written down yet.
    if let Some(now) = shared.recorder().peek(until) {
        totals.add(&now, &span);
    }
    let wanted = history::Wanted {
        since: Some(from),
        kind: Some(Kind::Ban),
        limit: MAX_LINES,
        ..history::Wanted::default()
    };
    let bans = answer(history.lines(wanted)).await?;
    let daemon = shared.daemon().await;
    let signatures = daemon.signatures()?;
    Ok(assemble(Facts {
        from,
        until,
        posture: daemon.posture().posture,
        interfaces: daemon.interface_modes(),
        modes: daemon.modes(),
        totals,
        bans: &bans,
        signatures: signatures.signatures,
        signatures_since: signatures.since,
    }))
}

async fn answer<T>(asked: oneshot::Receiver<T>) -> Result<T, Error> {
    match timeout(PATIENCE, asked).await {
        Ok(Ok(answer)) => Ok(answer),
        _ => Err(Error::History),
    }
}
