//! What is asked before something is changed.

use ipnet::IpNet;

use super::{line::Line, wish::Ask};
use crate::{
    api::wire::Entry,
    cli::target,
    policy::{Target, parse_net},
    ttl::Ttl,
};

/// What would be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Deed {
    Block,
    Allow,
    Unblock,
    Disallow,
}

/// How long a block or a trust holds unless something else is typed.
const USUAL: &str = "1h";

/// A question with its fields, of which one is being typed into.
#[derive(Clone, Debug)]
pub(super) struct Form {
    pub(super) deed: Deed,
    pub(super) fields: Vec<Field>,
    pub(super) focus: usize,
    /// What is wrong with what was typed.
    pub(super) error: Option<String>,
}

#[derive(Clone, Debug)]
pub(super) struct Field {
    pub(super) label: &'static str,
    pub(super) line: Line,
}

impl Form {
    /// About this source.
    pub(super) fn new(deed: Deed, source: &str) -> Self {
        let field = |label, text: &str| Field { label, line: Line::new(text) };
        let target = field("target", source);
        let fields = match deed {
            Deed::Block | Deed::Allow => {
                vec![target, field("for", USUAL), field("reason", "")]
            }
            Deed::Unblock | Deed::Disallow => vec![target],
        };
        // The target is known, and rarely another.
        let focus = if fields.len() > 1 { 1 } else { 0 };
        Self { deed, fields, focus, error: None }
    }

    pub(super) fn title(&self) -> &'static str {
        match self.deed {
            Deed::Block => "Block: everything from there is dropped",
            Deed::Allow => "Allow: everything from there passes",
            Deed::Unblock => "Take back: end the block, lift the ban",
            Deed::Disallow => "Take back: end the operator's trust",
        }
    }

    /// What is being typed into.
    pub(super) fn line(&mut self) -> Option<&mut Line> {
        self.error = None;
        self.fields.get_mut(self.focus).map(|field| &mut field.line)
    }

    pub(super) fn next(&mut self, step: usize) {
        self.focus = (self.focus + step) % self.fields.len().max(1);
    }

    /// The field before.
    pub(super) fn back(&mut self) {
        self.next(self.fields.len().saturating_sub(1));
    }

    fn typed(&self, label: &str) -> &str {
        let field = self.fields.iter().find(|field| field.label == label);
        field.map_or("", |field| field.line.text().trim())
    }

    /// What to ask the daemon for; none, and an error to show, where something
    /// that was typed is not understood.
    pub(super) fn submit(&mut self) -> Option<Ask> {
        match self.ask() {
            Ok(ask) => Some(ask),
            Err(error) => {
                self.error = Some(error);
                None
            }
        }
    }

    fn ask(&self) -> Result<Ask, String> {
        let target = self.typed("target");
        Ok(match self.deed {
            Deed::Block => Ask::Block(self.entry(net(target)?)?),
            Deed::Allow => Ask::Allow(self.entry(target::target(target)?)?),
            Deed::Unblock => Ask::Unblock(net(target)?.to_string()),
            Deed::Disallow => Ask::Disallow(target::target(target)?.to_string()),
        })
    }

    fn entry(&self, target: Target) -> Result<Entry, String> {
        let ttl: Option<Ttl> = match self.typed("for") {
            "" => None,
            text => Some(text.parse().map_err(|error| format!("for: {error}"))?),
        };
        let reason = Some(self.typed("reason").to_owned()).filter(|reason| !reason.is_empty());
        Ok(Entry { target: target.to_string(), ttl, reason })
    }
}

fn net(text: &str) -> Result<Target, String> {
    target::net(text).map(|net| Target { net, port: None })
}

/// The address that stands for a source: of a network the first.
pub(super) fn address(source: &str) -> Option<std::net::IpAddr> {
    parse_net(source).ok().map(|net: IpNet| net.addr())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn typed(form: &mut Form, text: &str) {
        let line = form.line().unwrap();
        line.clear();
        line.insert(text);
    }

    #[test]
    fn f35_a_block_has_an_end_and_a_reason() {
        let mut form = Form::new(Deed::Block, "198.51.100.7");
        let Some(Ask::Block(entry)) = form.submit() else { panic!("{form:?}") };
        assert_eq!((entry.target.as_str(), entry.reason), ("198.51.100.7", None));
        assert_eq!(entry.ttl.unwrap().to_string(), "1h");
        typed(&mut form, "");
        form.next(1);
        typed(&mut form, " guesses ");
        let Some(Ask::Block(entry)) = form.submit() else { panic!("{form:?}") };
        assert_eq!((entry.ttl, entry.reason.as_deref()), (None, Some("guesses")));
        form.next(1);
        typed(&mut form, "2001:db8::/48");
        let Some(Ask::Block(entry)) = form.submit() else { panic!("{form:?}") };
        assert_eq!(entry.target, "2001:db8::/48");
    }

    #[test]
    fn f35_what_is_not_understood_is_not_asked_for() {
        let mut form = Form::new(Deed::Block, "198.51.100.7");
        typed(&mut form, "1");
        assert!(form.submit().is_none());
        assert_eq!(form.error.as_deref(), Some("for: `1` has no unit: write 1s, 1m, 1h or 1d"));
        typed(&mut form, "1h");
        assert!(form.error.is_none());
        form.back();
        typed(&mut form, "198.51.100.7/24");
        assert!(form.submit().is_none());
        assert!(form.error.is_some_and(|error| error.contains("198.51.100.0/24")));
        for deed in [Deed::Unblock, Deed::Disallow] {
            assert!(Form::new(deed, "nonsense").submit().is_none());
        }
    }

    #[test]
    fn f35_what_is_taken_back_needs_a_target_only() {
        let mut form = Form::new(Deed::Unblock, "2001:db8:2::/64");
        assert!(matches!(form.submit(), Some(Ask::Unblock(target)) if target == "2001:db8:2::/64"));
        let mut form = Form::new(Deed::Disallow, "203.0.113.10:5060");
        assert!(
            matches!(form.submit(), Some(Ask::Disallow(target)) if target == "203.0.113.10:5060")
        );
        form.next(1);
        form.back();
        assert_eq!(form.focus, 0);
    }

    #[test]
    fn a_source_has_an_address() {
        assert_eq!(address("198.51.100.7"), Some([198, 51, 100, 7].into()));
        assert_eq!(address("2001:db8:2::/64"), "2001:db8:2::".parse().ok());
        assert_eq!(address("x"), None);
    }
}
