//! Which kernels apt offers, and which of them is meant.

/// One version of the package that stands for Debian's current cloud kernel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Offer {
    /// Linux's own version: numbers from major to patch level.
    pub(super) linux: Vec<u32>,
    /// The package that has this kernel, or depends on those that have.
    pub(super) package: String,
}

impl Offer {
    pub(super) fn version(&self) -> String {
        let numbers: Vec<String> = self.linux.iter().map(u32::to_string).collect();
        numbers.join(".")
    }
}

/// Which kernel is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Series {
    /// The latest of a long-term series.
    Of(&'static [u32]),
    /// The latest of all.
    Newest,
}

impl Series {
    fn has(self, linux: &[u32]) -> bool {
        match self {
            Self::Of(series) => linux.starts_with(series),
            Self::Newest => true,
        }
    }

    /// The one that is meant.
    pub(super) fn choose(self, offers: &[Offer]) -> Option<&Offer> {
        offers.iter().filter(|offer| self.has(&offer.linux)).max_by_key(|offer| &offer.linux)
    }
}

/// What `apt-cache show --all-versions` says of the package that stands for the
/// current kernel.
pub(super) fn offers(shown: &str) -> Vec<Offer> {
    shown.split("\n\n").filter_map(offer).collect()
}

fn offer(stanza: &str) -> Option<Offer> {
    let package = dependencies(stanza).find(|name| name.starts_with("linux-image-"))?;
    Some(Offer { linux: linux(field(stanza, "Version")?), package: package.to_owned() })
}

/// The packages that have the parts of a kernel, as `apt-cache show` says of
/// its image: none where all is in the image.
pub(super) fn parts(shown: &str) -> Vec<String> {
    let is_part =
        |name: &&str| name.starts_with("linux-binary-") || name.starts_with("linux-modules-");
    dependencies(shown).filter(is_part).map(str::to_owned).collect()
}

/// Names of all packages that a stanza depends on.
fn dependencies(stanza: &str) -> impl Iterator<Item = &str> {
    let depends = field(stanza, "Depends").unwrap_or_default();
    depends.split([',', '|']).filter_map(|one| one.split_whitespace().next())
}

fn field<'a>(stanza: &'a str, name: &str) -> Option<&'a str> {
    stanza.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
}

/// `6.12.107-1` and `7.2.12-1~bpo13+1`: the numbers before Debian's part.
fn linux(version: &str) -> Vec<u32> {
    let upstream = version.split(['-', '+', '~']).next().unwrap_or_default();
    upstream.split('.').map_while(|number| number.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::{Offer, Series, linux, offers, parts};

    const SHOWN: &str = "Package: linux-image-cloud-amd64\nSource: linux\nVersion: 6.1.176-1\n\
        Depends: linux-image-6.1.0-50-cloud-amd64 (= 6.1.176-1)\n\n\
        Package: linux-image-cloud-amd64\nVersion: 7.2.12-1~bpo13+1\n\
        Depends: linux-base-cloud-amd64 (= 7.2.12-1~bpo13+1), linux-image-7.2.12+deb13-cloud-amd64\n\n\
        Package: linux-image-cloud-amd64\nVersion: 6.12.107-1\n\
        Depends: linux-image-6.12.107+deb13-cloud-amd64 (= 6.12.107-1)\n";

    #[test]
    fn all_versions_are_offered() {
        let found: Vec<String> = offers(SHOWN).iter().map(Offer::version).collect();
        assert_eq!(found, ["6.1.176", "7.2.12", "6.12.107"]);
    }

    #[test]
    fn a_series_is_not_another_that_begins_alike() {
        let offers = offers(SHOWN);
        let chosen = |series: Series| series.choose(&offers).map(|offer| offer.package.as_str());
        assert_eq!(chosen(Series::Of(&[6, 1])), Some("linux-image-6.1.0-50-cloud-amd64"));
        assert_eq!(chosen(Series::Of(&[6, 12])), Some("linux-image-6.12.107+deb13-cloud-amd64"));
        assert_eq!(chosen(Series::Newest), Some("linux-image-7.2.12+deb13-cloud-amd64"));
        assert_eq!(chosen(Series::Of(&[5, 10])), None);
    }

    #[test]
    fn the_latest_of_a_series_is_the_greatest_number() {
        let offer = |patch| Offer { linux: vec![6, 12, patch], package: format!("p{patch}") };
        let offers = [offer(9), offer(107), offer(94)];
        let chosen = Series::Of(&[6, 12]).choose(&offers).map(|offer| offer.package.as_str());
        assert_eq!(chosen, Some("p107"));
        assert_eq!(Series::Newest.choose(&[]), None);
    }

    #[test]
    fn parts_are_packages_of_their_own_since_linux_6_19() {
        let split = "Package: linux-image-7.2.12+deb13-cloud-amd64\n\
            Depends: dracut | linux-initramfs-tool, linux-base-7.2.12+deb13-cloud-amd64 (= 7), \
            linux-binary-7.2.12+deb13-cloud-amd64 (= 7), linux-modules-7.2.12+deb13-cloud-amd64 (= 7)\n";
        let expected =
            ["linux-binary-7.2.12+deb13-cloud-amd64", "linux-modules-7.2.12+deb13-cloud-amd64"];
        assert_eq!(parts(split), expected);
        assert!(parts("Package: x\nDepends: kmod, linux-base (>= 4.3~)\n").is_empty());
    }

    #[test]
    fn versions_are_numbers_up_to_debians_part() {
        assert_eq!(linux("5.10.223-1"), [5, 10, 223]);
        assert_eq!(linux("7.3~rc4-1~exp1"), [7, 3]);
        assert!(linux("").is_empty());
    }
}
