//! CrowdSec: how it is doing.

use axum::extract::State;

use super::{caller::Caller, json::Json, server::Answer, wire::Crowdsec};
use crate::daemon::Shared;

pub(super) async fn show(_: Caller, State(shared): State<Shared>) -> Answer<Crowdsec> {
    Ok(Json(shared.daemon().await.crowdsec_wire()))
}
