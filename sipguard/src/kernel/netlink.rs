//! Two questions to rtnetlink: an interface's index, and what XDP runs on it.

use std::io;

use netlink_packet_core::{NLM_F_REQUEST, NetlinkHeader, NetlinkMessage, NetlinkPayload};
use netlink_packet_route::{
    RouteNetlinkMessage,
    link::{LinkAttribute, LinkMessage, LinkXdp},
};
use netlink_sys::{Socket, SocketAddr, protocols::NETLINK_ROUTE};

use super::KernelError;

const ENODEV: i32 = 19;

/// The index of the interface with this name.
pub(super) fn ifindex(name: &str) -> Result<u32, KernelError> {
    let mut request = LinkMessage::default();
    request.attributes.push(LinkAttribute::IfName(name.to_owned()));
    match ask(request) {
        Ok(link) => Ok(link.header.index),
        Err(error) if matches!(error.raw_os_error(), Some(ENODEV | 22 | 34)) => {
            Err(KernelError::NoInterface(crate::sanitise::sanitise(name, 64)))
        }
        Err(source) => Err(KernelError::Io { what: "looking up an interface", source }),
    }
}

/// The id of the XDP program on an interface, in whatever mode.
pub(super) fn xdp_program(ifindex: u32) -> Result<Option<u32>, KernelError> {
    let mut request = LinkMessage::default();
    request.header.index = ifindex;
    let link = ask(request).map_err(KernelError::io("asking for XDP programs"))?;
    let xdp = link.attributes.iter().filter_map(|attribute| match attribute {
        LinkAttribute::Xdp(xdp) => Some(xdp),
        _ => None,
    });
    Ok(xdp.flatten().find_map(|xdp| match xdp {
        LinkXdp::ProgId(id)
        | LinkXdp::DrvProgId(id)
        | LinkXdp::SkbProgId(id)
        | LinkXdp::HwProgId(id) => Some(*id),
        _ => None,
    }))
}

fn ask(request: LinkMessage) -> io::Result<LinkMessage> {
    let mut socket = Socket::new(NETLINK_ROUTE)?;
    socket.bind_auto()?;
    socket.connect(&SocketAddr::new(0, 0))?;
    let mut header = NetlinkHeader::default();
    header.flags = NLM_F_REQUEST;
    let mut message =
        NetlinkMessage::new(header, NetlinkPayload::from(RouteNetlinkMessage::GetLink(request)));
    message.finalize();
    let mut bytes = vec![0; message.buffer_len()];
    message.serialize(&mut bytes);
    socket.send(&bytes, 0)?;
    let (answer, _) = socket.recv_from_full()?;
    let answer = NetlinkMessage::<RouteNetlinkMessage>::deserialize(&answer)
        .map_err(|error| io::Error::other(format!("unreadable answer: {error}")))?;
    match answer.payload {
        NetlinkPayload::InnerMessage(RouteNetlinkMessage::NewLink(link)) => Ok(link),
        NetlinkPayload::Error(error) => Err(error.to_io()),
        _ => Err(io::Error::other("unexpected answer")),
    }
}
