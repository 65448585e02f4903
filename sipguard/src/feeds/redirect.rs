//! Where a redirect leads, and whether it is followed.

use ureq::http::Uri;

use super::error::FeedError;

/// The URL that a `Location` names, seen from `from`. With a key in it, the
/// other server would see the key.
///
/// # Errors
/// It is no URL, or leads where a list must not come from.
pub(super) fn follow(from: &Uri, location: &str, has_key: bool) -> Result<Uri, FeedError> {
    let to = resolve(from, location).ok_or(FeedError::BadRedirect("what is no URL"))?;
    let scheme = to.scheme_str();
    if !matches!(scheme, Some("http" | "https")) || to.host().is_none() {
        return Err(FeedError::BadRedirect("what is no URL of http or https"));
    }
    if from.scheme_str() == Some("https") && scheme != Some("https") {
        return Err(FeedError::BadRedirect("http, where everybody on the way can change it"));
    }
    if has_key && server(&to) != server(from) {
        return Err(FeedError::BadRedirect("another server, which would see the key"));
    }
    Ok(to)
}

/// Host and port, the latter unless it is the usual one: who answers at that of
/// http answers at that of https, too. At others it may be somebody else.
fn server(uri: &Uri) -> (Option<String>, Option<u16>) {
    let usual = if uri.scheme_str() == Some("https") { 443 } else { 80 };
    let port = uri.port_u16().filter(|port| *port != usual);
    (uri.host().map(str::to_ascii_lowercase), port)
}

/// RFC 3986 section 5.2, without dot segments, which servers resolve themselves.
fn resolve(from: &Uri, location: &str) -> Option<Uri> {
    let (location, _) = location.split_once('#').unwrap_or((location, ""));
    let (scheme, authority) = (from.scheme_str()?, from.authority()?);
    if location.starts_with("//") {
        return format!("{scheme}:{location}").parse().ok();
    }
    if location.starts_with('/') {
        return format!("{scheme}://{authority}{location}").parse().ok();
    }
    // Elsewhere than at the beginning, a URL is part of a path or a query.
    if location.split(['/', '?']).next().is_some_and(|first| first.contains(':')) {
        return location.parse().ok();
    }
    let path = from.path();
    let base = match location.starts_with('?') {
        true => path,
        false => path.rfind('/').and_then(|end| path.get(..=end)).unwrap_or("/"),
    };
    format!("{scheme}://{authority}{base}{location}").parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn to(from: &str, location: &str, has_key: bool) -> Result<String, String> {
        let uri = follow(&from.parse().unwrap(), location, has_key);
        uri.map(|uri| uri.to_string()).map_err(|error| error.to_string())
    }

    #[test]
    fn locations_are_read_as_browsers_do() {
        let from = "http://a.example:8080/lists/all?x=1";
        for (location, expected) in [
            ("https://b.example/y", "https://b.example/y"),
            ("//b.example/y", "http://b.example/y"),
            ("/y?z", "http://a.example:8080/y?z"),
            ("y", "http://a.example:8080/lists/y"),
            ("?y", "http://a.example:8080/lists/all?y"),
            ("/y#part", "http://a.example:8080/y"),
            ("/y?next=https://b.example/z", "http://a.example:8080/y?next=https://b.example/z"),
            (
                "?next=https://b.example/z",
                "http://a.example:8080/lists/all?next=https://b.example/z",
            ),
            ("y?to=http://b.example", "http://a.example:8080/lists/y?to=http://b.example"),
        ] {
            assert_eq!(to(from, location, false).as_deref(), Ok(expected), "{location}");
        }
    }

    #[test]
    fn nobody_is_led_to_where_others_can_listen() {
        let from = "https://a.example/x";
        assert!(to(from, "http://a.example/x", false).unwrap_err().contains("everybody"));
        assert!(to(from, "//b.example/x", true).unwrap_err().contains("see the key"));
        assert!(to(from, "/y", true).is_ok());
        assert!(to(from, "https://A.example:443/y", true).is_ok());
        assert!(to(from, "https://a.example:8443/y", true).unwrap_err().contains("see the key"));
        assert!(to(from, "//a.example:80/y", true).unwrap_err().contains("see the key"));
        // To the better protected port of the same server.
        assert!(to("http://a.example/x", "https://a.example/x", true).is_ok());
        for odd in ["ftp://a.example/", "file:///etc/passwd", "http://", "https://a b/"] {
            assert!(to(from, odd, false).is_err(), "{odd}");
        }
    }
}
