//! `program-info`: how large the kernel program is. For those who build
//! sipguard; the build prints it.

use super::{
    exit::{Exit, Failure},
    out::print,
};
use crate::{
    daemon::RunError,
    kernel::{Kernel, ProgramInfo, instruction_budget},
};

/// Load the kernel program, attach it nowhere, and print its sizes
#[derive(Debug, clap::Args)]
pub(super) struct Args {}

pub(super) fn run(_: &Args) -> Result<(), Failure> {
    let info = Kernel::load().and_then(|kernel| kernel.program_info()).map_err(RunError::Kernel)?;
    let ProgramInfo { verified_instructions, translated_bytes, jited_bytes } = info;
    let budget = instruction_budget();
    print(&format!(
        "{verified_instructions} verified instructions (budget {budget}), \
         {translated_bytes} bytes of BPF, {jited_bytes} bytes of machine code"
    ))?;
    if verified_instructions > budget {
        let message = "the kernel program is over its budget of verified instructions";
        return Err(Failure::new(Exit::Failure, message, None));
    }
    Ok(())
}
