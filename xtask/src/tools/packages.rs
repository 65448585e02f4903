//! The one table of Debian packages: what is needed, by which verb, what for.

use std::path::Path;

/// A Debian package.
pub(crate) struct Package {
    pub(crate) name: &'static str,
    /// A file that is there when the package, or a like one, is installed.
    /// Looked at instead of asking dpkg, which takes longer than a whole set-up
    /// with nothing to do.
    proof: &'static str,
    pub(crate) purpose: &'static str,
    /// The service that it would start now and at every boot. Set-up masks it:
    /// running the tests must not put another SIP server on a machine's network.
    pub(crate) service: Option<&'static str>,
}

impl Package {
    const fn new(name: &'static str, proof: &'static str, purpose: &'static str) -> Self {
        Self { name, proof, purpose, service: None }
    }

    const fn masking(self, service: &'static str) -> Self {
        Self { service: Some(service), ..self }
    }

    pub(crate) fn is_installed(&self) -> bool {
        Path::new(self.proof).exists()
    }
}

/// For `setup`, `build` and everything that builds. Other packages own files
/// like rustc-web's and cargo-web's, so dpkg's own lists are their proofs.
pub(crate) const KERNEL_PROGRAM: &[Package] = &[
    Package::new(
        "rustc-web",
        "/var/lib/dpkg/info/rustc-web.list",
        "Rust compiler of the kernel program",
    ),
    Package::new("cargo-web", "/var/lib/dpkg/info/cargo-web.list", "cargo of that compiler"),
    Package::new(
        "libstd-rust-web-dev-bpf",
        "/usr/lib/rustlib/bpfel-unknown-none/lib",
        "Rust's core library for BPF",
    ),
    Package::new("llvm-22-dev", "/usr/lib/llvm-22/include/llvm-c/Core.h", "LLVM for bpf-linker"),
    Package::new("libpolly-22-dev", "/usr/lib/llvm-22/lib/libPolly.a", "LLVM for bpf-linker"),
    Package::new("lld-22", "/usr/lib/llvm-22/bin/lld", "linker of that compiler"),
    Package::new("zlib1g-dev", "/usr/include/zlib.h", "compression in LLVM"),
    Package::new("libzstd-dev", "/usr/include/zstd.h", "compression in LLVM"),
    Package::new("libxml2-dev", "/usr/include/libxml2/libxml/parser.h", "XML in LLVM"),
];

/// For `test`, `ci` and `demo`.
pub(crate) const TESTS: &[Package] = &[
    Package::new("iproute2", "/sbin/ip", "network namespaces of the tests"),
    Package::new("ethtool", "/usr/sbin/ethtool", "NAPI of interfaces under load"),
    Package::new("curl", "/usr/bin/curl", "asking the control socket by hand"),
    Package::new("procps", "/usr/bin/pgrep", "watching processes in the tests"),
    Package::new("tcpdump", "/usr/bin/tcpdump", "seeing what reached the server"),
    Package::new("tshark", "/usr/bin/tshark", "reading captures as an operator would"),
    Package::new("sngrep", "/usr/bin/sngrep", "a collector of mirrored packets"),
    Package::new("sipsak", "/usr/bin/sipsak", "a scanner, and a prober of trunks"),
    Package::new("sip-tester", "/usr/bin/sipp", "registrations and calls"),
    Package::new("baresip-core", "/usr/bin/baresip", "a softphone"),
    Package::new("kamailio", "/usr/sbin/kamailio", "a SIP server to protect")
        .masking("kamailio.service"),
    Package::new("chromium", "/usr/bin/chromium", "looking at the dashboard"),
    Package::new("chromium-driver", "/usr/bin/chromedriver", "driving that browser"),
    Package::new("prometheus", "/usr/bin/prometheus", "scraping metrics")
        .masking("prometheus.service"),
    Package::new(
        "libfaketime",
        "/var/lib/dpkg/info/libfaketime:amd64.list",
        "a wall clock of one program's own",
    ),
    Package::new("iptables", "/usr/sbin/iptables-legacy-restore", "rules to import, and a rival"),
    Package::new("nftables", "/usr/sbin/nft", "rules to import, and a rival"),
    Package::new("ipset", "/usr/sbin/ipset", "sets to import"),
    Package::new("fail2ban", "/usr/bin/fail2ban-server", "bans to import")
        .masking("fail2ban.service"),
    Package::new(
        "libsqlite3-0",
        "/var/lib/dpkg/info/libsqlite3-0:amd64.list",
        "the database of CrowdSec",
    ),
    Package::new(
        "debian-archive-keyring",
        "/usr/share/keyrings/debian-archive-keyring.gpg",
        "trusting the package of CrowdSec",
    ),
    PYTHON_VENV,
];

/// For `bench`, besides [`TESTS`].
pub(crate) const BENCH: &[Package] =
    &[Package::new("xdp-tools", "/usr/sbin/xdp-filter", "a filter to compare with")];

/// For `kernels` and `ci`.
pub(crate) const QEMU: Package =
    Package::new("qemu-system-x86", "/usr/bin/qemu-system-x86_64", "virtual machines");

/// The same, besides [`QEMU`].
pub(crate) const KERNELS: &[Package] = &[
    Package::new("xz-utils", "/usr/bin/xz", "unpacking modules of kernels"),
    Package::new("binutils", "/usr/bin/strip", "small programs for virtual machines"),
    Package::new("iproute2", "/sbin/ip", "network namespaces of the tests"),
    Package::new(
        "debian-archive-keyring",
        "/usr/share/keyrings/debian-archive-keyring.gpg",
        "trusting Debian's kernels",
    ),
];

/// For `fuzz` and `ci`.
pub(crate) const FUZZ: &[Package] =
    &[Package::new("g++", "/usr/bin/c++", "compiling libFuzzer, which is C++")];

/// For `dist` and `ci`.
pub(crate) const DIST: &[Package] = &[
    Package::new("dpkg", "/usr/bin/dpkg-deb", "packing and unpacking packages"),
    Package::new("binutils", "/usr/bin/strip", "smaller programs in packages"),
    Package::new(
        "debian-archive-keyring",
        "/usr/share/keyrings/debian-archive-keyring.gpg",
        "trusting the oldest Debian's C library",
    ),
];

/// For `dist --test` and `ci`.
pub(crate) const TRIALS: &[Package] = &[
    Package::new("mmdebstrap", "/usr/bin/mmdebstrap", "fresh Debian systems in folders"),
    Package::new("util-linux", "/usr/bin/unshare", "keeping these apart from the machine"),
];

/// For whatever uses sipvicious.
const PYTHON_VENV: Package = Package::new(
    "python3-venv",
    "/var/lib/dpkg/info/python3-venv.list",
    "a folder of its own for sipvicious",
);

/// Those of `packages` that this machine lacks.
pub(crate) fn missing(packages: &'static [Package]) -> Vec<&'static Package> {
    packages.iter().filter(|package| !package.is_installed()).collect()
}
