//! Sources whose packets match signatures, from the journal of events. Who is too
//! slow there loses some, and nobody waits.

use std::{net::IpAddr, sync::Arc};

use ipnet::IpNet;
use sipguard_common::rule::Rule;
use tokio::sync::broadcast::error::RecvError;

use crate::daemon::{Shared, Told, Wanted};

pub(super) async fn listen(shared: Shared) {
    let wanted = Wanted { rule: Some(Rule::Signature), source: None };
    let Some(mut coming) = shared.events().recent(&wanted, 0).coming else { return };
    let hub = shared.daemon().await.crowd().clone();
    loop {
        match coming.recv().await {
            Ok(told) if is_signature_drop(&told) => {
                if shared.daemon().await.reports_signatures() {
                    let source: IpAddr = told.source();
                    let (net, now) = (IpNet::from(source), hub.now());
                    hub.outbox().signature_drop(net, told.signature.as_deref(), told.time, now);
                }
            }
            Ok(_) | Err(RecvError::Lagged(_)) => {}
            Err(RecvError::Closed) => return,
        }
    }
}

fn is_signature_drop(told: &Arc<Told>) -> bool {
    told.rule == Rule::Signature && !told.is_ban() && !told.would()
}
