//! Decisions on disk, for a start without a local API.

use std::{
    fs::{self, File},
    io::{self, BufRead as _, BufReader, BufWriter, Write as _},
    path::{Path, PathBuf},
    time::Duration,
};

use ipnet::IpNet;
use jiff::{SignedDuration, Timestamp};

use super::go_duration::LONGEST;
use crate::policy::{net_text, parse_net};

/// Where they are, below the state directory.
pub const FOLDER: &str = "crowdsec";

const NAME: &str = "decisions";

/// How the first line begins; then come where they are from, and when they were
/// written.
const HEAD: &str = "# sipguard decisions";

/// How the last line begins: what is cut off has none.
const END: &str = "# end";

/// One of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptDecision {
    pub net: IpNet,
    pub id: u64,
    pub until: Timestamp,
    pub origin: String,
    pub scenario: String,
}

/// All of them, with the rest of their time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Kept(pub Vec<(KeptDecision, Duration)>);

impl Kept {
    /// Reads what was written of this local API; nothing where there is nothing,
    /// or it is of another one. At most so many.
    ///
    /// # Errors
    /// The disk refuses, or the file is damaged.
    pub fn read(state: &Path, url: &str, now: Timestamp, most: usize) -> io::Result<Self> {
        let file = match File::open(path(state)) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(error) => return Err(error),
        };
        let mut lines = BufReader::new(file).lines();
        let head = lines.next().transpose()?.ok_or_else(damaged)?;
        let words: Vec<&str> = head.strip_prefix(HEAD).ok_or_else(damaged)?.split('\t').collect();
        let [_, from, written] = words[..] else { return Err(damaged()) };
        if from != url {
            return Ok(Self::default());
        }
        let written: Timestamp = written.parse().map_err(|_| damaged())?;
        let mut all = Vec::new();
        for line in lines {
            let line = line?;
            if let Some(count) = line.strip_prefix(END) {
                let is_whole = count.trim().parse::<usize>().is_ok_and(|count| count >= all.len());
                return if is_whole { Ok(Self(all)) } else { Err(damaged()) };
            }
            let kept = parse(&line).ok_or_else(damaged)?;
            if let Some(left) = left(kept.until, written, now)
                && all.len() < most
            {
                all.push((kept, left));
            }
        }
        Err(damaged())
    }

    /// Forgets them.
    pub fn remove(state: &Path) {
        // Where it stays, it is of another local API, or has ended.
        let _ = fs::remove_file(path(state));
    }
}

fn damaged() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "the file is damaged")
}

fn path(state: &Path) -> PathBuf {
    state.join(FOLDER).join(NAME)
}

/// Never longer than when it was written, whatever happened to the clock.
fn left(until: Timestamp, written: Timestamp, now: Timestamp) -> Option<Duration> {
    let left = until.duration_since(now).min(until.duration_since(written));
    Duration::try_from(left).ok().filter(|left| !left.is_zero()).map(|left| left.min(LONGEST))
}

fn parse(line: &str) -> Option<KeptDecision> {
    let words: Vec<&str> = line.split('\t').collect();
    let [net, id, until, origin, scenario] = words[..] else { return None };
    Some(KeptDecision {
        net: parse_net(net).ok()?,
        id: id.parse().ok()?,
        until: Timestamp::from_second(until.parse().ok()?).ok()?,
        origin: origin.to_owned(),
        scenario: scenario.to_owned(),
    })
}

/// Writes them, some at a time: who has them needs them meanwhile.
#[derive(Debug)]
pub struct Writer {
    file: BufWriter<File>,
    path: PathBuf,
    now: Timestamp,
    count: usize,
}

impl Writer {
    /// Begins a new file.
    ///
    /// # Errors
    /// The disk refuses.
    pub fn new(state: &Path, url: &str, now: Timestamp) -> io::Result<Self> {
        let path = path(state);
        fs::create_dir_all(state.join(FOLDER))?;
        let mut file = BufWriter::new(File::create(path.with_extension("new"))?);
        writeln!(file, "{HEAD}\t{url}\t{now}")?;
        Ok(Self { file, path, now, count: 0 })
    }

    /// One more, which holds for so long yet.
    ///
    /// # Errors
    /// The disk refuses.
    pub fn add(
        &mut self,
        (net, id): (IpNet, u64),
        left: Duration,
        (origin, scenario): (&str, &str),
    ) -> io::Result<()> {
        let left = SignedDuration::try_from(left).unwrap_or(SignedDuration::MAX);
        let until = self.now.saturating_add(left).unwrap_or(self.now).as_second();
        self.count += 1;
        writeln!(self.file, "{}\t{id}\t{until}\t{origin}\t{scenario}", net_text(net))
    }

    /// Puts the file in place of the one before.
    ///
    /// # Errors
    /// The disk refuses.
    pub fn finish(mut self) -> io::Result<()> {
        writeln!(self.file, "{END} {}", self.count)?;
        self.file.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()?;
        fs::rename(self.path.with_extension("new"), self.path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const URL: &str = "http://127.0.0.1:8080";
    const HOUR: Duration = Duration::from_secs(3600);

    fn now() -> Timestamp {
        "2026-01-02T03:04:05Z".parse().unwrap()
    }

    fn written(state: &Path) {
        let mut writer = Writer::new(state, URL, now()).unwrap();
        for (id, net, hours) in [(1, "192.0.2.1", 1), (2, "2001:db8::/48", 4)] {
            let words = ("cscli", "manual 'ban' from 'admin'");
            writer.add((parse_net(net).unwrap(), id), hours * HOUR, words).unwrap();
        }
        writer.finish().unwrap();
    }

    #[test]
    fn f48_what_is_kept_comes_back_for_the_rest_of_its_time() {
        let state = tempfile::tempdir().unwrap();
        let read = |now| Kept::read(state.path(), URL, now, 10).unwrap().0;
        assert!(read(now()).is_empty());
        written(state.path());
        let all = read(now() + HOUR / 2);
        assert_eq!(all.iter().map(|(_, left)| *left).collect::<Vec<_>>(), [HOUR / 2, 7 * HOUR / 2]);
        assert_eq!(all[1].0.net.to_string(), "2001:db8::/48");
        assert_eq!(all[1].0.scenario, "manual 'ban' from 'admin'");
        assert_eq!(read(now() + HOUR).len(), 1);
        // A clock that was set back makes nothing longer.
        assert_eq!(read(now() - 100 * HOUR)[0].1, HOUR);
        assert!(Kept::read(state.path(), "http://other", now(), 10).unwrap().0.is_empty());
        assert_eq!(Kept::read(state.path(), URL, now(), 1).unwrap().0.len(), 1);
    }

    #[test]
    fn f48_damaged_files_are_refused() {
        let state = tempfile::tempdir().unwrap();
        written(state.path());
        let good = fs::read_to_string(path(state.path())).unwrap();
        for text in [
            String::new(),
            "nonsense\n".to_owned(),
            good.replace("# end 2\n", ""),
            good.replace("192.0.2.1", "x"),
            good.replace("# end 2", "# end 1"),
        ] {
            fs::write(path(state.path()), &text).unwrap();
            assert!(Kept::read(state.path(), URL, now(), 10).is_err(), "{text}");
        }
    }
}
