//! The automaton against an independent reading of what a signature means.

use std::time::{Duration, Instant};

use aho_corasick::AhoCorasick;
use proptest::prelude::*;
use sipguard_common::automaton::{noted, step};

use super::*;
use crate::policy::Plan;

fn signature(kind: Match, text: &str) -> Signature {
    of(Field::UserAgent, kind, text)
}

fn condition(field: Field, kind: Match, text: &str) -> Condition {
    Condition { field, kind, text: text.to_owned() }
}

fn of(field: Field, kind: Match, text: &str) -> Signature {
    let name = format!("{kind} {text}");
    Signature { name, conditions: vec![condition(field, kind, text)] }
}

fn regex(text: &str) -> Signature {
    signature(Match::Regex, text)
}

fn text(signature: &Signature) -> &str {
    &signature.conditions[0].text
}

fn prefix(text: &str) -> Signature {
    signature(Match::Prefix, text)
}

fn exact(text: &str) -> Signature {
    signature(Match::Exact, text)
}

fn contains(text: &str) -> Signature {
    signature(Match::Contains, text)
}

struct Compiled {
    plan: Plan,
    size: Size,
}

fn compiled(signatures: &[Signature]) -> Compiled {
    let mut plan = Plan::default();
    let size = compile(signatures, &mut plan.policy.automaton).unwrap();
    Compiled { plan, size }
}

impl Compiled {
    /// Walks the table as the kernel does: until a state accepts or is dead.
    fn run(&self, bytes: &[u8]) -> Option<usize> {
        self.run_in(Field::UserAgent, bytes).0
    }

    /// The same for a field: the signature, and the conditions on the way.
    fn run_in(&self, field: Field, bytes: &[u8]) -> (Option<usize>, u64) {
        let table = &self.plan.policy.automaton;
        let mut conditions = 0;
        let mut state = table.roots[field as usize];
        if state == NO_ROOT {
            return (None, 0);
        }
        for byte in bytes {
            // SAFETY: a reference points to a whole table.
            state = unsafe { step(table, table.shift, state, *byte) };
            if state >= table.accept_from {
                return (Some((state - table.accept_from) as usize), conditions);
            }
            if state >= table.note_from {
                // SAFETY: as above.
                conditions |= unsafe { noted(table, state, table.note_from) };
            }
            if state == u32::from(DEAD) {
                break;
            }
        }
        (None, conditions)
    }

    /// The signature that matches a value.
    fn value(&self, value: &str) -> Option<usize> {
        self.run(format!(": {value}\r\n").as_bytes())
    }
}

/// Each run of white space as one space.
fn one_space(bytes: &[u8]) -> Vec<u8> {
    let mut one: Vec<u8> =
        bytes.iter().map(|byte| if *byte == b'\t' { b' ' } else { *byte }).collect();
    one.dedup_by(|byte, before| *byte == b' ' && *before == b' ');
    one
}

/// What the signatures mean, by string functions: the index of the one that is
/// complete first, the lowest among equals.
fn naive(signatures: &[Signature], line: &[u8]) -> Option<usize> {
    let fold = |bytes: &[u8]| bytes.to_ascii_lowercase();
    let white = |byte: &u8| *byte == b' ' || *byte == b'\t';
    let end = line.iter().position(|byte| *byte == b'\r' || *byte == b'\n');
    let line = fold(&line[..end.unwrap_or(line.len())]);
    let rest = &line[line.iter().take_while(|byte| white(byte)).count()..];
    let rest = rest.strip_prefix(b":")?;
    let value = &rest[rest.iter().take_while(|byte| white(byte)).count()..];
    let value = &one_space(value);
    let trimmed = &value[..value.len() - value.iter().rev().take_while(|byte| white(byte)).count()];
    signatures
        .iter()
        .enumerate()
        .filter_map(|(index, signature)| {
            let only = signature.only()?;
            let text = one_space(&fold(only.text.as_bytes()));
            let complete = match only.kind {
                Match::Prefix => value.starts_with(&text).then_some(text.len()),
                Match::Exact => (end.is_some() && trimmed == text).then_some(usize::MAX),
                Match::Contains => value
                    .windows(text.len())
                    .position(|window| window == text)
                    .map(|at| at + text.len()),
                Match::Regex => None,
            }?;
            Some((complete, index))
        })
        .min()
        .map(|(_, index)| index)
}

#[test]
fn d05_case_of_letters_does_not_matter() {
    let automaton = compiled(&[prefix("friendly-scanner"), contains("SIPVicious")]);
    for value in ["friendly-scanner", "Friendly-Scanner", "FRIENDLY-SCANNER/1.0"] {
        assert_eq!(automaton.value(value), Some(0), "{value}");
    }
    assert_eq!(automaton.value("the sipVICIOUS tools"), Some(1));
    assert_eq!(automaton.run(b":FRIENDLY-scanner"), Some(0));
}

#[test]
fn white_space_round_the_colon() {
    let automaton = compiled(&[exact("sundayddr"), prefix("sipcli")]);
    for head in [":", " :", ": ", "\t:\t", "  \t :   \t ", ":                    "] {
        for (value, index) in [("sundayddr\r\n", 0), ("sipcli/v1.8\r\n", 1)] {
            assert_eq!(automaton.run(format!("{head}{value}").as_bytes()), Some(index), "{head:?}");
        }
    }
    for head in ["", " ", "::", "s:", "\r\n:", ":\r\n "] {
        assert_eq!(automaton.run(format!("{head}sundayddr\r\n").as_bytes()), None, "{head:?}");
    }
}

#[test]
fn a_bare_lf_or_cr_ends_the_value() {
    let automaton = compiled(&[exact("pplsip"), contains("sipvicious")]);
    for end in ["\r\n", "\n", "\r"] {
        assert_eq!(automaton.run(format!(": pplsip{end}").as_bytes()), Some(0), "{end:?}");
        let beyond = format!(": phone{end}X: sipvicious{end}");
        assert_eq!(automaton.run(beyond.as_bytes()), None, "{end:?}");
    }
    assert_eq!(automaton.run(b": pplsip"), None, "not known to be whole");
}

#[test]
fn exact_allows_white_space_behind_and_nothing_else() {
    let automaton = compiled(&[exact("Test Agent"), exact("Test Agent 2"), prefix("Test Agent x")]);
    for value in ["Test Agent", "Test Agent ", "Test Agent \t  ", "test agent"] {
        assert_eq!(automaton.value(value), Some(0), "{value:?}");
    }
    assert_eq!(automaton.value("Test Agent 2 "), Some(1));
    assert_eq!(automaton.value("Test Agent x"), Some(2));
    for value in ["Test Agent 3", "Test Agents", "TestAgent", "a Test Agent", "Test Agent y"] {
        assert_eq!(automaton.value(value), None, "{value:?}");
    }
}

#[test]
fn a_run_of_white_space_is_one_space() {
    let automaton = compiled(&[exact("Test Agent"), prefix("Elite  1.0"), contains("vici ous")]);
    for value in ["Test  Agent", "Test\tAgent", "Test \t Agent"] {
        assert_eq!(automaton.value(value), Some(0), "{value:?}");
    }
    assert_eq!(automaton.value("Elite 1.0 x"), Some(1));
    assert_eq!(automaton.value("a vici   ous"), Some(2));
    assert_eq!(automaton.value("TestAgent"), None);
}

#[test]
fn contains_goes_on_behind_a_failed_prefix() {
    let automaton = compiled(&[prefix("sipvicious-lab"), contains("vicious"), contains("ious!")]);
    assert_eq!(automaton.value("sipvicious-lab"), Some(1), "complete before the prefix is");
    assert_eq!(automaton.value("vicvicious"), Some(1));
    assert_eq!(automaton.value("vvious!"), Some(2));
    assert_eq!(automaton.value("vicio us!"), None);
}

#[test]
fn the_lowest_index_wins_at_the_same_byte() {
    let sets = [
        [contains("bar"), prefix("foobar")],
        [prefix("foobar"), contains("bar")],
        [contains("foobar"), contains("obar")],
        [contains("obar"), contains("foobar")],
    ];
    for set in sets {
        assert_eq!(compiled(&set).value("foobar"), Some(0), "{set:?}");
    }
}

#[test]
fn zero_bytes_and_unknown_bytes_match_nothing() {
    let automaton = compiled(&[prefix("abcd"), contains("ghijkl"), exact("ab\u{e9}")]);
    assert_eq!(automaton.run(b": \0abcd\r\n"), None);
    assert_eq!(automaton.run(b": ab\0cd\r\n"), None);
    assert_eq!(automaton.run(b": \xff\0ghijkl"), Some(1));
    assert_eq!(automaton.value("AB\u{e9}"), Some(2));
    assert_eq!(automaton.value("ab\u{c9}"), None, "only ASCII letters fold");
}

#[test]
fn no_signature_no_root() {
    let automaton = compiled(&[]);
    assert_eq!(automaton.plan.policy.automaton.roots, [NO_ROOT; FIELD_SLOTS]);
    assert!(automaton.plan.policy.automaton.accept_from > u32::from(DEAD));
    assert_eq!(automaton.value("friendly-scanner"), None);
}

#[test]
fn compiling_again_leaves_nothing_behind() {
    let mut plan = compiled(&[prefix("friendly-scanner"), contains("vicious")]).plan;
    compile(&[exact("x-ray")], &mut plan.policy.automaton).unwrap();
    let fresh = compiled(&[exact("x-ray")]).plan;
    assert!(plan.policy_bytes() == fresh.policy_bytes());
}

#[test]
fn dead_is_dead_and_accepting_states_absorb() {
    let Compiled { plan, .. } = compiled(&[prefix("friendly"), contains("vicious")]);
    let table = &plan.policy.automaton;
    for byte in 0..=255 {
        // SAFETY: a reference points to a whole table.
        unsafe {
            assert_eq!(step(table, table.shift, u32::from(DEAD), byte), u32::from(DEAD));
            for index in 0..2 {
                let state = table.accept_from + index;
                assert_eq!(step(table, table.shift, state, byte), state);
            }
        }
    }
}

#[test]
fn regular_expressions_start_with_the_value_and_end_with_it() {
    let automaton = compiled(&[
        regex("<[^>]*>;tag=(?:[2-7][0-9a-f])+01(?:3[0-9]){5,}$"),
        prefix("sipcli"),
        regex("a[^;]*;b"),
        contains("vicious"),
    ]);
    let (tag, cut) = ("63623030013132333435", "630131323334");
    assert_eq!(automaton.value(&format!("<sip:x>;tag={tag}")), Some(0));
    assert_eq!(automaton.value(&format!("<SIP:X>;TAG={tag}  ")), None, "a space is no end");
    assert_eq!(automaton.value(&format!("<sip:x>;tag={cut}")), None, "four digits only");
    assert_eq!(automaton.value(&format!("<sip:x>;tag={tag}0")), None);
    assert_eq!(automaton.value(&format!(" x<sip:x>;tag={tag}")), None, "not at its start");
    assert_eq!(automaton.value("ax;bx"), Some(2));
    assert_eq!(automaton.value("AX;B"), Some(2), "known at the end of the value, too");
    assert_eq!(automaton.value("sipcli/1"), Some(1));
    assert_eq!(automaton.value("avicious;b"), Some(3), "complete before the other is");
}

#[test]
fn expressions_without_meaning_are_refused() {
    for (pattern, reason) in [
        ("(", "does not compile: unclosed group"),
        ("a*", "matches the empty text"),
        ("", "matches the empty text"),
        ("$", "matches the empty text"),
        ("(?:[a-z]{200}){200}", "needs too large an automaton"),
        (".*[ab].{18}", "needs too large an automaton"),
    ] {
        assert_eq!(defect(pattern).as_deref(), Some(reason), "{pattern}");
    }
    assert_eq!(defect("a+$"), None);
}

#[test]
fn a_value_that_cannot_match_any_more_is_left() {
    let automaton = compiled(&[regex("<[^>]*>;tag=01"), regex("x.*never\n")]);
    let table = &automaton.plan.policy.automaton;
    let mut state = table.roots[Field::UserAgent as usize];
    for byte in b": <sip:x>;tag=" {
        // SAFETY: a reference points to a whole table.
        state = unsafe { step(table, table.shift, state, *byte) };
        assert_ne!(state, u32::from(DEAD));
    }
    // SAFETY: as above.
    assert_eq!(unsafe { step(table, table.shift, state, b'7') }, u32::from(DEAD));
    // No value holds a line end, so nothing starts with x.
    assert_eq!(automaton.run(b":x"), None);
}

#[test]
fn each_field_has_signatures_of_its_own() {
    let automaton = compiled(&[
        of(Field::From, Match::Contains, "tag=1"),
        of(Field::RequestUri, Match::Exact, "sip:nm"),
        of(Field::StartLine, Match::Prefix, "options sip:x"),
        of(Field::Body, Match::Prefix, "s=call"),
    ]);
    let run = |field, text: &str| automaton.run_in(field, text.as_bytes()).0;
    assert_eq!(run(Field::From, ": x;tag=1"), Some(0));
    assert_eq!(run(Field::To, ": x;tag=1"), None);
    assert_eq!(run(Field::RequestUri, "OPTIONS sip:nm SIP/2.0\r"), Some(1));
    assert_eq!(run(Field::RequestUri, "OPTIONS  sip:nm\r"), Some(1));
    assert_eq!(run(Field::RequestUri, "OPTIONS sip:nmx SIP/2.0\r"), None);
    assert_eq!(run(Field::StartLine, "OPTIONS sip:xyz"), Some(2));
    assert_eq!(run(Field::Body, "s=call\r"), Some(3));
    let bit = |field: Field| 1 << (field as u32);
    let fields = bit(Field::From) | bit(Field::RequestUri) | bit(Field::StartLine);
    assert_eq!(automaton.plan.policy.automaton.fields, fields | bit(Field::Body));
}

#[test]
fn conditions_are_noted_and_the_value_goes_on() {
    let pair = |name: &str, conditions: &[Condition]| Signature {
        name: name.to_owned(),
        conditions: conditions.to_vec(),
    };
    let agent = |kind, text| condition(Field::UserAgent, kind, text);
    let shared = agent(Match::Contains, "bc");
    let automaton = compiled(&[
        prefix("abcde"),
        pair("one", &[shared.clone(), agent(Match::Exact, "xbc")]),
        pair("two", &[agent(Match::Regex, "y.*z$"), shared]),
    ]);
    let run = |value: &str| automaton.run_in(Field::UserAgent, format!(": {value}\r\n").as_bytes());
    assert_eq!(run("abcd"), (None, 0b001));
    assert_eq!(run("abcde"), (Some(0), 0b001), "a condition on the way to a signature");
    assert_eq!(run("xbc "), (None, 0b011));
    assert_eq!(run("ybcz"), (None, 0b101));
    assert_eq!(run("yz"), (None, 0b100));
    assert_eq!(run("yzz."), (None, 0));
    let table = &automaton.plan.policy.automaton;
    assert_eq!(table.joined.iter().filter(|mask| **mask != 0).count(), 2);
    assert_eq!(table.joined[..2], [0b011, 0b101]);
    assert_eq!(table.joined_index[..2], [1, 2]);
}

#[test]
fn too_many_conditions_are_refused() {
    let joined = |n: usize| {
        let each = |i: usize| condition(Field::From, Match::Prefix, &format!("{i:04}"));
        let one =
            |i: usize| Signature { name: i.to_string(), conditions: vec![each(i), each(i + 1)] };
        (0..n).map(one).collect::<Vec<_>>()
    };
    let mut plan = Plan::default();
    assert!(compile(&joined(63), &mut plan.policy.automaton).is_ok());
    let error = compile(&joined(64), &mut plan.policy.automaton).unwrap_err();
    assert_eq!((error.needed, error.available), (65, MAX_CONDITIONS), "{error}");
}

/// Texts of 12 letters and digits, all different.
fn many(count: usize, kind: Match) -> Vec<Signature> {
    let mut state = 1_u64;
    (0..count)
        .map(|i| {
            let text: String = (0..8)
                .map(|_| {
                    state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                    char::from(b"abcdefghijklmnopqrstuvwxyz012345"[(state >> 59) as usize])
                })
                .collect();
            signature(kind, &format!("{text}{i:04}"))
        })
        .collect()
}

#[test]
fn thousands_of_signatures_fit_and_compile_fast() {
    let mut signatures = many(1000, Match::Prefix);
    signatures.extend(many(2000, Match::Contains).split_off(1000));
    let start = Instant::now();
    let automaton = compiled(&signatures);
    let took = start.elapsed();
    println!("{:?} in {took:?}", automaton.size);
    // An unoptimised build takes many times as long.
    if !cfg!(debug_assertions) {
        assert!(took < Duration::from_millis(100), "{took:?}");
    }
    for (index, signature) in signatures.iter().enumerate() {
        assert_eq!(automaton.value(&text(signature).to_uppercase()), Some(index));
    }
    assert_eq!(automaton.value("Grandstream GXP2140 1.0.9.14"), None);
}

#[test]
fn too_many_states_are_refused_and_counted() {
    let mut plan = Plan::default();
    let before = plan.policy_bytes().to_vec();
    let long: Vec<Signature> = many(4096, Match::Prefix)
        .into_iter()
        .map(|signature| prefix(&text(&signature).repeat(2)))
        .collect();
    let error = compile(&long, &mut plan.policy.automaton).unwrap_err();
    assert_eq!(error.available, TABLE_LEN >> 6);
    assert!(error.needed > 70_000, "{error}");
    let longer: Vec<Signature> =
        long.iter().map(|signature| prefix(&text(signature).repeat(5))).collect();
    assert!(compile(&longer, &mut plan.policy.automaton).unwrap_err().needed > 400_000);
    assert!(plan.policy_bytes() == before, "the table is unchanged");
}

/// Accepting states may lie beyond the table, where no row is.
#[test]
fn accepting_states_beyond_the_table_still_accept() {
    // 26 letters, the colon and the three fixed classes make rows of 32. Each
    // byte of a prefix but its last makes a state, besides the first three.
    let full = TABLE_LEN >> 5;
    let each = (full - 3) / 26;
    let rest = (full - 3) % 26;
    let mut signatures: Vec<Signature> =
        ('a'..='z').map(|letter| prefix(&letter.to_string().repeat(each + 1))).collect();
    signatures[25].conditions[0].text.push_str(&"z".repeat(rest));
    let automaton = compiled(&signatures);
    assert_eq!(automaton.size.states, full);
    for (index, signature) in signatures.iter().enumerate() {
        assert_eq!(automaton.value(text(signature)), Some(index));
    }
    signatures[0].conditions[0].text.push('a');
    let mut plan = Plan::default();
    let error = compile(&signatures, &mut plan.policy.automaton);
    assert_eq!(error, Err(TooLarge { what: "states", needed: full + 1, available: full }));
}

fn any_text() -> impl Strategy<Value = String> {
    // Few letters, so that texts overlap.
    "[a-cA-B][a-cA-B :\t]{0,4}[a-cA-Bnt]|[a-b]|ab {0,2}a"
}

fn any_signatures() -> impl Strategy<Value = Vec<Signature>> {
    let kind = prop::sample::select(vec![Match::Prefix, Match::Exact, Match::Contains]);
    prop::collection::vec((kind, any_text()), 0..12)
        .prop_map(|all| all.into_iter().map(|(kind, text)| signature(kind, &text)).collect())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn agrees_with_string_functions(
        signatures in any_signatures(),
        lines in prop::collection::vec("[ \t]{0,2}:?[ \t]{0,2}[a-cA-Cnt :\t\0é]{0,12}(\r\n|\n|\r)?[a-c\r\n]{0,6}", 1..60),
    ) {
        let automaton = compiled(&signatures);
        for line in lines {
            prop_assert_eq!(
                automaton.run(line.as_bytes()),
                naive(&signatures, line.as_bytes()),
                "{:?}", line
            );
        }
    }

    #[test]
    fn contains_agrees_with_aho_corasick(
        texts in prop::collection::vec("[a-c]{1,5}", 1..20),
        values in prop::collection::vec("[a-dA-D][a-dA-D ]{0,30}", 1..60),
    ) {
        let signatures: Vec<Signature> = texts.iter().map(|text| contains(text)).collect();
        let automaton = compiled(&signatures);
        let oracle = AhoCorasick::builder().ascii_case_insensitive(true).build(&texts).unwrap();
        for value in values {
            let ours = automaton.value(&value);
            // The standard semantics report the match that ends first.
            let theirs = oracle.find(&value).map(|found| found.end());
            let end = ours.and_then(|index| {
                let text = &texts[index];
                value.to_lowercase().find(text.as_str()).map(|at| at + text.len())
            });
            prop_assert_eq!(end, theirs, "{:?}", value);
        }
    }

    #[test]
    fn no_byte_leads_out_of_the_automaton(
        signatures in any_signatures(),
        bytes in prop::collection::vec(any::<u8>(), 0..200),
    ) {
        let automaton = compiled(&signatures);
        let line = [b":".as_slice(), &bytes].concat();
        prop_assert_eq!(automaton.run(&line), naive(&signatures, &line));
    }
}
