//! F50: what `sipguard doctor` finds on a wire of its own, and that it leaves
//! everything as it was.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use tests::rig::{
    foreign::{Foreign, NAME, Says},
    lab::{Lab, WAN},
    policy::{Folder, Policy},
    process,
    sipguard::{Sipguard, client},
    tool::{Tool, can_run},
};

const TOOLS: &[Tool] = &[Tool::Ip, Tool::Sipguard];

const PATIENCE: Duration = Duration::from_secs(20);

/// The answer as JSON, and the exit code.
fn doctor(lab: &Lab, config: &Folder) -> Result<(Value, Option<i32>)> {
    let socket = lab.folder().join("control.sock");
    let mut command = client(lab, &socket, &["doctor", "--json", "--iface", WAN])?;
    let answer = process::run(command.arg("--config").arg(config.path()), PATIENCE)?;
    let json = serde_json::from_slice(&answer.stdout).with_context(|| format!("{answer}"))?;
    Ok((json, answer.code()))
}

/// The findings of a check.
fn of<'a>(answer: &'a Value, check: &str) -> Vec<&'a Value> {
    let all = answer["findings"].as_array().into_iter().flatten();
    all.filter(|one| one["check"] == check).collect()
}

/// The only finding of a check.
fn one<'a>(answer: &'a Value, check: &str) -> Result<&'a Value> {
    match of(answer, check).as_slice() {
        [one] => Ok(one),
        other => anyhow::bail!("{check}: {other:?}"),
    }
}

fn set_up(lab: &Lab) -> Result<Folder> {
    let config = Folder::new(lab.folder().join("config"))?;
    Policy::usual()?.write(&config)?;
    Ok(config)
}

#[test]
fn f50_a_good_wire_is_found_good_before_and_during_protection() -> Result<()> {
    if !can_run(TOOLS) {
        return Ok(());
    }
    let lab = Lab::new()?;
    let config = set_up(&lab)?;
    let (answer, code) = doctor(&lab, &config)?;
    ensure!(code == Some(0), "{code:?}: {answer:#}");
    for check in ["kernel", "binary", "rights", "configuration", "interface", "mtu", "programs"] {
        ensure!(one(&answer, check)?["level"] == "ok", "{answer:#}");
    }
    let driver = one(&answer, "driver")?;
    ensure!(driver["interface"] == WAN, "{driver}");
    ensure!(driver["found"] == "driver veth can run XDP itself", "{driver}");
    ensure!(one(&answer, "daemon")?["found"] == "sipguard does not run", "{answer:#}");
    ensure!(lab.xdp_program(WAN)?.is_none(), "the doctor has attached something");

    let sipguard = Sipguard::start(&lab, &Policy::usual()?, &["--iface", WAN])?;
    let program = lab.xdp_program(WAN)?;
    let (answer, code) = doctor(&lab, &config)?;
    ensure!(code == Some(0), "{code:?}: {answer:#}");
    let driver = one(&answer, "driver")?;
    ensure!(driver["found"] == "driver veth: sipguard is attached in mode native", "{driver}");
    ensure!(one(&answer, "programs")?["level"] == "ok", "{answer:#}");
    ensure!(one(&answer, "daemon")?["level"] == "ok", "{answer:#}");
    ensure!(lab.xdp_program(WAN)? == program, "the doctor has touched the filter");
    sipguard.stop()?.success().map(drop)
}

#[test]
fn f50_what_is_in_the_way_is_named_with_a_way_out() -> Result<()> {
    if !can_run(TOOLS) {
        return Ok(());
    }
    let lab = Lab::new()?;
    let config = set_up(&lab)?;
    let _foreign = Foreign::attach(&lab, WAN)?;
    let (answer, code) = doctor(&lab, &config)?;
    ensure!((code, &answer["worst"]) == (Some(1), &"problem".into()), "{code:?}: {answer:#}");
    let found = one(&answer, "programs")?;
    ensure!(found["level"] == "problem", "{found}");
    ensure!(found["found"].as_str().is_some_and(|text| text.contains(NAME)), "{found}");
    ensure!(found["remedy"].as_str().is_some_and(|text| text.contains("xdp off")), "{found}");

    config.put("sipguard.toml", "[policy]\nposture = \"ajar\"\n")?;
    let (answer, code) = doctor(&lab, &config)?;
    ensure!(code == Some(1), "{answer:#}");
    ensure!(one(&answer, "configuration")?["level"] == "problem", "{answer:#}");
    Ok(())
}

#[test]
fn f50_programs_at_the_way_out_are_worth_a_note() -> Result<()> {
    if !can_run(TOOLS) {
        return Ok(());
    }
    let lab = Lab::new()?;
    let config = set_up(&lab)?;
    let _foreign = Foreign::attach_egress(&lab, WAN, Says::Next)?;
    let (answer, code) = doctor(&lab, &config)?;
    ensure!(code == Some(0), "{answer:#}");
    let found = one(&answer, "programs")?;
    ensure!(found["level"] == "note", "{found}");
    ensure!(found["found"].as_str().is_some_and(|text| text.contains(NAME)), "{found}");
    Ok(())
}
