//! Answers of one JSON value on each line.

use axum::body::Bytes;
use serde::Serialize;

use super::json;

/// The content type: one JSON value on each line.
pub(super) const JSON_LINES: &str = "application/x-ndjson";

/// One of them.
pub(super) fn line(value: &impl Serialize) -> Bytes {
    let mut line = json::text(value);
    line.push('\n');
    line.into()
}
