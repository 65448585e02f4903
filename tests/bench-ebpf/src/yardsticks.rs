//! What costs least: the programs that sipguard's costs are compared with.

use aya_ebpf::{
    bindings::xdp_action::{XDP_DROP, XDP_PASS},
    btf_maps::HashMap,
    macros::{btf_map, xdp},
    programs::XdpContext,
};

/// Drops everything: the limit of what a filter can reach.
#[xdp]
pub(crate) fn drop_all(_: XdpContext) -> u32 {
    XDP_DROP
}

/// Passes everything: what XDP itself costs.
#[xdp]
pub(crate) fn pass_all(_: XdpContext) -> u32 {
    XDP_PASS
}

/// Sources, in the order of the wire, and the packets dropped of each.
#[btf_map]
static SOURCES: HashMap<u32, u64, 262_144> = HashMap::new();

/// Drops SIP of known sources, and knows nothing else.
#[xdp]
pub(crate) fn source_hash(context: XdpContext) -> u32 {
    match is_known(&context) {
        Some(true) => XDP_DROP,
        _ => XDP_PASS,
    }
}

/// Ethernet, IPv4 without options, UDP.
const HEADERS: usize = 42;
const SIP: u16 = 5060;

#[inline(always)]
fn is_known(context: &XdpContext) -> Option<bool> {
    let frame = context.data();
    if frame + HEADERS > context.data_end() {
        return None;
    }
    // SAFETY: within the frame, as just seen; u16 lies at even places of it.
    let half = |place: usize| unsafe { *((frame + place) as *const u16) };
    // SAFETY: likewise, of single bytes.
    let byte = |place: usize| unsafe { *((frame + place) as *const u8) };
    let is_sip = half(12) == 0x0800_u16.to_be()
        && byte(14) == 0x45
        && byte(23) == 17
        && half(36) == SIP.to_be();
    if !is_sip {
        return None;
    }
    let source = u32::from(half(26)) | u32::from(half(28)) << 16;
    let Some(dropped) = SOURCES.get_ptr_mut(source) else { return Some(false) };
    // SAFETY: map memory; a lost count does no harm.
    unsafe { *dropped += 1 };
    Some(true)
}
