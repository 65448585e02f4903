//! What callers name.

use sipguard_common::rule::Rule;

use super::failure::ApiError;

/// The rule of a name.
pub(super) fn rule(name: &str) -> Result<Rule, ApiError> {
    Rule::ALL.iter().copied().find(|rule| rule.name() == name).ok_or_else(|| {
        let names: Vec<&str> = Rule::ALL.iter().map(|rule| rule.name()).collect();
        let hint = format!("the rules are {}", names.join(", "));
        ApiError::bad_request(format!("there is no rule `{name}`"), Some(hint))
    })
}
