//! What the log says of dropped packets: one line a minute for each rule that
//! has dropped any, whatever a flood brings.

use std::{collections::BTreeMap, fmt::Write as _, net::SocketAddr, sync::Arc};

use sipguard_common::rule::Rule;
use tracing::info;

use super::told::Told;
use crate::sanitise::sanitise;

/// Characters of a signature's name that are logged.
const MAX_NAME: usize = 60;

/// Packets of one rule since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Drops {
    pub(crate) dropped: u64,
    /// In mode observe.
    pub(crate) would: u64,
}

/// What happened since the last lines.
#[derive(Debug, Default)]
pub(super) struct Digest {
    last: BTreeMap<Rule, Drops>,
    /// The first event of each rule.
    examples: BTreeMap<Rule, Arc<Told>>,
}

impl Digest {
    /// Takes an event as an example, where there is none yet.
    pub(super) fn note(&mut self, told: &Arc<Told>) {
        self.examples.entry(told.rule).or_insert_with(|| Arc::clone(told));
    }

    /// Logs a line for each rule whose counters have grown, where `log` says
    /// so, and begins anew.
    pub(super) fn turn(&mut self, drops: BTreeMap<Rule, Drops>, log: bool) {
        for (rule, now) in drops.iter().filter(|_| log) {
            let last = self.last.get(rule).copied().unwrap_or_default();
            let new = Drops {
                dropped: now.dropped.saturating_sub(last.dropped),
                would: now.would.saturating_sub(last.would),
            };
            if new != Drops::default() {
                let example = self.examples.get(rule).map(|told| &**told);
                info!(target: "sipguard::drops", "{}", line(*rule, new, example));
            }
        }
        self.last = drops;
        self.examples.clear();
    }
}

fn line(rule: Rule, drops: Drops, example: Option<&Told>) -> String {
    let mut line = format!("rule {}:", rule.name());
    let counts = [("dropped", drops.dropped), ("would have dropped", drops.would)];
    for (i, (done, packets)) in counts.into_iter().filter(|(_, packets)| *packets > 0).enumerate() {
        let and = if i == 0 { "" } else { " and" };
        let plural = if packets == 1 { "" } else { "s" };
        // Writing to a string cannot fail.
        let _ = write!(line, "{and} {done} {packets} packet{plural}");
    }
    line.push_str(" in the last minute");
    if let Some(told) = example {
        let what = told.method().map_or("a packet", |method| method.name());
        let source = match told.wire().source_port {
            Some(port) => SocketAddr::new(told.source(), port).to_string(),
            None => told.source().to_string(),
        };
        let _ = write!(line, ", for example {what} from {source}");
        if let Some(name) = &told.signature {
            let _ = write!(line, " ({})", sanitise(name, MAX_NAME));
        }
    }
    line
}

#[cfg(test)]
mod tests {
    use std::{
        io::{self, Write},
        sync::Mutex,
    };

    use sipguard_common::{abi::Address, method::Method, rule::Verdict};
    use tracing_subscriber::fmt::MakeWriter;

    use super::{super::told::sample, *};

    /// A log as the daemon writes it.
    #[derive(Clone, Default)]
    struct Log(Arc<Mutex<Vec<u8>>>);

    impl Write for Log {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl MakeWriter<'_> for Log {
        type Writer = Self;

        fn make_writer(&self) -> Self {
            self.clone()
        }
    }

    impl Log {
        fn during(&self, work: impl FnOnce()) -> String {
            let subscriber =
                tracing_subscriber::fmt().with_writer(self.clone()).with_ansi(false).finish();
            tracing::subscriber::with_default(subscriber, work);
            String::from_utf8(std::mem::take(&mut *self.0.lock().unwrap())).unwrap()
        }
    }

    fn told(rule: Rule, signature: Option<&str>) -> Arc<Told> {
        let event = sample(rule, [198, 51, 100, 7], b"");
        Arc::new(Told::new(event, "eth0".to_owned(), signature.map(str::to_owned)).unwrap())
    }

    fn drops(rule: Rule, dropped: u64, would: u64) -> BTreeMap<Rule, Drops> {
        BTreeMap::from([(rule, Drops { dropped, would })])
    }

    #[test]
    fn a_line_counts_what_is_new_and_gives_an_example() {
        let mut digest = Digest::default();
        let log = Log::default().during(|| {
            digest.note(&told(Rule::Signature, Some("friendly-scanner")));
            digest.turn(drops(Rule::Signature, 12_345, 0), true);
            digest.turn(drops(Rule::Signature, 12_345, 0), true);
            digest.turn(drops(Rule::Signature, 12_346, 2), true);
        });
        let lines: Vec<&str> =
            log.lines().map(|line| line.split_once("drops: ").unwrap().1).collect();
        assert_eq!(
            lines,
            [
                "rule signature: dropped 12345 packets in the last minute, for example REGISTER \
                 from 198.51.100.7:5061 (friendly-scanner)",
                "rule signature: dropped 1 packet and would have dropped 2 packets in the last minute",
            ]
        );
    }

    #[test]
    fn what_is_switched_off_is_not_logged_later() {
        let mut digest = Digest::default();
        let log = Log::default().during(|| {
            digest.note(&told(Rule::Options, None));
            digest.turn(drops(Rule::Options, 5, 0), false);
            digest.turn(drops(Rule::Options, 5, 0), true);
        });
        assert_eq!(log, "");
    }

    #[test]
    fn no_name_forges_a_line() {
        let example = told(Rule::Signature, Some("x\n2026 INFO forged\u{1b}[0m"));
        let line = line(Rule::Signature, Drops { dropped: 1, would: 0 }, Some(&example));
        assert!(!line.chars().any(char::is_control), "{line:?}");
    }

    /// N05: an hour in which every rule drops without end, each line as long as
    /// it can be, stays under 1 MB.
    #[test]
    fn n05_an_hour_of_flood_is_under_a_megabyte() {
        let rules: Vec<Rule> =
            Rule::ALL.iter().copied().filter(|rule| rule.verdict() == Verdict::Drop).collect();
        // Four bytes a character, of which none is left out.
        let name = "\u{1f4de}".repeat(300);
        let longest = |rule: Rule| {
            let mut event = sample(rule, [0; 4], &[0x1b; 300]);
            event.source = Address::from_octets([0xfe; 16]);
            event.source_port = [0xff; 2];
            event.method = Method::Subscribe as u8;
            Arc::new(Told::new(event, "e".repeat(15), Some(name.clone())).unwrap())
        };
        let mut digest = Digest::default();
        let log = Log::default().during(|| {
            for minute in 1..=60 {
                for rule in &rules {
                    // More events than the kernel program lets through.
                    (0..100).for_each(|_| digest.note(&longest(*rule)));
                }
                let count = minute * (u64::MAX / 60);
                let all = rules.iter().map(|rule| (*rule, Drops { dropped: count, would: count }));
                digest.turn(all.collect(), true);
            }
        });
        println!(
            "{} rules: {} lines, {} bytes an hour",
            rules.len(),
            log.lines().count(),
            log.len()
        );
        assert_eq!(log.lines().count(), 60 * rules.len());
        assert!(log.len() < 1_000_000, "{} bytes", log.len());
    }
}
