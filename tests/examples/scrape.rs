//! What one scrape takes, as Prometheus sees it, of a running sipguard with
//! full maps: the maps of the daemon are filled from here, for a crowd of real
//! phones would be long at it.

use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{Ipv4Addr, TcpStream},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use aya::maps::{HashMap, Map, MapData, MapInfo};
use nix::unistd::Pid;
use sipguard_common::abi::{Address, Ban, Endpoint, Verified, how};
use tests::rig::{
    lab::{Lab, WAN},
    policy::{Policy, signature},
    sipguard::Sipguard,
};

const VERIFIED: u32 = 65_536;
const BANNED: u32 = 65_536;
const BLOCKED: u32 = 100_000;
const UDP: u8 = 17;
/// Scrapes of one measurement, spread over some seconds: in some of them the
/// daemon counts what it holds.
const SCRAPES: usize = 600;
const PAUSE: Duration = Duration::from_millis(20);

fn main() -> Result<()> {
    for (signatures, verified, banned) in
        [(69, 0, 0), (69, VERIFIED, BANNED), (4_096, VERIFIED, BANNED)]
    {
        let lab = Lab::new()?;
        let sipguard = Sipguard::start(&lab, &policy(signatures), &["--iface", WAN])?;
        fill(
            sipguard.pid(),
            "ENDPOINTS",
            verified,
            Verified {
                expires_ns: u64::MAX,
                how: how::REGISTER,
                status: 200,
                ..Verified::default()
            },
        )?;
        let ban = Ban { expires_ns: u64::MAX, rule: 44, proven: 1, ..Ban::default() };
        fill(sipguard.pid(), "BANNED", banned, ban)?;
        println!(
            "{signatures} signatures, {BLOCKED} blocked, {verified} verified, {banned} banned:"
        );
        measure(&lab)?;
    }
    Ok(())
}

fn policy(signatures: u32) -> Policy {
    let blocked: String = (0..BLOCKED)
        .map(|number| {
            let address = Ipv4Addr::from(0x0b00_0000 + number);
            format!("[[block]]\naddress = \"{address}\"\n")
        })
        .collect();
    let signatures = (0..signatures)
        .map(|number| signature(&format!("scanner-{number}"), &format!("scanner {number}")));
    Policy {
        main: String::new(),
        trusted: String::new(),
        blacklist: blocked,
        signatures: signatures.collect(),
    }
}

/// Puts so many endpoints into a map of that very process.
fn fill<V: aya::Pod>(pid: Pid, name: &str, count: u32, value: V) -> Result<()> {
    let map = map(pid, name)?;
    let mut map = HashMap::<_, Endpoint, V>::try_from(Map::LruHashMap(map))?;
    for number in 0..count {
        let address = Address::v4((0x0a00_0000 + number).to_be_bytes());
        map.insert(Endpoint::new(address, [0x13, 0xc4], UDP), value, 0)?;
    }
    Ok(())
}

fn map(pid: Pid, name: &str) -> Result<MapData> {
    for entry in fs::read_dir(format!("/proc/{pid}/fdinfo"))? {
        let text = fs::read_to_string(entry?.path()).unwrap_or_default();
        let id = text.lines().find_map(|line| line.strip_prefix("map_id:"));
        let Some(id) = id.and_then(|id| id.trim().parse().ok()) else { continue };
        if MapInfo::from_id(id)?.name_as_str() == Some(name) {
            return Ok(MapData::from_id(id)?);
        }
    }
    anyhow::bail!("{pid} has no map {name}")
}

fn measure(lab: &Lab) -> Result<()> {
    // The daemon's next look counts them.
    thread::sleep(Duration::from_secs(3));
    let stream = lab.server().enter(|| TcpStream::connect("127.0.0.1:9061"))?;
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    stream.set_nodelay(true)?;
    let mut reader = BufReader::new(stream.try_clone()?);
    let (mut took, mut bytes, before) = (Vec::new(), 0, Instant::now());
    for _ in 0..SCRAPES {
        let begun = Instant::now();
        bytes = scrape(&stream, &mut reader)?;
        took.push(begun.elapsed());
        thread::sleep(PAUSE);
    }
    took.sort();
    let of = |part: usize| took[(took.len() - 1) * part / 1000];
    println!(
        "  {bytes} bytes; median {:?}, 95 % {:?}, 99 % {:?}, longest {:?}, over {:?}",
        of(500),
        of(950),
        of(990),
        of(1000),
        before.elapsed()
    );
    Ok(())
}

/// One scrape over a connection that stays; gives the bytes of the text.
fn scrape(mut stream: &TcpStream, reader: &mut BufReader<TcpStream>) -> Result<usize> {
    stream.write_all(
        b"GET /metrics HTTP/1.1\r\nHost: 127.0.0.1:9061\r\n\
          Accept: application/openmetrics-text;version=1.0.0\r\n\r\n",
    )?;
    let mut length = None;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let line = line.trim_end().to_ascii_lowercase();
        if let Some(value) = line.strip_prefix("content-length: ") {
            length = Some(value.parse()?);
        }
        if line.is_empty() {
            break;
        }
    }
    let mut text = vec![0; length.context("no length")?];
    reader.read_exact(&mut text)?;
    ensure!(text.ends_with(b"# EOF\n"), "cut off");
    Ok(text.len())
}
