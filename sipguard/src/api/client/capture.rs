//! A capture over the control socket.

use http_body_util::BodyExt as _;
use hyper::{
    Method,
    body::{Bytes, Incoming},
};
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    time::{Instant, timeout, timeout_at},
};

use super::{Client, ClientError, NOTHING, PATIENCE, failed, request};
use crate::{
    api::wire::{self, Status},
    capture::Wish,
    policy::Target,
};

/// How a capture has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// The daemon has ended it.
    ByDaemon,
    /// By a signal to this process; with what the daemon said of it then.
    BySignal(Option<wire::Capture>),
}

impl Client {
    /// Takes a capture. Hands over nothing as soon as it has begun, then the
    /// parts of the stream, and hears how many packets there were so far, until its end, SIGINT or SIGTERM, or until `take`
    /// fails.
    ///
    /// # Errors
    /// See [`Client::status`], and what `take` says.
    pub fn capture<E: From<ClientError>>(
        &self,
        wish: &Wish,
        mut take: impl FnMut(&[u8]) -> Result<u64, E>,
    ) -> Result<Ended, E> {
        let request = request(Method::GET, &path(wish), NOTHING)?;
        let runtime = self.runtime()?;
        runtime.block_on(async {
            let mut signals = Signals::new().map_err(|error| self.io(error))?;
            let answer = timeout(PATIENCE, self.send(request)).await;
            let answer = answer.map_err(|_| ClientError::NoAnswer)??;
            let status = answer.status();
            let mut body = answer.into_body();
            if !status.is_success() {
                let body = body.collect().await.map_err(ClientError::from)?.to_bytes();
                return Err(failed(status, &body)?.into());
            }
            let mut packets = take(&[])?;
            let mut next = async |body: &mut Incoming| -> Result<Option<u64>, E> {
                let Some(frame) = body.frame().await else { return Ok(None) };
                let frame = frame.map_err(ClientError::from)?;
                take(frame.data_ref().map(Bytes::as_ref).unwrap_or_default()).map(Some)
            };
            loop {
                tokio::select! {
                    // Or a flood would go on for longer.
                    biased;
                    () = signals.any() => break,
                    now = next(&mut body) => match now? {
                        None => return Ok(Ended::ByDaemon),
                        Some(now) => packets = now,
                    },
                }
            }
            let held = self.held().await;
            // What the capture had got by then may still be on its way.
            let wanted = held.map_or(0, |held| held.packets);
            let deadline = Instant::now() + LAST_WORDS;
            while packets < wanted {
                match timeout_at(deadline, next(&mut body)).await {
                    Ok(now) => match now? {
                        None => return Ok(Ended::ByDaemon),
                        Some(now) => packets = now,
                    },
                    Err(_) => break,
                }
            }
            Ok(Ended::BySignal(held))
        })
    }

    /// The capture that is being taken, as the daemon says within a moment.
    async fn held(&self) -> Option<wire::Capture> {
        let request = request(Method::GET, "/v1/status", NOTHING).ok()?;
        let answer = timeout(LAST_WORDS, self.exchange(request)).await.ok()?;
        let (_, answer) = answer.ok()?;
        serde_json::from_slice::<Status>(&answer).ok()?.capture
    }
}

/// How long the daemon has for its last words about a capture.
const LAST_WORDS: std::time::Duration = std::time::Duration::from_secs(2);

/// Not SIGHUP, which `nohup` wants to be ignored: what is written by then is
/// whole anyway.
struct Signals([Signal; 2]);

impl Signals {
    fn new() -> std::io::Result<Self> {
        Ok(Self([signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?]))
    }

    async fn any(&mut self) {
        let [interrupt, terminate] = &mut self.0;
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    }
}

fn path(wish: &Wish) -> String {
    let Wish { rules, source, all, snaplen, per_second, max_size, duration, count } = wish;
    let max_size = max_size.unwrap_or(0);
    let mut path = format!(
        "/v1/capture?all={all}&snaplen={snaplen}&per_second={per_second}&max_size={max_size}\
         &duration={duration}"
    );
    let names: Vec<&str> = rules.iter().map(|rule| rule.name()).collect();
    let rules = (!names.is_empty()).then(|| ("rule", names.join(",")));
    let source = source.map(|net| ("source", Target { net, port: None }.to_string()));
    let count = count.map(|count| ("count", count.to_string()));
    for (key, value) in [rules, source, count].into_iter().flatten() {
        path += &format!("&{key}={value}");
    }
    path
}
