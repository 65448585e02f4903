//! What a connection of either listener may take, by HTTP/1.

use std::time::Duration;

use hyper::server::conn::http1;
use hyper_util::rt::TokioTimer;

/// How long the head of a request may take, and how long a connection may be
/// idle before it.
pub(super) const HEAD_TIME: Duration = Duration::from_secs(if cfg!(test) { 1 } else { 10 });

/// Bytes of the head of a request.
const HEAD_BYTES: usize = 16 << 10;

/// How long nothing is accepted after that has failed: the host or the process may
/// be out of file descriptors.
pub(super) const PAUSE: Duration = Duration::from_millis(200);

pub(super) fn builder(head_time: Duration) -> http1::Builder {
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(head_time).max_buf_size(HEAD_BYTES);
    builder
}
