//! Compiles signatures into the table that the kernel program walks.
//!
//! The line scan finds the names of headers. The automaton takes over behind
//! them: it reads white space, the colon, white space, and then the value, up
//! to CR or LF.
//!
//! Within a value three automata run at once: an anchored trie of the prefix
//! and exact texts, an Aho-Corasick automaton of the contains texts, and the
//! automaton of the regular expressions. Their triples are numbered
//! breadth-first. As long as the trie is alive its node stands for everything
//! read so far, so there are no more pairs of the first two than nodes.
//! Triples from which nothing can be found are left out, so that a value that
//! matches nothing is left as early as can be.

mod patterns;

use std::collections::{BTreeMap, HashMap, VecDeque};

use regex_automata::util::primitives::StateID;
use sipguard_common::automaton::{
    DEAD, FIELD_SLOTS, Field, MAX_CONDITIONS, MAX_JOINED, MAX_NOTES, NO_ROOT, TABLE_LEN, Table,
};

use super::signature::{Condition, Match, Signature};
use patterns::Patterns;

pub(super) use patterns::defect;

/// How much of the table a set of signatures takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    /// Without the accepting ones.
    pub states: usize,
    /// Bytes that no signature tells apart share a class.
    pub classes: usize,
}

/// The signatures need more of something than the kernel's table holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the signatures need {needed} {what}, {available} fit")]
pub struct TooLarge {
    pub what: &'static str,
    /// At least this many.
    pub needed: usize,
    pub available: usize,
}

/// An error where more are needed than fit.
fn fits(what: &'static str, needed: usize, available: usize) -> Result<(), TooLarge> {
    if needed > available { Err(TooLarge { what, needed, available }) } else { Ok(()) }
}

/// Index of a signature.
type Index = u16;
/// A node of the trie or of the contains automaton; the root is 0.
type Node = u32;

/// CR and LF end a value.
const END: u8 = 1;
/// Space and tab; a run of them is as good as one space, for a folded line
/// makes a run of one (RFC 3261 section 7.3.1).
const WHITE: u8 = 2;

/// The bytes as the automaton tells them apart: class 0 is every byte that
/// stands in no signature, letters of either case share one.
struct Classes {
    of: [u8; 256],
    count: usize,
}

impl Classes {
    fn new<'t>(texts: impl Iterator<Item = &'t str>) -> Self {
        let mut classes = Self { of: [0; 256], count: 3 };
        classes.of[usize::from(b'\r')] = END;
        classes.of[usize::from(b'\n')] = END;
        classes.of[usize::from(b' ')] = WHITE;
        classes.of[usize::from(b'\t')] = WHITE;
        for byte in [b':'].into_iter().chain(texts.flat_map(str::bytes)) {
            classes.tell_apart(byte);
        }
        classes
    }

    fn tell_apart(&mut self, byte: u8) {
        if self.of(byte) != 0 {
            return;
        }
        // 256 bytes without 26 capitals and one of CR and LF leave 229 classes
        // and class 0.
        let class = u8::try_from(self.count).unwrap_or(0);
        self.of[usize::from(byte.to_ascii_lowercase())] = class;
        self.of[usize::from(byte.to_ascii_uppercase())] = class;
        self.count += 1;
    }

    /// Splits each class into bytes that have the same `key`.
    fn split<K: Eq + std::hash::Hash>(&mut self, key: impl Fn(u8) -> K) {
        let mut known: HashMap<(u8, K), u8> = HashMap::new();
        let mut taken: Vec<bool> = vec![false; 256];
        for byte in 0..=u8::MAX {
            let class = self.of(byte);
            if class == END || class == WHITE || byte.is_ascii_uppercase() {
                continue;
            }
            let split = *known.entry((class, key(byte))).or_insert_with(|| {
                if !std::mem::replace(&mut taken[usize::from(class)], true) {
                    return class;
                }
                self.count += 1;
                u8::try_from(self.count - 1).unwrap_or(0)
            });
            self.of[usize::from(byte)] = split;
            self.of[usize::from(byte.to_ascii_uppercase())] = split;
        }
    }

    fn of(&self, byte: u8) -> u8 {
        self.of[usize::from(byte)]
    }

    /// A byte of each class.
    fn examples(&self) -> Vec<u8> {
        let mut examples = vec![0; self.count];
        for byte in (0..=u8::MAX).rev() {
            examples[usize::from(self.of(byte))] = byte;
        }
        // For the expressions, in which a tab is no space.
        examples[usize::from(WHITE)] = b' ';
        examples
    }

    fn text(&self, text: &str) -> Vec<u8> {
        let mut text: Vec<u8> = text.bytes().map(|byte| self.of(byte)).collect();
        text.dedup_by(|class, before| *class == WHITE && *before == WHITE);
        text
    }

    /// `1 << shift` classes make a row.
    fn shift(&self) -> u32 {
        self.count.next_power_of_two().trailing_zeros()
    }
}

/// What is complete at one place: the lowest signature, and conditions by bit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
struct Found {
    signature: Option<Index>,
    conditions: u64,
}

impl Found {
    const NOTHING: Self = Self { signature: None, conditions: 0 };

    fn and(self, other: Self) -> Self {
        Self {
            signature: [self.signature, other.signature].into_iter().flatten().min(),
            conditions: self.conditions | other.conditions,
        }
    }

    fn add(&mut self, other: Self) {
        *self = self.and(other);
    }
}

#[derive(Default)]
struct TrieNode {
    children: BTreeMap<u8, Node>,
    /// Prefixes that are complete here.
    prefix: Found,
    /// Exact texts that are complete here, if the value ends.
    exact: Found,
}

/// A tree of texts.
struct Trie(Vec<TrieNode>);

impl Trie {
    fn new() -> Self {
        Self(vec![TrieNode::default()])
    }

    fn insert(&mut self, text: &[u8]) -> &mut TrieNode {
        let mut at = 0;
        for class in text {
            let fresh = self.0.len();
            let child = *self.0[at].children.entry(*class).or_insert(fresh as Node);
            if child as usize == fresh {
                self.0.push(TrieNode::default());
            }
            at = child as usize;
        }
        &mut self.0[at]
    }

    fn node(&self, node: Node) -> &TrieNode {
        &self.0[node as usize]
    }
}

/// The Aho-Corasick automaton of the contains texts, with every transition
/// written out.
struct Anywhere {
    next: Vec<Node>,
    /// What ends at each node.
    found: Vec<Found>,
    classes: usize,
}

impl Anywhere {
    /// `trie` holds each contains text, complete where `prefix` says so.
    fn new(trie: &Trie, classes: usize) -> Self {
        let nodes = trie.0.len();
        let mut next = vec![0; nodes * classes];
        let mut found: Vec<Found> = trie.0.iter().map(|node| node.prefix).collect();
        let mut fail = vec![0 as Node; nodes];
        let mut queue = VecDeque::from([0 as Node]);
        while let Some(node) = queue.pop_front() {
            let row = node as usize * classes;
            let fallback = fail[node as usize] as usize;
            found[node as usize] = found[node as usize].and(found[fallback]);
            if node != 0 {
                // The fallback is shallower, so its row is complete.
                next.copy_within(fallback * classes..(fallback + 1) * classes, row);
            }
            for (class, child) in &trie.node(node).children {
                let slot = row + usize::from(*class);
                fail[*child as usize] = next[slot];
                next[slot] = *child;
                queue.push_back(*child);
            }
        }
        Self { next, found, classes }
    }

    fn next(&self, node: Node, class: u8) -> Node {
        self.next[node as usize * self.classes + usize::from(class)]
    }

    fn found(&self, node: Node) -> Found {
        self.found[node as usize]
    }

    /// Whether there is nothing to find.
    fn is_empty(&self) -> bool {
        self.found.len() == 1
    }
}

/// Where a value stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct State {
    /// `None` once no prefix or exact text is possible.
    anchored: Option<Node>,
    /// Exact texts that were read, and only white space since.
    complete: Found,
    anywhere: Node,
    /// `None` once no regular expression is possible.
    pattern: Option<StateID>,
    /// White space was read last; more of it changes nothing.
    white: bool,
}

/// What a byte leads to: no state where nothing more can be found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Next {
    found: Found,
    state: Option<State>,
}

/// The automata of one field's values.
struct Values {
    anchored: Trie,
    anywhere: Anywhere,
    patterns: Patterns,
    /// Whether white space ends the value.
    is_word: bool,
}

impl Values {
    fn start(&self) -> State {
        State {
            anchored: Some(0),
            complete: Found::NOTHING,
            anywhere: 0,
            pattern: self.patterns.start(),
            white: true,
        }
    }

    fn step(&self, state: State, class: u8) -> Next {
        let at = state.anchored.map(|node| self.anchored.node(node));
        let complete = state.complete.and(at.map_or(Found::NOTHING, |node| node.exact));
        let white = class == WHITE;
        if class == END || (self.is_word && white && !state.white) {
            return Next { found: complete.and(self.patterns.end(state.pattern)), state: None };
        }
        if white && state.white {
            return Next { found: Found::NOTHING, state: Some(state) };
        }
        let anchored = at.and_then(|node| node.children.get(&class)).copied();
        let anywhere = self.anywhere.next(state.anywhere, class);
        let prefix = anchored.map_or(Found::NOTHING, |node| self.anchored.node(node).prefix);
        let (pattern, by_pattern) = self.patterns.step(state.pattern, class);
        let found = prefix.and(self.anywhere.found(anywhere)).and(by_pattern);
        let complete = if white { complete } else { Found::NOTHING };
        let is_over = anchored.is_none()
            && complete == Found::NOTHING
            && pattern.is_none()
            && self.anywhere.is_empty();
        let state = State { anchored, complete, anywhere, pattern, white };
        Next { found, state: (!is_over).then_some(state) }
    }
}

/// A transition to the accepting state of index `entry & !ACCEPT`; those have
/// their numbers only when all other states are known.
const ACCEPT: u32 = 1 << 31;

/// The rows of the table while it is made; row 0 is the dead state's.
struct Rows {
    classes: usize,
    entries: Vec<u32>,
    /// The conditions that each row notes.
    notes: Vec<u64>,
}

impl Rows {
    fn new(classes: usize) -> Self {
        let mut rows = Self { classes, entries: Vec::new(), notes: Vec::new() };
        rows.push(0);
        rows
    }

    fn len(&self) -> usize {
        self.notes.len()
    }

    /// A row that leads nowhere yet.
    fn push(&mut self, note: u64) -> u32 {
        self.notes.push(note);
        self.entries.resize(self.notes.len() * self.classes, u32::from(DEAD));
        self.notes.len() as u32 - 1
    }

    fn row(&self, state: usize) -> &[u32] {
        &self.entries[state * self.classes..(state + 1) * self.classes]
    }

    fn set(&mut self, state: u32, class: u8, next: u32) {
        self.entries[state as usize * self.classes + usize::from(class)] = next;
    }

    /// The rows of a field; gives its root.
    fn add(&mut self, field: Field, values: &Values, colon: u8) -> u32 {
        let before = (field.is_header() || values.is_word).then(|| self.push(0));
        let start = self.fill(values);
        let Some(before) = before else { return start };
        if field.is_header() {
            self.set(before, WHITE, before);
            self.set(before, colon, start);
        } else {
            // The method stands before the Request-URI.
            for class in 0..=(self.classes - 1) as u8 {
                self.set(before, class, before);
            }
            self.set(before, END, u32::from(DEAD));
            self.set(before, WHITE, start);
        }
        before
    }

    fn fill(&mut self, values: &Values) -> u32 {
        let root = self.push(0);
        let mut numbers = HashMap::from([((Some(values.start()), 0), root)]);
        let mut queue = VecDeque::from([(values.start(), root)]);
        while let Some((state, number)) = queue.pop_front() {
            for class in 0..=(self.classes - 1) as u8 {
                let Next { found, state } = values.step(state, class);
                let entry = match found {
                    Found { signature: Some(index), .. } => ACCEPT | u32::from(index),
                    Found { conditions: 0, .. } if state.is_none() => continue,
                    Found { conditions, .. } => {
                        *numbers.entry((state, conditions)).or_insert_with(|| {
                            let fresh = self.push(conditions);
                            queue.extend(state.map(|state| (state, fresh)));
                            fresh
                        })
                    }
                };
                self.set(number, class, entry);
            }
        }
        root
    }

    /// The rows that matter in their final order, those that note conditions
    /// last, and how many there are before these.
    fn order(&self) -> (Vec<usize>, usize) {
        let mut before: Vec<Vec<u32>> = vec![Vec::new(); self.len()];
        let mut live: Vec<bool> = self.notes.iter().map(|note| *note != 0).collect();
        for (state, is_live) in live.iter_mut().enumerate() {
            let mut last = 0;
            for entry in self.row(state) {
                if entry & ACCEPT != 0 {
                    *is_live = true;
                } else if *entry != last {
                    before[*entry as usize].push(state as u32);
                    last = *entry;
                }
            }
        }
        let mut queue: Vec<usize> = (0..self.len()).filter(|state| live[*state]).collect();
        while let Some(state) = queue.pop() {
            for from in &before[state] {
                if !std::mem::replace(&mut live[*from as usize], true) {
                    queue.push(*from as usize);
                }
            }
        }
        live[usize::from(DEAD)] = true;
        let alive = |noting: bool| {
            let live = &live;
            (0..self.len()).filter(move |state| live[*state] && (self.notes[*state] != 0) == noting)
        };
        let mut order: Vec<usize> = alive(false).collect();
        let plain = order.len();
        order.extend(alive(true));
        (order, plain)
    }
}

/// The conditions of the signatures that have several, as bits.
#[derive(Default)]
struct Joined<'s> {
    bits: HashMap<(Field, Match, String), u8>,
    all: Vec<(&'s Condition, Found)>,
    /// The conditions of each such signature, and its index.
    masks: Vec<(u64, Index)>,
}

impl<'s> Joined<'s> {
    fn add(&mut self, signature: &'s Signature, index: Index) -> Result<(), TooLarge> {
        let mut mask = 0;
        for condition in &signature.conditions {
            let meaning = (condition.field, condition.kind, condition.text.to_ascii_lowercase());
            let fresh = self.bits.len();
            let bit = *self.bits.entry(meaning).or_insert(fresh as u8);
            fits("conditions of joined signatures", self.bits.len(), MAX_CONDITIONS)?;
            mask |= 1 << bit;
            if usize::from(bit) == fresh {
                self.all.push((condition, Found { signature: None, conditions: 1 << bit }));
            }
        }
        self.masks.push((mask, index));
        fits("joined signatures", self.masks.len(), MAX_JOINED)
    }
}

/// Compiles `signatures` into `table`, which is all zero or compiled before.
/// The accepting state of each is its index.
///
/// # Errors
/// The signatures need more than the table holds. `table` is then unchanged.
pub fn compile(signatures: &[Signature], table: &mut Table) -> Result<Size, TooLarge> {
    let mut joined = Joined::default();
    let mut wanted: Vec<(&Condition, Found)> = Vec::with_capacity(signatures.len());
    for (index, signature) in (0..=Index::MAX).zip(signatures) {
        match signature.only() {
            Some(only) => wanted.push((only, Found { signature: Some(index), conditions: 0 })),
            None => joined.add(signature, index)?,
        }
    }
    wanted.append(&mut joined.all);

    let is_text = |condition: &Condition| condition.kind != Match::Regex;
    let texts = wanted.iter().filter(|(condition, _)| is_text(condition));
    let mut classes = Classes::new(texts.map(|(condition, _)| condition.text.as_str()));
    let mut fields = BTreeMap::new();
    for (condition, found) in &wanted {
        fields.entry(condition.field).or_insert_with(Vec::new).push((*condition, *found));
    }
    let mut patterns = Vec::with_capacity(fields.len());
    for all in fields.values() {
        let expressions: Vec<(&str, Found)> = all
            .iter()
            .filter(|(condition, _)| !is_text(condition))
            .map(|(condition, found)| (condition.text.as_str(), *found))
            .collect();
        let what = "bytes for the regular expressions of a field";
        let too_large = TooLarge { what, needed: patterns::LIMIT + 1, available: patterns::LIMIT };
        patterns.push(Patterns::new(&expressions).ok_or(too_large)?);
    }
    classes.split(|byte| patterns.iter().map(|each| each.class(byte)).collect::<Vec<_>>());

    let shift = classes.shift();
    let available =
        (TABLE_LEN >> shift).min(usize::from(u16::MAX) + 1 - signatures.len().min(65_535));
    let mut rows = Rows::new(classes.count);
    let mut roots = [NO_ROOT; FIELD_SLOTS];
    for ((field, all), mut patterns) in fields.into_iter().zip(patterns) {
        patterns.set_classes(&classes);
        let (mut anchored, mut anywhere) = (Trie::new(), Trie::new());
        for (Condition { kind, text, .. }, found) in all {
            let text = classes.text(text);
            match kind {
                Match::Prefix => anchored.insert(&text).prefix.add(found),
                Match::Exact => anchored.insert(&text).exact.add(found),
                Match::Contains => anywhere.insert(&text).prefix.add(found),
                Match::Regex => {}
            }
        }
        // Most nodes become states. Far too many are refused before their rows
        // take memory.
        let nodes = anchored.0.len() + anywhere.0.len();
        fits(STATES, nodes.saturating_sub(3 * available), available)
            .map_err(|error| TooLarge { needed: nodes, ..error })?;
        let values = Values {
            anywhere: Anywhere::new(&anywhere, classes.count),
            anchored,
            patterns,
            is_word: field == Field::RequestUri,
        };
        roots[field as usize] = rows.add(field, &values, classes.of(b':'));
    }
    let (order, plain) = rows.order();
    fits(STATES, order.len(), available)?;
    fits("states that note conditions", order.len() - plain, MAX_NOTES)?;
    let size = Size { states: order.len(), classes: classes.count };
    write(table, &classes, &rows, &order, signatures.len());
    table.note_from = plain as u32;
    for (slot, root) in table.roots.iter_mut().zip(roots) {
        // A root from which nothing is found is none.
        *slot = order.iter().position(|row| *row as u32 == root).map_or(NO_ROOT, |at| at as u32);
    }
    table.fields = 0;
    for field in Field::ALL {
        let has_root = table.roots[field as usize] != NO_ROOT;
        table.fields |= u32::from(has_root) << (field as u32);
    }
    table.notes.fill(0);
    for (slot, row) in table.notes.iter_mut().zip(&order[plain..]) {
        *slot = rows.notes[*row];
    }
    table.joined.fill(0);
    table.joined_index.fill(0);
    for (slot, (mask, index)) in joined.masks.into_iter().enumerate() {
        table.joined[slot] = mask;
        table.joined_index[slot] = u32::from(index);
    }
    Ok(size)
}

const STATES: &str = "states";

fn write(table: &mut Table, classes: &Classes, rows: &Rows, order: &[usize], signatures: usize) {
    let shift = classes.shift();
    let accept_from = order.len().max(usize::from(DEAD) + 1);
    let mut numbers = vec![DEAD; rows.len()];
    for (number, row) in order.iter().enumerate() {
        numbers[*row] = number as u16;
    }
    table.accept_from = accept_from as u32;
    table.shift = shift;
    table.classes = classes.of;
    table.next.fill(DEAD);
    let number = |entry: &u32| match entry & ACCEPT {
        0 => numbers[*entry as usize],
        _ => (accept_from as u32 + (entry & !ACCEPT)) as u16,
    };
    for (line, row) in table.next.chunks_mut(1 << shift).zip(order) {
        for (slot, entry) in line.iter_mut().zip(rows.row(*row)) {
            *slot = number(entry);
        }
    }
    // Accepting states absorb what follows; where their rows lie beyond the
    // table nobody may step on.
    let accepting = (accept_from..).take(signatures);
    for (line, state) in table.next.chunks_mut(1 << shift).skip(accept_from).zip(accepting) {
        line.fill(state as u16);
    }
}

#[cfg(test)]
mod tests;
