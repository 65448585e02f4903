//! The two texts that scrapers read.

use std::fmt::Write as _;

use super::{METRICS, Metric, Type};

/// How metrics are written down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// OpenMetrics 1.0, for who asks for it.
    OpenMetrics,
    /// The older text format of Prometheus, which every tool reads.
    Plain,
}

impl Format {
    /// What a scraper asks for by its header `Accept`.
    #[must_use]
    pub fn accepted(accept: Option<&str>) -> Self {
        let asked = accept.is_some_and(|accept| accept.contains("application/openmetrics-text"));
        if asked { Self::OpenMetrics } else { Self::Plain }
    }

    /// The header `Content-Type` of the answer.
    #[must_use]
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Self::Plain => "text/plain; version=0.0.4; charset=utf-8",
        }
    }
}

/// OpenMetrics in the older format: it names families as their samples are
/// named, and knows no information. A line that begins with `#` is a head, for
/// values of labels have no line breaks.
pub(super) fn plain(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    for line in text.lines() {
        match line.strip_prefix("# ") {
            None => plain.extend([line, "\n"]),
            Some(head) => plain.extend(metric(head).map(head_of)),
        }
    }
    plain
}

/// The metric of a line that says its type.
fn metric(head: &str) -> Option<&'static Metric> {
    let family = head.strip_prefix("TYPE ")?.split(' ').next()?;
    METRICS.iter().find(|metric| metric.family == family)
}

fn head_of(metric: &Metric) -> String {
    let kind = match metric.kind {
        Type::Counter => "counter",
        Type::Gauge | Type::Info => "gauge",
    };
    let (name, mut head) = (metric.name(), String::new());
    // A String takes everything.
    let _ = writeln!(head, "# HELP {name} {}\n# TYPE {name} {kind}", metric.help);
    head
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scrapers_get_what_they_ask_for() {
        let prometheus = "application/openmetrics-text;version=1.0.0,\
                          application/openmetrics-text;version=0.0.1;q=0.75,\
                          text/plain;version=0.0.4;q=0.5,*/*;q=0.1";
        assert_eq!(Format::accepted(Some(prometheus)), Format::OpenMetrics);
        assert_eq!(Format::accepted(Some("*/*")), Format::Plain);
        assert_eq!(Format::accepted(None), Format::Plain);
    }

    #[test]
    fn the_older_format_has_names_as_in_queries() {
        let text = "# HELP sipguard_packets What\n# TYPE sipguard_packets counter\n\
                    sipguard_packets_total{rule=\"# TYPE\"} 1\n# HELP sipguard_build What\n\
                    # TYPE sipguard_build info\nsipguard_build_info{version=\"1\"} 1\n# EOF\n";
        let (packets, build) = (&METRICS[0], METRICS.iter().find(|one| one.kind == Type::Info));
        let expected = format!(
            "# HELP sipguard_packets_total {}\n# TYPE sipguard_packets_total counter\n\
             sipguard_packets_total{{rule=\"# TYPE\"}} 1\n",
            packets.help
        );
        let plain = plain(text);
        assert!(plain.starts_with(&expected), "{plain}");
        assert!(build.is_some() && plain.contains("# TYPE sipguard_build_info gauge\n"), "{plain}");
        assert!(plain.ends_with("sipguard_build_info{version=\"1\"} 1\n"), "{plain}");
    }
}
