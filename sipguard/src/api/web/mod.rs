//! The API on TCP, for browsers and Prometheus, behind a [`guard`]: `/` is the
//! dashboard, `/v1/` what the control socket answers, too.

mod guard;
mod limits;
mod listener;
mod page;
mod patient;
mod session;
#[cfg(feature = "testing")]
pub mod testing;

use axum::{
    Router,
    extract::State,
    http::StatusCode,
    middleware,
    routing::{get, post},
};

use self::{guard::Guard, limits::Limits};
use super::{caller::Caller, failure::ApiError, json::Json, server, wire::Dashboard};
use crate::daemon::Shared;

pub use listener::listen;

#[cfg(test)]
mod tests;

/// The routes of a listener with this guard.
fn router(guard: Guard, shared: Shared) -> Router {
    let own = Router::new()
        .route("/", get(page::dashboard))
        .route("/page/{name}", get(page::part))
        .route("/favicon.ico", get(page::icon))
        .route("/session", get(session::show))
        .route("/login", post(session::login))
        .route("/logout", post(session::logout))
        .with_state(guard.clone());
    own.merge(server::router(shared))
        .layer(middleware::from_fn_with_state(Limits::default(), limits::bound))
        .layer(middleware::from_fn_with_state(guard, guard::check))
        .layer(middleware::map_response(page::headers))
}

/// Where the dashboard is, for who may have the token anyway.
pub(super) async fn dashboard(
    caller: Caller,
    State(shared): State<Shared>,
) -> Result<Json<Dashboard>, ApiError> {
    if caller == Caller::Web {
        return Err(ApiError::new(
            StatusCode::FORBIDDEN,
            "the token is told on the control socket only",
            Some("run `sipguard dashboard` on the host".to_owned()),
        ));
    }
    let daemon = shared.daemon().await;
    let web = daemon.web();
    let (Some(address), Some(token)) = (web.address, &web.token) else {
        let hint = "set `listen` under [web] in sipguard.toml, and start sipguard again";
        let error = web.problem.as_deref().unwrap_or("the web listener is off");
        return Err(ApiError::new(StatusCode::NOT_FOUND, error, Some(hint.to_owned())));
    };
    Ok(Json(Dashboard {
        url: format!("http://{}/", listener::reachable(address)),
        token: token.reveal().to_owned(),
        problem: web.problem.clone(),
    }))
}
