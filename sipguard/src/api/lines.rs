//! Answers of one JSON value on each line.

use axum::body::Bytes;
use serde::Serialize;

/// The content type: one JSON value on each line.
pub(super) const JSON_LINES: &str = "application/x-ndjson";

/// One of them.
pub(super) fn line(value: &impl Serialize) -> Bytes {
    // Text, numbers and times: nothing that has no JSON.
    let mut bytes = serde_json::to_vec(value).unwrap_or_default();
    bytes.push(b'\n');
    bytes.into()
}
