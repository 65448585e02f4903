//! Reading the files again: all or nothing.

use std::io;

use super::{By, Error, Shared, manager, memory::give_back};
use crate::api::wire::Reloaded;

/// Reads all files and applies them, on a thread of its own: signals and
/// counters are served meanwhile, and a caller who goes away stops nothing.
///
/// # Errors
/// The files have errors or the kernel refused; the last good policy stays.
pub async fn reload(shared: &Shared, by: By) -> Result<Reloaded, Error> {
    let shared = shared.clone();
    let turn = shared.reload_turn().await;
    let work = move || {
        let _turn = turn;
        manager::reloading();
        let loaded = shared.place().load();
        let mut daemon = shared.blocking_daemon();
        let done = match loaded {
            Ok((plan, notes)) => daemon.replace(plan, notes, by),
            Err(error) => {
                daemon.reload_failed(&error, by);
                Err(error)
            }
        };
        let status = daemon.protecting();
        drop(daemon);
        shared.feeds().ring();
        match &done {
            Ok(_) => manager::ready(&status),
            Err(_) => manager::ready(&format!("{status} (the last reload failed)")),
        }
        give_back();
        done
    };
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => Err(Error::Host(io::Error::other(error))),
    }
}
