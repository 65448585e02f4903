//! Who plays.

use std::net::SocketAddr;

use sipguard_common::{
    abi::{Address, Endpoint},
    frame::{TCP, UDP},
};

use super::super::{SERVER, SERVER_V6};
use crate::{packet::Packet, sip::Message};

/// Somebody who asks the server, and gets its replies: the last request is kept
/// in mind.
#[derive(Clone, Debug)]
pub(super) struct Phone {
    at: SocketAddr,
    is_tcp: bool,
    pub(super) account: String,
    pub(super) call_id: String,
    pub(super) number: u32,
    pub(super) method: &'static str,
    /// The nonce of the last challenge.
    pub(super) nonce: String,
}

impl Phone {
    /// A phone at an address with a port.
    pub(super) fn new(at: &str, account: &str) -> Self {
        let at: SocketAddr = at.parse().unwrap_or_else(|_| panic!("{at:?} is no address"));
        Self {
            at,
            is_tcp: false,
            account: account.to_owned(),
            call_id: format!("{account}-{}-{}", at.port(), at.ip()),
            number: 0,
            method: "REGISTER",
            nonce: String::new(),
        }
    }

    /// The same over TCP.
    pub(super) fn tcp(mut self) -> Self {
        self.is_tcp = true;
        self
    }

    /// The same at another place.
    pub(super) fn moved(mut self, at: &str) -> Self {
        self.at = at.parse().unwrap_or_else(|_| panic!("{at:?} is no address"));
        self
    }

    /// The same at another port.
    pub(super) fn port(mut self, port: u16) -> Self {
        self.at.set_port(port);
        self
    }

    pub(super) fn address(&self) -> Address {
        match self.at {
            SocketAddr::V4(at) => Address::v4(at.ip().octets()),
            SocketAddr::V6(at) => Address::from_octets(at.ip().octets()),
        }
    }

    pub(super) fn endpoint(&self) -> Endpoint {
        let protocol = if self.is_tcp { TCP } else { UDP };
        Endpoint::new(self.address(), self.at.port().to_be_bytes(), protocol)
    }

    /// The whole source, as the base policy has it.
    pub(super) fn whole(&self) -> Endpoint {
        let mut octets = self.address().octets();
        if self.at.is_ipv6() {
            octets[8..].fill(0);
        }
        Endpoint::whole(Address::from_octets(octets))
    }

    /// A new request.
    pub(super) fn ask(&mut self, method: &'static str) -> Message {
        self.number += 1;
        self.method = method;
        let account = &self.account;
        Message::request(method, "sip:203.0.113.1")
            .replace("Via", &format!("SIP/2.0/UDP {};branch=z9hG4bK-{}", self.at, self.number))
            .replace("From", &format!("<sip:{account}@203.0.113.1>;tag=5d1f"))
            .replace("To", &format!("<sip:{account}@203.0.113.1>"))
            .replace("Call-ID", &self.call_id)
            .replace("CSeq", &format!("{} {method}", self.number))
            .header("Contact", &format!("<sip:{account}@{}>", self.at))
    }

    /// A new request with credentials for the last challenge.
    pub(super) fn answer(&mut self, method: &'static str) -> Message {
        let (name, account, nonce) = (
            if method == "REGISTER" { "Authorization" } else { "Proxy-Authorization" },
            self.account.clone(),
            self.nonce.clone(),
        );
        self.ask(method).header(
            name,
            &format!(
                "Digest username=\"{account}\", realm=\"pbx\", nonce=\"{nonce}\", \
                 uri=\"sip:203.0.113.1\", response=\"{:032x}\", algorithm=MD5",
                self.number
            ),
        )
    }

    /// The server's reply to the last request.
    pub(super) fn reply(&self, status: &str) -> Message {
        let (account, number, method) = (&self.account, self.number, self.method);
        Message::response(status, method)
            .replace("Via", &format!("SIP/2.0/UDP {};branch=z9hG4bK-{number}", self.at))
            .replace("From", &format!("<sip:{account}@203.0.113.1>;tag=5d1f"))
            .replace("To", &format!("<sip:{account}@203.0.113.1>;tag=77{number}"))
            .replace("Call-ID", &self.call_id)
            .replace("CSeq", &format!("{number} {method}"))
    }

    /// The same with the Contact of a registration.
    pub(super) fn granted(&self, seconds: u32) -> Message {
        let contact = format!("<sip:{}@{}>;expires={seconds}", self.account, self.at);
        self.reply("200 OK").header("Contact", &contact)
    }

    fn server(&self) -> &'static str {
        if self.at.is_ipv4() { SERVER } else { SERVER_V6 }
    }

    /// What the phone sends.
    pub(super) fn sends(&self, payload: impl AsRef<[u8]>) -> Packet {
        let (from, to) = (self.at.to_string(), self.server());
        let packet = if self.is_tcp { Packet::tcp(&from, to) } else { Packet::udp(&from, to) };
        packet.payload(payload)
    }

    /// What the phone gets.
    pub(super) fn gets(&self, payload: impl AsRef<[u8]>) -> Packet {
        let (from, to) = (self.server(), self.at.to_string());
        let packet = if self.is_tcp { Packet::tcp(from, &to) } else { Packet::udp(from, &to) };
        packet.payload(payload)
    }
}
