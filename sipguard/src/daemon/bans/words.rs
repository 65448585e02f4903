//! Bans in words.

use sipguard_common::rule::Rule;

use crate::sanitise::sanitise;

/// Characters of a signature's name.
const MAX_NAME: usize = 60;

/// Why somebody is banned.
pub(in crate::daemon) fn reason(
    rule: Rule,
    signature: Option<&str>,
    failures: u32,
    proven: bool,
) -> String {
    let what = match (rule, signature) {
        (Rule::Signature, Some(name)) => format!("signature {}", sanitise(name, MAX_NAME)),
        (Rule::Auth, _) => match failures {
            1 => "1 wrong password".to_owned(),
            n => format!("{n} wrong passwords"),
        },
        (Rule::Harvest, _) => format!("{failures} challenges and unknown users"),
        _ => format!("rule {}", rule.name()),
    };
    if proven { what } else { format!("{what}, which may be forged") }
}

/// `, for the 3rd time`, where there were others before.
pub(in crate::daemon) fn times(repeated: u32) -> String {
    let number = repeated.saturating_add(1);
    let ending = match (number % 10, number % 100) {
        (1, n) if n != 11 => "st",
        (2, n) if n != 12 => "nd",
        (3, n) if n != 13 => "rd",
        _ => "th",
    };
    match repeated {
        0 => String::new(),
        _ => format!(", for the {number}{ending} time"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons() {
        assert_eq!(reason(Rule::Auth, None, 5, true), "5 wrong passwords");
        assert_eq!(
            reason(Rule::Harvest, None, 30, false),
            "30 challenges and unknown users, which may be forged"
        );
        assert_eq!(reason(Rule::Signature, Some("a\nb"), 0, true), "signature a\\u{a}b");
        assert_eq!(reason(Rule::Signature, None, 0, true), "rule signature");
    }

    #[test]
    fn ordinals() {
        let all = [0, 1, 2, 3, 10, 20, 111].map(times);
        let expected = ["", "2nd", "3rd", "4th", "11th", "21st", "112th"];
        for (said, number) in all.iter().zip(expected) {
            assert!(said.contains(number), "{said}");
        }
    }
}
