//! What happens, as server-sent events.

use std::{convert::Infallible, sync::Arc, time::Duration};

use axum::{
    extract::State,
    response::sse::{Event, KeepAlive, Sse},
};
use futures_util::stream::{self, Stream, StreamExt as _};
use serde::Serialize;
use tokio::sync::broadcast::{Receiver, error::RecvError};

use super::{
    caller::Caller,
    json,
    wire::{EventLine, Pulse},
};
use crate::daemon::{Shared, Told, Wanted};

/// How long the line may be silent. Who has gone away is noticed by it.
const SILENCE: Duration = Duration::from_secs(10);

/// Events that were kept, of which a new reader hears first.
const KEPT: usize = 100;

/// Everything from now on, until the caller leaves: `event` with the packets
/// and bans of `/v1/events`, and with each second its `pulse`, and in `alerts`
/// those that are open then.
pub(super) async fn stream(
    _: Caller,
    State(shared): State<Shared>,
) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    let recent = shared.events().recent(&Wanted::default(), KEPT);
    let kept = stream::iter(recent.kept).map(|told| event(&told));
    let events = kept.chain(stream::iter(recent.coming.map(follow)).flatten());
    let (last, coming) = shared.pulse().recent(1);
    let pulses = stream::iter(last).chain(stream::iter(coming.map(seconds)).flatten());
    let pulses = pulses.flat_map(move |pulse| {
        let alerts = named("alerts", &shared.alerts().alerts().open);
        stream::iter([named("pulse", &*pulse), alerts])
    });
    let both = stream::select(events, pulses).map(Ok);
    Sse::new(both).keep_alive(KeepAlive::new().interval(SILENCE))
}

/// What comes; a reader who takes too long hears how many he has missed.
fn follow(coming: Receiver<Arc<Told>>) -> impl Stream<Item = Event> + Send {
    stream::unfold(coming, |mut coming| async move {
        let next = match coming.recv().await {
            Ok(told) => event(&told),
            Err(RecvError::Lagged(missed)) => named("event", &EventLine::Missed { missed }),
            Err(RecvError::Closed) => return None,
        };
        Some((next, coming))
    })
}

/// Each second; a reader who takes too long goes on with the newest.
fn seconds(coming: Receiver<Arc<Pulse>>) -> impl Stream<Item = Arc<Pulse>> + Send {
    stream::unfold(coming, |mut coming| async move {
        loop {
            match coming.recv().await {
                Ok(pulse) => return Some((pulse, coming)),
                Err(RecvError::Lagged(_)) => {}
                Err(RecvError::Closed) => return None,
            }
        }
    })
}

fn event(told: &Told) -> Event {
    named("event", &EventLine::Event(Box::new(told.wire())))
}

fn named(name: &str, data: &impl Serialize) -> Event {
    // It has no line ends.
    Event::default().event(name).data(json::text(data))
}
