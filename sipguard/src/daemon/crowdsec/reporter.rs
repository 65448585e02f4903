//! Telling a local API of bans, on threads that may wait.

use std::time::Duration;

use tokio::{task::spawn_blocking, time::sleep};
use tracing::{debug, info, warn};

use super::hub::Hub;
use crate::{
    crowdsec::{CrowdsecError, Lapi, Login, Report, Token},
    daemon::Shared,
    policy::CrowdsecSettings,
};

/// What comes within this goes along.
const TOGETHER: Duration = Duration::from_millis(100);

/// How often sums of signature drops are looked at.
const GLANCE: Duration = Duration::from_secs(5);

/// After a first failure; doubled with each further one.
const FIRST_RETRY: Duration = Duration::from_secs(1);
const LAST_RETRY: Duration = Duration::from_secs(300);

/// What is needed to tell.
#[derive(Clone, Debug)]
struct Machine {
    lapi: Lapi,
    settings: CrowdsecSettings,
    /// With the time at which it is good no longer.
    token: Option<(Token, Duration)>,
}

pub(super) async fn report(shared: Shared) {
    let hub = shared.daemon().await.crowd().clone();
    let mut machine: Option<Machine> = None;
    let mut failures = 0_u32;
    loop {
        let settings = shared.daemon().await.crowdsec_settings();
        let (was, is) = (machine.as_ref().map(|one| one.settings.machine()), settings.machine());
        if was != Some(is) && (was.is_some() || is.is_some()) {
            hub.forget_reporter();
            failures = 0;
            machine = is.map(|(url, _)| Machine {
                lapi: Lapi::new(url),
                settings: settings.clone(),
                token: None,
            });
        }
        if let Some(one) = machine.clone() {
            let batch = hub.outbox().take(hub.now());
            if !batch.is_empty() {
                let (done, one) = tell(&hub, one, batch).await;
                machine = Some(one);
                failures = if done { 0 } else { failures.saturating_add(1) };
            }
        }
        if failures > 0 {
            tokio::select! {
                () = hub.machine_changed() => {}
                () = sleep(back_off(failures)) => {}
            }
        } else if machine.is_none() || !hub.outbox().has_bans() {
            tokio::select! {
                () = hub.bans() => sleep(TOGETHER).await,
                () = hub.machine_changed() => {}
                () = sleep(GLANCE) => {}
            }
        }
    }
}

fn back_off(failures: u32) -> Duration {
    let wait = FIRST_RETRY.saturating_mul(1 << failures.saturating_sub(1).min(10)).min(LAST_RETRY);
    let chance = f64::from(getrandom::u32().unwrap_or(u32::MAX / 2)) / f64::from(u32::MAX);
    wait.mul_f64(0.5 + chance)
}

/// Gives whether what comes next may be told at once.
async fn tell(hub: &Hub, mut machine: Machine, batch: Vec<Report>) -> (bool, Machine) {
    let (before, work) = (batch.clone(), hub.clone());
    let job = spawn_blocking(move || {
        let done = machine.tell(&batch, work.now());
        (done, machine)
    });
    let (done, machine) = match job.await {
        Ok(done) => done,
        Err(error) => {
            warn!("crowdsec: telling of bans broke off: {error}");
            std::future::pending().await
        }
    };
    match done {
        Ok(()) => {
            debug!("crowdsec: {} alerts were told", before.len());
            if let Some(error) = hub.told(before.len()) {
                info!("crowdsec: alerts are told again, after: {error}");
            }
            (true, machine)
        }
        Err(error) => {
            if hub.not_told(&error.to_string()) {
                warn!("crowdsec: alerts cannot be told: {error}");
            }
            // What it does not understand now, it never will.
            let is_lasting =
                matches!(error, CrowdsecError::Status(status @ 400..=499) if status != 429);
            match is_lasting {
                true => hub.outbox().give_up(&before),
                false => hub.outbox().put_back(before),
            }
            (false, machine)
        }
    }
}

impl Machine {
    fn tell(&mut self, batch: &[Report], now: Duration) -> Result<(), CrowdsecError> {
        let known = self.token.as_ref().filter(|(_, end)| now < *end);
        let was_known = known.is_some();
        let token = match known {
            Some((token, _)) => token.clone(),
            None => self.log_in(now)?,
        };
        match self.lapi.report(&token, batch) {
            // The local API may have begun anew: once more, with a new one.
            Err(CrowdsecError::Denied { .. }) if was_known => {
                let token = self.log_in(now)?;
                self.lapi.report(&token, batch)
            }
            other => other,
        }
        .inspect_err(|error| {
            if matches!(error, CrowdsecError::Denied { .. }) {
                self.token = None;
            }
        })
    }

    fn log_in(&mut self, now: Duration) -> Result<Token, CrowdsecError> {
        let Some((_, file)) = self.settings.machine() else {
            return Err(CrowdsecError::Unreached("it is switched off".to_owned()));
        };
        let token = self.lapi.log_in(&Login::read(file)?)?;
        self.token = Some((token.clone(), now.saturating_add(token.good_for)));
        Ok(token)
    }
}
