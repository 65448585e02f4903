//! What becomes of a foreign configuration: entries, and what was left.

use std::{collections::HashMap, net::IpAddr};

use ipnet::IpNet;
use jiff::Timestamp;
use sipguard_common::automaton::{Field, MAX_SIGNATURES};

use super::address::{Nets, refusal};
use crate::{
    policy::{BLACKLIST, MAX_BLOCKED, MAX_TRUSTED, Match, SETTINGS, SIGNATURES, TRUSTED, Target},
    sanitise::sanitise,
};

/// Characters of a line of the input that a comment quotes.
const QUOTED: usize = 200;

/// Characters of a reason.
const REASON: usize = 400;

/// Characters of a name; escapes make it longer, to 200 at most.
const NAME: usize = 60;

/// What was left that is told one by one, in each file. The rest is counted.
const MAX_NOTES: usize = 10_000;

/// Addresses of one commented-out entry.
const MAX_DOUBTFUL: usize = 1000;

/// Commented-out entries, and active ones, of one file.
const MAX_ENTRIES: usize = 100_000;

/// Keys of sipguard.toml, commented out or not.
const MAX_SETTINGS: usize = 500;

/// A file of the configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Part {
    Trusted,
    Blacklist,
    Signatures,
    Sipguard,
}

impl Part {
    pub const ALL: [Self; 4] = [Self::Trusted, Self::Blacklist, Self::Signatures, Self::Sipguard];

    /// The name of the file.
    #[must_use]
    pub const fn file(self) -> &'static str {
        match self {
            Self::Trusted => TRUSTED,
            Self::Blacklist => BLACKLIST,
            Self::Signatures => SIGNATURES,
            Self::Sipguard => SETTINGS,
        }
    }
}

/// A place in the input and what stands there. Line 0 is none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Origin {
    pub(super) line: usize,
    text: String,
}

impl Origin {
    /// `text` may be anything; it is made harmless here.
    pub(super) fn new(line: usize, text: &str) -> Self {
        Self { line, text: sanitise(text.trim(), QUOTED) }
    }

    /// As a comment begins: `line 12: -A INPUT ...`.
    pub(super) fn shown(&self) -> String {
        match self.line {
            0 => self.text.clone(),
            line if self.text.is_empty() => format!("line {line}"),
            line => format!("line {line}: {}", self.text),
        }
    }
}

/// Something that was left, or that sipguard does by itself.
#[derive(Debug)]
pub(super) struct Note {
    pub(super) origin: Origin,
    pub(super) what: String,
}

/// A table of trusted.toml or blacklist.toml.
#[derive(Debug)]
pub(super) struct Entry<T> {
    /// The name of a peer, the reason of a block.
    pub(super) label: String,
    pub(super) until: Option<Timestamp>,
    pub(super) addresses: Vec<(T, usize)>,
    /// The first place that it comes from.
    pub(super) origin: Origin,
    /// Why it is commented out.
    pub(super) doubt: Option<String>,
    /// Addresses that were left out of a commented-out entry, for brevity.
    pub(super) more: usize,
}

type Key = (String, Option<Timestamp>, Option<String>);

#[derive(Debug)]
pub(super) struct Entries<T> {
    pub(super) all: Vec<Entry<T>>,
    index: HashMap<Key, usize>,
}

impl<T> Default for Entries<T> {
    fn default() -> Self {
        Self { all: Vec::new(), index: HashMap::new() }
    }
}

impl<T> Entries<T> {
    fn add(&mut self, origin: &Origin, key: Key, address: T) {
        let index = match self.index.get(&key) {
            Some(index) => *index,
            None if self.all.len() >= MAX_ENTRIES => return,
            None => {
                let (label, until, doubt) = key.clone();
                let (addresses, origin) = (Vec::new(), origin.clone());
                self.all.push(Entry { label, until, addresses, origin, doubt, more: 0 });
                self.index.insert(key, self.all.len() - 1);
                self.all.len() - 1
            }
        };
        if let Some(entry) = self.all.get_mut(index) {
            if entry.doubt.is_some() && entry.addresses.len() >= MAX_DOUBTFUL {
                entry.more += 1;
            } else {
                entry.addresses.push((address, origin.line));
            }
        }
    }
}

/// A text that packets shall be dropped for.
#[derive(Clone, Debug)]
pub(super) struct Wanted {
    pub(super) origin: Origin,
    pub(super) field: Field,
    pub(super) kind: Match,
    pub(super) text: String,
    pub(super) doubt: Option<String>,
}

/// A key of sipguard.toml.
#[derive(Debug)]
pub(super) struct Setting {
    pub(super) origin: Origin,
    pub(super) section: &'static str,
    pub(super) key: &'static str,
    pub(super) value: String,
    pub(super) remark: String,
    pub(super) doubt: bool,
}

/// Everything that was read so far.
#[derive(Debug, Default)]
pub(super) struct Draft {
    own: Vec<IpAddr>,
    pub(super) peers: Entries<Target>,
    trusted: HashMap<Target, usize>,
    pub(super) blocks: Entries<IpNet>,
    pub(super) blocked: Nets,
    pub(super) wanted: Vec<Wanted>,
    pub(super) settings: Vec<Setting>,
    notes: [Vec<Note>; 4],
    more: [usize; 4],
    pub(super) carried: usize,
    pub(super) left: usize,
    /// Of those carried over, the ones that were there already.
    pub(super) merged: usize,
    /// Of those carried over, blocks within other blocks.
    pub(super) overlapping: usize,
}

impl Draft {
    /// `own` are addresses of this host.
    pub(super) fn new(own: &[IpAddr]) -> Self {
        Self { own: own.to_vec(), ..Self::default() }
    }

    /// The notes of a file, and how many more there were.
    pub(super) fn notes(&self, part: Part) -> (&[Note], usize) {
        let notes = self.notes.get(part as usize).map_or(&[][..], Vec::as_slice);
        (notes, self.more.get(part as usize).copied().unwrap_or(0))
    }

    /// Something that is not carried over.
    pub(super) fn left(&mut self, part: Part, origin: &Origin, why: &str) {
        self.left += 1;
        self.note(part, origin, &format!("not carried over: {why}"));
    }

    /// Something that sipguard does anyway.
    pub(super) fn covered(&mut self, part: Part, origin: &Origin, how: &str) {
        self.carried += 1;
        self.note(part, origin, &format!("nothing to do: {how}"));
    }

    fn note(&mut self, part: Part, origin: &Origin, what: &str) {
        let index = part as usize;
        let Some(notes) = self.notes.get_mut(index) else { return };
        if notes.len() < MAX_NOTES {
            notes.push(Note { origin: origin.clone(), what: sanitise(what, REASON) });
        } else if let Some(more) = self.more.get_mut(index) {
            *more += 1;
        }
    }

    /// A peer, by the operator's own words.
    pub(super) fn trust(&mut self, origin: &Origin, name: &str, target: Target) {
        if let Some(why) = refusal(target.net, &self.own) {
            self.left(Part::Trusted, origin, &why);
            return;
        }
        if self.trusted.contains_key(&target) {
            self.carried += 1;
            self.merged += 1;
            return;
        }
        if self.trusted.len() == MAX_TRUSTED {
            self.left(Part::Trusted, origin, &format!("more than {MAX_TRUSTED} do not fit"));
            return;
        }
        self.trusted.insert(target, origin.line);
        self.carried += 1;
        self.peers.add(origin, (label(name), None, None), target);
    }

    /// A peer that only the operator can decide about.
    pub(super) fn doubt_trust(&mut self, origin: &Origin, name: &str, target: Target, why: &str) {
        match refusal(target.net, &self.own) {
            Some(refusal) => self.left(Part::Trusted, origin, &refusal),
            None => {
                self.left += 1;
                let key = (label(name), None, Some(sanitise(why, REASON)));
                self.peers.add(origin, key, target);
            }
        }
    }

    /// A block, by the operator's own words.
    pub(super) fn block(
        &mut self,
        origin: &Origin,
        reason: &str,
        net: IpNet,
        until: Option<Timestamp>,
    ) {
        if let Some(why) = refusal(net, &self.own) {
            self.left(Part::Blacklist, origin, &why);
            return;
        }
        if self.blocked.line(net).is_some() {
            self.carried += 1;
            self.merged += 1;
            return;
        }
        if self.blocked.len() == MAX_BLOCKED {
            self.left(Part::Blacklist, origin, &format!("more than {MAX_BLOCKED} do not fit"));
            return;
        }
        if self.blocked.round(net).is_some() {
            self.overlapping += 1;
        }
        self.blocked.add(net, origin.line);
        self.carried += 1;
        self.blocks.add(origin, (label(reason), until, None), net);
    }

    /// A block that only the operator can decide about.
    pub(super) fn doubt_block(&mut self, origin: &Origin, reason: &str, net: IpNet, why: &str) {
        match refusal(net, &self.own) {
            Some(refusal) => self.left(Part::Blacklist, origin, &refusal),
            None => {
                self.left += 1;
                let key = (label(reason), None, Some(sanitise(why, REASON)));
                self.blocks.add(origin, key, net);
            }
        }
    }

    /// A signature; whether it is a good one is judged at the end.
    pub(super) fn want(&mut self, origin: &Origin, field: Field, kind: Match, text: &str) {
        if self.wanted.len() == MAX_SIGNATURES {
            let why = format!("more than {MAX_SIGNATURES} signatures do not fit");
            self.left(Part::Signatures, origin, &why);
            return;
        }
        let (origin, text) = (origin.clone(), text.to_owned());
        self.wanted.push(Wanted { origin, field, kind, text, doubt: None });
    }

    /// A key of sipguard.toml. Where the key is set already, this one is left.
    pub(super) fn set(&mut self, mut setting: Setting) {
        let same =
            |one: &&Setting| !one.doubt && one.section == setting.section && one.key == setting.key;
        let earlier = self
            .settings
            .iter()
            .find(same)
            .map(|one| (one.value == setting.value, one.origin.line));
        match earlier {
            Some((true, _)) => {
                self.carried += 1;
                self.merged += 1;
                return;
            }
            Some((false, line)) if !setting.doubt => {
                setting.doubt = true;
                setting.remark = format!("line {line} sets another value already");
            }
            _ => {}
        }
        if setting.doubt {
            self.left += 1;
        } else {
            self.carried += 1;
        }
        if self.settings.len() < MAX_SETTINGS {
            self.settings.push(setting);
        }
    }
}

/// A name or reason as the policy takes it: one visible line of 200 characters
/// at most. `\u{202e}` and the like are ten of them.
fn label(text: &str) -> String {
    let shown = sanitise(text.trim(), NAME);
    let cut: String = shown.chars().take(190).collect();
    if cut.trim().is_empty() { "imported".to_owned() } else { cut.trim().to_owned() }
}
