//! Packets of the corpus and what mutation makes of them, sent to the server by
//! whoever they say that they come from.

use std::{
    net::IpAddr,
    os::fd::{AsRawFd as _, OwnedFd},
};

use anyhow::Result;
use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, SockaddrIn, sendto, socket,
};

use crate::{
    corpus::corpus,
    mutate::mutated,
    random::Random,
    rig::lab::{Lab, SERVER},
};

/// Bytes of Ethernet, which the kernel makes anew.
const ETHERNET: usize = 14;

/// Where an IPv4 packet has its source and destination.
const SOURCE: std::ops::Range<usize> = 12..16;
const DESTINATION: std::ops::Range<usize> = 16..20;

/// EtherType of IPv4.
const IPV4: [u8; 2] = [0x08, 0x00];

#[derive(Debug)]
pub(super) struct Frames {
    raw: OwnedFd,
    frames: Vec<Vec<u8>>,
}

impl Frames {
    /// Of nobody whose packets must arrive.
    pub(super) fn new(lab: &Lab) -> Result<Self> {
        let raw = lab.outside().enter(|| {
            Ok(socket(
                AddressFamily::Inet,
                SockType::Raw,
                SockFlag::SOCK_CLOEXEC,
                SockProtocol::Raw,
            )?)
        })?;
        let frames = corpus().into_iter().map(|case| case.frame);
        Ok(Self { raw, frames: frames.filter(|frame| frame.get(12..14) == Some(&IPV4)).collect() })
    }

    /// Sends some; gives how many the kernel took.
    pub(super) fn send(&self, random: &mut Random, spared: &[IpAddr], count: usize) -> usize {
        let IpAddr::V4(server) = SERVER else { return 0 };
        let to: SockaddrIn = std::net::SocketAddrV4::new(server, 0).into();
        let mut sent = 0;
        for _ in 0..count {
            let mut frame = random.pick(&self.frames).clone();
            if !random.once_in(3) {
                frame = mutated(random, frame);
            }
            let Some(packet) = frame.get_mut(ETHERNET..) else { continue };
            let Some(source) = packet.get(SOURCE) else { continue };
            let is_spared = |one: &IpAddr| matches!(one, IpAddr::V4(one) if one.octets() == source);
            if spared.iter().any(is_spared) {
                continue;
            }
            if let Some(destination) = packet.get_mut(DESTINATION) {
                destination.copy_from_slice(&server.octets());
            }
            // What the kernel does not want to send stays here.
            let done = sendto(self.raw.as_raw_fd(), packet, &to, MsgFlags::empty());
            sent += usize::from(done.is_ok());
        }
        sent
    }
}
