//! Questions and orders to rtnetlink.

pub(super) mod link;
pub(super) mod netdev;
pub(super) mod tc;

use std::io;

use netlink_packet_core::{
    NLM_F_ACK, NLM_F_REQUEST, NLMSG_DONE, NLMSG_ERROR, NetlinkBuffer, NetlinkHeader,
    NetlinkMessage, NetlinkPayload,
};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_sys::{Socket, SocketAddr, protocols::NETLINK_ROUTE};

/// What a message begins at a multiple of.
const ALIGNMENT: usize = 4;

/// Sends a request with these flags beside the usual ones, and gives the
/// messages that answer it, each with its header.
fn exchange(request: RouteNetlinkMessage, flags: u16) -> io::Result<Vec<Vec<u8>>> {
    let mut socket = Socket::new(NETLINK_ROUTE)?;
    socket.bind_auto()?;
    socket.connect(&SocketAddr::new(0, 0))?;
    let mut header = NetlinkHeader::default();
    header.flags = NLM_F_REQUEST | NLM_F_ACK | flags;
    let mut message = NetlinkMessage::new(header, NetlinkPayload::from(request));
    message.finalize();
    let mut bytes = vec![0; message.buffer_len()];
    message.serialize(&mut bytes);
    socket.send(&bytes, 0)?;
    let mut answers = Vec::new();
    loop {
        let (datagram, _) = socket.recv_from_full()?;
        if collect(&datagram, &mut answers)? {
            return Ok(answers);
        }
    }
}

/// Takes the messages of a datagram. Gives whether the last one was there.
fn collect(datagram: &[u8], answers: &mut Vec<Vec<u8>>) -> io::Result<bool> {
    let mut rest = datagram;
    while !rest.is_empty() {
        let buffer = NetlinkBuffer::new_checked(rest).map_err(unreadable)?;
        let length = buffer.length() as usize;
        let (kind, message) = (buffer.message_type(), &rest[..length]);
        if matches!(kind, NLMSG_DONE | NLMSG_ERROR) {
            // Both begin with an errno, 0 or below.
            return match buffer.payload().first_chunk().map_or(0, |code| i32::from_ne_bytes(*code))
            {
                0.. => Ok(true),
                code => Err(io::Error::from_raw_os_error(-code)),
            };
        }
        answers.push(message.to_vec());
        rest = rest.get(length.next_multiple_of(ALIGNMENT)..).unwrap_or_default();
    }
    Ok(false)
}

fn unreadable(error: impl std::fmt::Display) -> io::Error {
    io::Error::other(format!("unreadable answer: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(kind: u16, payload: &[u8]) -> Vec<u8> {
        let length = u32::try_from(16 + payload.len()).unwrap();
        let mut bytes =
            [&length.to_ne_bytes()[..], &kind.to_ne_bytes(), &[0; 10], payload].concat();
        bytes.resize(bytes.len().next_multiple_of(ALIGNMENT), 0);
        bytes
    }

    #[test]
    fn answers_are_read_until_the_last_one() {
        let mut answers = Vec::new();
        let datagram = [message(44, b"abcde"), message(44, b"f")].concat();
        assert!(!collect(&datagram, &mut answers).unwrap());
        assert!(collect(&message(NLMSG_DONE, &[0; 4]), &mut answers).unwrap());
        let payloads: Vec<&[u8]> = answers.iter().map(|answer| &answer[16..]).collect();
        assert_eq!(payloads, [&b"abcde"[..], b"f"]);
    }

    #[test]
    fn errors_end_it_and_an_acknowledgement_is_none() {
        let mut answers = Vec::new();
        assert!(collect(&message(NLMSG_ERROR, &[0; 20]), &mut answers).unwrap());
        let enoent = [&(-2i32).to_ne_bytes()[..], &[0; 16]].concat();
        for kind in [NLMSG_ERROR, NLMSG_DONE] {
            let error = collect(&message(kind, &enoent), &mut answers).unwrap_err();
            assert_eq!(error.raw_os_error(), Some(2));
        }
        assert!(collect(&[1, 2, 3], &mut answers).is_err());
    }
}
