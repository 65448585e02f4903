//! What users see of what the server's replies have taught.

use std::{
    net::{IpAddr, SocketAddr, UdpSocket},
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use jiff::Timestamp;
use serde_json::Value;
use tests::{
    rig::{
        lab::{Lab, SERVER, STRANGERS, WAN, sip},
        policy::Policy,
        sipguard::Sipguard,
        tool::{Tool, can_run},
    },
    sip::Message,
};

const TOOLS: &[Tool] = &[Tool::Ip, Tool::Sipguard];

/// How long a datagram may be under way.
const PATIENCE: Duration = Duration::from_secs(20);

/// Where phones send from.
const PORT: u16 = 5061;

fn receive(socket: &UdpSocket) -> Result<String> {
    let mut bytes = [0; 2048];
    let length = socket.recv(&mut bytes).context("nothing has come")?;
    Ok(String::from_utf8_lossy(&bytes[..length]).into_owned())
}

/// A phone and the server, who says what the test wants.
struct Call<'a> {
    server: &'a UdpSocket,
    phone: UdpSocket,
    address: SocketAddr,
}

impl<'a> Call<'a> {
    fn new(lab: &Lab, server: &'a UdpSocket, source: IpAddr) -> Result<Self> {
        let address = SocketAddr::new(source, PORT);
        let phone = lab.outside().enter(|| UdpSocket::bind(address))?;
        phone.set_read_timeout(Some(PATIENCE))?;
        phone.connect(sip(SERVER))?;
        Ok(Self { server, phone, address })
    }

    /// With a nonce of its own, for one that several get proves nothing.
    fn challenge(&self) -> String {
        format!("Digest realm=\"a\", nonce=\"c0ffee-{}\"", self.address.ip())
    }

    fn call_id(&self) -> String {
        format!("call-{}", self.address.ip())
    }

    /// A REGISTER that the server answers.
    fn register(&self, number: u32, credentials: bool, status: &str) -> Result<()> {
        let sequence = format!("{number} REGISTER");
        let request = Message::request("REGISTER", "sip:203.0.113.1")
            .replace("Call-ID", &self.call_id())
            .replace("CSeq", &sequence)
            .agent("Telephone/1.6");
        let request = match credentials {
            true => request.header(
                "Authorization",
                &format!(
                    "{}, username=\"200\", uri=\"sip:a\", response=\"0f{number}\"",
                    self.challenge()
                ),
            ),
            false => request,
        };
        self.phone.send(&request.build())?;
        ensure!(receive(self.server)?.starts_with("REGISTER "));
        let reply = Message::response(status, "REGISTER")
            .replace("Call-ID", &self.call_id())
            .replace("CSeq", &sequence)
            .header("Contact", &format!("<sip:200@{}>;expires=600", self.address));
        let reply = match status.starts_with("401") {
            true => reply.header("WWW-Authenticate", &self.challenge()),
            false => reply,
        };
        self.server.send_to(&reply.build(), self.address)?;
        ensure!(receive(&self.phone)?.starts_with("SIP/2.0 "));
        Ok(())
    }
}

fn why(sipguard: &Sipguard<'_>, source: IpAddr) -> Result<Value> {
    sipguard.json(&["why", &source.to_string(), "--json"])
}

fn count(all: &Value, name: &str) -> Result<u64> {
    let all = all.as_array().context("no counts")?;
    let one = all.iter().find(|one| one["name"] == name).context("no such count")?;
    one["count"].as_u64().context("no number")
}

/// F20, F21, F25, F34: a customer, a phone that the server calls, and a guesser
/// who is banned at his last try, all from what the server says.
#[test]
fn f34_customers_and_guessers_are_told_apart_and_explained() -> Result<()> {
    if !can_run(TOOLS) {
        return Ok(());
    }
    let lab = Lab::new()?;
    let server = lab.server().enter(|| UdpSocket::bind(sip(SERVER)))?;
    server.set_read_timeout(Some(PATIENCE))?;
    let policy = Policy::usual()?.with_main("[auth]\nfailures = 3\nban = \"10m\"\n");
    let sipguard = Sipguard::start(&lab, &policy, &["--iface", WAN])?;
    let [customer, called, guesser, stranger] = STRANGERS;

    let phone = Call::new(&lab, &server, customer)?;
    phone.register(1, false, "401 Unauthorized")?;
    phone.register(2, true, "200 OK")?;
    let other = Call::new(&lab, &server, called)?;
    server.send_to(&Message::request("OPTIONS", "sip:200@198.51.100.8").build(), other.address)?;
    receive(&other.phone)?;
    let bad = Call::new(&lab, &server, guesser)?;
    bad.register(1, false, "401 Unauthorized")?;
    for number in 2..5 {
        bad.register(number, true, "401 Unauthorized")?;
    }

    let listed = sipguard.json(&["list", "verified", "--json"])?;
    let verified = listed["verified"].as_array().context("no list")?;
    ensure!(verified.len() == 2, "{listed}");
    ensure!(verified[0]["address"] == customer.to_string() && verified[0]["port"] == PORT);
    ensure!(verified[0]["how"] == "register" && verified[0]["proven"] == true, "{listed}");
    ensure!(verified[0]["status"] == 200 && verified[1]["how"] == "contacted", "{listed}");
    let until: Timestamp = verified[0]["until"].as_str().context("no end")?.parse()?;
    let left = until.duration_since(Timestamp::now()).as_secs();
    ensure!((560..=601).contains(&left), "verified for {left} s");

    let of_customer = why(&sipguard, customer)?;
    ensure!(of_customer["standing"] == "verified", "{of_customer}");
    ensure!(of_customer["site"]["accounts"] == 1 && of_customer["site"]["times"] == 2);
    ensure!(of_customer["verified"][0]["levels"].as_array().is_some_and(|all| !all.is_empty()));
    ensure!(why(&sipguard, called)?["standing"] == "verified");
    ensure!(why(&sipguard, stranger)?["standing"] == "stranger");

    let of_guesser = why(&sipguard, guesser)?;
    ensure!(of_guesser["standing"] == "banned", "{of_guesser}");
    let ban = &of_guesser["banned"][0];
    ensure!(ban["rule"] == "auth" && ban["failures"] == 3 && ban["proven"] == true, "{ban}");
    ensure!(of_guesser["failures"][0]["status"] == 401, "{of_guesser}");
    for source in [customer, guesser, stranger] {
        let shown = sipguard.command(&["why", &source.to_string()])?.success()?.text();
        println!("$ sipguard why {source}\n{shown}");
    }

    let stats = sipguard.stats()?;
    let replies = stats.0["replies"]["methods"].as_array().context("no replies")?;
    let register = replies.iter().find(|one| one["method"] == "REGISTER");
    let register = register.context("no REGISTER")?;
    ensure!(register["2xx"] == 1 && register["4xx"] == 5, "{register}");
    let options = replies.iter().find(|one| one["method"] == "OPTIONS").context("no OPTIONS")?;
    ensure!(options["requests"] == 1, "{options}");
    for (name, number) in [("verified", 2), ("failure", 3), ("auth_ban", 1)] {
        ensure!(count(&stats.0["learned"], name)? == number, "{name}: {}", stats.0["learned"]);
    }
    let shown = sipguard.command(&["stats"])?.success()?.text();
    println!("{shown}");
    ensure!(shown.contains("REPLIES TO") && shown.contains("auth_ban"), "{shown}");
    ensure!(!shown.lines().any(|line| line.starts_with("stealth ")), "{shown}");
    let said = sipguard.log();
    ensure!(said.contains("banned 198.51.100.9 for 10m: 3 wrong passwords"), "{said}");

    // Lifted, he is a stranger again.
    sipguard.command(&["unblock", &guesser.to_string()])?.success()?;
    ensure!(why(&sipguard, guesser)?["standing"] == "stranger");
    Ok(())
}
