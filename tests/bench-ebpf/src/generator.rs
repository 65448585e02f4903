//! Makes frames of templates and sends them out of an interface.
//!
//! It runs under `BPF_PROG_TEST_RUN` with live frames, on one thread: nothing
//! here is safe against a second one.

use aya_ebpf::{
    EbpfContext as _,
    bindings::xdp_action::{XDP_ABORTED, XDP_DROP},
    btf_maps::Array,
    helpers::generated::{
        bpf_get_prandom_u32, bpf_ktime_get_ns, bpf_redirect, bpf_xdp_adjust_tail,
        bpf_xdp_store_bytes,
    },
    macros::{btf_map, xdp},
    programs::XdpContext,
};

/// Bytes of a template at most.
const ROOM: usize = 1524;
/// Templates at most.
const TEMPLATES: usize = 256;
/// Ethernet, IPv4 without options, UDP.
const HEADERS: u32 = 42;

/// Places in the frame.
const IP_CHECKSUM: usize = 24;
const IP_SOURCE: usize = 26;
const UDP_SOURCE: usize = 34;

/// How far behind its time the generator may be before it gives up catching
/// up, in packets.
const CATCH_UP: u64 = 64;

/// A frame: Ethernet, IPv4 and UDP without checksums.
#[repr(C)]
pub(crate) struct Template {
    len: u32,
    /// Sum of the IPv4 header's words but the source's and the checksum's.
    sum: u32,
    /// Not 0: the source stays as it is.
    fixed: u32,
    bytes: [u8; ROOM],
}

#[repr(C)]
pub(crate) struct Settings {
    templates: u32,
    /// How many sources; 0 leaves the templates' own.
    sources: u32,
    /// The first of them, as a number.
    first: u32,
    /// A source's number times this, modulo the places, is its place.
    spread: u32,
    /// Places, less one: a power of two less one.
    last_place: u32,
    /// The distance between places, as a power of two.
    shift: u32,
    /// Where the frames go out.
    ifindex: u32,
    /// Nanoseconds between two frames; 0 is as fast as can be.
    gap_ns: u32,
}

#[repr(C)]
pub(crate) struct State {
    /// Frames that were handed to the interface.
    sent: u64,
    /// When the next one is due.
    next_ns: u64,
}

#[btf_map]
static TEMPLATE: Array<Template, TEMPLATES> = Array::new();

#[btf_map]
static SETTINGS: Array<Settings, 1> = Array::new();

#[btf_map]
static STATE: Array<State, 1> = Array::new();

#[xdp]
pub(crate) fn generator(context: XdpContext) -> u32 {
    generate(&context).unwrap_or(XDP_ABORTED)
}

#[inline(always)]
fn generate(context: &XdpContext) -> Option<u32> {
    let settings = SETTINGS.get(0)?;
    // SAFETY: map memory, which only this thread writes.
    let state = unsafe { &mut *STATE.get_ptr_mut(0)? };
    if settings.gap_ns != 0 && !is_due(state, u64::from(settings.gap_ns)) {
        return Some(XDP_DROP);
    }
    let number = state.sent;
    state.sent += 1;
    let template = TEMPLATE.get((number % u64::from(settings.templates.max(1))) as u32)?;
    write(context, template)?;
    address(context, settings, template)?;
    // SAFETY: a helper that only looks at its arguments.
    Some(unsafe { bpf_redirect(settings.ifindex, 0) } as u32)
}

/// Frames that are too early are dropped here, so that a batch of the test run
/// is a short wait.
#[inline(always)]
fn is_due(state: &mut State, gap: u64) -> bool {
    // SAFETY: a helper without arguments.
    let now = unsafe { bpf_ktime_get_ns() };
    if now < state.next_ns {
        return false;
    }
    if now - state.next_ns > CATCH_UP * gap {
        state.next_ns = now - CATCH_UP * gap;
    }
    state.next_ns += gap;
    true
}

/// Replaces the frame by the template.
#[inline(always)]
fn write(context: &XdpContext, template: &Template) -> Option<()> {
    let len = template.len;
    if len < HEADERS || len > ROOM as u32 {
        return None;
    }
    let longer = len as i32 - (context.data_end() - context.data()) as i32;
    // SAFETY: the context is the program's own; the template is map memory of
    // at least `len` bytes.
    unsafe {
        let context = context.as_ptr().cast();
        if longer != 0 && bpf_xdp_adjust_tail(context, longer) != 0 {
            return None;
        }
        let bytes = template.bytes.as_ptr().cast_mut().cast();
        (bpf_xdp_store_bytes(context, 0, bytes, len) == 0).then_some(())
    }
}

/// Puts the source in, and the IPv4 header's checksum.
#[inline(always)]
fn address(context: &XdpContext, settings: &Settings, template: &Template) -> Option<()> {
    let frame = context.data();
    if frame + HEADERS as usize > context.data_end() {
        return None;
    }
    let source = (frame + IP_SOURCE) as *mut [u16; 2];
    // SAFETY: within the frame, as just seen; u16 lies at even places of it.
    unsafe {
        if settings.sources != 0 && template.fixed == 0 {
            let random = u64::from(bpf_get_prandom_u32());
            let chosen = (random * u64::from(settings.sources)) >> 32;
            let place = (chosen as u32).wrapping_mul(settings.spread) & settings.last_place;
            let address = settings.first.wrapping_add(place << (settings.shift & 31));
            *source = [((address >> 16) as u16).to_be(), (address as u16).to_be()];
            // Any port that is not well known.
            *((frame + UDP_SOURCE) as *mut u16) = (bpf_get_prandom_u32() as u16 | 0x0400).to_be();
        }
        let [high, low] = *source;
        let sum = template.sum + u32::from(high) + u32::from(low);
        let sum = (sum & 0xffff) + (sum >> 16);
        let sum = (sum & 0xffff) + (sum >> 16);
        *((frame + IP_CHECKSUM) as *mut u16) = !(sum as u16);
    }
    Some(())
}
