//! baresip, a softphone that people use.

use std::{
    fs,
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use anyhow::{Context as _, Result};

use super::{
    lab::{Lab, SERVER},
    process::Process,
    registrar::password,
    tool::Tool,
};

/// How long it may take to register.
const PATIENCE: Duration = Duration::from_secs(20);

/// Where Debian puts its modules.
const MODULES: &str = "/usr/lib/baresip/modules";

/// A softphone that is registered, and stays so.
#[derive(Debug)]
pub struct Softphone {
    _process: Process,
}

impl Softphone {
    /// Starts it for a user and waits until it says that it is registered.
    ///
    /// # Errors
    /// Where it is missing, or is not registered in time.
    pub fn start(lab: &Lab, place: SocketAddr, user: u32) -> Result<Self> {
        let folder = lab.folder().join(format!("baresip-{user}"));
        fs::create_dir(&folder).context("cannot make a folder for baresip")?;
        for (name, text) in [
            ("config", config(place)),
            ("accounts", account(user, SERVER)),
            // It would fill them with examples, and an id of its own.
            ("contacts", String::new()),
            ("uuid", "00000000-0000-4000-8000-000000000000".to_owned()),
        ] {
            fs::write(folder.join(name), text).with_context(|| format!("cannot write {name}"))?;
        }
        let process =
            Process::start(lab.outside().command(Tool::Baresip.path()?)?.arg("-f").arg(&folder))?;
        // It says so to either.
        let registered = process.stdout().line(PATIENCE, |line| line.contains("[1 binding]"));
        registered.with_context(|| format!("baresip: {}", process.stderr().text()))?;
        Ok(Self { _process: process })
    }
}

fn config(place: SocketAddr) -> String {
    format!(
        "poll_method epoll\nsip_listen {place}\nmodule_path {MODULES}\nmodule_tmp uuid.so\n\
         module_tmp account.so\nmodule g711.so\nmodule_app menu.so\n"
    )
}

fn account(user: u32, server: IpAddr) -> String {
    format!("<sip:{user}@{server}>;auth_pass={};regint=60\n", password(user))
}
