//! `program-info`: how large the kernel programs are. For those who build
//! sipguard; the build prints it.

use super::{
    exit::{Exit, Failure},
    out::print,
};
use crate::{
    daemon::RunError,
    kernel::{Kernel, ProgramInfo, instruction_budget},
};

/// Load the kernel programs, attach them nowhere, and print their sizes
#[derive(Debug, clap::Args)]
pub(super) struct Args {}

pub(super) fn run(_: &Args) -> Result<(), Failure> {
    let infos =
        Kernel::load().and_then(|kernel| kernel.program_info()).map_err(RunError::Kernel)?;
    let budget = instruction_budget();
    for (name, info) in infos.named() {
        let ProgramInfo { verified_instructions, translated_bytes, jited_bytes } = info;
        print(&format!(
            "{name}: {verified_instructions} verified instructions (budget {budget}), \
             {translated_bytes} bytes of BPF, {jited_bytes} bytes of machine code"
        ))?;
    }
    let over = |info: ProgramInfo| info.verified_instructions > budget;
    if let Some((name, _)) = infos.named().into_iter().find(|(_, info)| over(*info)) {
        let message = format!("the {name} program is over its budget of verified instructions");
        return Err(Failure::new(Exit::Failure, message, None));
    }
    Ok(())
}
