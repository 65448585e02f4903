//! What holds for a source, whatever it sends.

use std::net::IpAddr;

use sipguard_common::{
    method::{Budget, Class},
    rule::Rule,
};

use super::{
    Decision, Explanation,
    known::Known,
    step::{Effect, Step},
};
use crate::{endpoint::Endpoint, kernel::Action, policy::Posture};

/// What the lists say of a source, and which limits hold for it. Without a
/// port, trust in single ports is told of and decides nothing.
#[must_use]
pub fn address(known: Known<'_>, source: IpAddr, port: Option<u16>) -> Explanation {
    let source = source.to_canonical();
    let mut explanation =
        Explanation { source: Some(Endpoint { address: source, port }), ..Explanation::default() };
    let steps = &mut explanation.steps;
    if let Some(found) = known.trusted(source, port) {
        let place = found.step.place;
        steps.push(found.step);
        steps.extend(found.class.map(|class| Known::calls(class, place)));
        let (rule, action) = (Rule::Trusted, Action::Pass);
        explanation.decision = Some(Decision { rule, action });
        return explanation;
    }
    steps.extend(known.not_trusted(source, port));
    let (blocked, banned) = (known.blocked(source), known.banned(source));
    if blocked.is_none() {
        steps.push(Known::not_blocked(source));
        if banned.is_none() {
            steps.push(known.not_banned(source));
        }
    }
    // Blocks are asked first, and hide bans.
    let listed = match (blocked, banned) {
        (Some(block), _) => Some((Rule::Blocked, block)),
        (None, ban) => ban.map(|ban| (Rule::Banned, ban)),
    };
    if let Some((rule, step)) = listed
        && drops(&mut explanation, rule, known.holds(rule, step))
    {
        return explanation;
    }
    explanation.steps.push(Known::not_verified());
    if known.plan.posture == Posture::Closed {
        let step = known.holds(Rule::Closed, known.posture());
        if drops(&mut explanation, Rule::Closed, step) {
            return explanation;
        }
    } else {
        explanation.steps.push(known.posture());
    }
    explanation.steps.extend(limits(known));
    explanation
}

/// Takes in a rule that holds; true where the decision ends with it.
fn drops(explanation: &mut Explanation, rule: Rule, step: Step) -> bool {
    let effect = step.effect;
    explanation.steps.push(step);
    if effect == Some(Effect::WouldDrop) {
        explanation.would |= rule.bit();
    }
    let drops = effect == Some(Effect::Drop);
    if drops {
        explanation.decision = Some(Decision { rule, action: Action::Drop });
    }
    drops
}

/// What a stranger is held to, in the order of the decision.
fn limits(known: Known<'_>) -> impl Iterator<Item = Step> {
    let classes = Class::ALL.into_iter().filter(|class| *class != Class::Total);
    [known.fragments(), known.options()]
        .into_iter()
        .chain(known.of_message())
        .chain(classes.map(move |class| known.of_class(class)))
        .chain([known.of_class(Class::Total), known.of_subnet(), known.of_ports()])
        .chain(Budget::ALL.into_iter().map(move |budget| known.of_budget(budget)))
        .chain([known.of_reserve(), known.auth(), known.harvest(), known.stealth()])
        .map(move |step| with_mode(known, step))
}

/// A limit whose rule does not drop says so.
fn with_mode(known: Known<'_>, step: Step) -> Step {
    let Some(rule) = Rule::ALL.iter().find(|rule| rule.name() == step.subject) else { return step };
    match known.effect(*rule) {
        (Effect::Drop, _) => step,
        (effect, mode_place) => Step { effect: Some(effect), mode_place, ..step },
    }
}
