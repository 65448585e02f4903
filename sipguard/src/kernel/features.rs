//! Which kernels can run the programs, and what each has.

use aya::util::KernelVersion;

use super::{EgressMode, KernelError};

/// What the program needs, and the first kernel that has it.
const NEEDS: [(&str, KernelVersion); 3] = [
    ("bpf_loop (Linux 5.17)", KernelVersion::new(5, 17, 0)),
    ("bpf_xdp_load_bytes (Linux 5.18)", KernelVersion::new(5, 18, 0)),
    ("the verifier that sipguard is tested with", KernelVersion::new(6, 1, 0)),
];

/// Refuses a kernel below the floor and names what it lacks.
pub(super) fn check() -> Result<(), KernelError> {
    check_version(current()?)
}

/// The best way to see what leaves an interface.
pub(super) fn egress() -> Result<EgressMode, KernelError> {
    Ok(egress_of(current()?))
}

fn egress_of(found: KernelVersion) -> EgressMode {
    if found < KernelVersion::new(6, 6, 0) { EgressMode::Clsact } else { EgressMode::Tcx }
}

fn current() -> Result<KernelVersion, KernelError> {
    KernelVersion::current().map_err(|error| KernelError::Io {
        what: "reading the kernel's version",
        source: std::io::Error::other(error),
    })
}

fn check_version(found: KernelVersion) -> Result<(), KernelError> {
    match NEEDS.iter().find(|(_, since)| found < *since) {
        Some((missing, _)) => Err(KernelError::TooOld { found: name(found), missing }),
        None => Ok(()),
    }
}

/// As people write it. The type itself has its numbers in one word only: a byte
/// for the minor number, and one for the patch level, 255 at most.
fn name(version: KernelVersion) -> String {
    let code = version.code();
    format!("{}.{}.{}", code >> 16, code >> 8 & 0xff, code & 0xff)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_kernels_are_refused_by_what_they_lack() {
        let text = |major, minor| {
            check_version(KernelVersion::new(major, minor, 0)).err().map(|error| error.to_string())
        };
        assert!(text(5, 10).is_some_and(|text| text.contains("bpf_loop")));
        assert!(text(5, 10).is_some_and(|text| text.starts_with("Linux 5.10.0 is too old")));
        assert!(text(5, 17).is_some_and(|text| text.contains("bpf_xdp_load_bytes")));
        assert!(text(6, 0).is_some_and(|text| text.contains("6.1 or newer")));
        assert_eq!(text(6, 1), None);
        assert_eq!(text(7, 2), None);
    }

    #[test]
    fn what_leaves_is_seen_by_a_link_where_there_are_such() {
        let mode = |major, minor| egress_of(KernelVersion::new(major, minor, 0));
        assert_eq!([mode(6, 1), mode(6, 5)], [EgressMode::Clsact; 2]);
        assert_eq!([mode(6, 6), mode(7, 0)], [EgressMode::Tcx; 2]);
    }
}
