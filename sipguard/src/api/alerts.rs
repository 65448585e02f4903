//! What operators are told of, and whether that works.

use axum::{extract::State, http::StatusCode};

use super::{
    caller::Caller,
    failure::ApiError,
    json::{Json, JsonBody},
    wire::{AlertTest, AlertTestWish, Alerts},
};
use crate::daemon::Shared;

/// What is open and what was, and how the actions do.
pub(super) async fn alerts(_: Caller, State(shared): State<Shared>) -> Json<Alerts> {
    Json(shared.alerts().alerts())
}

/// Tries an action, once.
pub(super) async fn test(
    _: Caller,
    State(shared): State<Shared>,
    JsonBody(wish): JsonBody<AlertTestWish>,
) -> Result<Json<AlertTest>, ApiError> {
    match shared.alerts().test(&wish.action).await {
        Some(test) => Ok(Json(test)),
        None => {
            let error = format!("there is no action `{}`", wish.action);
            let hint = format!("the actions are {}", shared.alerts().actions().join(", "));
            Err(ApiError::new(StatusCode::NOT_FOUND, error, Some(hint)))
        }
    }
}
