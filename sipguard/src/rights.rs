//! The capabilities that sipguard runs with. They belong to a thread, and a
//! thread takes over those of the one that has started it.

use caps::{CapSet, Capability, CapsHashSet, errors::CapsError};
use tracing::warn;

/// What protecting takes: loading programs and maps, attaching, and programs
/// that read at variable places.
pub const KEPT: [Capability; 3] =
    [Capability::CAP_BPF, Capability::CAP_NET_ADMIN, Capability::CAP_PERFMON];

/// Of every thread but the one that attaches, as its first deed.
pub fn of_worker() {
    if let Err(error) = keep(&KEPT) {
        warn!("privileges: capabilities stay: {error}");
    }
}

/// Keeps those of `wanted` that this thread has.
///
/// # Errors
/// The kernel refused.
pub fn keep(wanted: &[Capability]) -> Result<(), CapsError> {
    // No thread may use what it may not have.
    for set in [CapSet::Effective, CapSet::Permitted] {
        let has = caps::read(None, set)?;
        let left: CapsHashSet =
            has.iter().filter(|capability| wanted.contains(capability)).copied().collect();
        change(set, &has, &left)?;
    }
    Ok(())
}

/// What changes nothing is not asked for: a filter of system calls may refuse it.
fn change(set: CapSet, before: &CapsHashSet, after: &CapsHashSet) -> Result<(), CapsError> {
    match before == after {
        true => Ok(()),
        false => caps::set(None, set, after),
    }
}

/// Takes away what programs could get that this thread runs, by themselves or
/// from us.
///
/// # Errors
/// The kernel refused.
pub fn bound() -> Result<(), CapsError> {
    // Who may not change the bounds cannot use them without new privileges.
    if caps::has_cap(None, CapSet::Effective, Capability::CAP_SETPCAP)? {
        for capability in caps::read(None, CapSet::Bounding)? {
            if !KEPT.contains(&capability) {
                caps::drop(None, CapSet::Bounding, capability)?;
            }
        }
    }
    caps::clear(None, CapSet::Ambient)?;
    change(CapSet::Inheritable, &caps::read(None, CapSet::Inheritable)?, &CapsHashSet::new())
}
