//! The clsact discipline that filters stand in, below Linux 6.6.
//!
//! Filters are no file descriptors: after a kill -9 ours is still there, and
//! tells the next sipguard whose it was, and whose the discipline.

use std::io;

use aya::programs::tc::{NlOptions, TcHandle};

use super::error::{EEXIST, ENOENT, EPERM};
use crate::{
    kernel::{
        KernelError,
        netlink::tc::{self, CLSACT, Filter, Side},
        object::EGRESS,
    },
    sanitise::sanitise,
};

/// Where our filter may stand: behind all others, for those without a priority
/// of their own get 49,152 or less.
const PRIORITIES: std::ops::RangeInclusive<u16> = 65_000..=u16::MAX;

/// Handles of our filters, in letters `SIP0` and `SIP1`: in a discipline of
/// somebody else, and in one that we have made.
const IN_ANOTHERS: u32 = u32::from_be_bytes(*b"SIP0");
const IN_OURS: u32 = u32::from_be_bytes(*b"SIP1");

/// The discipline of an interface. Dropped, it goes if we have made it and
/// nobody else's filter is in it.
pub(super) struct Discipline {
    ifindex: u32,
    ours: bool,
}

impl Discipline {
    /// It stays, with our filter in it.
    pub(super) fn leave(mut self) {
        self.ours = false;
    }
}

impl Drop for Discipline {
    fn drop(&mut self) {
        if !self.ours {
            return;
        }
        let is_empty = |side| tc::filters(self.ifindex, side).is_ok_and(|found| found.is_empty());
        let is_clsact =
            tc::discipline(self.ifindex).is_ok_and(|kind| kind.as_deref() == Some(CLSACT));
        if is_clsact && is_empty(Side::In) && is_empty(Side::Out) {
            // Nobody is left to hear of a failure; an empty discipline does nothing.
            let _ = tc::remove_clsact(self.ifindex);
        }
    }
}

/// Where our filter goes.
pub(super) struct Room {
    pub(super) options: NlOptions,
    pub(super) discipline: Discipline,
    /// One that sipguard has left behind is there, to be replaced in one step.
    pub(super) taken: bool,
}

/// Makes room for our filter, and says where.
pub(super) fn prepare(interface: &str, ifindex: u32) -> Result<Room, KernelError> {
    let find =
        || tc::discipline(ifindex).map_err(KernelError::io("asking for queueing disciplines"));
    let made = find()?.is_none() && add(interface, ifindex)?;
    let mut discipline = Discipline { ifindex, ours: made };
    // The older `ingress` takes filters for what goes out, too, and runs them
    // over what comes in.
    if let Some(kind) = find()?.filter(|kind| kind != CLSACT) {
        let (interface, kind) = (interface.to_owned(), sanitise(&kind, 32));
        return Err(KernelError::NoRoomForClsact { interface, kind });
    }
    let filters = ours_and_others(ifindex)?;
    let mut orphans = filters.iter().filter(|filter| is_ours(filter));
    if let Some(orphan) = orphans.next() {
        remove(ifindex, orphans)?;
        discipline.ours |= orphan.handle == IN_OURS;
        let handle = TcHandle::from(orphan.handle);
        let options = NlOptions { priority: orphan.priority, handle, classid: None };
        return Ok(Room { options, discipline, taken: true });
    }
    let handle = TcHandle::from(if discipline.ours { IN_OURS } else { IN_ANOTHERS });
    let priority = free_priority(&filters).ok_or_else(|| KernelError::CannotAttachEgress {
        interface: interface.to_owned(),
        mode: CLSACT,
        reason: "somebody else's filters have every priority that is left to ours".to_owned(),
    })?;
    let options = NlOptions { priority, handle, classid: None };
    Ok(Room { options, discipline, taken: false })
}

/// Removes our filter, and the discipline if that is ours and empty.
pub(super) fn remove_ours(ifindex: u32) -> Result<(), KernelError> {
    let filters = ours_and_others(ifindex)?;
    let ours = filters.iter().any(|filter| is_ours(filter) && filter.handle == IN_OURS);
    remove(ifindex, filters.iter().filter(|filter| is_ours(filter)))?;
    drop(Discipline { ifindex, ours });
    Ok(())
}

fn ours_and_others(ifindex: u32) -> Result<Vec<Filter>, KernelError> {
    tc::filters(ifindex, Side::Out).map_err(KernelError::io("asking for filters"))
}

fn remove<'a>(ifindex: u32, filters: impl Iterator<Item = &'a Filter>) -> Result<(), KernelError> {
    for filter in filters {
        tc::remove_filter(ifindex, filter)
            .map_err(KernelError::io("removing a filter that sipguard has left behind"))?;
    }
    Ok(())
}

/// Makes the discipline. False where somebody else was faster.
fn add(interface: &str, ifindex: u32) -> Result<bool, KernelError> {
    let refused = |error: &io::Error| KernelError::CannotAttachEgress {
        interface: interface.to_owned(),
        mode: CLSACT,
        reason: reason(error.raw_os_error()).unwrap_or_else(|| error.to_string()),
    };
    match tc::add_clsact(ifindex) {
        Ok(()) => Ok(true),
        Err(error) => match error.raw_os_error() {
            Some(EEXIST) => Ok(false),
            Some(EPERM) => Err(KernelError::NotPermitted),
            _ => Err(refused(&error)),
        },
    }
}

/// What an errno means here, where that is not what it usually means.
pub(super) fn reason(code: Option<i32>) -> Option<String> {
    const MISSING: &str =
        "the kernel lacks the modules sch_ingress and cls_bpf: load them, or install them";
    (code == Some(ENOENT)).then(|| MISSING.to_owned())
}

/// Whether a filter is one that sipguard makes. There is no other sipguard at
/// this interface, for it has our ingress program: so it is one left behind.
fn is_ours(filter: &Filter) -> bool {
    filter.kind == "bpf"
        && filter.program.as_deref() == Some(EGRESS)
        && matches!(filter.handle, IN_ANOTHERS | IN_OURS)
        && PRIORITIES.contains(&filter.priority)
}

/// A priority without anybody else's filters.
fn free_priority(filters: &[Filter]) -> Option<u16> {
    let others: Vec<u16> = filters
        .iter()
        // Handle 0 is the list of filters of one priority, which an orphan of
        // ours leaves with it, too.
        .filter(|filter| filter.handle != 0 && !is_ours(filter))
        .map(|filter| filter.priority)
        .collect();
    PRIORITIES.into_iter().find(|priority| !others.contains(priority))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filter(priority: u16, handle: u32, kind: &str, program: Option<&str>) -> Filter {
        Filter { priority, handle, kind: kind.to_owned(), program: program.map(str::to_owned) }
    }

    #[test]
    fn only_what_looks_like_ours_in_every_way_is_ours() {
        let ours = filter(65_000, IN_OURS, "bpf", Some(EGRESS));
        assert!(is_ours(&ours) && is_ours(&Filter { handle: IN_ANOTHERS, ..ours.clone() }));
        for other in [
            filter(65_000, 1, "bpf", Some(EGRESS)),
            filter(1, IN_OURS, "bpf", Some(EGRESS)),
            filter(65_000, IN_OURS, "flower", None),
            filter(65_000, IN_OURS, "bpf", Some("somebody_elses")),
            filter(65_000, IN_OURS, "bpf", None),
        ] {
            assert!(!is_ours(&other), "{other:?}");
        }
    }

    #[test]
    fn ours_stands_behind_all_others_and_in_nobodys_place() {
        assert_eq!(free_priority(&[]), Some(65_000));
        let others = [filter(49_152, 1, "bpf", None), filter(65_000, 1, "flower", None)];
        assert_eq!(free_priority(&others), Some(65_001));
        let left = [filter(65_000, 0, "bpf", None), filter(65_000, IN_OURS, "bpf", Some(EGRESS))];
        assert_eq!(free_priority(&left), Some(65_000));
        let all: Vec<Filter> =
            PRIORITIES.map(|priority| filter(priority, 1, "bpf", None)).collect();
        assert_eq!(free_priority(&all), None);
    }
}
