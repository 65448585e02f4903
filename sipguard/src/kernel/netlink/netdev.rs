//! What a driver says of its XDP: the generic netlink family `netdev`, from
//! Linux 6.3 on (Documentation/netlink/specs/netdev.yaml of the Linux sources).
//! Messages are made and read by hand: it is two questions of a few bytes.

use std::io;

use netlink_packet_core::{NLMSG_DONE, NLMSG_ERROR, NetlinkBuffer, NlasIterator};
use netlink_sys::{Socket, SocketAddr, protocols::NETLINK_GENERIC};

use super::unreadable;

// From linux/genetlink.h and linux/netlink.h.
const GENL_ID_CTRL: u16 = 16;
const CTRL_CMD_GETFAMILY: u8 = 3;
const CTRL_ATTR_FAMILY_ID: u16 = 1;
const CTRL_ATTR_FAMILY_NAME: u16 = 2;
const NLM_F_REQUEST: u16 = 1;
/// Bytes of `genlmsghdr`.
const GENERIC_HEADER: usize = 4;
// From linux/netdev.h.
const NETDEV: &[u8] = b"netdev\0";
const NETDEV_CMD_DEV_GET: u8 = 1;
const NETDEV_A_DEV_IFINDEX: u16 = 1;
const NETDEV_A_DEV_XDP_FEATURES: u16 = 3;

/// What the driver can do for XDP, as bits of `enum netdev_xdp_act`. ENOENT on a
/// kernel that does not tell.
pub(in crate::kernel) fn xdp_features(ifindex: u32) -> io::Result<u64> {
    let socket = connect()?;
    let family = ask(
        &socket,
        GENL_ID_CTRL,
        CTRL_CMD_GETFAMILY,
        (CTRL_ATTR_FAMILY_NAME, NETDEV),
        CTRL_ATTR_FAMILY_ID,
    )?;
    let family = family.first_chunk().map(|id| u16::from_ne_bytes(*id)).ok_or_else(missing)?;
    let features = ask(
        &socket,
        family,
        NETDEV_CMD_DEV_GET,
        (NETDEV_A_DEV_IFINDEX, &ifindex.to_ne_bytes()),
        NETDEV_A_DEV_XDP_FEATURES,
    )?;
    features.first_chunk().map(|bits| u64::from_ne_bytes(*bits)).ok_or_else(missing)
}

fn connect() -> io::Result<Socket> {
    let mut socket = Socket::new(NETLINK_GENERIC)?;
    socket.bind_auto()?;
    socket.connect(&SocketAddr::new(0, 0))?;
    Ok(socket)
}

/// Sends one attribute, and gives the value of the wanted one in the answer.
fn ask(
    socket: &Socket,
    family: u16,
    command: u8,
    attribute: (u16, &[u8]),
    wanted: u16,
) -> io::Result<Vec<u8>> {
    socket.send(&request(family, command, attribute), 0)?;
    let (answer, _) = socket.recv_from_full()?;
    read(&answer, wanted)
}

fn request(family: u16, command: u8, (kind, value): (u16, &[u8])) -> Vec<u8> {
    let attribute = 4 + value.len();
    let length = 16 + GENERIC_HEADER + attribute.next_multiple_of(4);
    let mut bytes = Vec::with_capacity(length);
    let word = |number: usize| u32::try_from(number).unwrap_or(u32::MAX).to_ne_bytes();
    bytes.extend(word(length));
    bytes.extend(family.to_ne_bytes());
    bytes.extend(NLM_F_REQUEST.to_ne_bytes());
    // Sequence number and port: there is one question at a time.
    bytes.extend([0; 8]);
    bytes.extend([command, 1, 0, 0]);
    bytes.extend(u16::try_from(attribute).unwrap_or(u16::MAX).to_ne_bytes());
    bytes.extend(kind.to_ne_bytes());
    bytes.extend(value);
    bytes.resize(length, 0);
    bytes
}

fn read(answer: &[u8], wanted: u16) -> io::Result<Vec<u8>> {
    let buffer = NetlinkBuffer::new_checked(answer).map_err(unreadable)?;
    let payload = buffer.payload();
    if matches!(buffer.message_type(), NLMSG_ERROR | NLMSG_DONE) {
        let code = payload.first_chunk().map_or(0, |code| i32::from_ne_bytes(*code));
        return Err(if code == 0 { missing() } else { io::Error::from_raw_os_error(-code) });
    }
    NlasIterator::new(payload.get(GENERIC_HEADER..).unwrap_or_default())
        .map_while(Result::ok)
        .find(|attribute| attribute.kind() == wanted)
        .map(|attribute| attribute.value().to_vec())
        .ok_or_else(missing)
}

fn missing() -> io::Error {
    io::Error::new(io::ErrorKind::NotFound, "the kernel does not tell")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_has_its_lengths_and_is_padded() {
        let bytes = request(16, CTRL_CMD_GETFAMILY, (CTRL_ATTR_FAMILY_NAME, NETDEV));
        assert_eq!(bytes.len(), 32);
        assert_eq!(bytes[..4], 32u32.to_ne_bytes());
        assert_eq!(bytes[20..22], 11u16.to_ne_bytes());
        assert_eq!(&bytes[24..32], b"netdev\0\0");
    }

    #[test]
    fn the_wanted_attribute_is_found_and_errors_are_told() {
        let answer = request(30, 1, (3, &35u64.to_ne_bytes()));
        assert_eq!(read(&answer, 3).unwrap(), 35u64.to_ne_bytes());
        assert_eq!(read(&answer, 4).unwrap_err().kind(), io::ErrorKind::NotFound);
        let mut refusal = 36u32.to_ne_bytes().to_vec();
        refusal.extend([NLMSG_ERROR.to_ne_bytes(), [0; 2]].concat());
        refusal.extend([0; 8]);
        refusal.extend((-19i32).to_ne_bytes());
        refusal.extend([0; 16]);
        assert_eq!(read(&refusal, 3).unwrap_err().raw_os_error(), Some(19));
        assert!(read(&[1, 2, 3], 3).is_err());
    }
}
