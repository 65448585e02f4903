//! What happens in the picture: customers, a trunk, scanners who come and go.

use std::{
    io::ErrorKind,
    net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use anyhow::Result;
use tests::{
    rig::{
        lab::{Lab, SERVER, SERVER_V6, STRANGER_V6, TRUSTED, sip},
        traffic::{Flow, request},
    },
    sip::Message,
};

/// How long it goes on.
const WHOLE: Duration = Duration::from_secs(75);

/// Somebody who sends something.
struct Sender {
    /// The last number of his address.
    host: u8,
    per_second: u32,
    /// When he begins, in seconds.
    begins: u64,
    /// In how many seconds he comes and goes once; 0 for one who is steady.
    period: u64,
    method: &'static str,
    agent: &'static str,
}

const SENDERS: [Sender; 9] = [
    sender(7, 420, 6, 34, "REGISTER", "friendly-scanner"),
    sender(8, 160, 25, 0, "OPTIONS", "sipvicious"),
    sender(23, 90, 0, 26, "INVITE", "eyeBeam release 3006o stamp 17551"),
    sender(31, 60, 40, 0, "REGISTER", "pplsip"),
    sender(42, 34, 12, 0, "OPTIONS", "Zoiper"),
    sender(66, 26, 30, 18, "INVITE", "sipcli/v1.8"),
    sender(90, 12, 3, 22, "SUBSCRIBE", "Linphone/3.6.1"),
    sender(101, 7, 0, 0, "OPTIONS", "VaxSIPUserAgent/3.1"),
    sender(119, 3, 50, 0, "REGISTER", "Grandstream GXP2140"),
];

const fn sender(
    host: u8,
    per_second: u32,
    begins: u64,
    period: u64,
    method: &'static str,
    agent: &'static str,
) -> Sender {
    Sender { host, per_second, begins, period, method, agent }
}

const fn address(host: u8) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(198, 51, 100, host))
}

/// Customers with phones, and one who guesses a password.
const CUSTOMERS: [u8; 3] = [150, 151, 152];
const GUESSER: u8 = 200;

/// All of it, which goes on until this is dropped.
#[derive(Debug)]
pub(crate) struct Attack {
    stop: Arc<AtomicBool>,
    registrar: Option<JoinHandle<()>>,
    _flows: Vec<Flow>,
}

impl Drop for Attack {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(registrar) = self.registrar.take() {
            // The picture is made by then.
            let _ = registrar.join();
        }
    }
}

/// Starts all of it, one after the other, for a while.
pub(crate) fn watch(lab: &Lab) -> Result<Attack> {
    let own = [7, 8, 9, 10];
    let hosts = SENDERS.iter().map(|sender| sender.host).chain(CUSTOMERS).chain([GUESSER]);
    for host in hosts.filter(|host| !own.contains(host)) {
        lab.ip_outside(&["address", "add", &format!("{}/32", address(host)), "dev", "far0"])?;
    }
    let stop = Arc::new(AtomicBool::new(false));
    let registrar = registrar(lab, &stop)?;
    let start = Instant::now();
    let mut flows = Vec::new();
    for customer in CUSTOMERS {
        flows.push(Flow::start(lab, address(customer), SERVER, 2, move |number| {
            registration(customer, "REGISTER", number)
        })?);
    }
    flows
        .push(Flow::start(lab, TRUSTED, SERVER, 24, |number| request("INVITE", b"trunk", number))?);
    flows.push(Flow::start(lab, STRANGER_V6, SERVER_V6, 18, |number| {
        request("OPTIONS", b"friendly-scanner", number)
    })?);
    let mut waiting: Vec<&Sender> = SENDERS.iter().collect();
    let mut guesser = None;
    while start.elapsed() < WHOLE {
        let now = start.elapsed().as_secs();
        for sender in waiting.extract_if(.., |sender| sender.begins <= now) {
            flows.push(sender.start(lab)?);
        }
        if guesser.is_none() && now >= 60 {
            guesser = Some(Flow::start(lab, address(GUESSER), SERVER, 8, |number| {
                registration(GUESSER, "REGISTER", number)
            })?);
        }
        thread::sleep(Duration::from_millis(200));
    }
    flows.extend(guesser);
    Ok(Attack { stop, registrar: Some(registrar), _flows: flows })
}

impl Sender {
    fn start(&self, lab: &Lab) -> Result<Flow> {
        let Self { host, per_second, period, method, agent, .. } = *self;
        let start = Instant::now();
        Flow::start(lab, address(host), SERVER, per_second, move |number| {
            if let Some(seconds) = start.elapsed().as_secs().checked_rem(period) {
                // Three steps up and down, as scanners do that wait for answers.
                let step = seconds * 6 / period;
                let pauses = [3, 1, 0, 0, 1, 6].get(usize::try_from(step).unwrap_or(0));
                let pause = Duration::from_secs(1) / per_second * pauses.copied().unwrap_or(0);
                thread::sleep(pause);
            }
            request(method, agent.as_bytes(), number)
        })
    }
}

/// A request with credentials, which the registrar takes or refuses.
fn registration(host: u8, method: &str, number: u64) -> Vec<u8> {
    let user = u32::from(host);
    Message::request(method, "sip:203.0.113.1")
        .replace("Call-ID", &format!("registration-{host}-{number}"))
        .replace("CSeq", &format!("{} {method}", number + 1))
        .agent("Yealink SIP-T46S 66.85")
        .header(
            "Authorization",
            &format!(
                "Digest realm=\"a\", nonce=\"n{host}\", username=\"{user}\", uri=\"sip:a\", \
                 response=\"{number:032x}\""
            ),
        )
        .build()
}

/// Accepts customers, and refuses everybody else.
fn registrar(lab: &Lab, stop: &Arc<AtomicBool>) -> Result<JoinHandle<()>> {
    let socket = lab.server().enter(|| {
        let socket = UdpSocket::bind(sip(SERVER))?;
        socket.set_read_timeout(Some(Duration::from_millis(50)))?;
        Ok(socket)
    })?;
    let stopped = Arc::clone(stop);
    Ok(thread::spawn(move || {
        let mut buffer = [0; 4096];
        while !stopped.load(Ordering::Relaxed) {
            match socket.recv_from(&mut buffer) {
                Ok((count, from)) => {
                    let text = String::from_utf8_lossy(buffer.get(..count).unwrap_or_default());
                    // A reply that is lost is asked for again.
                    let _ = socket.send_to(reply(&text, from).as_bytes(), from);
                }
                Err(error)
                    if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
                Err(_) => return,
            }
        }
    }))
}

fn reply(request: &str, from: SocketAddr) -> String {
    let is_customer = CUSTOMERS.iter().any(|host| address(*host) == from.ip());
    let status = match request.split(' ').next() {
        Some("REGISTER") if is_customer => "200 OK",
        Some("INVITE") => "404 Not Found",
        _ => "401 Unauthorized",
    };
    let repeated = ["Via:", "From:", "To:", "Call-ID:", "CSeq:"];
    let mut reply = format!("SIP/2.0 {status}\r\n");
    for line in request.split("\r\n") {
        if repeated.iter().any(|name| line.starts_with(name)) {
            reply += &format!("{line}\r\n");
        }
    }
    let last = match is_customer {
        true => format!("Contact: <sip:phone@{from}>;expires=600"),
        false => format!("WWW-Authenticate: Digest realm=\"a\", nonce=\"{}\"", from.ip()),
    };
    reply + &last + "\r\nContent-Length: 0\r\n\r\n"
}
