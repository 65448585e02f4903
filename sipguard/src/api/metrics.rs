//! `GET /metrics`: what Prometheus scrapes.

use axum::{
    extract::State,
    http::{HeaderMap, header},
    response::{IntoResponse, Response},
};

use super::{caller::Caller, failure::ApiError};
use crate::{
    daemon::Shared,
    metrics::{Format, scrape},
};

/// Everything that there is to measure, as the scraper reads it.
pub(super) async fn metrics(
    _: Caller,
    State(shared): State<Shared>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let accept = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok());
    let format = Format::accepted(accept);
    let text = scrape(&shared, format).await?;
    Ok(([(header::CONTENT_TYPE, format.content_type())], text).into_response())
}
