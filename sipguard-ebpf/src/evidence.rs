//! Whether the sender of a TCP segment has seen what the server sent: only then
//! may the segment ban its source, for everything else can be forged.

use aya_ebpf::{
    Global,
    helpers::generated::{bpf_sk_release, bpf_skc_lookup_tcp, bpf_skc_to_tcp_sock},
};
use sipguard_common::{
    abi::Address,
    frame::{Frame as _, Packet},
};

use crate::packet::Ingress;

/// Offsets in the kernel's `struct tcp_sock`, which user space takes from the
/// kernel's own types (BTF). The resting values stand for unknown; they are two
/// that occur nowhere else, for LLVM merges equal constants.
#[unsafe(no_mangle)]
static RCV_NXT: Global<u32> = Global::new(UNKNOWN);
#[unsafe(no_mangle)]
static SND_NXT: Global<u32> = Global::new(UNKNOWN - 1);
const UNKNOWN: u32 = 0x7e57_0fe0;

/// The network namespace of the packet's interface.
const CURRENT_NETNS: u64 = u64::MAX;

/// Whether this machine has a connection of which the segment is the very next
/// one, and acknowledges everything that was sent: both numbers are 32 bits
/// that somebody who does not see the connection cannot know. False on machines
/// that only forward.
#[inline(always)]
pub(crate) fn is_two_way(frame: &Ingress<'_>, packet: *const Packet) -> bool {
    let (rcv_nxt, snd_nxt) = (RCV_NXT.load(), SND_NXT.load());
    if rcv_nxt == UNKNOWN || snd_nxt == UNKNOWN - 1 {
        return false;
    }
    // SAFETY: the packet lies in the scratch memory.
    let offset = unsafe { (*packet).transport() };
    // One after the other: of a pair LLVM spills a half that was never read.
    let Some(sequence) = frame.word(offset + 4) else {
        return false;
    };
    let Some(acknowledged) = frame.word(offset + 8) else {
        return false;
    };
    // SAFETY: the tuple lives on the stack, the socket is released on every
    // way; the offsets are constants of a `struct tcp_sock`, which the verifier
    // holds against the kernel's types. Linux 5.9.
    unsafe {
        let (mut tuple, size) = tuple(packet);
        let tuple = (&raw mut tuple).cast();
        let socket = bpf_skc_lookup_tcp(frame.raw(), tuple, size, CURRENT_NETNS, 0);
        if socket.is_null() {
            return false;
        }
        let tcp = bpf_skc_to_tcp_sock(socket.cast()).cast::<u8>();
        let mut is_next = false;
        if !tcp.is_null() {
            let expected = tcp.add(rcv_nxt as usize).cast::<u32>().read_volatile();
            let sent = tcp.add(snd_nxt as usize).cast::<u32>().read_volatile();
            is_next = expected == sequence && sent == acknowledged;
        }
        bpf_sk_release(socket.cast());
        is_next
    }
}

/// The kernel's `struct bpf_sock_tuple` in words of memory order, and its size:
/// addresses of source and destination, then both ports.
#[inline(always)]
unsafe fn tuple(packet: *const Packet) -> ([u32; 9], u32) {
    // SAFETY: the packet lies in the scratch memory.
    let Packet { source, destination, source_port, destination_port, .. } = unsafe { *packet };
    let [s0, s1] = source_port;
    let [d0, d1] = destination_port;
    let ports = u32::from_ne_bytes([s0, s1, d0, d1]);
    let ([s0, s1, s2, s3], [d0, d1, d2, d3]) = (words(source), words(destination));
    if source.is_v4() {
        ([s3, d3, ports, 0, 0, 0, 0, 0, 0], 12)
    } else {
        ([s0, s1, s2, s3, d0, d1, d2, d3, ports], 36)
    }
}

#[inline(always)]
fn words(address: Address) -> [u32; 4] {
    let Address([head, tail]) = address;
    let halves = |word: u64| {
        let [a, b, c, d, e, f, g, h] = word.to_ne_bytes();
        [u32::from_ne_bytes([a, b, c, d]), u32::from_ne_bytes([e, f, g, h])]
    };
    let ([w0, w1], [w2, w3]) = (halves(head), halves(tail));
    [w0, w1, w2, w3]
}
