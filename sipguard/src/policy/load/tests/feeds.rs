//! The section `[feeds]`.

use std::{
    fs::Permissions,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use super::*;
use crate::policy::{FeedFormat, FeedSettings, FeedSource};

fn feeds(text: &str) -> Result<(Plan, Vec<String>), Vec<String>> {
    let config = Config::new();
    config.write(SETTINGS, text);
    match config.load() {
        Ok((plan, warnings)) => Ok((plan, brief(&warnings))),
        Err(found) => Err(brief(&found.0)),
    }
}

/// A file with a key, and the directory that it lives in.
pub(super) fn key(mode: u32) -> (TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("key");
    fs::write(&path, "abc").unwrap();
    fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
    (dir, path)
}

#[test]
fn f47_feeds_have_defaults_and_all_that_can_be_said() {
    let (_dir, key) = key(0o640);
    let (plan, warnings) = feeds(&format!(
        "[[feeds.feed]]\nname = \"voipbl\"\nurl = \"https://voipbl.org/update/\"\n\
         [[feeds.feed]]\nname = \"apiban\"\nformat = \"apiban\"\nkey_file = \"{}\"\n\
         url = \"https://apiban.org/api/{{key}}/banned\"\ninterval = \"15m\"\nmax_age = \"1d\"\n\
         max_entries = 5\nmax_bytes = 2048\nmin_prefix_v4 = 24\nmin_prefix_v6 = 48\n\
         [[feeds.feed]]\nname = \"mine\"\npath = \"/tmp/x\"\ninterval = \"1m\"\nenabled = false\n",
        key.display()
    ))
    .unwrap();
    assert_eq!(warnings, [] as [String; 0]);
    let url = |url: &str| FeedSource::Url(url.to_owned());
    assert_eq!(plan.feeds["voipbl"], FeedSettings::of(url("https://voipbl.org/update/")));
    let apiban = FeedSettings {
        format: FeedFormat::Apiban,
        interval: "15m".parse().unwrap(),
        max_age: "1d".parse().unwrap(),
        max_entries: 5,
        max_bytes: 2048,
        min_prefix_v4: 24,
        min_prefix_v6: 48,
        key_file: Some(key),
        ..FeedSettings::of(url("https://apiban.org/api/{key}/banned"))
    };
    assert_eq!(plan.feeds["apiban"], apiban);
    let mine = FeedSettings {
        interval: "1m".parse().unwrap(),
        enabled: false,
        ..FeedSettings::of(FeedSource::Path("/tmp/x".into()))
    };
    assert_eq!(plan.feeds["mine"], mine);
}

#[test]
fn f47_what_is_wrong_with_a_feed_is_said_where_it_stands() {
    let found = feeds(
        r#"[feeds]
fed = 1
[[feeds.feed]]
name = "My list"
url = "ftp://lists.example/x"
[[feeds.feed]]
name = "a"
url = "https://user:pw@lists.example/x"
intervall = "1h"
[[feeds.feed]]
name = "b"
url = "https://lists.example/{key}"
path = "relative"
[[feeds.feed]]
name = "c"
url = "https://lists.example/{key}"
max_age = "30m"
[[feeds.feed]]
name = "c"
path = "relative"
key_file = "/key"
min_prefix_v4 = 4
[[feeds.feed]]
name = "d"
url = "https://lists.example/x"
key_file = "/key"
[[feeds.feed]]
"#,
    )
    .unwrap_err();
    let expected = [
        "2:1 unknown key `fed` | did you mean `feed`?",
        "4:8 a feed cannot have this name | ",
        "5:7 this is no URL of http or https | ",
        "8:7 this holds a user or a password, which everybody could read | ",
        "9:1 unknown key `intervall` | did you mean `interval`?",
        "13:8 a feed has a URL or a path, not both | remove one of the two",
        "16:7 the URL has a {key}, but there is no key | ",
        "17:11 the entries would end before they are read again: 30m <= 1h | ",
        "19:8 two feeds are called `c` | give this one another name",
        "20:8 this path is not absolute | ",
        "22:17 `min_prefix_v4` must be between 8 and 32 | ",
        "26:12 the URL does not say where the key belongs: it has no {key} | ",
        "27:1 `name` is missing here | ",
        "27:1 `url` is missing here | ",
    ];
    for (found, expected) in found.iter().zip(expected) {
        assert!(found.starts_with(expected), "{found}\n{expected}");
    }
    assert_eq!(found.len(), expected.len(), "{found:#?}");
}

#[test]
fn f47_risky_feeds_are_warned_of() {
    let (_, warnings) = feeds(
        "[[feeds.feed]]\nname = \"a\"\nurl = \"http://lists.example/x\"\ninterval = \"10s\"\n\
         [[feeds.feed]]\nname = \"b\"\nurl = \"http://127.0.0.1:8080/x\"\n",
    )
    .unwrap();
    let [open, often] = warnings.try_into().unwrap();
    assert!(open.starts_with("3:7 over http, everybody on the way can change"), "{open}");
    assert!(often.starts_with("4:12 every 10s is more often"), "{often}");
}

#[test]
fn f47_keys_of_everybody_are_warned_of() {
    let warnings = |path: &Path| {
        let url = "https://lists.example/{key}";
        let feed = format!("[[feeds.feed]]\nname = \"a\"\nurl = \"{url}\"\nkey_file = {path:?}\n");
        feeds(&feed).unwrap().1.concat()
    };
    for (mode, message) in [(0o600, ""), (0o640, ""), (0o644, "4:12 the key can be read by every")]
    {
        let (_dir, key) = key(mode);
        let warnings = warnings(&key);
        assert_eq!(warnings.is_empty(), message.is_empty(), "{mode:o}: {warnings}");
        assert!(warnings.starts_with(message), "{mode:o}: {warnings}");
    }
    let missing = warnings(Path::new("/nonexistent/key"));
    assert!(missing.starts_with("4:12 the key cannot be read: "), "{missing}");
}
