//! `sipguard capture`

mod output;
mod size;

use std::{
    io::{IsTerminal as _, stdout},
    path::{Path, PathBuf},
};

use ipnet::IpNet;
use pcap_file::PcapError;
use sipguard_common::{abi::SNAPLEN_MAX, rule::Rule};

use self::{
    output::{Output, Written, second},
    size::Size,
};
use super::{
    exit::{Exit, Failure},
    out::say,
    target,
};
use crate::{
    api::client::{Client, Ended},
    capture::{Block, Blocks, Counts, DURATION, End, PER_SECOND, SIZE, Wish},
    ttl::Ttl,
};

/// Write packets that were dropped, or would have been, to a file
///
/// As they came, each with its rule and what became of it as a comment, for
/// Wireshark, tshark, sngrep and `sipguard replay`. Ends by itself, or by
/// Ctrl-C, and says then how many packets were written, lost and held back.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The file, as pcapng; - is stdout
    #[arg(short, long, value_name = "FILE")]
    write: PathBuf,
    /// Only packets of this rule; may be given several times
    #[arg(long, value_name = "RULE", value_parser = rule)]
    rule: Vec<Rule>,
    /// Only packets that come from this address or network
    #[arg(long, value_name = "ADDR|CIDR", value_parser = target::net)]
    source: Option<IpNet>,
    /// Also packets that pass
    #[arg(long)]
    all: bool,
    /// Bytes of each packet at most
    #[arg(long, value_name = "N", default_value_t = SNAPLEN_MAX)]
    snaplen: u32,
    /// Packets a second at most
    #[arg(long, value_name = "N", default_value_t = PER_SECOND)]
    per_second: u32,
    /// End when the file has this size: bytes, or with K, M or G
    #[arg(long, value_name = "SIZE", default_value_t = Size(SIZE))]
    max_size: Size,
    /// End after this time: 90s, 10m, 1h30m, at most 7d
    #[arg(long, value_name = "DURATION", default_value_t = DURATION)]
    duration: Ttl,
    /// End after this many packets
    #[arg(long, value_name = "N")]
    count: Option<u64>,
    /// Do not end by size: keep the last packets, in FILE and before it FILE.1
    #[arg(long)]
    rotate: bool,
    /// Overwrite the file
    #[arg(long)]
    force: bool,
}

/// The rule that packets can be counted under.
fn rule(text: &str) -> Result<Rule, String> {
    let ingress = || Rule::ALL.iter().copied().filter(|rule| !rule.is_egress());
    ingress().find(|rule| rule.name() == text).ok_or_else(|| {
        let names: Vec<&str> = ingress().map(Rule::name).collect();
        format!("no rule of packets: {} are", names.join(", "))
    })
}

impl Args {
    fn wish(&self) -> Result<Wish, Failure> {
        let Size(size) = self.max_size;
        let wish = Wish {
            rules: self.rule.clone(),
            source: self.source,
            all: self.all,
            snaplen: self.snaplen,
            per_second: self.per_second,
            max_size: Some(size),
            duration: self.duration,
            count: self.count,
        };
        wish.check().map_err(|error| Failure::new(Exit::Usage, error.to_string(), None))?;
        // Of two files, this side looks after the size.
        Ok(Wish { max_size: wish.max_size.filter(|_| !self.rotate), ..wish })
    }

    fn is_stdout(&self) -> bool {
        self.write == Path::new("-")
    }

    /// Bytes of each of two files.
    fn half(&self) -> Option<u64> {
        let Size(size) = self.max_size;
        self.rotate.then_some(size / 2)
    }
}

pub(super) fn run(args: &Args, client: &Client) -> Result<(), Failure> {
    let wish = args.wish()?;
    if args.is_stdout() && args.rotate {
        let hint = "name a file by -w, or leave --rotate out".to_owned();
        return Err(Failure::new(Exit::Usage, "stdout is one stream, not two files", Some(hint)));
    }
    if args.is_stdout() && stdout().is_terminal() {
        let hint = "name a file, or pass it on: sipguard capture -w - | tshark -r -".to_owned();
        return Err(Failure::new(Exit::Usage, "a capture is nothing for a terminal", Some(hint)));
    }
    let mut taking = Taking::new(Output::open(&args.write, args.half(), args.force)?);
    let ended = client.capture(&wish, |bytes| taking.take(bytes, args));
    if !taking.begun {
        taking.output.abandon();
        return ended.map(drop);
    }
    let last = match &ended {
        Ok(Ended::BySignal(Some(held))) => {
            Some(Counts { packets: held.packets, held_back: held.held_back, lost: held.lost })
        }
        _ => None,
    };
    // The file is whole, whatever has happened.
    let written = match (taking.output.finish(last, taking.packets), ended) {
        (Ok(written), Ok(ended)) => (written, ended),
        (Err(error), Ok(_)) | (_, Err(error)) => return Err(error),
    };
    tell(args, written)
}

/// What has come so far.
struct Taking {
    blocks: Blocks,
    output: Output,
    begun: bool,
    packets: u64,
}

impl Taking {
    fn new(output: Output) -> Self {
        Self { blocks: Blocks::default(), output, begun: false, packets: 0 }
    }

    /// Gives how many packets there were so far.
    fn take(&mut self, bytes: &[u8], args: &Args) -> Result<u64, Failure> {
        if !self.begun {
            self.output.begin()?;
            self.begun = true;
            say(&format!("capturing to {}: {}", name(args), bounds(args)));
        }
        let Self { blocks, output, packets, .. } = self;
        blocks.feed(bytes, |block, bytes| {
            *packets += u64::from(block == Block::Packet);
            output.add(block, bytes)
        })?;
        self.output.flush()?;
        Ok(self.packets)
    }
}

impl From<PcapError> for Failure {
    fn from(error: PcapError) -> Self {
        let message = format!("the daemon's capture cannot be read: {error}");
        Self::new(Exit::Failure, message, None)
    }
}

fn name(args: &Args) -> String {
    match (args.is_stdout(), args.rotate) {
        (true, _) => "stdout".to_owned(),
        (false, false) => args.write.display().to_string(),
        (false, true) => {
            format!("{} and {}", args.write.display(), second(&args.write).display())
        }
    }
}

fn bounds(args: &Args) -> String {
    let count = args.count.map(|count| format!(", {count} packets")).unwrap_or_default();
    match args.rotate {
        true => format!("the last {} within {}{count}, or Ctrl-C", args.max_size, args.duration),
        false => format!("at most {}, {}{count}, or Ctrl-C", args.max_size, args.duration),
    }
}

fn tell(args: &Args, (written, ended): (Written, Ended)) -> Result<(), Failure> {
    let Written { counts: Counts { packets, held_back, lost }, end, rotated } = written;
    let why = match (ended, end) {
        (Ended::BySignal(_), _) => "ended by a signal".to_owned(),
        (_, Some(End::Duration)) => format!("{} are over", args.duration),
        (_, Some(End::Count)) => "that was the number asked for".to_owned(),
        (_, Some(End::Size)) => format!("{} are full", args.max_size),
        (_, Some(End::Stopped) | None) => "sipguard has stopped".to_owned(),
    };
    let older = match rotated {
        0 => String::new(),
        rotated => format!(", {rotated} older ones went"),
    };
    let plural = if packets == 1 { "" } else { "s" };
    say(&format!(
        "{packets} packet{plural} in {}{older}; {lost} lost, {held_back} held back (over {} a second): {why}",
        name(args),
        args.per_second
    ));
    match (ended, end) {
        (Ended::ByDaemon, Some(End::Stopped) | None) => {
            Err(Failure::new(Exit::NotRunning, "sipguard has stopped", None))
        }
        _ => Ok(()),
    }
}
