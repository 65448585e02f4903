//! Somebody else's programs, which sipguard must leave alone.

use std::{
    ffi::CString,
    io,
    os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd},
};

use anyhow::{Context as _, Result};
use nix::{libc, net::if_::if_nametoindex};

use super::lab::Lab;

/// Its name, as the kernel knows it.
pub const NAME: &str = "somebody_elses";

// From linux/bpf.h.
const BPF_PROG_LOAD: libc::c_long = 5;
const BPF_LINK_CREATE: libc::c_long = 28;
const BPF_PROG_TYPE_SCHED_CLS: u32 = 3;
const BPF_PROG_TYPE_XDP: u32 = 6;
const BPF_XDP: u32 = 37;
const BPF_TCX_EGRESS: u32 = 47;
const XDP_FLAGS_DRV_MODE: u32 = 1 << 2;
const XDP_PASS: i32 = 2;

/// What a program at the way out says of every packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i32)]
pub enum Says {
    /// The next program shall decide.
    Next = -1,
    Drop = 2,
}

/// The beginning of `union bpf_attr` for `BPF_PROG_LOAD`.
#[repr(C)]
struct Load {
    kind: u32,
    instruction_count: u32,
    instructions: u64,
    license: u64,
    log_level: u32,
    log_size: u32,
    log_buffer: u64,
    kernel_version: u32,
    flags: u32,
    name: [u8; 16],
    ifindex: u32,
    expected_attach_type: u32,
}

/// The beginning of `union bpf_attr` for `BPF_LINK_CREATE`.
#[repr(C)]
struct Link {
    program: u32,
    ifindex: u32,
    attach_type: u32,
    flags: u32,
}

const _: () = assert!(size_of::<Load>() == 72 && size_of::<Link>() == 16);

/// A program that says the same of every packet, attached as long as this lives.
#[derive(Debug)]
pub struct Foreign {
    _link: OwnedFd,
}

impl Foreign {
    /// Attaches an XDP program that passes everything to an interface of the
    /// server, natively.
    ///
    /// # Errors
    /// Where the kernel refuses.
    pub fn attach(lab: &Lab, interface: &str) -> Result<Self> {
        let program = load(BPF_PROG_TYPE_XDP, BPF_XDP, XDP_PASS)?;
        Self::link(lab, interface, &program, BPF_XDP, XDP_FLAGS_DRV_MODE)
    }

    /// Attaches a program to what leaves an interface of the server, behind
    /// those that are there. From Linux 6.6.
    ///
    /// # Errors
    /// Where the kernel refuses.
    pub fn attach_egress(lab: &Lab, interface: &str, says: Says) -> Result<Self> {
        let program = load(BPF_PROG_TYPE_SCHED_CLS, 0, says as i32)?;
        Self::link(lab, interface, &program, BPF_TCX_EGRESS, 0)
    }

    fn link(
        lab: &Lab,
        interface: &str,
        program: &OwnedFd,
        attach_type: u32,
        flags: u32,
    ) -> Result<Self> {
        let link = lab
            .server()
            .enter(|| {
                let link = Link {
                    program: program.as_raw_fd().cast_unsigned(),
                    ifindex: if_nametoindex(interface)?,
                    attach_type,
                    flags,
                };
                bpf(BPF_LINK_CREATE, &link)
            })
            .context("cannot attach another program")?;
        Ok(Self { _link: link })
    }
}

/// `r0 = says; exit`
fn load(kind: u32, expected_attach_type: u32, says: i32) -> Result<OwnedFd> {
    let instructions = [u64::from(says.cast_unsigned()) << 32 | 0xb7, 0x95];
    let license = CString::new("GPL")?;
    let mut name = [0; 16];
    for (place, byte) in name.iter_mut().zip(NAME.bytes()) {
        *place = byte;
    }
    bpf(
        BPF_PROG_LOAD,
        &Load {
            kind,
            instruction_count: instructions.len().try_into()?,
            instructions: instructions.as_ptr() as u64,
            license: license.as_ptr() as u64,
            log_level: 0,
            log_size: 0,
            log_buffer: 0,
            kernel_version: 0,
            flags: 0,
            name,
            ifindex: 0,
            expected_attach_type,
        },
    )
    .context("cannot load another program")
}

fn bpf<T>(command: libc::c_long, attributes: &T) -> io::Result<OwnedFd> {
    // SAFETY: `attributes` is the beginning of `union bpf_attr` for this command
    // with its size beside it, and what it points to lives as long.
    let result =
        unsafe { libc::syscall(libc::SYS_bpf, command, &raw const *attributes, size_of::<T>()) };
    match i32::try_from(result) {
        // SAFETY: a new descriptor, which nobody else knows.
        Ok(fd @ 0..) => Ok(unsafe { OwnedFd::from_raw_fd(fd) }),
        _ => Err(io::Error::last_os_error()),
    }
}
