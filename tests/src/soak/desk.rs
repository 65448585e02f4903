//! A registrar of one line: whoever says the right word is registered, all
//! others get a challenge. For bans and for verified phones, not for calls.

use std::{
    io::ErrorKind,
    net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use anyhow::Result;

use crate::rig::{
    answerer::answer_to,
    lab::{Lab, WAN, sip},
};

/// Beside the server, whose port the streams come to.
const DESK: IpAddr = IpAddr::V4(Ipv4Addr::new(203, 0, 113, 2));

const NAP: Duration = Duration::from_millis(20);

/// What makes a registration right.
const RIGHT: &str = "response=\"11111111111111111111111111111111\"";
const WRONG: &str = "response=\"00000000000000000000000000000000\"";

#[derive(Debug)]
pub(super) struct Desk {
    stop: Arc<AtomicBool>,
    asked: Arc<AtomicU64>,
    thread: Option<JoinHandle<()>>,
}

impl Desk {
    pub(super) fn open(lab: &Lab) -> Result<Self> {
        lab.ip_server(&["address", "add", &format!("{DESK}/25"), "dev", WAN])?;
        let socket = lab.server().enter(|| {
            let socket = UdpSocket::bind(sip(DESK))?;
            socket.set_read_timeout(Some(NAP))?;
            Ok(socket)
        })?;
        let (stop, asked) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let (stopped, counted) = (Arc::clone(&stop), Arc::clone(&asked));
        let thread = thread::spawn(move || serve(&socket, &stopped, &counted));
        Ok(Self { stop, asked, thread: Some(thread) })
    }

    /// Registrations that have come so far.
    pub(super) fn asked(&self) -> u64 {
        self.asked.load(Ordering::Relaxed)
    }

    /// Somebody sends registrations with right or wrong passwords, as many as
    /// `count`, and does not wait for answers.
    pub(super) fn ask(&self, lab: &Lab, from: SocketAddr, right: bool, count: u32) -> Result<()> {
        let socket = lab.outside().enter(|| UdpSocket::bind(from))?;
        for number in 0..count {
            let word = if right { RIGHT } else { WRONG };
            let request = format!(
                "REGISTER sip:{DESK} SIP/2.0\r\nVia: SIP/2.0/UDP {from};branch=z9hG4bK{number}\r\n\
                 From: <sip:1001@{DESK}>;tag=a{number}\r\nTo: <sip:1001@{DESK}>\r\n\
                 Call-ID: desk-{number}-{}\r\nCSeq: {} REGISTER\r\nContact: <sip:1001@{from}>\r\n\
                 Authorization: Digest username=\"1001\",realm=\"desk\",nonce=\"n{number}\",\
                 uri=\"sip:{DESK}\",{word}\r\nUser-Agent: Telephone/1.6\r\n\
                 Content-Length: 0\r\n\r\n",
                from.port(),
                number + 1
            );
            socket.send_to(request.as_bytes(), sip(DESK))?;
        }
        Ok(())
    }
}

impl Drop for Desk {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // It ends after its nap.
            let _ = thread.join();
        }
    }
}

fn serve(socket: &UdpSocket, stop: &AtomicBool, asked: &AtomicU64) {
    let mut buffer = [0; 4096];
    while !stop.load(Ordering::Relaxed) {
        let (count, from) = match socket.recv_from(&mut buffer) {
            Ok(received) => received,
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                continue;
            }
            // Somebody was told that nobody is there; there may be others.
            Err(_) => continue,
        };
        let request = String::from_utf8_lossy(buffer.get(..count).unwrap_or_default());
        let number = asked.fetch_add(1, Ordering::Relaxed);
        let answer = match request.contains(RIGHT) {
            true => answer_to(&request, "200 OK", "Expires: 300\r\n"),
            false => answer_to(
                &request,
                "401 Unauthorized",
                &format!("WWW-Authenticate: Digest realm=\"desk\",nonce=\"n{number}\"\r\n"),
            ),
        };
        // Who is not there any more gets nothing.
        let _ = answer.map(|answer| socket.send_to(answer.as_bytes(), from));
    }
}
