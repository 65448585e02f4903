//! Errors of attaching, as the kernel gives them.

use std::io;

use aya::programs::{ProgramError, tc::TcError};

pub(super) const EPERM: i32 = 1;
pub(super) const ENOENT: i32 = 2;
pub(super) const EBUSY: i32 = 16;
pub(super) const EEXIST: i32 = 17;
pub(super) const ERANGE: i32 = 34;
pub(super) const ENOLINK: i32 = 67;
pub(super) const EOPNOTSUPP: i32 = 95;

pub(super) fn errno(error: &ProgramError) -> Option<i32> {
    match error {
        ProgramError::SyscallError(error) => error.io_error.raw_os_error(),
        ProgramError::TcError(TcError::NetlinkError(error)) | ProgramError::NetlinkError(error) => {
            error.raw_os_error()
        }
        ProgramError::TcError(TcError::IoError(error)) => error.raw_os_error(),
        _ => None,
    }
}

/// In words, where there are none of our own.
pub(super) fn reason(error: &ProgramError) -> String {
    match errno(error) {
        Some(code) => io::Error::from_raw_os_error(code).to_string(),
        None => error.to_string(),
    }
}
