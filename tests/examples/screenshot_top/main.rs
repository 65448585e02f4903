//! Makes docs/top.svg: `sipguard top` under a small attack, as a terminal shows
//! it. Needs root and a built sipguard:
//! `cargo run -p tests --example screenshot_top`.

mod attack;
mod svg;

use std::{fs, process::Command, time::Duration};

use anyhow::{Context as _, Result};
use tests::rig::{
    lab::{Lab, WAN},
    policy::Policy,
    sipguard::Sipguard,
    terminal::Terminal,
    tool::{Tool, root},
};

/// Columns and rows of the picture.
const SIZE: (u16, u16) = (120, 40);

/// How long anything here may take.
const PATIENCE: Duration = Duration::from_secs(20);

fn main() -> Result<()> {
    let lab = Lab::new()?;
    let sipguard = Sipguard::start(&lab, &Policy::usual()?, &["--iface", WAN])?;
    let mut command = Command::new(Tool::Sipguard.path()?);
    command.arg("--socket").arg(sipguard.socket()).arg("top");
    command.env_remove("NO_COLOR");
    let mut top = Terminal::start(&mut command, SIZE.0, SIZE.1)?;
    top.wait("a second", PATIENCE, |screen| screen.shows("guarded"))?;
    sipguard.command(&["block", "198.51.100.66", "--reason", "INVITE floods"])?.success()?;
    let attack = attack::watch(&lab)?;
    let screen = top.screen();
    drop(attack);
    print!("{screen}");
    let file = root().join("docs/top.svg");
    fs::write(&file, svg::picture(&screen))
        .with_context(|| format!("cannot write {}", file.display()))?;
    top.press("q")?;
    top.ended(PATIENCE)?;
    Ok(())
}
