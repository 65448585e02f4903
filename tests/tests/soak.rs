//! The code of `cargo xtask soak`, for a minute.

use std::time::Duration;

use anyhow::{Result, ensure};
use tests::{
    rig::tool::{Tool, can_run},
    soak::{self, Deed, Wish},
};

const TOOLS: &[Tool] = &[Tool::Ip, Tool::Sipguard];

/// Long enough for the whole deck, of which two are drawn a second.
const LENGTH: Duration = Duration::from_secs(75);

#[test]
fn a_minute_of_everything_grows_nothing_and_loses_nothing() -> Result<()> {
    if !can_run(TOOLS) {
        return Ok(());
    }
    let wish = Wish { length: LENGTH, seed: 20, ..Wish::default() };
    let summary = soak::run(&wish, |line| println!("{line}"))?;
    for deed in [Deed::Kill, Deed::Restart, Deed::LinkDown, Deed::FullDisk, Deed::Flood] {
        ensure!(summary.count(deed) > 0, "{deed:?} was not done: {summary}");
    }
    Ok(())
}
