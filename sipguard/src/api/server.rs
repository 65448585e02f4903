//! The router of the API.

use axum::{
    Router,
    extract::{
        Path, Query, State,
        rejection::{PathRejection, QueryRejection},
    },
    http::{Method, StatusCode, Uri},
    response::{IntoResponse, Response},
    routing::{delete, get, post},
};
use ipnet::IpNet;
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;

use super::{
    alerts,
    caller::Caller,
    capture::capture,
    crowdsec,
    events::events,
    failure::ApiError,
    feeds,
    json::{Json, JsonBody},
    lists::lists,
    metrics::metrics,
    pulse::pulse,
    stream::stream,
    web::dashboard,
    wire::{
        self, Added, Entry, Log, PostureChanged, PostureWish, Reloaded, Removed, Signatures, Stats,
        Status, Why,
    },
};
use crate::{
    daemon::{self, Shared},
    history::{self, MAX_LINES},
    policy::{self, Posture, Target, TargetError},
    ttl::Ttl,
};

/// What a report is about where nothing else is said.
const DAY: SignedDuration = SignedDuration::from_hours(24);

pub(super) type Answer<T> = Result<Json<T>, ApiError>;

/// Every route of the API, without a guard.
pub(super) fn router(shared: Shared) -> Router {
    Router::new()
        .route("/metrics", get(metrics))
        .route("/v1/status", get(status))
        .route("/v1/stats", get(stats))
        .route("/v1/signatures", get(signatures))
        .route("/v1/events", get(events))
        .route("/v1/pulse", get(pulse))
        .route("/v1/alerts", get(alerts::alerts))
        .route("/v1/alerts/test", post(alerts::test))
        .route("/v1/stream", get(stream))
        .route("/v1/web", get(dashboard))
        .route("/v1/capture", get(capture))
        .route("/v1/lists", get(lists))
        .route("/v1/why/{address}", get(why))
        .route("/v1/log", get(log))
        .route("/v1/report", get(report))
        .route("/v1/posture", get(posture))
        .route("/v1/posture", post(set_posture))
        .route("/v1/crowdsec", get(crowdsec::show))
        .route("/v1/feeds", get(feeds::list))
        .route("/v1/feeds/refresh", post(feeds::refresh))
        .route("/v1/reload", post(reload))
        .route("/v1/blocks", post(block))
        // Catches everything that follows, for a network has a slash.
        .route("/v1/blocks/{*target}", delete(unblock))
        .route("/v1/trusted", post(allow))
        .route("/v1/trusted/{*target}", delete(disallow))
        .fallback(unknown_path)
        .method_not_allowed_fallback(wrong_method)
        .with_state(shared)
}

async fn status(_: Caller, State(shared): State<Shared>) -> Answer<Status> {
    let status = shared.daemon().await.status()?;
    Ok(Json(Status { alerts: shared.alerts().count(), ..status }))
}

async fn stats(_: Caller, State(shared): State<Shared>) -> Answer<Stats> {
    Ok(Json(shared.daemon().await.stats()?))
}

async fn signatures(_: Caller, State(shared): State<Shared>) -> Answer<Signatures> {
    Ok(Json(shared.daemon().await.signatures()?))
}

async fn why(
    _: Caller,
    State(shared): State<Shared>,
    address: Result<Path<String>, PathRejection>,
) -> Answer<Why> {
    let net = parse_net(&path(address)?)?;
    if !(Target { net, port: None }).is_address() {
        let hint = "ask for one address, such as /v1/why/198.51.100.7".to_owned();
        return Err(ApiError::bad_request("a network has no one answer", Some(hint)));
    }
    Ok(Json(daemon::why(&shared, net.addr()).await?))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct LogQuery {
    ip: Option<String>,
    since: Option<Ttl>,
    #[serde(rename = "type")]
    kind: Option<String>,
    limit: Option<usize>,
}

async fn log(
    _: Caller,
    State(shared): State<Shared>,
    query: Result<Query<LogQuery>, QueryRejection>,
) -> Answer<Log> {
    let Query(LogQuery { ip, since, kind, limit }) = query.map_err(|rejection| {
        let hint = "ask for ?ip=, ?since=24h, ?type=ban and ?limit=, or none".to_owned();
        ApiError::bad_request(rejection.body_text(), Some(hint))
    })?;
    let wanted = history::Wanted {
        net: ip.as_deref().map(parse_net).transpose()?,
        since: since.map(ago),
        kind: kind.as_deref().map(parse_kind).transpose()?,
        limit: limit.unwrap_or(MAX_LINES),
    };
    Ok(Json(daemon::log(&shared, wanted).await?))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ReportQuery {
    since: Option<Ttl>,
}

async fn report(
    _: Caller,
    State(shared): State<Shared>,
    query: Result<Query<ReportQuery>, QueryRejection>,
) -> Answer<wire::Report> {
    let Query(ReportQuery { since }) = query.map_err(|rejection| {
        let hint = "ask for ?since=24h, or none for a day".to_owned();
        ApiError::bad_request(rejection.body_text(), Some(hint))
    })?;
    let since = since.map_or(DAY, |since| {
        SignedDuration::try_from(since.duration()).unwrap_or(SignedDuration::MAX)
    });
    Ok(Json(daemon::report(&shared, since).await?))
}

fn ago(ttl: Ttl) -> Timestamp {
    Timestamp::now().checked_sub(ttl.duration()).unwrap_or(Timestamp::MIN)
}

fn parse_kind(name: &str) -> Result<history::Kind, ApiError> {
    history::Kind::from_name(name).ok_or_else(|| {
        let names: Vec<&str> = history::Kind::ALL.iter().map(|kind| kind.name()).collect();
        let hint = format!("the types are {}", names.join(", "));
        ApiError::bad_request(format!("there is no type `{name}`"), Some(hint))
    })
}

async fn posture(_: Caller, State(shared): State<Shared>) -> Json<wire::Posture> {
    Json(shared.daemon().await.posture())
}

async fn set_posture(
    caller: Caller,
    State(shared): State<Shared>,
    JsonBody(wish): JsonBody<PostureWish>,
) -> Answer<PostureChanged> {
    let wish = parse_posture(&wish.posture)?;
    Ok(Json(shared.daemon().await.set_posture(wish, caller.by())?))
}

/// `None` for what the file says.
fn parse_posture(text: &str) -> Result<Option<Posture>, ApiError> {
    if text == "file" {
        return Ok(None);
    }
    let found = Posture::ALL.into_iter().find(|posture| posture.name() == text);
    found.map(Some).ok_or_else(|| {
        let names = Posture::ALL.map(Posture::name).join(", ");
        let hint = format!("the postures are {names}, and file for what sipguard.toml says");
        ApiError::bad_request(format!("there is no posture `{text}`"), Some(hint))
    })
}

async fn reload(caller: Caller, State(shared): State<Shared>) -> Answer<Reloaded> {
    Ok(Json(daemon::reload(&shared, caller.by()).await?))
}

async fn block(
    caller: Caller,
    State(shared): State<Shared>,
    JsonBody(entry): JsonBody<Entry>,
) -> Result<(StatusCode, Json<Added>), ApiError> {
    let net = parse_net(&entry.target)?;
    let added = shared.daemon().await.block(net, entry.ttl, entry.reason, caller.by())?;
    Ok((added_status(&added), Json(added)))
}

async fn unblock(
    caller: Caller,
    State(shared): State<Shared>,
    target: Result<Path<String>, PathRejection>,
) -> Answer<Removed> {
    let net = parse_net(&path(target)?)?;
    Ok(Json(shared.daemon().await.unblock(net, caller.by())?))
}

async fn allow(
    caller: Caller,
    State(shared): State<Shared>,
    JsonBody(entry): JsonBody<Entry>,
) -> Result<(StatusCode, Json<Added>), ApiError> {
    let target = parse_target(&entry.target)?;
    let added = shared.daemon().await.allow(target, entry.ttl, entry.reason, caller.by())?;
    Ok((added_status(&added), Json(added)))
}

async fn disallow(
    caller: Caller,
    State(shared): State<Shared>,
    target: Result<Path<String>, PathRejection>,
) -> Answer<Removed> {
    let target = parse_target(&path(target)?)?;
    Ok(Json(shared.daemon().await.disallow(target, caller.by())?))
}

fn added_status(added: &Added) -> StatusCode {
    if added.updated { StatusCode::OK } else { StatusCode::CREATED }
}

fn path(target: Result<Path<String>, PathRejection>) -> Result<String, ApiError> {
    match target {
        Ok(Path(target)) => Ok(target),
        Err(rejection) => Err(ApiError::bad_request(rejection.body_text(), None)),
    }
}

fn parse_net(text: &str) -> Result<IpNet, ApiError> {
    policy::parse_net(text).map_err(|error| wrong_target(&error))
}

fn parse_target(text: &str) -> Result<Target, ApiError> {
    text.parse().map_err(|error| wrong_target(&error))
}

fn wrong_target(error: &TargetError) -> ApiError {
    ApiError::bad_request(error.to_string(), Some(error.remedy()))
}

async fn unknown_path(uri: Uri) -> Response {
    let error = format!("there is no {}", uri.path());
    let hint = "the paths begin with /v1/ and stand in the reference under Control API; and there is \
                /metrics";
    ApiError::new(StatusCode::NOT_FOUND, error, Some(hint.to_owned())).into_response()
}

async fn wrong_method(method: Method, uri: Uri) -> Response {
    let error = format!("{} cannot be asked by {method}", uri.path());
    ApiError::new(StatusCode::METHOD_NOT_ALLOWED, error, None).into_response()
}
