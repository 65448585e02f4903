//! HTTP and JSON on the control socket, and behind a guard on TCP (see [`web`]).
//! The command line is one caller, curl is another:
//!
//! ```sh
//! curl --unix-socket /run/sipguard/control.sock http://localhost/v1/status
//! ```
//!
//! | Request | Body | Answer |
//! |---|---|---|
//! | `GET /metrics` | | [`crate::metrics::METRICS`] as text |
//! | `GET /v1/status` | | [`wire::Status`] |
//! | `GET /v1/stats` | | [`wire::Stats`] |
//! | `GET /v1/signatures` | | [`wire::Signatures`] |
//! | `GET /v1/events?rule=&source=&last=&follow=` | | lines of [`wire::EventLine`] |
//! | `GET /v1/pulse?last=&follow=` | | lines of [`wire::Pulse`] |
//! | `GET /v1/stream` | | server-sent events: [`wire::Event`] |
//! | `GET /v1/web` | | [`wire::Dashboard`], on the socket only |
//! | `GET /v1/lists?kind=&search=&limit=` | | [`wire::Lists`] |
//! | `GET /v1/alerts` | | [`wire::Alerts`] |
//! | `POST /v1/alerts/test` | [`wire::AlertTestWish`] | [`wire::AlertTest`] |
//! | `GET /v1/lists?kind=blocked`, `trusted`, `banned` or `verified` | | [`wire::Lists`] |
//! | `GET /v1/why/{address}` | | [`wire::Why`] |
//! | `GET /v1/log?ip=&since=&type=&limit=` | | [`wire::Log`] |
//! | `GET /v1/capture?rule=&source=&all=&snaplen=&per_second=&max_size=&duration=&count=` | | pcapng |
//! | `GET /v1/report?since=` | | [`wire::Report`] |
//! | `GET /v1/posture` | | [`wire::Posture`] |
//! | `POST /v1/posture` | [`wire::PostureWish`] | [`wire::PostureChanged`] |
//! | `GET /v1/feeds` | | [`wire::Feeds`] |
//! | `POST /v1/feeds/refresh` | [`wire::FeedsWish`] | [`wire::Feeds`] |
//! | `GET /v1/crowdsec` | | [`wire::Crowdsec`] |
//! | `POST /v1/reload` | | [`wire::Reloaded`] |
//! | `POST /v1/blocks` | [`wire::Entry`] | [`wire::Added`] |
//! | `DELETE /v1/blocks/{target}` | | [`wire::Removed`] |
//! | `POST /v1/trusted` | [`wire::Entry`] | [`wire::Added`] |
//! | `DELETE /v1/trusted/{target}` | | [`wire::Removed`] |
//!
//! Every other answer carries a [`wire::Failure`].

mod alerts;
mod body;
mod caller;
mod capture;
pub mod client;
mod connection;
mod crowdsec;
mod events;
mod failure;
mod feeds;
mod json;
mod lines;
mod lists;
mod metrics;
mod named;
mod places;
mod pulse;
mod server;
mod socket;
mod stream;
pub mod web;
pub mod wire;

pub use socket::serve;

#[cfg(test)]
mod tests;
