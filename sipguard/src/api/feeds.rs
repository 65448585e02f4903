//! Feeds: how they are doing, and reading them at once.

use axum::extract::State;

use super::{
    caller::Caller,
    json::{Json, JsonBody},
    server::Answer,
    wire::{Feeds, FeedsWish},
};
use crate::daemon::{self, Shared};

pub(super) async fn list(_: Caller, State(shared): State<Shared>) -> Answer<Feeds> {
    Ok(Json(shared.daemon().await.feeds_wire()))
}

pub(super) async fn refresh(
    _: Caller,
    State(shared): State<Shared>,
    JsonBody(FeedsWish { name }): JsonBody<FeedsWish>,
) -> Answer<Feeds> {
    Ok(Json(daemon::refresh_feeds(&shared, name).await?))
}
