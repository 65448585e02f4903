//! Somebody who talks SIP by hand over UDP: for what no phone and no scanner
//! says, and for what must be known packet by packet.

use std::{
    cell::Cell,
    io::ErrorKind,
    net::{IpAddr, SocketAddr, UdpSocket},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};

use super::lab::{Lab, SERVER, SERVER_V6, sip};
use crate::sip::Message;

/// How long an answer is waited for where one must come.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long one is waited for that must not come.
pub const SILENCE: Duration = Duration::from_millis(700);

/// A socket in the outside namespace that talks to the server.
#[derive(Debug)]
pub struct Talker {
    socket: UdpSocket,
    local: SocketAddr,
    server: IpAddr,
    said: Cell<u32>,
}

impl Talker {
    /// At an address and port; port 0 is any.
    ///
    /// # Errors
    /// Where the kernel refuses.
    pub fn new(lab: &Lab, address: IpAddr, port: u16) -> Result<Self> {
        let server = if address.is_ipv6() { SERVER_V6 } else { SERVER };
        let socket = lab.outside().enter(|| {
            let socket = UdpSocket::bind(SocketAddr::new(address, port))?;
            socket.connect(sip(server))?;
            Ok(socket)
        })?;
        let local = socket.local_addr()?;
        Ok(Self { socket, local, server, said: Cell::new(0) })
    }

    /// Where it is.
    #[must_use]
    pub fn local(&self) -> SocketAddr {
        self.local
    }

    /// A request of a user to another one, each with a Call-ID of its own.
    #[must_use]
    pub fn request(&self, method: &str, from: &str, to: &str) -> Message {
        let (local, said) = (self.local, self.said.get() + 1);
        self.said.set(said);
        let server = host(self.server);
        let uri = match method {
            "REGISTER" => format!("sip:{server}"),
            _ => format!("sip:{to}@{server}"),
        };
        Message::request(method, &uri)
            .replace("Via", &format!("SIP/2.0/UDP {local};branch=z9hG4bK-{said}-{to};rport"))
            .replace("From", &format!("<sip:{from}@{server}>;tag=t{said}"))
            .replace("To", &format!("<sip:{to}@{server}>"))
            .replace("Call-ID", &format!("{said}-{}-{to}", local.port()))
            .header("Contact", &format!("<sip:{from}@{local}>"))
            .agent("Grandstream GXP2140 1.0.9.14")
    }

    /// A registration of a user.
    #[must_use]
    pub fn register(&self, user: &str) -> Message {
        self.request("REGISTER", user, user).header("Expires", "300")
    }

    /// The same with a guess that is wrong, in answer to a challenge.
    #[must_use]
    pub fn guess(&self, user: &str, nonce: &str) -> Message {
        self.register(user).header("Authorization", &credentials(user, nonce, self.server))
    }

    /// Sends a message.
    ///
    /// # Errors
    /// Where the kernel refuses.
    pub fn say(&self, message: &Message) -> Result<()> {
        self.socket.send(&message.build())?;
        Ok(())
    }

    /// The next message that comes within `limit`.
    ///
    /// # Errors
    /// Where the socket fails.
    pub fn hear(&self, limit: Duration) -> Result<Option<String>> {
        let deadline = Instant::now() + limit;
        let mut buffer = [0; 4096];
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(None);
            }
            self.socket.set_read_timeout(Some(left))?;
            match self.socket.recv(&mut buffer) {
                Ok(count) => {
                    let heard = buffer.get(..count).unwrap_or_default();
                    return Ok(Some(String::from_utf8_lossy(heard).into_owned()));
                }
                Err(error)
                    if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Sends a request; gives the final answer.
    ///
    /// # Errors
    /// Where none comes.
    pub fn ask(&self, message: &Message) -> Result<String> {
        self.say(message)?;
        loop {
            let heard = self.hear(PATIENCE)?;
            let heard = heard.with_context(|| format!("no answer to {}", text(message)))?;
            if !heard.starts_with("SIP/2.0 1") {
                return Ok(heard);
            }
        }
    }

    /// Sends a request; whether no answer comes for a moment.
    ///
    /// # Errors
    /// Where the socket fails.
    pub fn asks_in_vain(&self, message: &Message) -> Result<bool> {
        self.say(message)?;
        Ok(self.hear(SILENCE)?.is_none())
    }
}

/// As it stands in a URI.
fn host(address: IpAddr) -> String {
    match address {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => format!("[{address}]"),
    }
}

fn text(message: &Message) -> String {
    String::from_utf8_lossy(&message.head()).into_owned()
}

/// The nonce of a challenge.
///
/// # Errors
/// Where there is none.
pub fn nonce(answer: &str) -> Result<String> {
    let (_, rest) = answer.split_once("nonce=\"").with_context(|| format!("no nonce: {answer}"))?;
    let (nonce, _) = rest.split_once('"').context("no end of the nonce")?;
    Ok(nonce.to_owned())
}

/// Credentials with a response that is right for no password.
#[must_use]
pub fn credentials(user: &str, nonce: &str, server: IpAddr) -> String {
    let server = host(server);
    format!(
        "Digest username=\"{user}\", realm=\"registrar.example\", nonce=\"{nonce}\", \
         uri=\"sip:{server}\", response=\"00112233445566778899aabbccddeeff\", algorithm=MD5, \
         cnonce=\"0a4f113b\", qop=auth, nc=00000001"
    )
}
