//! Queueing disciplines for BPF programs, and the filters in them.
//!
//! Answers are read by hand: somebody else's filter may have anything in it,
//! and must not keep us from reading on.

use std::io;

use netlink_packet_core::{
    NLM_F_CREATE, NLM_F_DUMP, NLM_F_EXCL, NetlinkBuffer, NlaBuffer, NlasIterator,
};
use netlink_packet_route::{
    RouteNetlinkMessage,
    tc::{TcAttribute, TcHandle, TcHeader, TcMessage},
};

use super::{exchange, unreadable};

/// Bytes of a TcHeader.
const HEADER: usize = 20;
// From linux/rtnetlink.h and linux/pkt_cls.h.
const TCA_KIND: u16 = 1;
const TCA_OPTIONS: u16 = 2;
const TCA_BPF_NAME: u16 = 7;

/// The queueing discipline that gives programs a place before everything that
/// comes in and goes out.
pub(in crate::kernel) const CLSACT: &str = "clsact";

/// The way of the packets that a filter sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::kernel) enum Side {
    In,
    Out,
}

impl Side {
    const fn parent(self) -> TcHandle {
        let minor = match self {
            Self::In => TcHandle::MIN_INGRESS,
            Self::Out => TcHandle::MIN_EGRESS,
        };
        TcHandle { major: u16::MAX, minor }
    }
}

/// A filter, or the list of those of one priority, which is a filter without
/// handle here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::kernel) struct Filter {
    pub(in crate::kernel) priority: u16,
    pub(in crate::kernel) handle: u32,
    /// Such as `bpf` or `flower`.
    pub(in crate::kernel) kind: String,
    /// Of a BPF program, as who attached it has called it.
    pub(in crate::kernel) program: Option<String>,
}

/// What kind of queueing discipline stands at the place of clsact: that, the
/// older `ingress`, or none.
pub(in crate::kernel) fn discipline(ifindex: u32) -> io::Result<Option<String>> {
    // The kernel lists those of all interfaces.
    let answers = exchange(RouteNetlinkMessage::GetQueueDiscipline(at(ifindex)?), NLM_F_DUMP)?;
    let wanted = at(ifindex)?.header.index;
    for answer in answers {
        let (header, attributes) = read(&answer)?;
        if header.index == wanted && header.parent == TcHandle::CLSACT {
            return Ok(Some(attributes.kind));
        }
    }
    Ok(None)
}

/// Makes a clsact discipline. EEXIST where its place is taken.
pub(in crate::kernel) fn add_clsact(ifindex: u32) -> io::Result<()> {
    let mut message = clsact(ifindex)?;
    message.attributes.push(TcAttribute::Kind(CLSACT.to_owned()));
    let create = NLM_F_CREATE | NLM_F_EXCL;
    exchange(RouteNetlinkMessage::NewQueueDiscipline(message), create).map(drop)
}

/// Removes the clsact discipline, with all filters that are in it.
pub(in crate::kernel) fn remove_clsact(ifindex: u32) -> io::Result<()> {
    exchange(RouteNetlinkMessage::DelQueueDiscipline(clsact(ifindex)?), 0).map(drop)
}

/// The filters of one side.
pub(in crate::kernel) fn filters(ifindex: u32, side: Side) -> io::Result<Vec<Filter>> {
    let mut message = at(ifindex)?;
    message.header.parent = side.parent();
    let answers = exchange(RouteNetlinkMessage::GetTrafficFilter(message), NLM_F_DUMP)?;
    answers.iter().map(|answer| read_filter(answer)).collect()
}

/// Removes one filter of what goes out.
pub(in crate::kernel) fn remove_filter(ifindex: u32, filter: &Filter) -> io::Result<()> {
    let mut message = at(ifindex)?;
    message.header.parent = Side::Out.parent();
    message.header.handle = filter.handle.into();
    message.header.info = u32::from(filter.priority) << 16 | u32::from(ALL_PROTOCOLS);
    message.attributes.push(TcAttribute::Kind(filter.kind.clone()));
    exchange(RouteNetlinkMessage::DelTrafficFilter(message), 0).map(drop)
}

/// ETH_P_ALL in network byte order.
const ALL_PROTOCOLS: u16 = 3u16.to_be();

fn at(ifindex: u32) -> io::Result<TcMessage> {
    Ok(TcMessage::with_index(i32::try_from(ifindex).map_err(io::Error::other)?))
}

fn clsact(ifindex: u32) -> io::Result<TcMessage> {
    let mut message = at(ifindex)?;
    message.header.handle = TcHandle { major: u16::MAX, minor: 0 };
    message.header.parent = TcHandle::CLSACT;
    Ok(message)
}

/// What is read of an answer's attributes.
#[derive(Default)]
struct Attributes {
    kind: String,
    program: Option<String>,
}

fn read_filter(answer: &[u8]) -> io::Result<Filter> {
    let (header, Attributes { kind, program }) = read(answer)?;
    let priority = u16::try_from(header.info >> 16).map_err(io::Error::other)?;
    Ok(Filter { priority, handle: header.handle.into(), kind, program })
}

fn read(answer: &[u8]) -> io::Result<(TcHeader, Attributes)> {
    let buffer = NetlinkBuffer::new_checked(answer).map_err(unreadable)?;
    let payload = buffer.payload();
    let header = TcHeader::parse(payload).map_err(unreadable)?;
    let mut attributes = Attributes::default();
    for attribute in NlasIterator::new(payload.get(HEADER..).unwrap_or_default()) {
        let attribute = attribute.map_err(unreadable)?;
        match attribute.kind() {
            TCA_KIND => attributes.kind = text(attribute),
            TCA_OPTIONS if attributes.kind == "bpf" => {
                attributes.program = NlasIterator::new(attribute.value())
                    .map_while(Result::ok)
                    .find(|option| option.kind() == TCA_BPF_NAME)
                    .map(text);
            }
            _ => {}
        }
    }
    Ok((header, attributes))
}

fn text(attribute: NlaBuffer<&[u8]>) -> String {
    let bytes = attribute.value();
    let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    String::from_utf8_lossy(&bytes[..end]).into_owned()
}
