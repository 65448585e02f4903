//! The section `[web]` of sipguard.toml.

use std::net::SocketAddr;

use crate::policy::{plan::Plan, reader::Reader, source::Problems};

pub(in crate::policy) const WEB: &[&str] = &["listen", "names"];

/// Bytes of a name of a host (RFC 1035, 2.3.4).
const MAX_NAME: usize = 253;

pub(super) fn web(section: Reader<'_, '_>, plan: &mut Plan, problems: &mut Problems<'_>) {
    let example = r#""127.0.0.1:9061""#;
    let value = section.get("listen");
    if let Some((value, text)) =
        value.and_then(|value| Some((value, value.text(example, problems)?)))
    {
        match listen(text) {
            Some(address) => plan.web.listen = address,
            None => problems.error(
                value.span(),
                format!("nobody can listen on `{text}`"),
                format!(
                    "write an address of this host with a port, as in {example}, or \"\" for none"
                ),
            ),
        }
        if plan.web.listen.is_some_and(|address| !address.ip().is_loopback()) {
            problems.warning(
                value.span(),
                "others than this host can reach the web listener, and it has no encryption",
                "listen on loopback, and let ssh or a web server with TLS pass it on",
            );
        }
    }
    let names = section.get("names");
    let names = names.and_then(|value| value.list(r#"["sip.example.net"]"#, problems));
    for value in names.into_iter().flatten() {
        let Some(text) = value.text(r#"["sip.example.net"]"#, problems) else { continue };
        if is_name(text) {
            plan.web.names.push(text.to_ascii_lowercase());
        } else {
            problems.error(
                value.span(),
                format!("`{text}` is no name of a host"),
                "write the name alone, without http:// and without a port; addresses need no entry",
            );
        }
    }
    section.finish(problems);
}

/// The outer `None` is an error, the inner one `off`.
fn listen(text: &str) -> Option<Option<SocketAddr>> {
    if text.is_empty() {
        return Some(None);
    }
    text.parse::<SocketAddr>().ok().filter(|address| address.port() != 0).map(Some)
}

fn is_name(text: &str) -> bool {
    let is_label = |label: &str| {
        !label.is_empty()
            && label
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
    };
    text.len() <= MAX_NAME
        && text.split('.').all(is_label)
        && text.bytes().any(|byte| byte.is_ascii_alphabetic())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_to_listen() {
        assert_eq!(listen(""), Some(None));
        for text in ["127.0.0.1:9061", "[::1]:9061", "0.0.0.0:80"] {
            assert_eq!(listen(text), Some(text.parse().ok()), "{text}");
        }
        for text in ["off", "9061", "localhost:9061", "127.0.0.1", "127.0.0.1:0", "::1:9061x"] {
            assert_eq!(listen(text), None, "{text}");
        }
    }

    #[test]
    fn names_of_hosts() {
        for name in ["sip", "SIP.example.net", "a-1.example", "sip_1.lan"] {
            assert!(is_name(name), "{name}");
        }
        for name in ["", ".", "a..b", "http://a", "a:80", "a b", "192.0.2.1", "[::1]", "a/"] {
            assert!(!is_name(name), "{name}");
        }
    }
}
