//! The clock.

use nix::libc;

use super::{Check, Finding};

pub(super) fn examine() -> Option<Finding> {
    // SAFETY: all of it is numbers, for which zero is a value.
    let mut timex: libc::timex = unsafe { std::mem::zeroed() };
    // SAFETY: `modes` is 0, so the kernel only fills in what we own.
    let answer = unsafe { libc::adjtimex(&raw mut timex) };
    (answer >= 0).then(|| judge(timex.status & libc::STA_UNSYNC == 0))
}

fn judge(synchronised: bool) -> Finding {
    match synchronised {
        true => Finding::ok(Check::Clock, "the clock is synchronised"),
        false => Finding::warning(Check::Clock, "the clock is not synchronised")
            .why(
                "ends in blacklist.toml, ends over a restart and all times in the history go by it",
            )
            .remedy("timedatectl set-ntp true"),
    }
}

#[cfg(test)]
mod tests {
    use super::{super::Level, *};

    #[test]
    fn a_clock_that_nobody_sets_is_a_warning() {
        assert_eq!([judge(true).level, judge(false).level], [Level::Ok, Level::Warning]);
        assert!(examine().is_some());
    }
}
