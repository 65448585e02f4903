//! A capture as a stream of pcapng.

use std::{convert::Infallible, pin::pin, sync::Arc, time::Duration};

use axum::{
    body::{Body, Bytes},
    extract::{Query, State, rejection::QueryRejection},
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use futures_util::stream::{self, Stream};
use pcap_file::PcapResult;
use serde::Deserialize;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at, sleep_until};
use tracing::warn;

use super::{caller::Caller, failure::ApiError, named::rule};
use crate::{
    capture::{Counts, End, Frame, Pcapng, STATISTICS_MAX, Wish},
    daemon::{Capturing, Shared},
    policy,
    ttl::Ttl,
};

/// The registered type of pcapng.
const PCAPNG: &str = "application/vnd.tcpdump.pcap";

/// Packets that are written at once.
const BATCH: usize = 256;

/// How often it is told what was not captured, where that has changed.
const TICK: Duration = Duration::from_secs(1);

/// See [`Wish`]: each key as its field, but for `rule`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CaptureQuery {
    /// Names, with commas between them.
    rule: Option<String>,
    source: Option<String>,
    #[serde(default)]
    all: bool,
    snaplen: Option<u32>,
    per_second: Option<u32>,
    /// 0 where the caller looks after the size.
    max_size: Option<u64>,
    duration: Option<Ttl>,
    count: Option<u64>,
}

/// Packets from now on, until a bound is reached or the caller leaves.
pub(super) async fn capture(
    caller: Caller,
    State(shared): State<Shared>,
    query: Result<Query<CaptureQuery>, QueryRejection>,
) -> Result<Response, ApiError> {
    let Query(query) = query.map_err(|rejection| {
        let hint = "ask for ?rule=, ?source=, ?all=true, ?snaplen=, ?per_second=, ?max_size=, \
                    ?duration=5m and ?count=, or none";
        ApiError::bad_request(rejection.body_text(), Some(hint.to_owned()))
    })?;
    let wish = query.wish()?;
    // Over loopback everybody on this host may look, and these are whole packets.
    let Caller::Local { uid, .. } = caller else {
        let error = "captures are taken over the control socket";
        let hint = "run `sipguard capture`, or curl with --unix-socket".to_owned();
        return Err(ApiError::new(StatusCode::FORBIDDEN, error, Some(hint)));
    };
    let capturing = Capturing::begin(&shared, &wish, uid).await?;
    let made = Pcapng::new(capturing.interfaces(), wish.snaplen);
    let pcapng = made.map_err(|error| unwritten(&error))?;
    let body = Body::from_stream(stream(Taking::new(capturing, pcapng, wish)));
    Ok(([(header::CONTENT_TYPE, PCAPNG)], body).into_response())
}

fn unwritten(error: &pcap_file::PcapError) -> ApiError {
    let error = format!("cannot write a capture: {error}");
    ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, error, None)
}

impl CaptureQuery {
    fn wish(self) -> Result<Wish, ApiError> {
        let usual = Wish::default();
        let names = self.rule.iter().flat_map(|names| names.split(','));
        let source = self.source.as_deref().map(policy::parse_net).transpose();
        let source = source
            .map_err(|error| ApiError::bad_request(error.to_string(), Some(error.remedy())))?;
        let wish = Wish {
            rules: names.map(rule).collect::<Result<_, _>>()?,
            source,
            all: self.all,
            snaplen: self.snaplen.unwrap_or(usual.snaplen),
            per_second: self.per_second.unwrap_or(usual.per_second),
            max_size: self.max_size.map_or(usual.max_size, |size| Some(size).filter(|n| *n > 0)),
            duration: self.duration.unwrap_or(usual.duration),
            count: self.count,
        };
        wish.check().map_err(|error| ApiError::bad_request(error.to_string(), None))?;
        Ok(wish)
    }
}

/// A capture on its way to the caller.
struct Taking {
    capturing: Capturing,
    pcapng: Pcapng,
    wish: Wish,
    deadline: Instant,
    tick: Interval,
    counts: Counts,
    /// As it was told last.
    told: Counts,
    ended: bool,
}

impl Taking {
    fn new(capturing: Capturing, pcapng: Pcapng, wish: Wish) -> Self {
        let deadline = Instant::now() + wish.duration.duration();
        let mut tick = interval_at(Instant::now() + TICK, TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (counts, told) = Default::default();
        Self { capturing, pcapng, wish, deadline, tick, counts, told, ended: false }
    }

    /// Waits until there is something to send, or the end.
    async fn go_on(&mut self) -> PcapResult<()> {
        let mut frames = Vec::new();
        let mut over = pin!(sleep_until(self.deadline));
        while self.pcapng.is_taken() {
            tokio::select! {
                // Or a flood would go on for longer.
                biased;
                () = &mut over => return self.end(End::Duration).await,
                _ = self.tick.tick() => self.tell().await?,
                count = self.capturing.packets(&mut frames, BATCH) => match count {
                    0 => return self.end(End::Stopped).await,
                    _ => self.write(&frames).await?,
                }
            }
            frames.clear();
        }
        Ok(())
    }

    async fn write(&mut self, frames: &[Arc<Frame>]) -> PcapResult<()> {
        for frame in frames {
            let room = self.pcapng.room_for(frame) + STATISTICS_MAX;
            if self.wish.max_size.is_some_and(|max| self.pcapng.size() + room > max) {
                return self.end(End::Size).await;
            }
            self.pcapng.packet(frame)?;
            self.counts.packets += 1;
            if self.wish.count == Some(self.counts.packets) {
                return self.end(End::Count).await;
            }
        }
        Ok(())
    }

    /// Tells of what was not captured, where that is news and there is room.
    async fn tell(&mut self) -> PcapResult<()> {
        self.count().await;
        let Counts { held_back, lost, .. } = self.told;
        let is_news = (held_back, lost) != (self.counts.held_back, self.counts.lost);
        let after = self.pcapng.size() + 2 * STATISTICS_MAX;
        if is_news && self.wish.max_size.is_none_or(|max| after <= max) {
            self.told = self.counts;
            self.pcapng.statistics(self.counts, None)?;
        }
        Ok(())
    }

    async fn end(&mut self, end: End) -> PcapResult<()> {
        self.ended = true;
        self.count().await;
        self.pcapng.statistics(self.counts, Some(end))
    }

    async fn count(&mut self) {
        if let Some((held_back, lost)) = self.capturing.losses().await {
            self.counts = Counts { held_back, lost, ..self.counts };
        }
    }
}

/// Whole blocks, as they come.
fn stream(taking: Taking) -> impl Stream<Item = Result<Bytes, Infallible>> + Send {
    stream::unfold(Some(taking), |taking| async move {
        let mut taking = taking?;
        if taking.pcapng.is_taken()
            && let Err(error) = taking.go_on().await
        {
            warn!("a capture has ended: {error}");
            return None;
        }
        let blocks = taking.pcapng.take();
        Some((Ok(blocks.into()), Some(taking).filter(|taking| !taking.ended)))
    })
}
