//! The way out: what leaves from a protected port is read, and teaches.

use aya_ebpf::{
    bindings::{TC_ACT_SHOT, TC_ACT_UNSPEC},
    programs::TcContext,
};
use sipguard_common::{
    abi::{Learned, Policy},
    frame::{Transport, parse},
    learn::Fate,
    message::MIN_MESSAGE,
    scan::{self, Scratch},
};

use crate::{
    count, forge, is_in, learn, lists, maps,
    packet::{Egress, Payload as _},
};

/// Messages of one TCP segment that are read: more of them are left unread.
const MESSAGES: u32 = 4;

/// `None` where the packet is none of our business, or there is no policy yet.
#[inline(always)]
pub(crate) fn teach(context: &TcContext) -> Option<i32> {
    let frame = &Egress::new(context);
    let scratch = maps::EGRESS.get_ptr_mut(0)?;
    // SAFETY: this CPU's own memory, and nothing else points into it here.
    let packet = unsafe { &mut (*scratch).packet };
    let transport = parse(frame, packet)?;
    if !matches!(transport, Transport::Udp | Transport::Tcp) {
        return None;
    }
    let policy = maps::POLICY.get_value(0, &0)?;
    if !is_in(&policy.ports, u16::from_be_bytes(packet.source_port)) {
        return None;
    }
    if policy.protected != 0 && !lists::is_protected(packet.source, policy.protected) {
        return None;
    }
    // SAFETY: the context is the program's own.
    let ifindex = unsafe { (*context.skb.skb).ifindex };
    let replies = maps::REPLIES.get_ptr_mut(count::slot(ifindex))?;
    if packet.len < MIN_MESSAGE {
        // SAFETY: this CPU's own value.
        unsafe { (*replies).other += 1 };
        return None;
    }
    // SAFETY: this CPU's own memory.
    unsafe { scan::new_packet(scratch) };
    frame.copy_payload(scratch)?;
    let fate = if transport == Transport::Udp {
        learn::message(policy, ifindex)
    } else {
        segment(policy, scratch, ifindex)
    };
    if fate == Fate::Leaves as u32 {
        return None;
    }
    Some(conceal(context, ifindex, fate))
}

/// Reads the messages of a TCP segment, all of which leave.
#[inline(always)]
fn segment(policy: &Policy, scratch: *mut Scratch, ifindex: u32) -> u32 {
    for _ in 0..MESSAGES {
        learn::message(policy, ifindex);
        // SAFETY: this CPU's own memory.
        if !unsafe { scan::advance(scratch) } {
            break;
        }
    }
    Fate::Leaves as u32
}

/// Keeps from strangers what a reply tells.
#[inline(always)]
fn conceal(context: &TcContext, ifindex: u32, fate: u32) -> i32 {
    if fate == Fate::Challenge as u32 && forge::forge(context).is_some() {
        learn::count(ifindex, Learned::Challenged);
        return TC_ACT_UNSPEC;
    }
    learn::count(ifindex, Learned::Hidden);
    TC_ACT_SHOT
}
