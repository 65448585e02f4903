//! `sipguard posture`

use clap::ValueEnum;

use super::{
    exit::Failure,
    out::{print_json, print_line, say},
};
use crate::api::{
    client::Client,
    wire::{Origin, Posture, PostureWish},
};

/// Show how strict the filter is, or change it at once
///
/// What is chosen here holds over reloads, until `sipguard posture file` or
/// the end of sipguard.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The posture from now on; `file` is what sipguard.toml says [default:
    /// show the present one]
    posture: Option<Wish>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Wish {
    /// Lists and signatures only
    Open,
    /// Strangers are limited
    Guarded,
    /// A quarter of those limits; OPTIONS of strangers are dropped, and wrong
    /// passwords ban sooner
    Attack,
    /// Trusted sources, and those with somebody verified, only
    Closed,
    /// What sipguard.toml says
    File,
}

impl Wish {
    const fn name(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Guarded => "guarded",
            Self::Attack => "attack",
            Self::Closed => "closed",
            Self::File => "file",
        }
    }
}

pub(super) fn run(args: &Args, client: &Client) -> Result<(), Failure> {
    let Some(wish) = args.posture else {
        let posture = client.posture()?;
        return match args.json {
            true => print_json(&posture),
            false => print_line(&view(&posture)),
        };
    };
    let changed = client.set_posture(&PostureWish { posture: wish.name().to_owned() })?;
    if args.json {
        return print_json(&changed);
    }
    print_line(&format!("posture {}", view(&changed.new)))?;
    for note in &changed.notes {
        say(note);
    }
    say(&format!("undo: {}", changed.undo));
    Ok(())
}

/// `closed (by operator; sipguard.toml says guarded)`.
pub(super) fn view(Posture { posture, origin, file }: &Posture) -> String {
    match origin {
        Origin::File | Origin::Feed | Origin::Crowdsec => format!("{posture} (by file)"),
        Origin::Operator => format!("{posture} (by operator; sipguard.toml says {file})"),
    }
}
