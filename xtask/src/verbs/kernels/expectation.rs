//! What is expected of each kernel.

use crate::tools::kernels::Series;

/// What is looked at on each kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Check {
    /// The program loads, within its budget of instructions.
    Load,
    /// It judges the corpus as everywhere.
    Corpus,
    /// It protects a veth in the driver.
    Native,
    /// It protects a veth in the network stack.
    Generic,
    /// It sees what leaves a veth, by what the kernel has for it.
    Egress,
    /// Filter, lists and counters outlive the daemon, and the next one takes over.
    Kept,
}

impl Check {
    pub(super) const ALL: [Self; 6] =
        [Self::Load, Self::Corpus, Self::Native, Self::Generic, Self::Egress, Self::Kept];

    pub(super) const fn title(self) -> &'static str {
        match self {
            Self::Load => "LOADS",
            Self::Corpus => "CORPUS",
            Self::Native => "NATIVE",
            Self::Generic => "GENERIC",
            Self::Egress => "EGRESS",
            Self::Kept => "KEPT",
        }
    }
}

/// What a check should come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Expected {
    Works,
    /// sipguard says that the kernel is too old, and ends.
    Refused,
    /// Nothing to look at: it does not load.
    Nothing,
}

/// One kernel.
#[derive(Debug)]
pub(crate) struct Expectation {
    /// As the command line names it.
    pub(super) name: &'static str,
    pub(super) series: Series,
    load: Expected,
    corpus: Expected,
    native: Expected,
    generic: Expected,
    egress: Expected,
    kept: Expected,
}

impl Expectation {
    pub(super) const fn of(&self, check: Check) -> Expected {
        match check {
            Check::Load => self.load,
            Check::Corpus => self.corpus,
            Check::Native => self.native,
            Check::Generic => self.generic,
            Check::Egress => self.egress,
            Check::Kept => self.kept,
        }
    }

    /// The checks that there are on this kernel.
    pub(super) fn checks(&self) -> impl Iterator<Item = Check> {
        Check::ALL.into_iter().filter(|check| self.of(*check) != Expected::Nothing)
    }
}

const WORKS: Expectation = Expectation {
    name: "",
    series: Series::Newest,
    load: Expected::Works,
    corpus: Expected::Works,
    native: Expected::Works,
    generic: Expected::Works,
    egress: Expected::Works,
    kept: Expected::Works,
};

/// All kernels. The floor is 6.1.
pub(super) const ALL: &[Expectation] = &[
    Expectation {
        name: "5.10",
        series: Series::Of(&[5, 10]),
        load: Expected::Refused,
        corpus: Expected::Nothing,
        native: Expected::Nothing,
        generic: Expected::Nothing,
        egress: Expected::Nothing,
        kept: Expected::Nothing,
    },
    Expectation { name: "6.1", series: Series::Of(&[6, 1]), ..WORKS },
    Expectation { name: "6.12", series: Series::Of(&[6, 12]), ..WORKS },
    Expectation { name: "newest", series: Series::Newest, ..WORKS },
];

/// The kernel that is named so on the command line.
pub(super) fn find(name: &str) -> Result<&'static Expectation, String> {
    ALL.iter().find(|expectation| expectation.name == name).ok_or_else(|| {
        let names: Vec<_> = ALL.iter().map(|expectation| expectation.name).collect();
        format!("known are {}", names.join(", "))
    })
}

#[cfg(test)]
mod tests {
    use super::{ALL, Check, Expected, find};
    use crate::tools::kernels::Series;

    #[test]
    fn from_the_floor_on_everything_works() {
        for expectation in ALL {
            let supported = match expectation.series {
                Series::Of(series) => series >= &[6, 1],
                Series::Newest => true,
            };
            let expected = if supported { Expected::Works } else { Expected::Refused };
            assert_eq!(expectation.of(Check::Load), expected, "{}", expectation.name);
            let checks = if supported { Check::ALL.len() } else { 1 };
            assert_eq!(expectation.checks().count(), checks, "{}", expectation.name);
        }
    }

    #[test]
    fn kernels_are_found_by_name() {
        assert_eq!(find("6.12").map(|found| found.series), Ok(Series::Of(&[6, 12])));
        assert!(find("6").is_err_and(|error| error.contains("6.1, 6.12, newest")));
    }
}
