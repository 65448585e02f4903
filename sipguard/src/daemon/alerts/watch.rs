//! Looks at each second, and tells.

use std::{sync::Arc, time::Instant};

use jiff::Timestamp;
use tokio::sync::broadcast::{Receiver, error::RecvError};

use super::gather::Gather;
use crate::{
    alerts::{Engine, Moment},
    api::wire::Pulse,
    daemon::{Shared, Told, Wanted},
};

/// Watches for as long as the daemon runs.
pub(in crate::daemon) async fn watch(shared: Shared) {
    let Some(mut pulses) = shared.pulse().follow() else { return };
    let mut events = shared.events().recent(&Wanted::default(), 0).coming;
    let settings = shared.daemon().await.alert_settings();
    shared.alerts().set_actions(&settings.actions);
    let mut watcher = Watcher {
        gather: Gather::default(),
        engine: Engine::new(settings),
        started: Instant::now(),
    };
    loop {
        // What was told before the end of a second belongs to it.
        tokio::select! {
            biased;
            told = next(&mut events) => watcher.note(&shared, &told).await,
            pulse = pulses.recv() => match pulse {
                Ok(pulse) => watcher.look(&shared, &pulse).await,
                Err(RecvError::Lagged(_)) => {}
                Err(RecvError::Closed) => return,
            },
        }
    }
}

/// The next event; never, where none comes any more.
async fn next(events: &mut Option<Receiver<Arc<Told>>>) -> Arc<Told> {
    while let Some(coming) = events {
        match coming.recv().await {
            Ok(told) => return told,
            Err(RecvError::Lagged(_)) => {}
            Err(RecvError::Closed) => *events = None,
        }
    }
    std::future::pending().await
}

struct Watcher {
    gather: Gather,
    engine: Engine,
    started: Instant,
}

impl Watcher {
    async fn note(&mut self, shared: &Shared, told: &Told) {
        match told.is_ban() {
            true => self.gather.note_ban(shared.daemon().await.offender(told), told),
            false => self.gather.note(told),
        }
    }

    async fn look(&mut self, shared: &Shared, pulse: &Pulse) {
        let now = Moment { at: self.started.elapsed(), wall: Timestamp::now() };
        let (seen, settings, history) = {
            let daemon = shared.daemon().await;
            let seen = self.gather.observation(now, pulse, &daemon);
            (seen, daemon.alert_settings(), daemon.history().clone())
        };
        if settings != *self.engine.settings() {
            shared.alerts().set_actions(&settings.actions);
            self.engine.set(Arc::clone(&settings));
        }
        let told = self.engine.observe(now, &seen);
        shared.alerts().set_open(self.engine.open().cloned().collect());
        for one in &told {
            shared.alerts().tell(one, &settings, &history);
        }
    }
}
