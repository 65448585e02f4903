//! Reading the message: the loops of `sipguard_common::scan` by `bpf_loop`.

use core::ffi::c_void;

use aya_ebpf::helpers::generated::bpf_loop;
use sipguard_common::{
    abi::Policy,
    automaton::Table,
    decide::Content,
    scan::{self, Scratch, identity},
};

use crate::maps;

/// What a loop's callback needs. Nothing in it changes during the loop: state
/// on the caller's stack would be misjudged by Linux 6.1.
#[repr(C)]
struct Loop {
    scratch: *mut Scratch,
    table: *const Table,
}

type Callback = unsafe extern "C" fn(u64, *mut Loop) -> i64;

/// `bpf_loop` ends when its callback gives 1. Linux 5.17.
#[inline(always)]
fn repeat(calls: u32, callback: Callback, mut context: Loop) {
    // SAFETY: the callback is a subprogram of this object; the context
    // outlives the call.
    unsafe {
        bpf_loop(calls, callback as *mut c_void, (&raw mut context).cast(), 0);
    }
}

unsafe extern "C" fn skip(_: u64, context: *mut Loop) -> i64 {
    // SAFETY: the context of `repeat`.
    i64::from(unsafe { scan::skip_call((*context).scratch) })
}

unsafe extern "C" fn lines(_: u64, context: *mut Loop) -> i64 {
    // SAFETY: the context of `repeat`.
    i64::from(unsafe { scan::scan_call((*context).scratch) })
}

unsafe extern "C" fn body(_: u64, context: *mut Loop) -> i64 {
    // SAFETY: the context of `repeat`.
    i64::from(unsafe { scan::body_call((*context).scratch) })
}

unsafe extern "C" fn values(_: u64, context: *mut Loop) -> i64 {
    // SAFETY: the context of `repeat`.
    i64::from(unsafe { scan::match_call((*context).scratch, (*context).table) })
}

unsafe extern "C" fn parameters_of(_: u64, context: *mut Loop) -> i64 {
    // SAFETY: the context of `repeat`.
    i64::from(unsafe { identity::parameters_call((*context).scratch) })
}

unsafe extern "C" fn seconds_of(_: u64, context: *mut Loop) -> i64 {
    // SAFETY: the context of `repeat`.
    i64::from(unsafe { identity::seconds_call((*context).scratch) })
}

/// Reads the parameters of the first header of this kind into the scratch
/// memory; false where there is none.
///
/// # Safety
/// The scratch memory is sealed and its lines are scanned.
#[inline(always)]
pub(crate) unsafe fn parameters(scratch: *mut Scratch, kind: u32) -> bool {
    // SAFETY: as the caller promises.
    unsafe {
        if !identity::parameters_begin(scratch, kind) {
            return false;
        }
        repeat(scan::SCAN_CALLS, parameters_of, Loop { scratch, table: core::ptr::null() });
    }
    true
}

/// Seconds that a registration was granted for.
///
/// # Safety
/// As above.
#[inline(always)]
pub(crate) unsafe fn granted(scratch: *mut Scratch) -> u32 {
    // SAFETY: as the caller promises.
    unsafe {
        if identity::seconds_begin(scratch) {
            repeat(scan::SCAN_CALLS, seconds_of, Loop { scratch, table: core::ptr::null() });
        }
        (&raw const (*scratch).seconds).read_volatile()
    }
}

unsafe extern "C" fn lines_of(_: u64, context: *mut Loop) -> i64 {
    // SAFETY: the context of `repeat`.
    i64::from(unsafe { scan::lines::call((*context).scratch) })
}

/// Counts lines of the message in the scratch memory of the way out, which is
/// sealed: [`scan::lines`]. A subprogram: the verifier walks it once and not once
/// for each way to it.
#[unsafe(no_mangle)]
#[inline(never)]
pub(crate) extern "C" fn count_lines(max: u32, until: u32) -> u32 {
    let Some(scratch) = maps::EGRESS.get_ptr_mut(0) else {
        return 0;
    };
    // SAFETY: this CPU's own memory.
    unsafe {
        scan::lines::begin(scratch, max, until);
        repeat(scan::SCAN_CALLS, lines_of, Loop { scratch, table: core::ptr::null() });
        scan::lines::end(scratch);
    }
    0
}

/// Scans all lines of the header.
///
/// # Safety
/// The scratch memory is sealed.
#[inline(always)]
pub(crate) unsafe fn scan_all(scratch: *mut Scratch) {
    // SAFETY: as the caller promises.
    unsafe { scan::scan_all(scratch) }
    repeat(scan::SCAN_CALLS, lines, Loop { scratch, table: core::ptr::null() });
}

unsafe extern "C" fn found(_: u64, context: *mut Loop) -> i64 {
    // SAFETY: the context of `repeat`.
    i64::from(unsafe { scan::find::call((*context).scratch) })
}

/// Skips line ends before a message.
///
/// # Safety
/// The scratch memory is sealed.
#[inline(always)]
pub(crate) unsafe fn skip_ends(scratch: *mut Scratch) {
    // SAFETY: as the caller promises.
    if unsafe { scan::needs_skip(scratch) } {
        repeat(scan::SKIP_CALLS, skip, Loop { scratch, table: core::ptr::null() });
    }
}

/// Finds CSeq and Call-ID, as far as they are needed.
///
/// # Safety
/// The scratch memory is sealed.
#[inline(always)]
pub(crate) unsafe fn find(scratch: *mut Scratch, need: u32) {
    // SAFETY: as the caller promises.
    unsafe { scan::find::begin(scratch, need) }
    repeat(scan::find::CALLS, found, Loop { scratch, table: core::ptr::null() });
}

/// What the payload in the scratch memory is, as `Content::encode` gives it.
/// A subprogram: the verifier walks it once and not once for each way to it.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn message_content(policy: *const Policy) -> u32 {
    let Some(scratch) = maps::SCRATCH.get_ptr_mut(0) else {
        return Content::Garbage.encode();
    };
    if policy.is_null() {
        return Content::Garbage.encode();
    }
    // SAFETY: both come from map lookups.
    unsafe {
        if scan::needs_skip(scratch) {
            let table = &raw const (*policy).automaton;
            repeat(scan::SKIP_CALLS, skip, Loop { scratch, table });
        }
        scan::content(scratch, policy).encode()
    }
}

/// The signature that the message matches, by index plus one, or 0.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn message_signature(policy: *const Policy) -> u32 {
    let Some(scratch) = maps::SCRATCH.get_ptr_mut(0) else {
        return 0;
    };
    if policy.is_null() {
        return 0;
    }
    // SAFETY: both come from map lookups.
    unsafe {
        let table = &raw const (*policy).automaton;
        scan::scan_begin(scratch, table);
        repeat(scan::SCAN_CALLS, lines, Loop { scratch, table });
        scan::scan_end(scratch);
        if scan::body_begin(scratch) {
            repeat(scan::SCAN_CALLS, body, Loop { scratch, table });
        }
        if scan::match_begin(scratch, table, 0) {
            repeat(scan::MATCH_CALLS, values, Loop { scratch, table });
        }
        scan::match_end(scratch, table)
    }
}

/// As the subprogram says.
#[inline(always)]
pub(crate) fn content(policy: &Policy) -> u32 {
    message_content(policy)
}

/// As the subprogram says.
#[inline(always)]
pub(crate) fn signature(policy: &Policy) -> u32 {
    message_signature(policy)
}
