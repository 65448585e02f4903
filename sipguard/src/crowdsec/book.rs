//! The decisions that hold. Of one address there may be several, from several
//! engines: the latest end counts, and taking one back leaves the others.

use std::{
    collections::{BTreeMap, btree_map::Entry},
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    ops::Bound,
    time::Duration,
};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use super::{decision::Named, words::WordsId};

/// What is known of one decision. Times are milliseconds since the start of
/// whatever clock the caller has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terms {
    until_ms: u64,
    pub words: WordsId,
    /// Which whole answer has confirmed it.
    round: u32,
}

impl Terms {
    /// When it ends.
    #[must_use]
    pub fn until(&self) -> Duration {
        Duration::from_millis(self.until_ms)
    }
}

/// One decision.
pub type Held = ((IpNet, u64), Terms);

/// What the kernel shall hold for a network from now on: until then, or nothing.
pub type Change = (IpNet, Option<Duration>);

/// All of them.
#[derive(Debug, Default)]
pub struct Book {
    held: BTreeMap<(IpNet, u64), Terms>,
    round: u32,
}

impl Book {
    #[must_use]
    pub fn len(&self) -> usize {
        self.held.len()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.held.is_empty()
    }

    /// Those of one network.
    pub fn of(&self, net: IpNet) -> impl Iterator<Item = Held> + '_ {
        self.held.range((net, 0)..=(net, u64::MAX)).map(|(key, terms)| (*key, *terms))
    }

    /// When the last of them ends.
    fn end(&self, net: IpNet) -> Option<u64> {
        self.of(net).map(|(_, terms)| terms.until_ms).max()
    }

    /// What differs for a network from what held `before`.
    fn change(&self, net: IpNet, before: Option<u64>) -> Option<Change> {
        let after = self.end(net);
        (after != before).then_some((net, after.map(Duration::from_millis)))
    }

    /// Adds one, or says anew how long it holds. There is no room for more than
    /// `most`: `Err` then.
    ///
    /// # Errors
    /// There is no room.
    pub fn put(&mut self, one: &Named, now: Duration, most: usize) -> Result<Option<Change>, Full> {
        let until = millis(now.saturating_add(one.left));
        let terms = Terms { until_ms: until, words: one.words, round: self.round };
        let (is_full, before) = (self.held.len() >= most, self.end(one.net));
        match self.held.entry((one.net, one.id)) {
            Entry::Vacant(_) if is_full => return Err(Full),
            Entry::Vacant(place) => {
                place.insert(terms);
            }
            Entry::Occupied(mut place) => {
                // Told again, the same end is off by what the answer took.
                let old = place.get_mut();
                let is_same = old.until_ms.abs_diff(until) < SLACK_MS;
                *old = Terms { until_ms: if is_same { old.until_ms } else { until }, ..terms };
            }
        }
        Ok(self.change(one.net, before))
    }

    /// Takes one back.
    pub fn remove(&mut self, net: IpNet, id: u64) -> Option<Change> {
        let before = self.end(net);
        self.held.remove(&(net, id))?;
        self.change(net, before)
    }

    /// Forgets all of a network, which the kernel does not hold.
    pub fn forget(&mut self, net: IpNet) -> usize {
        let ids: Vec<u64> = self.of(net).map(|((_, id), _)| id).collect();
        for id in &ids {
            self.held.remove(&(net, *id));
        }
        ids.len()
    }

    /// A whole answer comes: what it does not confirm is [`Self::stale`] then.
    pub fn begin_round(&mut self) {
        self.round = self.round.wrapping_add(1);
    }

    /// Some of those that the last whole answer has not named, from a place on.
    #[must_use]
    pub fn stale(&self, from: Option<(IpNet, u64)>, most: usize) -> Page {
        self.page(from, most, |terms| terms.round != self.round)
    }

    /// Some of those that have ended, likewise.
    #[must_use]
    pub fn ended(&self, now: Duration, from: Option<(IpNet, u64)>, most: usize) -> Page {
        let now = millis(now);
        self.page(from, most, |terms| terms.until_ms <= now)
    }

    /// Some of all, likewise.
    #[must_use]
    pub fn some(&self, from: Option<(IpNet, u64)>, most: usize) -> Page {
        self.page(from, most, |_| true)
    }

    /// So many are looked at; chosen are those that this chooses.
    fn page(
        &self,
        from: Option<(IpNet, u64)>,
        most: usize,
        chosen: impl Fn(&Terms) -> bool,
    ) -> Page {
        let start = from.map_or(Bound::Unbounded, Bound::Excluded);
        let mut page = Page { found: Vec::new(), next: None };
        for (seen, (key, terms)) in self.held.range((start, Bound::Unbounded)).enumerate() {
            if chosen(terms) {
                page.found.push((*key, *terms));
            }
            if seen + 1 == most {
                page.next = Some(*key);
                break;
            }
        }
        page
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = Held> + '_ {
        self.held.iter().map(|(key, terms)| (*key, *terms))
    }

    /// Those that hold all of a network.
    pub fn over(&self, net: IpNet) -> impl Iterator<Item = Held> + '_ {
        outer(net).flat_map(|net| self.of(net))
    }
}

/// Decisions, and where to go on.
#[derive(Debug)]
pub struct Page {
    pub found: Vec<Held>,
    pub next: Option<(IpNet, u64)>,
}

/// There is no room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full;

/// Ends that differ by less are the same.
const SLACK_MS: u64 = 2000;

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// A network, and all that hold it, as far as a list can have them.
fn outer(net: IpNet) -> Box<dyn Iterator<Item = IpNet>> {
    fn v4(address: Ipv4Addr, bits: u8) -> Option<IpNet> {
        Some(Ipv4Net::new(address, bits).ok()?.trunc().into())
    }
    fn v6(address: Ipv6Addr, bits: u8) -> Option<IpNet> {
        Some(Ipv6Net::new(address, bits).ok()?.trunc().into())
    }
    match net.addr() {
        IpAddr::V4(address) => {
            Box::new((0..=net.prefix_len()).filter_map(move |bits| v4(address, bits)))
        }
        IpAddr::V6(address) => {
            Box::new((0..=net.prefix_len()).filter_map(move |bits| v6(address, bits)))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::parse_net;

    const HOUR: Duration = Duration::from_secs(3600);
    const MOST: usize = 100;

    fn net(text: &str) -> IpNet {
        parse_net(text).unwrap()
    }

    fn named(text: &str, id: u64, left: Duration) -> Named {
        Named { net: net(text), id, left, words: WordsId::default() }
    }

    fn put(book: &mut Book, text: &str, id: u64, left: Duration) -> Option<Change> {
        book.put(&named(text, id, left), Duration::ZERO, MOST).unwrap()
    }

    #[test]
    fn f48_the_latest_end_wins_and_one_taken_back_leaves_the_others() {
        let mut book = Book::default();
        let one = net("192.0.2.1");
        assert_eq!(put(&mut book, "192.0.2.1", 1, HOUR), Some((one, Some(HOUR))));
        assert_eq!(put(&mut book, "192.0.2.1", 2, 4 * HOUR), Some((one, Some(4 * HOUR))));
        assert_eq!(put(&mut book, "192.0.2.1", 3, 2 * HOUR), None);
        assert_eq!(book.remove(one, 2), Some((one, Some(2 * HOUR))));
        assert_eq!(book.remove(one, 2), None, "taken back twice");
        assert_eq!(book.remove(one, 1), None, "a later one holds");
        assert_eq!(book.remove(net("192.0.2.0/24"), 3), None, "of another network");
        assert_eq!(book.remove(one, 3), Some((one, None)));
        assert!(book.is_empty());
    }

    #[test]
    fn f48_ends_move_only_when_they_are_others() {
        let mut book = Book::default();
        put(&mut book, "192.0.2.1", 1, HOUR);
        let later = Duration::from_secs(10);
        let again = named("192.0.2.1", 1, HOUR - later - Duration::from_millis(900));
        assert_eq!(book.put(&again, later, MOST).unwrap(), None);
        let longer = named("192.0.2.1", 1, 2 * HOUR);
        let change = book.put(&longer, later, MOST).unwrap();
        assert_eq!(change, Some((net("192.0.2.1"), Some(2 * HOUR + later))));
        // Shortened, too.
        let shorter = named("192.0.2.1", 1, HOUR);
        assert!(book.put(&shorter, later, MOST).unwrap().is_some());
    }

    #[test]
    fn f48_a_whole_answer_leaves_what_it_does_not_name() {
        let mut book = Book::default();
        for host in 1..=50 {
            put(&mut book, &format!("192.0.2.{host}"), host, HOUR);
        }
        book.begin_round();
        for host in 20..=60 {
            put(&mut book, &format!("192.0.2.{host}"), host, HOUR);
        }
        let (mut from, mut stale) = (None, Vec::new());
        loop {
            let page = book.stale(from, 7);
            stale.extend(page.found.into_iter().map(|((_, id), _)| id));
            from = page.next;
            if from.is_none() {
                break;
            }
        }
        assert_eq!(stale, (1..20).collect::<Vec<_>>());
    }

    #[test]
    fn f48_ended_ones_are_found_and_room_is_bounded() {
        let mut book = Book::default();
        put(&mut book, "192.0.2.1", 1, HOUR);
        put(&mut book, "192.0.2.2", 2, 2 * HOUR);
        let ended = |now| -> Vec<u64> {
            book.ended(now, None, 10).found.into_iter().map(|((_, id), _)| id).collect()
        };
        assert_eq!(ended(HOUR - Duration::from_millis(1)), [] as [u64; 0]);
        assert_eq!(ended(HOUR), [1]);
        assert_eq!(ended(3 * HOUR), [1, 2]);
        assert_eq!(book.put(&named("192.0.2.3", 3, HOUR), HOUR, 2), Err(Full));
        // What is there can change all the same.
        assert!(book.put(&named("192.0.2.2", 2, 9 * HOUR), HOUR, 2).unwrap().is_some());
    }

    #[test]
    fn f48_who_is_covered_is_found_without_a_walk() {
        let mut book = Book::default();
        put(&mut book, "192.0.2.0/24", 1, HOUR);
        put(&mut book, "192.0.2.7", 2, HOUR);
        put(&mut book, "2001:db8::/32", 3, HOUR);
        let over =
            |text: &str| -> Vec<u64> { book.over(net(text)).map(|((_, id), _)| id).collect() };
        assert_eq!(over("192.0.2.7"), [1, 2]);
        assert_eq!(over("192.0.2.0/25"), [1]);
        assert_eq!(over("192.0.0.0/16"), [] as [u64; 0]);
        assert_eq!(over("2001:db8:1::9"), [3]);
        assert!(size_of::<Terms>() <= 16);
    }
}
