//! What an interface is, and what XDP runs on it.

use std::io;

use netlink_packet_core::{NetlinkMessage, NetlinkPayload};
use netlink_packet_route::{
    RouteNetlinkMessage,
    link::{LinkAttribute, LinkFlags, LinkInfo, LinkMessage, LinkXdp},
};

use super::{exchange, unreadable};
use crate::kernel::KernelError;

const ENODEV: i32 = 19;

/// An interface, apart from its programs.
pub(in crate::kernel) struct Facts {
    pub(in crate::kernel) ifindex: u32,
    /// Bytes.
    pub(in crate::kernel) mtu: u32,
    pub(in crate::kernel) up: bool,
    /// Of virtual interfaces.
    pub(in crate::kernel) kind: Option<String>,
}

/// The index of the interface with this name.
pub(in crate::kernel) fn ifindex(name: &str) -> Result<u32, KernelError> {
    by_name(name).map(|link| link.header.index)
}

/// The interface with this name.
pub(in crate::kernel) fn facts(name: &str) -> Result<Facts, KernelError> {
    let link = by_name(name)?;
    let (mut mtu, mut kind) = (0, None);
    for attribute in &link.attributes {
        match attribute {
            LinkAttribute::Mtu(bytes) => mtu = *bytes,
            LinkAttribute::LinkInfo(infos) => {
                kind = infos.iter().find_map(|info| match info {
                    LinkInfo::Kind(kind) => Some(kind.to_string()),
                    _ => None,
                });
            }
            _ => {}
        }
    }
    let up = link.header.flags.contains(LinkFlags::Up);
    Ok(Facts { ifindex: link.header.index, mtu, up, kind })
}

fn by_name(name: &str) -> Result<LinkMessage, KernelError> {
    let mut request = LinkMessage::default();
    request.attributes.push(LinkAttribute::IfName(name.to_owned()));
    match ask(request) {
        Ok(link) => Ok(link),
        Err(error) if matches!(error.raw_os_error(), Some(ENODEV | 22 | 34)) => {
            Err(KernelError::NoInterface(crate::sanitise::sanitise(name, 64)))
        }
        Err(source) => Err(KernelError::Io { what: "looking up an interface", source }),
    }
}

/// The XDP program of an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::kernel) struct XdpProgram {
    pub(in crate::kernel) id: u32,
    /// It runs in the network stack, not in the driver.
    pub(in crate::kernel) is_generic: bool,
}

/// The XDP program on an interface, in whatever mode.
pub(in crate::kernel) fn xdp_program(ifindex: u32) -> Result<Option<XdpProgram>, KernelError> {
    let mut request = LinkMessage::default();
    request.header.index = ifindex;
    let link = ask(request).map_err(KernelError::io("asking for XDP programs"))?;
    let xdp = link.attributes.iter().filter_map(|attribute| match attribute {
        LinkAttribute::Xdp(xdp) => Some(xdp),
        _ => None,
    });
    let xdp: Vec<&LinkXdp> = xdp.flatten().collect();
    let is_generic = xdp.iter().any(|one| matches!(one, LinkXdp::SkbProgId(_)));
    Ok(xdp.into_iter().find_map(|xdp| match xdp {
        LinkXdp::ProgId(id)
        | LinkXdp::DrvProgId(id)
        | LinkXdp::SkbProgId(id)
        | LinkXdp::HwProgId(id) => Some(XdpProgram { id: *id, is_generic }),
        _ => None,
    }))
}

fn ask(request: LinkMessage) -> io::Result<LinkMessage> {
    let answers = exchange(RouteNetlinkMessage::GetLink(request), 0)?;
    let answer = answers.first().ok_or_else(|| io::Error::other("no answer"))?;
    let answer = NetlinkMessage::<RouteNetlinkMessage>::deserialize(answer).map_err(unreadable)?;
    match answer.payload {
        NetlinkPayload::InnerMessage(RouteNetlinkMessage::NewLink(link)) => Ok(link),
        _ => Err(io::Error::other("unexpected answer")),
    }
}
