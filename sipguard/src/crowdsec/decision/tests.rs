use super::*;
use crate::policy::PrefixLimits;

fn settings() -> CrowdsecSettings {
    CrowdsecSettings { max_decisions: 1000, ..CrowdsecSettings::default() }
}

fn answer(text: &str) -> Result<Answer, CrowdsecError> {
    read(text.as_bytes(), &settings(), &mut Words::default())
}

fn one(scope: &str, kind: &str, value: &str, duration: &str) -> String {
    format!(
        r#"{{"id":7,"origin":"cscli","scenario":"manual","scope":"{scope}","type":"{kind}","value":"{value}","duration":"{duration}"}}"#
    )
}

fn news(decisions: &[String]) -> Answer {
    answer(&format!(r#"{{"deleted":null,"new":[{}]}}"#, decisions.join(","))).unwrap()
}

#[test]
fn f48_bans_of_addresses_and_ranges_are_read() {
    let read = news(&[
        one("Ip", "ban", "198.51.100.7", "3h59m49.4s"),
        one("ip", "Ban", "2001:db8::7", "1h"),
        one("Range", "ban", "192.0.2.0/24", "1h"),
        one("range", "ban", "2001:db8:7::/48", "1h"),
        one("Ip", "ban", "::ffff:198.51.100.9", "1h"),
    ]);
    let nets: Vec<String> = read.new.iter().map(|one| one.net.to_string()).collect();
    assert_eq!(
        nets,
        [
            "198.51.100.7/32",
            "2001:db8::7/128",
            "192.0.2.0/24",
            "2001:db8:7::/48",
            "198.51.100.9/32"
        ]
    );
    assert_eq!(read.new[0].left, Duration::from_millis(14_389_400));
    assert_eq!(read.left_out, LeftOut::default());
}

#[test]
fn f48_everything_else_is_left_out_and_counted() {
    let simulated = one("Ip", "ban", "198.51.100.7", "1h").replace("{", r#"{"simulated":true,"#);
    let read = news(&[
        one("Country", "ban", "FR", "1h"),
        one("AS", "ban", "64496", "1h"),
        one("Ip", "captcha", "198.51.100.7", "1h"),
        simulated,
        one("Ip", "ban", "nonsense", "1h"),
        one("Ip", "ban", "198.51.100.7", "soon"),
        one("Range", "ban", "0.0.0.0/0", "1h"),
        one("Range", "ban", "::/0", "1h"),
        one("Range", "ban", "10.0.0.0/8", "1h"),
        one("Ip", "ban", "198.51.100.7", "-3s"),
        "{}".to_owned(),
        r#"{"id":null,"scope":null,"value":null}"#.to_owned(),
    ]);
    assert!(read.new.is_empty(), "{:?}", read.new);
    let expected = LeftOut { kind: 2, scope: 4, unreadable: 3, wide: 2, ..LeftOut::default() };
    assert_eq!(read.left_out, expected);
}

#[test]
fn f48_null_and_missing_arrays_are_empty() {
    for text in [
        r#"{"deleted":null,"new":null}"#,
        r#"{"new":[]}"#,
        r#"{"deleted":[],"more":{"a":[1]},"new":null}"#,
    ] {
        let read = answer(text).unwrap();
        assert!(read.new.is_empty() && read.deleted.is_empty(), "{text}");
    }
    let text = format!(r#"{{"new":null,"deleted":[{}]}}"#, one("Ip", "ban", "192.0.2.1", "-1s"));
    assert_eq!(answer(&text).unwrap().deleted, [(parse_net("192.0.2.1").unwrap(), 7)]);
}

#[test]
fn f48_hostile_answers_are_refused_as_a_whole() {
    let good = one("Ip", "ban", "198.51.100.7", "1h");
    for text in [
        "",
        "null",
        "[]",
        "{}",
        "<html><title>502 Bad Gateway</title></html>",
        r#"{"message":"access forbidden"}"#,
        r#"{"new":{"id":1}}"#,
        r#"{"new":[1]}"#,
        r#"{"new":[{"id":-1}]}"#,
        r#"{"new":[{"id":1e99}]}"#,
        r#"{"new":[{"value":["a"]}]}"#,
        &format!(r#"{{"new":[{good}"#),
        &format!(r#"{{"new":[{good}]"#),
        &format!(r#"{{"new":[{good}]}} {{"new":null}}"#),
        &format!(r#"{{"new":[{good}],"more":{}"#, "[".repeat(10_000)),
        &format!(r#"{{"new":[{{"scenario":"{}"}}]}}"#, "a".repeat(100_000)),
    ] {
        let error = answer(text).unwrap_err().to_string();
        assert!(error.len() < 400 && !error.contains('\n'), "{text}: {error}");
    }
    let error = answer(&format!(r#"{{"new":[{}]}}"#, vec![good; 20_000].join(","))).unwrap_err();
    assert!(matches!(error, CrowdsecError::TooLarge(_)), "{error}");
}

#[test]
fn f48_what_is_more_than_fits_is_left_out() {
    let settings = CrowdsecSettings {
        max_decisions: 2,
        prefixes: PrefixLimits { v4: 24, v6: 64 },
        ..CrowdsecSettings::default()
    };
    let all: Vec<String> =
        (1..=5).map(|host| one("Ip", "ban", &format!("192.0.2.{host}"), "1h")).collect();
    let text = format!(r#"{{"new":[{}]}}"#, all.join(","));
    let read = read(text.as_bytes(), &settings, &mut Words::default()).unwrap();
    assert_eq!((read.new.len(), read.left_out.full), (2, 3));
}

/// A million decisions, as the largest local API would send them: none is lost,
/// and what is read of them stays small.
#[test]
fn f48_a_million_decisions_are_read() {
    struct Many {
        next: u32,
        line: Vec<u8>,
        at: usize,
    }
    impl Read for Many {
        fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
            if self.at == self.line.len() {
                self.line = match self.next {
                    0..1_000_000 => {
                        let address = std::net::Ipv4Addr::from(0x0b00_0000 + self.next);
                        let comma = if self.next == 0 { r#"{"new":["# } else { "," };
                        let one = one("Ip", "ban", &address.to_string(), "3h59m49.4s");
                        format!("{comma}{one}").into_bytes()
                    }
                    1_000_000 => b"],\"deleted\":null}".to_vec(),
                    _ => return Ok(0),
                };
                (self.next, self.at) = (self.next + 1, 0);
            }
            let count = buffer.len().min(self.line.len() - self.at);
            buffer[..count].copy_from_slice(&self.line[self.at..self.at + count]);
            self.at += count;
            Ok(count)
        }
    }
    let many = Many { next: 0, line: Vec::new(), at: 0 };
    let read = read(many, &CrowdsecSettings::default(), &mut Words::default()).unwrap();
    assert_eq!((read.new.len(), read.left_out), (1_000_000, LeftOut::default()));
    assert!(size_of::<Named>() <= 56, "{}", size_of::<Named>());
}
