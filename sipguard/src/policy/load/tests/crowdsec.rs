//! The section `[crowdsec]`.

use std::path::Path;

use super::{feeds::key, *};
use crate::policy::{CrowdsecSettings, PrefixLimits};

fn crowdsec(text: &str) -> Result<(CrowdsecSettings, Vec<String>), Vec<String>> {
    let config = Config::new();
    config.write(SETTINGS, &format!("[crowdsec]\n{text}\n"));
    match config.load() {
        Ok((plan, warnings)) => Ok((plan.crowdsec, brief(&warnings))),
        Err(found) => Err(brief(&found.0)),
    }
}

#[test]
fn f48_it_is_off_unless_said_otherwise() {
    for text in ["", "url = \"\"", "interval = \"30s\""] {
        let (settings, warnings) = crowdsec(text).unwrap();
        assert_eq!((settings.bouncer(), settings.machine()), (None, None));
        assert!(warnings.is_empty(), "{warnings:?}");
    }
}

#[test]
fn f48_all_that_can_be_said() {
    let (_dir, file) = key(0o640);
    let (settings, warnings) = crowdsec(&format!(
        "url = \"http://127.0.0.1:8080/v1/\"\nkey_file = \"{0}\"\nlogin_file = \"{0}\"\n\
         interval = \"1m\"\nmax_decisions = 5\nmin_prefix_v4 = 24\nmin_prefix_v6 = 48\n\
         usage = false\nsignatures = false",
        file.display()
    ))
    .unwrap();
    assert!(warnings.is_empty(), "{warnings:?}");
    let url = "http://127.0.0.1:8080";
    let expected = CrowdsecSettings {
        url: Some(url.to_owned()),
        key_file: Some(file.clone()),
        login_file: Some(file.clone()),
        interval: "1m".parse().unwrap(),
        max_decisions: 5,
        prefixes: PrefixLimits { v4: 24, v6: 48 },
        usage: false,
        signatures: false,
    };
    assert_eq!(settings, expected);
    let file: &Path = &file;
    assert_eq!((settings.bouncer(), settings.machine()), (Some((url, file)), Some((url, file))));
}

#[test]
fn f48_what_is_wrong_is_said_with_a_remedy() {
    let (_dir, file) = key(0o640);
    let file = file.display();
    let with_key = format!("key_file = \"{file}\"");
    for (text, expected) in [
        ("url = \"http://127.0.0.1:8080\"".to_owned(), "neither a key"),
        (with_key.clone(), "key_file is of no use without a url"),
        (format!("url = \"ftp://x\"\n{with_key}"), "no URL of http or https"),
        (format!("url = \"http://a:b@x\"\n{with_key}"), "user or a password"),
        (format!("url = \"http://x/?a=b\"\n{with_key}"), "more than the address"),
        (format!("url = 5\n{with_key}"), "url"),
        ("interval = \"2h\"".to_owned(), "too seldom"),
        ("max_decisions = 1000001".to_owned(), "between 1 and 1000000"),
        ("min_prefix_v4 = 7".to_owned(), "between 8 and 32"),
        ("key = \"x\"".to_owned(), "key"),
        ("login_file = \"x\"\nurl = \"http://127.0.0.1\"".to_owned(), "not absolute"),
    ] {
        let errors = crowdsec(&text).unwrap_err();
        assert!(errors.iter().any(|error| error.contains(expected)), "{text}: {errors:?}");
    }
}

#[test]
fn f48_secrets_that_others_can_read_and_open_networks_are_warned_of() {
    let (_dir, file) = key(0o644);
    let (_, warnings) = crowdsec(&format!(
        "url = \"http://lapi.example.net\"\nkey_file = \"{0}\"\nlogin_file = \"/nowhere/x\"",
        file.display()
    ))
    .unwrap();
    for expected in ["everybody on the way", "key can be read by everybody", "login cannot be read"]
    {
        assert!(warnings.iter().any(|warning| warning.contains(expected)), "{warnings:?}");
    }
}
