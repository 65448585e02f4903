//! What is to be told, until it is: bounded, whatever a flood brings.

use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

use ipnet::IpNet;
use jiff::Timestamp;

use super::report::{Report, SCENARIOS, Subject};

/// Bans that wait.
const MOST_WAITING: usize = 2000;

/// Sources of which signature drops are summed up.
const MOST_SOURCES: usize = 4096;

/// How long a source's first drops are summed up, and how long its later ones.
const FIRST: Duration = Duration::from_secs(60);
const LATER: Duration = Duration::from_secs(3600);

/// Sources that are told of in a minute.
const SOURCES_A_MINUTE: u32 = 60;

/// Alerts in one request.
const BATCH: usize = 100;

/// Drops of one source that were not told of yet.
#[derive(Debug)]
struct Sum {
    count: u64,
    from: Timestamp,
    until: Timestamp,
    signature: Option<String>,
    due: Duration,
}

/// Times are since any fixed moment.
#[derive(Debug, Default)]
pub struct Outbox {
    waiting: VecDeque<Report>,
    sums: BTreeMap<IpNet, Sum>,
    minute: (Duration, u32),
    lost: u64,
}

impl Outbox {
    /// A ban. The oldest of too many is lost.
    pub fn ban(&mut self, report: Report) {
        self.waiting.push_back(report);
        self.bound();
    }

    fn bound(&mut self) {
        while self.waiting.len() > MOST_WAITING {
            self.waiting.pop_front();
            self.lost += 1;
        }
    }

    /// A packet that matched a signature was dropped.
    pub fn signature_drop(
        &mut self,
        source: IpNet,
        signature: Option<&str>,
        at: Timestamp,
        now: Duration,
    ) {
        if let Some(sum) = self.sums.get_mut(&source) {
            if sum.count == 0 {
                sum.from = at;
            }
            sum.count += 1;
            sum.until = at;
            return;
        }
        if self.sums.len() >= MOST_SOURCES {
            // Who was told of long ago makes room.
            self.sums.retain(|_, sum| sum.count > 0 || sum.due > now);
        }
        if self.sums.len() >= MOST_SOURCES {
            self.lost += 1;
            return;
        }
        let signature = signature.map(str::to_owned);
        let due = now.saturating_add(FIRST);
        self.sums.insert(source, Sum { count: 1, from: at, until: at, signature, due });
    }

    /// How many wait, and how many were lost so far.
    #[must_use]
    pub fn counts(&self) -> (usize, u64) {
        (self.waiting.len(), self.lost)
    }

    /// Whether there is a ban to tell of.
    #[must_use]
    pub fn has_bans(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// What is told next.
    pub fn take(&mut self, now: Duration) -> Vec<Report> {
        let count = self.waiting.len().min(BATCH);
        let mut batch: Vec<Report> = self.waiting.drain(..count).collect();
        if now.saturating_sub(self.minute.0) >= Duration::from_secs(60) {
            self.minute = (now, 0);
        }
        for (source, sum) in &mut self.sums {
            if batch.len() == BATCH || self.minute.1 == SOURCES_A_MINUTE {
                break;
            }
            if sum.count > 0 && sum.due <= now {
                self.minute.1 += 1;
                batch.push(Report {
                    subject: Subject { source: *source, port: None },
                    scenario: SCENARIOS[3],
                    message: format!("{} packets that match signatures were told of", sum.count),
                    signature: sum.signature.clone(),
                    count: sum.count,
                    from: sum.from,
                    until: sum.until,
                    // The address of a packet may be anybody's.
                    remediation: false,
                });
                (sum.count, sum.due) = (0, now.saturating_add(LATER));
            }
        }
        batch
    }

    /// What could not be told waits again, before all others.
    pub fn put_back(&mut self, batch: Vec<Report>) {
        for report in batch.into_iter().rev() {
            self.waiting.push_front(report);
        }
        self.bound();
    }

    /// What nobody wants to hear, however often it is told, is lost.
    pub fn give_up(&mut self, batch: &[Report]) {
        self.lost += batch.len() as u64;
    }

    /// Forgets everything: nobody is told any more.
    pub fn clear(&mut self) {
        self.waiting.clear();
        self.sums.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at() -> Timestamp {
        "2026-01-02T03:04:05Z".parse().unwrap()
    }

    fn net(host: u32) -> IpNet {
        std::net::IpAddr::from(std::net::Ipv4Addr::from(0xc000_0200 + host)).into()
    }

    fn ban(host: u32) -> Report {
        Report::sample(net(host))
    }

    #[test]
    fn f48_bans_are_told_in_order_and_again_after_a_failure() {
        let mut outbox = Outbox::default();
        (0..150).for_each(|host| outbox.ban(ban(host)));
        let batch = outbox.take(Duration::ZERO);
        assert_eq!(batch.len(), BATCH);
        outbox.put_back(batch.clone());
        assert_eq!(outbox.take(Duration::ZERO), batch);
        assert_eq!(outbox.take(Duration::ZERO).len(), 50);
        assert!(!outbox.has_bans());
    }

    #[test]
    fn f48_the_queue_is_bounded() {
        let mut outbox = Outbox::default();
        (0..5000).for_each(|host| outbox.ban(ban(host)));
        assert_eq!(outbox.counts(), (MOST_WAITING, 3000));
        assert_eq!(outbox.take(Duration::ZERO)[0].subject.source, net(3000), "the oldest go");
        (0..20_000).for_each(|host| outbox.signature_drop(net(host), None, at(), Duration::ZERO));
        assert_eq!(outbox.sums.len(), MOST_SOURCES);
    }

    #[test]
    fn f48_signature_drops_are_summed_up_and_never_ask_for_a_ban() {
        let mut outbox = Outbox::default();
        let second = Duration::from_secs(1);
        (0..1000).for_each(|_| outbox.signature_drop(net(1), Some("friendly"), at(), second));
        assert!(outbox.take(FIRST).is_empty());
        let told = outbox.take(FIRST + second);
        assert_eq!((told.len(), told[0].count, told[0].remediation), (1, 1000, false));
        // The same one only after an hour.
        outbox.signature_drop(net(1), None, at(), FIRST + 2 * second);
        assert!(outbox.take(LATER).is_empty());
        assert_eq!(outbox.take(LATER + FIRST + second)[0].count, 1);
    }

    #[test]
    fn f48_a_scan_from_everywhere_is_told_of_a_few_a_minute() {
        let mut outbox = Outbox::default();
        (0..4000).for_each(|host| outbox.signature_drop(net(host), None, at(), Duration::ZERO));
        let mut told = 0;
        for second in 60..180 {
            told += outbox.take(Duration::from_secs(second)).len();
        }
        assert_eq!(told, 2 * SOURCES_A_MINUTE as usize);
    }
}
