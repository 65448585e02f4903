//! What an earlier run has left: it holds for the rest of its time.

use std::time::Instant;

use ipnet::IpNet;
use jiff::Timestamp;
use tracing::{info, warn};

use super::{
    Filter, Host, Place,
    bans::reason,
    entries::{Entries, Entry, remaining},
    nets::shown,
    safety::{check_allow, check_ban, check_host},
};
use crate::{
    api::wire::Origin,
    history::{Ban, History, Kept, List, State},
    kernel::PastBan,
    offender::Offender,
    policy::{Plan, Target},
};

/// The entries of operators.
#[derive(Debug, Default)]
pub struct Entered {
    pub blocks: Entries<IpNet>,
    pub allows: Entries<Target>,
}

/// Brings back entries and bans that have not ended meanwhile, but for those
/// that must not be, and those that are there already. Gives how many.
pub(super) fn restore(
    state: &State,
    filter: &mut dyn Filter,
    (place, plan): (&Place, &Plan),
    entered: &mut Entered,
    history: &History,
) -> usize {
    let host = place.host().unwrap_or_else(|error| {
        warn!("cannot read this host's addresses: {error}");
        Host::default()
    });
    let mut restored = 0;
    // Trust first: who is trusted must not meet a block of his network alone.
    for ((list, target), kept) in state.entries.iter().rev() {
        match restore_entry(*list, *target, kept, filter, entered, &host) {
            Ok(done) => restored += usize::from(done),
            Err(why) => {
                warn!("{} {target} does not hold any more: {why}", past(*list));
                history.set_entry(*list, *target, None);
            }
        }
    }
    for (who, ban) in &state.bans {
        // Somebody may have been banned anew since the start.
        if history.ban(who).as_ref() != Some(ban) {
            continue;
        }
        match restore_ban(*who, ban, filter, plan, entered, &host) {
            Ok(done) => restored += usize::from(done),
            Err(why) => {
                warn!("the ban of {who} does not hold any more: {why}");
                history.set_ban(*who, None);
            }
        }
    }
    if restored > 0 {
        info!("{restored} bans and entries of operators hold on");
    }
    restored
}

const fn past(list: List) -> &'static str {
    match list {
        List::Blocked => "the operator's block of",
        List::Trusted => "the operator's trust in",
    }
}

/// Whether it was brought back; an error is a reason to forget it.
fn restore_entry(
    list: List,
    target: Target,
    kept: &Kept,
    filter: &mut dyn Filter,
    entered: &mut Entered,
    host: &Host,
) -> Result<bool, String> {
    let now = Instant::now();
    let Some(entry) = Entry::restored(kept, now) else { return Err("it has ended".to_owned()) };
    let left = entry.deadline.map(|deadline| deadline.saturating_duration_since(now));
    let Entered { blocks, allows } = entered;
    let done = match list {
        List::Blocked if blocks.get(&target.net).is_some() => return Ok(false),
        List::Trusted if allows.get(&target).is_some() => return Ok(false),
        List::Blocked => {
            check_host(target.net, host).map_err(|refusal| refusal.to_string())?;
            filter.block(target.net, left)
        }
        List::Trusted => {
            check_allow(target).map_err(|refusal| refusal.to_string())?;
            filter.allow(target, left)
        }
    };
    done.map_err(|error| error.to_string())?;
    match list {
        List::Blocked => drop(blocks.set(target.net, entry)),
        List::Trusted => drop(allows.set(target, entry)),
    }
    Ok(true)
}

/// The same of a ban. One that has ended is remembered, for the next would be
/// longer.
fn restore_ban(
    who: Offender,
    ban: &Ban,
    filter: &mut dyn Filter,
    plan: &Plan,
    entered: &Entered,
    host: &Host,
) -> Result<bool, String> {
    let Some(left) = remaining(ban.since, ban.until) else { return Ok(false) };
    let file = plan.trusted.keys().map(|target| (target, Origin::File));
    let operator = entered.allows.keys().map(|target| (target, Origin::Operator));
    check_ban(who, host, file.chain(operator)).map_err(|refusal| refusal.to_string())?;
    let age = Timestamp::now().duration_since(ban.since).try_into().unwrap_or_default();
    let past = PastBan {
        who,
        left,
        age,
        rule: ban.rule,
        signature: ban.signature.as_deref(),
        failures: ban.failures,
        proven: ban.proven,
    };
    match filter.restore_ban(&past) {
        Ok(true) => Ok(true),
        Ok(false) => {
            let why = reason(ban.rule, ban.signature.as_deref(), ban.failures, ban.proven);
            Err(format!("{} is no source under limits.source_prefix_v6 ({why})", shown(who.source)))
        }
        Err(error) => Err(error.to_string()),
    }
}
