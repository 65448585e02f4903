//! `manual`: the pages of the manual, for those who make packages.

use std::{
    fs::File,
    io,
    path::{Path, PathBuf},
};

use clap::Command;
use clap_mangen::Man;

use super::exit::{Exit, Failure};

/// The part of the manual for commands of administrators.
const SECTION: &str = "8";

/// Write a page of the manual for sipguard and for each verb
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The directory to write to
    #[arg(value_name = "DIR")]
    dir: PathBuf,
}

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    let mut command = super::command();
    command.build();
    let pages = [&command].into_iter().chain(command.get_subcommands());
    for page in pages.filter(|page| !page.is_hide_set()) {
        write(page, &args.dir).map_err(|error| {
            let message = format!("cannot write to {}: {error}", args.dir.display());
            Failure::new(Exit::Failure, message, None)
        })?;
    }
    Ok(())
}

fn write(page: &Command, dir: &Path) -> io::Result<()> {
    // `sipguard-block`, which is what `man sipguard block` looks for.
    let name = page.get_display_name().unwrap_or_else(|| page.get_name());
    let mut file = File::create(dir.join(format!("{name}.{SECTION}")))?;
    Man::new(page.clone())
        .section(SECTION)
        .source(concat!("sipguard ", env!("CARGO_PKG_VERSION")))
        .manual("System administration")
        .render(&mut file)
}
