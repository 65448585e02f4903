//! A web server that says what a test wants, word for word: also what no good
//! server says.

use std::{
    collections::BTreeMap,
    io::{ErrorKind, Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use anyhow::Result;

use super::namespace::Namespace;

/// Between two looks for a caller, and whether to stop.
const POLL: Duration = Duration::from_millis(5);

/// How long one answer may take.
const LONGEST: Duration = Duration::from_secs(20);

/// Bytes of a request.
const MAX_REQUEST: usize = 16 << 10;

/// A part of an answer.
#[derive(Clone, Debug)]
pub enum Part {
    Bytes(Vec<u8>),
    Wait(Duration),
    /// The same bytes again and again, as long as somebody reads.
    Endless(Vec<u8>, Duration),
}

/// What a path says: parts after one another, then the end of the connection.
type Answer = Arc<dyn Fn(&Request) -> Vec<Part> + Send + Sync>;

/// What somebody has asked for.
#[derive(Clone, Debug)]
pub struct Request {
    pub path: String,
    /// The whole head, as it came.
    pub head: String,
}

impl Request {
    /// The value of a header.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (found, value) = line.split_once(':')?;
            found.eq_ignore_ascii_case(name).then_some(value.trim())
        })
    }
}

#[derive(Default)]
struct Inner {
    answers: Mutex<BTreeMap<String, Answer>>,
    requests: Mutex<Vec<Request>>,
    stop: AtomicBool,
}

/// A running server, until it is dropped.
pub struct Web {
    address: SocketAddr,
    inner: Arc<Inner>,
    thread: Option<JoinHandle<Result<()>>>,
}

impl Web {
    /// Listens in a namespace.
    ///
    /// # Errors
    /// Where the kernel refuses.
    pub fn start(namespace: &Namespace, address: SocketAddr) -> Result<Self> {
        let listener = namespace.enter(|| TcpListener::bind(address))?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let inner = Arc::new(Inner::default());
        let of_thread = Arc::clone(&inner);
        let thread = thread::spawn(move || {
            while !of_thread.stop.load(Ordering::Relaxed) {
                match listener.accept() {
                    Ok((stream, _)) => {
                        let inner = Arc::clone(&of_thread);
                        // Who breaks off is none of the server's troubles.
                        thread::spawn(move || inner.serve(stream));
                    }
                    Err(error) if error.kind() == ErrorKind::WouldBlock => thread::sleep(POLL),
                    Err(error) => return Err(error.into()),
                }
            }
            Ok(())
        });
        Ok(Self { address, inner, thread: Some(thread) })
    }

    /// The URL of a path.
    #[must_use]
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// From now on, this is the answer at a path.
    pub fn says(&self, path: &str, answer: impl Fn(&Request) -> Vec<Part> + Send + Sync + 'static) {
        let mut answers = self.inner.answers.lock().unwrap_or_else(PoisonError::into_inner);
        answers.insert(path.to_owned(), Arc::new(answer));
    }

    /// The same, word for word.
    pub fn says_bytes(&self, path: &str, bytes: impl Into<Vec<u8>>) {
        let bytes = bytes.into();
        self.says(path, move |_| vec![Part::Bytes(bytes.clone())]);
    }

    /// What was asked so far.
    #[must_use]
    pub fn requests(&self) -> Vec<Request> {
        self.inner.requests.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for Web {
    fn drop(&mut self) {
        self.inner.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Inner {
    fn serve(&self, mut stream: TcpStream) -> Option<()> {
        stream.set_nonblocking(false).ok()?;
        stream.set_read_timeout(Some(LONGEST)).ok()?;
        stream.set_write_timeout(Some(LONGEST)).ok()?;
        let request = read(&mut stream)?;
        let answer = {
            let answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
            answers.get(&request.path).cloned()
        };
        let parts = match answer {
            Some(answer) => answer(&request),
            None => vec![Part::Bytes(reply("404 Not Found", &[], b"<html>no</html>"))],
        };
        self.requests.lock().unwrap_or_else(PoisonError::into_inner).push(request);
        let deadline = Instant::now() + LONGEST;
        let goes_on = || !self.stop.load(Ordering::Relaxed) && Instant::now() < deadline;
        let wait = |time: Duration| {
            let end = Instant::now() + time;
            while goes_on() && Instant::now() < end {
                thread::sleep(POLL.min(time));
            }
        };
        for part in parts {
            match part {
                Part::Bytes(bytes) => stream.write_all(&bytes).ok()?,
                Part::Wait(time) => wait(time),
                Part::Endless(bytes, time) => {
                    while goes_on() {
                        stream.write_all(&bytes).ok()?;
                        wait(time);
                    }
                }
            }
        }
        Some(())
    }
}

fn read(stream: &mut TcpStream) -> Option<Request> {
    let mut head = Vec::new();
    let mut buffer = [0; 1024];
    while !head.windows(4).any(|four| four == b"\r\n\r\n") {
        let length = stream.read(&mut buffer).ok().filter(|length| *length > 0)?;
        head.extend_from_slice(&buffer[..length]);
        if head.len() > MAX_REQUEST {
            return None;
        }
    }
    let head = String::from_utf8(head).ok()?;
    let path = head.split(' ').nth(1)?.to_owned();
    Some(Request { path, head })
}

/// A good answer.
#[must_use]
pub fn reply(status: &str, headers: &[&str], body: &[u8]) -> Vec<u8> {
    let mut head = format!("HTTP/1.1 {status}\r\nConnection: close\r\n");
    for header in headers {
        head += &format!("{header}\r\n");
    }
    // What has no body must not say how long it is.
    if !status.starts_with("304") {
        head += &format!("Content-Length: {}\r\n", body.len());
    }
    [head.as_bytes(), b"\r\n", body].concat()
}
