//! `sipguard import`

use std::{
    fs::File,
    io::{self, Read as _},
    path::{Path, PathBuf},
};

use clap::ValueEnum as _;
use jiff::Timestamp;

use super::{
    exit::{Exit, Failure},
    out::{print, say},
};
use crate::{
    daemon::Host,
    import::{Aim, Format, ImportError, Imported, MAX_BYTES, Options, Part, import},
    ttl::Ttl,
};

/// Turn rules, bans and lists of peers of other programs into TOML
///
/// Nothing is written anywhere. What is not carried over is a comment that says
/// why. Look through it before you use it.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// What the file is
    #[arg(value_enum)]
    format: Format,
    /// The file, or - for stdin
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Print this file of the configuration only
    #[arg(long = "file", value_enum, value_name = "PART")]
    part: Option<Part>,
    /// Where sources go of which the file does not say what they are for
    #[arg(long, value_enum)]
    into: Option<Aim>,
    /// Only this set, group, jail or list; may be given several times
    #[arg(long, value_name = "NAME")]
    list: Vec<String>,
    /// A port that is SIP's, in rules of packet filters [default: 5060, 5061]
    #[arg(long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    port: Vec<u16>,
    /// How long a ban lasts of which the file names no end [default: 1d]
    #[arg(long, value_name = "DURATION")]
    ttl: Option<Ttl>,
}

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    suits(args, args.format)?;
    let name = args.file.display().to_string();
    let failure = |message: String, hint: Option<String>| {
        Failure::new(Exit::Failure, format!("{name}: {message}"), hint)
    };
    let bytes = read(&args.file).map_err(|error| failure(error.to_string(), None))?;
    let options = Options {
        into: args.into,
        lists: args.list.clone(),
        // Where they cannot be read, `run` still protects them.
        own: Host::read().unwrap_or_default().addresses,
        ..Options::default()
    };
    let options = Options {
        ports: if args.port.is_empty() { options.ports } else { args.port.clone() },
        ttl: args.ttl.unwrap_or(options.ttl),
        ..options
    };
    let shown = if is_stdin(&args.file) { "stdin" } else { &name };
    let imported = import(&bytes, shown, args.format, &options, Timestamp::now())
        .map_err(|error: ImportError| failure(error.to_string(), Some(error.remedy())))?;
    suits(args, imported.format)?;
    let parts: Vec<&str> = match args.part {
        Some(part) => vec![imported.file(part)],
        None => imported.files.iter().map(|(_, text)| text.as_str()).collect(),
    };
    print(parts.join("\n").trim_end())?;
    summary(&imported);
    Ok(())
}

/// Options that would do nothing are mistakes.
fn suits(args: &Args, format: Format) -> Result<(), Failure> {
    let no = |option: &str| {
        let message = format!("{option} does nothing for {}", format.name());
        Err(Failure::new(Exit::Usage, message, Some(format!("leave {option} out"))))
    };
    if format == Format::Auto {
        return Ok(());
    }
    if args.into.is_some() && !format.can_aim() {
        return no("--into");
    }
    if !args.list.is_empty() && !format.has_lists() {
        return no("--list");
    }
    if !args.port.is_empty() && !matches!(format, Format::Iptables | Format::Nft) {
        return no("--port");
    }
    if args.ttl.is_some() && format != Format::Fail2ban {
        return no("--ttl");
    }
    Ok(())
}

fn is_stdin(path: &Path) -> bool {
    path == Path::new("-")
}

/// At most one byte more than is allowed, which the importer refuses.
fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    if is_stdin(path) {
        io::stdin().lock().take(MAX_BYTES + 1).read_to_end(&mut bytes)?;
    } else {
        File::open(path)?.take(MAX_BYTES + 1).read_to_end(&mut bytes)?;
    }
    Ok(bytes)
}

fn summary(imported: &Imported) {
    let Imported { format, carried, left, merged, warnings, .. } = imported;
    let merged = if *merged == 0 { String::new() } else { format!(" ({merged} of them twice)") };
    say(&format!("{}: carried over {carried}{merged}, left {left}", format.name()));
    if *left > 0 {
        say("what was left stands in the output as comments, each with the reason");
    }
    if *warnings > 0 {
        let files: Vec<&str> = Part::value_variants().iter().map(|part| part.file()).collect();
        say(&format!(
            "`sipguard check` will warn of {warnings} of it: put it into {} of a directory, and \
             look",
            files.join(", ")
        ));
    }
}
