//! The control socket. Protection never waits for it, and who asks slowly, or
//! much, keeps no place that others need.

use std::{future::Future, sync::Arc, time::Duration};

use axum::{
    Router,
    extract::{ConnectInfo, Request},
    http::{HeaderValue, StatusCode, header},
    middleware::{self, Next},
    response::{IntoResponse, Response},
};
use hyper::{
    body::Incoming,
    server::conn::http1,
    service::{Service as _, service_fn},
};
use hyper_util::{rt::TokioIo, server::graceful::GracefulShutdown, service::TowerToHyperService};
use tokio::{
    net::{UnixListener, UnixStream},
    sync::Semaphore,
    task::JoinSet,
    time::sleep,
};

use super::{
    body,
    caller::Peer,
    connection::{HEAD_TIME, PAUSE, builder},
    failure::ApiError,
    places::{EACH, Place, Places},
    server::router,
};
use crate::daemon::Shared;

/// Who finds no place hears why: so many at once, the others do not.
const TURNED_AWAY: usize = 8;

/// How long they may take to ask.
const SHORT_TIME: Duration = Duration::from_secs(1);

/// Answers callers of the socket until `stop` is done, and those who wait for
/// an answer then.
pub async fn serve(
    listener: UnixListener,
    shared: Shared,
    stop: impl Future<Output = ()> + Send + 'static,
) {
    let router = routes(shared);
    let (places, away) = (Places::default(), Arc::new(Semaphore::new(TURNED_AWAY)));
    let ending = GracefulShutdown::new();
    let mut connections = JoinSet::new();
    tokio::pin!(stop);
    loop {
        let accepted = tokio::select! {
            () = &mut stop => break,
            accepted = listener.accept() => accepted,
        };
        while connections.try_join_next().is_some() {}
        let Ok((stream, _)) = accepted else {
            sleep(PAUSE).await;
            continue;
        };
        let peer = Peer::of(&stream);
        match places.take(peer.uid()) {
            Some(place) => {
                let connection = ending.watch(answers(stream, peer, router.clone(), &place));
                connections.spawn(async move {
                    // What a caller has broken off is none of our concern.
                    let _ = connection.await;
                    drop(place);
                });
            }
            None => {
                if let Ok(place) = away.clone().try_acquire_owned() {
                    connections.spawn(async move {
                        turn_away(stream).await;
                        drop(place);
                    });
                }
            }
        }
    }
    drop(listener);
    ending.shutdown().await;
}

/// Every route, for whom the socket admits.
pub(super) fn routes(shared: Shared) -> Router {
    router(shared).layer(middleware::from_fn(take_in))
}

type Io = TokioIo<UnixStream>;

fn answers(
    stream: UnixStream,
    peer: Peer,
    router: Router,
    place: &Place,
) -> http1::Connection<
    Io,
    impl hyper::service::Service<
        hyper::Request<Incoming>,
        Response = Response,
        Error = std::convert::Infallible,
        Future: Send,
    > + use<>,
> {
    let (service, work) = (TowerToHyperService::new(router), place.work());
    let service = service_fn(move |mut request: hyper::Request<Incoming>| {
        request.extensions_mut().insert(ConnectInfo(peer));
        let (service, work) = (service.clone(), Arc::clone(&work));
        async move {
            // Nobody closes it.
            let _turn = work.acquire_owned().await;
            service.call(request).await
        }
    });
    builder(HEAD_TIME).serve_connection(TokioIo::new(stream), service)
}

/// Takes in the body before anything is done.
async fn take_in(request: Request, next: Next) -> Response {
    match body::whole(request).await {
        Ok(request) => next.run(request).await,
        Err(error) => error.into_response(),
    }
}

/// Tells one request that there is no place.
async fn turn_away(stream: UnixStream) {
    let service = service_fn(|_: hyper::Request<Incoming>| async {
        let error = "too many are connected to the control socket";
        let hint = format!("a user may have {EACH} connections: end some that follow");
        let refusal = ApiError::new(StatusCode::SERVICE_UNAVAILABLE, error, Some(hint));
        let mut answer = refusal.into_response();
        answer.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        Ok::<_, std::convert::Infallible>(answer)
    });
    let connection = builder(SHORT_TIME).serve_connection(TokioIo::new(stream), service);
    let _ = tokio::time::timeout(2 * SHORT_TIME, connection).await;
}
