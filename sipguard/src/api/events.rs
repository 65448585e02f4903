//! Events as lines of JSON.

use std::{convert::Infallible, sync::Arc};

use axum::{
    body::{Body, Bytes},
    extract::{Query, State, rejection::QueryRejection},
    http::header,
    response::{IntoResponse, Response},
};
use futures_util::stream::{self, Stream, StreamExt as _};
use serde::Deserialize;
use tokio::sync::broadcast::{Receiver, error::RecvError};

use super::{
    caller::Caller,
    failure::ApiError,
    lines::{JSON_LINES, line},
    named::rule,
    wire::EventLine,
};
use crate::{
    daemon::{Shared, Told, Wanted},
    policy,
};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct EventsQuery {
    rule: Option<String>,
    source: Option<String>,
    last: Option<usize>,
    #[serde(default)]
    follow: bool,
}

/// The kept events, oldest first; if asked for, also each that comes from then
/// on, until the caller leaves.
pub(super) async fn events(
    _: Caller,
    State(shared): State<Shared>,
    query: Result<Query<EventsQuery>, QueryRejection>,
) -> Result<Response, ApiError> {
    let Query(query) = query.map_err(|rejection| {
        let hint = "ask for ?rule=, ?source=, ?last= and ?follow=true, or none".to_owned();
        ApiError::bad_request(rejection.body_text(), Some(hint))
    })?;
    let wanted = query.wanted()?;
    let recent = shared.events().recent(&wanted, query.last.unwrap_or(usize::MAX));
    let kept = stream::iter(recent.kept).map(|told| line(&event(&told)));
    let coming = recent.coming.filter(|_| query.follow).map(|coming| follow(coming, wanted));
    let lines = kept.chain(stream::iter(coming).flatten());
    let body = Body::from_stream(lines.map(Ok::<_, Infallible>));
    Ok(([(header::CONTENT_TYPE, JSON_LINES)], body).into_response())
}

impl EventsQuery {
    fn wanted(&self) -> Result<Wanted, ApiError> {
        let rule = match &self.rule {
            None => None,
            Some(name) => Some(rule(name)?),
        };
        let source =
            match &self.source {
                None => None,
                Some(text) => Some(policy::parse_net(text).map_err(|error| {
                    ApiError::bad_request(error.to_string(), Some(error.remedy()))
                })?),
            };
        Ok(Wanted { rule, source })
    }
}

/// What comes; a caller who takes too long hears how many he has missed.
fn follow(coming: Receiver<Arc<Told>>, wanted: Wanted) -> impl Stream<Item = Bytes> + Send {
    stream::unfold(coming, move |mut coming| async move {
        loop {
            let next = match coming.recv().await {
                Ok(told) if wanted.is(&told) => event(&told),
                Ok(_) => continue,
                Err(RecvError::Lagged(missed)) => EventLine::Missed { missed },
                Err(RecvError::Closed) => return None,
            };
            return Some((line(&next), coming));
        }
    })
}

fn event(told: &Told) -> EventLine {
    EventLine::Event(Box::new(told.wire()))
}
