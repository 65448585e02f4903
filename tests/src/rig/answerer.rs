//! Phones that answer what the server asks them: each at a port of its own.

use std::{
    io::ErrorKind,
    net::{SocketAddr, UdpSocket},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use anyhow::Result;

use super::lab::Lab;

/// How long it sleeps where nothing has come.
const NAP: Duration = Duration::from_millis(2);

/// The headers that an answer repeats.
const REPEATED: [&str; 6] = ["Via:", "Record-Route:", "From:", "To:", "Call-ID:", "CSeq:"];

/// Answers every request with 200, and counts them.
#[derive(Debug)]
pub struct Answerer {
    stop: Arc<AtomicBool>,
    asked: Arc<AtomicUsize>,
    thread: Option<JoinHandle<()>>,
}

impl Answerer {
    /// At these addresses and ports, which nobody else uses.
    ///
    /// # Errors
    /// Where the kernel refuses.
    pub fn start(lab: &Lab, places: &[SocketAddr]) -> Result<Self> {
        let sockets = lab.outside().enter(|| {
            let bind = |place| {
                let socket = UdpSocket::bind(place)?;
                socket.set_nonblocking(true)?;
                Ok(socket)
            };
            places.iter().map(bind).collect::<std::io::Result<Vec<_>>>()
        })?;
        let (stop, asked) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let (stopped, counted) = (Arc::clone(&stop), Arc::clone(&asked));
        let thread = thread::spawn(move || answer(&sockets, &stopped, &counted));
        Ok(Self { stop, asked, thread: Some(thread) })
    }

    /// The requests that have come so far.
    #[must_use]
    pub fn asked(&self) -> usize {
        self.asked.load(Ordering::Relaxed)
    }
}

impl Drop for Answerer {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // It ends after its nap.
            let _ = thread.join();
        }
    }
}

fn answer(sockets: &[UdpSocket], stop: &AtomicBool, asked: &AtomicUsize) {
    let mut buffer = [0; 4096];
    while !stop.load(Ordering::Relaxed) {
        let mut is_idle = true;
        for socket in sockets {
            match socket.recv_from(&mut buffer) {
                Ok((count, server)) => {
                    is_idle = false;
                    let request = String::from_utf8_lossy(buffer.get(..count).unwrap_or_default());
                    let contact = socket.local_addr().ok();
                    if let Some(response) = contact.and_then(|at| response(&request, at)) {
                        asked.fetch_add(1, Ordering::Relaxed);
                        // A response that is lost is seen at the server.
                        let _ = socket.send_to(response.as_bytes(), server);
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(_) => return,
            }
        }
        if is_idle {
            thread::sleep(NAP);
        }
    }
}

/// 200 to a request; nothing to what is none, or to ACK.
fn response(request: &str, contact: SocketAddr) -> Option<String> {
    answer_to(request, "200 OK", &format!("Contact: <sip:phone@{contact}>\r\n"))
}

/// A response with this status and these headers; nothing to what is no request,
/// or to ACK.
pub(crate) fn answer_to(request: &str, status: &str, headers: &str) -> Option<String> {
    let mut lines = request.split("\r\n");
    let start = lines.next()?;
    if !start.ends_with(" SIP/2.0") || start.starts_with("ACK ") {
        return None;
    }
    let repeated = lines.filter(|line| REPEATED.iter().any(|name| line.starts_with(name)));
    let mut response = format!("SIP/2.0 {status}\r\n");
    for line in repeated {
        let tag = if line.starts_with("To:") && !line.contains("tag=") { ";tag=phone" } else { "" };
        response += &format!("{line}{tag}\r\n");
    }
    Some(response + headers + "Content-Length: 0\r\n\r\n")
}

#[cfg(test)]
mod tests {
    use super::response;

    #[test]
    fn requests_are_answered_and_responses_are_not() {
        let request = "OPTIONS sip:a SIP/2.0\r\nVia: v\r\nTo: <sip:a>\r\nX: y\r\n\r\n";
        let expected = "SIP/2.0 200 OK\r\nVia: v\r\nTo: <sip:a>;tag=phone\r\n\
             Contact: <sip:phone@192.0.2.1:5062>\r\nContent-Length: 0\r\n\r\n";
        let at = ([192, 0, 2, 1], 5062).into();
        assert_eq!(response(request, at).as_deref(), Some(expected));
        assert_eq!(response(expected, at), None);
        assert_eq!(response("\r\n\r\n", at), None);
    }
}
