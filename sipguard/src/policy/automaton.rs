//! Compiles signatures into the table that the kernel program walks.
//!
//! The scan of header lines compares the first eight bytes of a name
//! (`user-age`). The automaton takes over there: it reads the rest of the
//! name, white space, the colon, white space, and then the value, up to CR or
//! LF.
//!
//! Within a value two automata run at once: an anchored trie of the prefix and
//! exact texts, and an Aho-Corasick automaton of the contains texts. Their
//! pairs are numbered breadth-first. As long as the trie is alive its node
//! stands for everything read so far, so there are no more pairs than nodes.

use std::collections::{BTreeMap, HashMap, VecDeque};

use sipguard_common::automaton::{DEAD, FIELD_SLOTS, Field, NO_ROOT, TABLE_LEN, Table};

use super::signature::{Match, Signature};

/// How much of the table a set of signatures takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    /// Without the accepting ones.
    pub states: usize,
    /// Bytes that no signature tells apart share a class.
    pub classes: usize,
}

/// The signatures need more states than the kernel's table holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the signatures need {needed} states, {available} fit")]
pub struct TooLarge {
    /// At least this many.
    pub needed: usize,
    pub available: usize,
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
    fn new(signatures: &[Signature]) -> Self {
        let mut classes = Self { of: [0; 256], count: 3 };
        classes.of[usize::from(b'\r')] = END;
        classes.of[usize::from(b'\n')] = END;
        classes.of[usize::from(b' ')] = WHITE;
        classes.of[usize::from(b'\t')] = WHITE;
        let texts = signatures.iter().flat_map(|signature| signature.text.bytes());
        for byte in b":nt".iter().copied().chain(texts) {
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

    fn of(&self, byte: u8) -> u8 {
        self.of[usize::from(byte)]
    }

    fn text(&self, signature: &Signature) -> Vec<u8> {
        let mut text: Vec<u8> = signature.text.bytes().map(|byte| self.of(byte)).collect();
        text.dedup_by(|class, before| *class == WHITE && *before == WHITE);
        text
    }

    /// `1 << shift` classes make a row.
    fn shift(&self) -> u32 {
        self.count.next_power_of_two().trailing_zeros()
    }
}

/// The lower of two indices, where there are any.
fn first(a: Option<Index>, b: Option<Index>) -> Option<Index> {
    [a, b].into_iter().flatten().min()
}

#[derive(Default)]
struct TrieNode {
    children: BTreeMap<u8, Node>,
    /// A prefix that is complete here.
    prefix: Option<Index>,
    /// An exact text that is complete here, if the value ends.
    exact: Option<Index>,
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
    /// The lowest index among the texts that end at this node.
    found: Vec<Option<Index>>,
    classes: usize,
}

impl Anywhere {
    /// `trie` holds each contains text, complete where `prefix` says so.
    fn new(trie: &Trie, classes: usize) -> Self {
        let nodes = trie.0.len();
        let mut next = vec![0; nodes * classes];
        let mut found: Vec<Option<Index>> = trie.0.iter().map(|node| node.prefix).collect();
        let mut fail = vec![0 as Node; nodes];
        let mut queue = VecDeque::from([0 as Node]);
        while let Some(node) = queue.pop_front() {
            let row = node as usize * classes;
            let fallback = fail[node as usize] as usize;
            found[node as usize] = first(found[node as usize], found[fallback]);
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

    fn found(&self, node: Node) -> Option<Index> {
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
    /// An exact text was read, and only white space since.
    complete: Option<Index>,
    anywhere: Node,
    /// White space was read last; more of it changes nothing.
    white: bool,
}

/// What a byte leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    Dead,
    State(State),
    Accept(Index),
}

/// The two automata of one field's values.
struct Values {
    anchored: Trie,
    anywhere: Anywhere,
}

impl Values {
    fn start() -> State {
        State { anchored: Some(0), complete: None, anywhere: 0, white: true }
    }

    fn step(&self, state: State, class: u8) -> Next {
        let at = state.anchored.map(|node| self.anchored.node(node));
        let complete = first(state.complete, at.and_then(|node| node.exact));
        let white = class == WHITE;
        if class == END {
            return complete.map_or(Next::Dead, Next::Accept);
        }
        if white && state.white {
            return Next::State(state);
        }
        let anchored = at.and_then(|node| node.children.get(&class)).copied();
        let anywhere = self.anywhere.next(state.anywhere, class);
        let prefix = anchored.and_then(|node| self.anchored.node(node).prefix);
        if let Some(index) = first(prefix, self.anywhere.found(anywhere)) {
            return Next::Accept(index);
        }
        let complete = complete.filter(|_| white);
        if anchored.is_none() && complete.is_none() && self.anywhere.is_empty() {
            return Next::Dead;
        }
        Next::State(State { anchored, complete, anywhere, white })
    }
}

/// Numbers of the states before a value: the rest of the name, the colon.
const NAME_N: u32 = 1;
const NAME_T: u32 = 2;
const COLON: u32 = 3;
/// Number of [`Values::start`].
const VALUE: u32 = 4;

/// A transition to the accepting state of index `entry & !ACCEPT`; those have
/// their numbers only when all other states are known.
const ACCEPT: u32 = 1 << 31;

/// The rows of the table while it is made.
struct Rows {
    classes: usize,
    entries: Vec<u32>,
    numbers: HashMap<State, u32>,
    /// States by number, from [`VALUE`].
    states: Vec<State>,
}

impl Rows {
    /// The rows that read the end of the name and the colon.
    fn new(classes: &Classes) -> Self {
        let mut rows = Self {
            classes: classes.count,
            entries: vec![u32::from(DEAD); VALUE as usize * classes.count],
            numbers: HashMap::from([(Values::start(), VALUE)]),
            states: vec![Values::start()],
        };
        rows.set(NAME_N, classes.of(b'n'), NAME_T);
        rows.set(NAME_T, classes.of(b't'), COLON);
        rows.set(COLON, WHITE, COLON);
        rows.set(COLON, classes.of(b':'), VALUE);
        rows
    }

    fn set(&mut self, state: u32, class: u8, next: u32) {
        self.entries[state as usize * self.classes + usize::from(class)] = next;
    }

    fn number(&mut self, state: State) -> u32 {
        let fresh = VALUE + self.states.len() as u32;
        let number = *self.numbers.entry(state).or_insert(fresh);
        if number == fresh {
            self.states.push(state);
        }
        number
    }

    fn fill(&mut self, values: &Values) {
        let mut at = 0;
        while let Some(state) = self.states.get(at).copied() {
            for class in 0..=(self.classes - 1) as u8 {
                let entry = match values.step(state, class) {
                    Next::Dead => u32::from(DEAD),
                    Next::Accept(index) => ACCEPT | u32::from(index),
                    Next::State(next) => self.number(next),
                };
                self.entries.push(entry);
            }
            at += 1;
        }
    }
}

/// Compiles `signatures` into `table`, which is all zero or compiled before.
/// The accepting state of each is its index.
///
/// # Errors
/// The signatures need more states than the table holds. `table` is then
/// unchanged.
pub fn compile(signatures: &[Signature], table: &mut Table) -> Result<Size, TooLarge> {
    let classes = Classes::new(signatures);
    let shift = classes.shift();
    let available =
        (TABLE_LEN >> shift).min(usize::from(u16::MAX) + 1 - signatures.len().min(65_535));
    let (mut anchored, mut anywhere) = (Trie::new(), Trie::new());
    for (index, signature) in (0..=Index::MAX).zip(signatures) {
        let text = classes.text(signature);
        let complete = match signature.kind {
            Match::Prefix => &mut anchored.insert(&text).prefix,
            Match::Exact => &mut anchored.insert(&text).exact,
            Match::Contains => &mut anywhere.insert(&text).prefix,
        };
        *complete = first(*complete, Some(index));
    }
    // Most nodes become states. Far too many are refused before their rows
    // take memory.
    let nodes = anchored.0.len() + anywhere.0.len();
    if nodes > 4 * available {
        return Err(TooLarge { needed: nodes, available });
    }
    let values = Values { anywhere: Anywhere::new(&anywhere, classes.count), anchored };
    let mut rows = Rows::new(&classes);
    rows.fill(&values);
    let states = rows.entries.len() / classes.count;
    if states > available {
        return Err(TooLarge { needed: states, available });
    }
    write(table, &classes, &rows, signatures.len());
    Ok(Size { states, classes: classes.count })
}

fn write(table: &mut Table, classes: &Classes, rows: &Rows, signatures: usize) {
    let shift = classes.shift();
    let accept_from = rows.entries.len() / classes.count;
    table.roots = [NO_ROOT; FIELD_SLOTS];
    if signatures > 0 {
        table.roots[Field::UserAgent as usize] = COLON;
    }
    table.fields = u32::from(signatures > 0) << (Field::UserAgent as u32);
    table.note_from = accept_from as u32;
    table.accept_from = accept_from as u32;
    table.shift = shift;
    table.classes = classes.of;
    table.next.fill(DEAD);
    let number = |entry: &u32| match entry & ACCEPT {
        0 => *entry as u16,
        _ => (accept_from as u32 + (entry & !ACCEPT)) as u16,
    };
    let lines = table.next.chunks_mut(1 << shift);
    let made = rows.entries.chunks(classes.count);
    for (line, row) in lines.zip(made) {
        for (slot, entry) in line.iter_mut().zip(row) {
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
