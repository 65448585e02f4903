//! Limits of packet filters as those of sipguard.

use sipguard_common::method::{Class, Method};

use super::{Action, Limit};
use crate::{
    import::draft::{Draft, Origin, Part, Setting},
    policy::{PortLimit, Rate},
};

/// What a limit counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Counted {
    Everything,
    Class(Class),
    Syn,
}

/// The method that a text stands for, where a message must begin with it:
/// `OPTIONS sip:`, `REGISTER`.
pub(super) fn method(text: &[u8]) -> Option<Method> {
    let text = std::str::from_utf8(text).ok()?.trim();
    let (word, rest) = text.split_once(' ').unwrap_or((text, ""));
    let is_start = rest.is_empty() || matches!(rest, "sip:" | "sips:" | "tel:" | "sip");
    let known = |method: &&Method| **method != Method::Unknown && method.name() == word;
    Method::ALL.iter().find(known).copied().filter(|_| is_start)
}

/// A limit whose excess is dropped. `exact` says that nothing but the limit
/// decides.
pub(super) fn carry(
    draft: &mut Draft,
    origin: &Origin,
    limit: &Limit,
    counted: Counted,
    action: &Action,
) {
    let key = match counted {
        Counted::Everything => "total",
        Counted::Class(class) => class.name(),
        Counted::Syn => "syn",
    };
    let mut set = |section, key, value: String, remark: &str, doubt| {
        let (origin, remark) = (origin.clone(), remark.to_owned());
        draft.set(Setting { origin, section, key, value, remark, doubt });
    };
    let over = matches!(
        limit,
        Limit::PerSource { over: true, .. }
            | Limit::Connections { over: true, .. }
            | Limit::All { over: true, .. }
            | Limit::Recent { .. }
    );
    if !over || *action != Action::Drop {
        let why = match limit {
            Limit::Unclear(why) => why.as_str(),
            Limit::Remember => "it only remembers sources",
            _ => {
                "a limit that accepts what is under it: what becomes of the rest is not clear here"
            }
        };
        draft.left(Part::Sipguard, origin, why);
        return;
    }
    match limit {
        Limit::PerSource { rate, burst, bits: 32, .. } => match bucket(rate, *burst) {
            Ok(value) => {
                let remark = if counted == Counted::Everything {
                    "Counts requests only: answers and keepalives have limits of their own."
                } else {
                    ""
                };
                set("limits.stranger", key, value, remark, false);
            }
            Err(why) => draft.left(Part::Sipguard, origin, &why),
        },
        Limit::PerSource { rate, burst, bits, .. } => {
            match (bucket(rate, *burst), counted, (8..32).contains(bits)) {
                (Ok(value), Counted::Everything, true) => {
                    set("limits.subnet", "prefix_v4", bits.to_string(), "", false);
                    set("limits.subnet", "total", value, "", false);
                }
                (Err(why), ..) => draft.left(Part::Sipguard, origin, &why),
                _ => {
                    let why = "sipguard limits networks by all their requests together, not by \
                               one kind";
                    draft.left(Part::Sipguard, origin, why);
                }
            }
        }
        Limit::Recent { seconds, hits } => match bucket(&format!("{hits}/{seconds}s"), *hits) {
            Ok(value) => set(
                "limits.stranger",
                key,
                value,
                "a window of `recent` is no rate: it counts answers and keepalives, too, forgets \
                 beyond 100 sources, and with --update a source that goes on never comes back. \
                 sipguard has a limit here already, which an office of 100 phones does not meet",
                true,
            ),
            Err(why) => draft.left(Part::Sipguard, origin, &why),
        },
        Limit::Connections { max, bits, .. } => {
            let max_ports = u64::from(PortLimit::MAX);
            if *bits == 32 && (5..=max_ports).contains(max) {
                let why = "over UDP a connection is a source port, and each phone of an office \
                           has one: the office would lose all phones but the first";
                set("limits.ports", "max", max.to_string(), why, true);
            } else {
                let why = "sipguard counts no connections; it limits requests by source and \
                           network";
                draft.left(Part::Sipguard, origin, why);
            }
        }
        Limit::All { rate, burst, .. } => match bucket(rate, *burst) {
            Ok(value) => set(
                "limits.strangers",
                "total",
                value,
                "it counted trusted peers and phones, too; sipguard's counts strangers only, and \
                 has a value already",
                true,
            ),
            Err(why) => draft.left(Part::Sipguard, origin, &why),
        },
        Limit::Remember | Limit::Unclear(_) => {}
    }
}

/// `5/sec` with a burst as sipguard writes it.
fn bucket(rate: &str, burst: u64) -> Result<String, String> {
    let not = |why: &str| format!("the rate `{rate}` {why}");
    let (packets, unit) = rate.split_once('/').ok_or_else(|| not("has no unit of time"))?;
    let unit = unit.trim();
    let period = match unit {
        "s" | "sec" | "second" => "s".to_owned(),
        "m" | "min" | "minute" => "m".to_owned(),
        "h" | "hour" => "h".to_owned(),
        "d" | "day" => "24h".to_owned(),
        "week" => "168h".to_owned(),
        other if other.ends_with('s') && other.starts_with(|c: char| c.is_ascii_digit()) => {
            other.to_owned()
        }
        _ => return Err(not("counts no packets")),
    };
    let text = format!("{}/{period}", packets.trim());
    let parsed: Rate = text.parse().map_err(|error| not(&format!("does not fit: {error}")))?;
    parsed.limit(burst).map_err(|error| not(&format!("does not fit: {error}")))?;
    Ok(format!("{{ rate = \"{text}\", burst = {burst} }}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates() {
        assert_eq!(bucket("5/sec", 10).unwrap(), "{ rate = \"5/s\", burst = 10 }");
        assert_eq!(bucket("100/day", 5).unwrap(), "{ rate = \"100/24h\", burst = 5 }");
        assert_eq!(bucket("20/60s", 20).unwrap(), "{ rate = \"20/60s\", burst = 20 }");
        for (rate, burst) in
            [("1/day", 5), ("512kb/s", 5), ("5/s", 0), ("x", 1), ("5/fortnight", 1)]
        {
            assert!(bucket(rate, burst).is_err(), "{rate}");
        }
    }

    #[test]
    fn texts_that_are_methods() {
        assert_eq!(method(b"OPTIONS sip:"), Some(Method::Options));
        assert_eq!(method(b"REGISTER"), Some(Method::Register));
        assert_eq!(method(b"INVITE "), Some(Method::Invite));
        for text in [&b"OPTIONSX"[..], b"options", b"OPTIONS sip:nm", b"friendly-scanner", b"\xff"]
        {
            assert_eq!(method(text), None);
        }
    }
}
