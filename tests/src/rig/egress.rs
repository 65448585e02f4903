//! What sees the packets that leave an interface of the server, as the kernel
//! and `tc` say.

use std::{io, time::Duration};

use anyhow::{Context as _, Result, ensure};
use aya::programs::{SchedClassifier, TcAttachType};
use nix::sys::utsname::uname;
use serde_json::Value;

use super::{
    lab::Lab,
    process::{self, Finished},
    tool::Tool,
};

/// Time limit of one call of `tc`.
const LIMIT: Duration = Duration::from_secs(20);

/// Whether this kernel has links for what leaves (Linux 6.6).
///
/// # Errors
/// Where its version cannot be read.
pub fn has_tcx() -> Result<bool> {
    let name = uname()?;
    let release = name.release().to_str().context("a version that is no text")?;
    let mut numbers = release.split(['.', '-']).map(str::parse::<u32>);
    let mut number = || numbers.next()?.ok();
    let version = number().zip(number()).with_context(|| format!("no version: {release}"))?;
    Ok(version >= (6, 6))
}

/// Names of the programs that stand there by links, in the order in which they
/// run; none on a kernel without such.
///
/// # Errors
/// Where the kernel refuses.
pub fn programs(lab: &Lab, interface: &str) -> Result<Vec<String>> {
    if !has_tcx()? {
        return Ok(Vec::new());
    }
    lab.server().enter(|| {
        let (_, programs) = SchedClassifier::query_tcx(interface, TcAttachType::Egress)
            .map_err(io::Error::other)?;
        Ok(programs.iter().map(|one| one.name_as_str().unwrap_or_default().to_owned()).collect())
    })
}

/// The filters that stand there, each as `tc` tells of it.
///
/// # Errors
/// Where `tc` fails.
pub fn filters(lab: &Lab, interface: &str) -> Result<Vec<Value>> {
    let all = json(lab, &["filter", "show", "dev", interface, "egress"])?;
    // Lists of filters have a line of their own, without options.
    Ok(all.into_iter().filter(|one| one["options"]["handle"].is_string()).collect())
}

/// The queueing discipline for programs at an interface, such as `clsact`.
///
/// # Errors
/// Where `tc` fails.
pub fn discipline(lab: &Lab, interface: &str) -> Result<Option<String>> {
    let all = json(lab, &["qdisc", "show", "dev", interface])?;
    let one = all.iter().find(|one| one["parent"] == "ffff:fff1");
    Ok(one.and_then(|one| Some(one["kind"].as_str()?.to_owned())))
}

/// Runs `tc` in the server's namespace.
///
/// # Errors
/// Where it fails.
pub fn tc(lab: &Lab, arguments: &[&str]) -> Result<Finished> {
    process::run(lab.server().command(Tool::Tc.path()?)?.args(arguments), LIMIT)?
        .success()
        .with_context(|| format!("tc {}", arguments.join(" ")))
}

/// Adds somebody else's filter, which has an opinion about no packet.
///
/// # Errors
/// Where `tc` fails.
pub fn add_filter(
    lab: &Lab,
    interface: &str,
    side: &str,
    priority: &str,
    handle: &str,
) -> Result<()> {
    let place = ["filter", "add", "dev", interface, side, "protocol", "all", "prio", priority];
    // `return 0` in the older instructions.
    let program = ["handle", handle, "bpf", "bytecode", "1,6 0 0 0"];
    tc(lab, &[&place[..], &program].concat()).map(drop)
}

fn json(lab: &Lab, arguments: &[&str]) -> Result<Vec<Value>> {
    let answer = tc(lab, &[&["-json"][..], arguments].concat())?;
    let value: Value = serde_json::from_slice(&answer.stdout).context("what tc says")?;
    let Value::Array(all) = value else { anyhow::bail!("no list in {value}") };
    ensure!(all.iter().all(Value::is_object), "{all:?}");
    Ok(all)
}
