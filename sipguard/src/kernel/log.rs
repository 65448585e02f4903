//! The kernel program's own log, by aya-log: a few lines for those who look for
//! a fault, off unless asked for, never one per packet in good times.

use aya::Ebpf;
use aya_log::EbpfLogger;

use super::KernelError;

/// How much the kernel program logs; the numbers are aya-log's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub enum LogLevel {
    #[default]
    Off = 0,
    Debug = 4,
}

/// Target of the program's lines for filters.
pub const LOG_TARGET: &str = "sipguard_ebpf";

/// Lines that the kernel program has written and nobody has read: at most 128
/// KiB of them, those that find no room are lost.
pub struct ProgramLog(EbpfLogger<&'static dyn log::Log>);

impl ProgramLog {
    pub(super) fn take(ebpf: &mut Ebpf) -> Result<Self, KernelError> {
        EbpfLogger::init(ebpf).map(Self).map_err(|error| KernelError::Io {
            what: "opening the kernel program's log",
            source: std::io::Error::other(error),
        })
    }

    /// Hands all lines to the log of this process.
    pub fn flush(&mut self) {
        self.0.flush();
    }
}
