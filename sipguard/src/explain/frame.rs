//! A frame around a message, as it would come from the network.

use std::net::{IpAddr, SocketAddr};

use sipguard_common::frame::{TCP, UDP};

/// How a message comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Via {
    Udp,
    Tcp,
}

/// Why there is no frame.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    #[error("the message has {0} bytes, {MAX_MESSAGE} fit into one packet")]
    TooLong(usize),
    #[error("{from} and {to} are of different families")]
    Families { from: IpAddr, to: IpAddr },
}

/// Bytes of a message at most: an IPv4 packet less its headers, with TCP.
pub const MAX_MESSAGE: usize = 65_535 - 20 - TCP_HEADER;

const TCP_HEADER: usize = 20;
const UDP_HEADER: usize = 8;

/// The Ethernet frame of one packet with a whole message in it. Checksums are
/// zero: nobody on the way to a decision looks at them.
///
/// # Errors
/// The message is too long, or the addresses are of different families.
pub fn message(
    text: &[u8],
    from: SocketAddr,
    to: SocketAddr,
    via: Via,
) -> Result<Vec<u8>, FrameError> {
    let (protocol, header) = match via {
        Via::Udp => (UDP, UDP_HEADER),
        Via::Tcp => (TCP, TCP_HEADER),
    };
    let too_long = || FrameError::TooLong(text.len());
    if text.len() > MAX_MESSAGE {
        return Err(too_long());
    }
    let length = u16::try_from(header + text.len()).map_err(|_| too_long())?;
    // RFC 894: two addresses, which nobody reads, and the EtherType.
    let mut frame = vec![0; 12];
    match (from.ip(), to.ip()) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => {
            frame.extend([0x08, 0x00]);
            // RFC 791 section 3.1.
            frame.extend([0x45, 0]);
            frame.extend((length + 20).to_be_bytes());
            frame.extend([0, 0, 0x40, 0, 64, protocol, 0, 0]);
            frame.extend(source.octets());
            frame.extend(destination.octets());
        }
        (IpAddr::V6(source), IpAddr::V6(destination)) => {
            frame.extend([0x86, 0xdd]);
            // RFC 8200 section 3.
            frame.extend([0x60, 0, 0, 0]);
            frame.extend(length.to_be_bytes());
            frame.extend([protocol, 64]);
            frame.extend(source.octets());
            frame.extend(destination.octets());
        }
        (from, to) => return Err(FrameError::Families { from, to }),
    }
    frame.extend(from.port().to_be_bytes());
    frame.extend(to.port().to_be_bytes());
    match via {
        // RFC 768.
        Via::Udp => {
            frame.extend(length.to_be_bytes());
            frame.extend([0, 0]);
        }
        // RFC 9293 section 3.1: a header of five words, PSH and ACK.
        Via::Tcp => {
            frame.extend([0; 8]);
            frame.extend([0x50, 0x18, 0xff, 0xff, 0, 0, 0, 0]);
        }
    }
    frame.extend(text);
    Ok(frame)
}

#[cfg(test)]
mod tests {
    use sipguard_common::frame::{Packet, Transport, parse};

    use super::*;
    use crate::endpoint::Endpoint;

    #[test]
    fn frames_hold_what_was_asked_for() {
        for (from, to) in [
            ("198.51.100.7:5061", "203.0.113.1:5060"),
            ("[2001:db8:5::7]:5061", "[2001:db8:2::1]:5060"),
        ] {
            for (via, transport) in [(Via::Udp, Transport::Udp), (Via::Tcp, Transport::Tcp)] {
                let ends = [from, to].map(|text| text.parse().unwrap());
                let frame = message(b"text", ends[0], ends[1], via).unwrap();
                let mut packet = Packet::ZERO;
                assert_eq!(parse(frame.as_slice(), &mut packet), Some(transport));
                assert_eq!(Endpoint::source(&packet, transport).to_string(), from);
                assert_eq!(Endpoint::destination(&packet, transport).to_string(), to);
                assert_eq!(&frame[packet.payload as usize..], b"text");
                assert_eq!(packet.len, 4);
            }
        }
    }

    #[test]
    fn what_fits_no_packet_is_refused() {
        let ends = ["198.51.100.7:5061", "203.0.113.1:5060"].map(|text| text.parse().unwrap());
        let text = vec![b'x'; MAX_MESSAGE + 1];
        let too_long = Err(FrameError::TooLong(text.len()));
        for via in [Via::Udp, Via::Tcp] {
            assert_eq!(message(&text, ends[0], ends[1], via), too_long);
            assert!(message(&text[1..], ends[0], ends[1], via).is_ok());
        }
        let v6 = "[2001:db8::1]:5060".parse().unwrap();
        assert!(message(b"", ends[0], v6, Via::Udp).is_err());
    }
}
