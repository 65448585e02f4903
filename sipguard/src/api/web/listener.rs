//! The TCP listener. Protection never waits for it.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use axum::Router;
use hyper_util::{rt::TokioIo, service::TowerToHyperService};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    task::{JoinSet, spawn_blocking},
    time::sleep,
};
use tracing::{info, warn};

use super::{
    super::connection::{HEAD_TIME, PAUSE, builder},
    guard::Guard,
    patient::Patient,
    router,
};
use crate::{
    daemon::{Shared, TOKEN_FILE, Token, WebState},
    policy::WebSettings,
};

/// Connections at once; who comes then waits.
pub(super) const CONNECTIONS: usize = 64;

/// How often an address that could not be used is tried again.
const RETRY: Duration = Duration::from_secs(if cfg!(test) { 1 } else { 30 });

/// Answers on TCP for as long as the daemon runs; `state` is the state
/// directory.
pub async fn listen(settings: WebSettings, state: PathBuf, shared: Shared) {
    let Some(address) = settings.listen else { return };
    let (token, problem) = token(state).await;
    let Some(token) = token else {
        warn!("the web listener is off: {}", problem.as_deref().unwrap_or_default());
        shared.daemon().await.set_web(WebState { address: None, problem, token: None });
        return;
    };
    if let Some(problem) = &problem {
        warn!("web listener: {problem}");
    }
    let tell = async |problem| {
        let web = WebState { address: Some(address), problem, token: Some(token.clone()) };
        shared.daemon().await.set_web(web);
    };
    let listener = loop {
        match TcpListener::bind(address).await {
            Ok(listener) => break listener,
            Err(error) => {
                let error = format!("cannot listen on {address}: {error}");
                let before = shared.daemon().await.web().problem.clone();
                if before.as_ref() != Some(&error) {
                    warn!("web listener: {error}; sipguard protects all the same, and tries again");
                }
                tell(Some(error)).await;
                sleep(RETRY).await;
            }
        }
    };
    info!("the dashboard is at http://{}/", reachable(address));
    tell(problem).await;
    let guard = Guard::new(address, &settings, token.clone());
    serve(listener, &router(guard, shared.clone())).await;
}

/// The token of the state directory, else one that holds until the daemon ends;
/// and what is wrong.
async fn token(state: PathBuf) -> (Option<Token>, Option<String>) {
    let path = state.join(TOKEN_FILE);
    let kept = spawn_blocking(move || Token::of(&state)).await;
    match kept.map_err(io::Error::other).flatten() {
        Ok(token) => (Some(token), None),
        Err(error) => match Token::new() {
            Ok(token) => {
                let path = path.display();
                let problem = format!("the token holds until the next start only: {path}: {error}");
                (Some(token), Some(problem))
            }
            Err(error) => (None, Some(format!("cannot make a token: {error}"))),
        },
    }
}

/// Accepts as long as it is polled.
pub(super) async fn serve(listener: TcpListener, router: &Router) {
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    // Ends with this: whoever is connected then is cut off.
    let mut connections = JoinSet::new();
    loop {
        let Ok(place) = places.clone().acquire_owned().await else { return };
        while connections.try_join_next().is_some() {}
        match listener.accept().await {
            Ok((stream, _)) => {
                let router = router.clone();
                connections.spawn(async move {
                    answer(stream, router).await;
                    drop(place);
                });
            }
            Err(_) => sleep(PAUSE).await,
        }
    }
}

async fn answer(stream: TcpStream, router: Router) {
    let connection = builder(HEAD_TIME)
        .serve_connection(TokioIo::new(Patient::new(stream)), TowerToHyperService::new(router));
    // What a caller has broken off is none of our concern.
    let _ = connection.await;
}

/// An address that a browser on this host can use.
pub(super) fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}
