//! A real CrowdSec in a namespace of its own: the local API without an agent, and
//! without the world.

use std::{
    fs,
    net::{IpAddr, SocketAddr},
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context as _, Result};
use tempfile::TempDir;

use super::{
    lab::Lab,
    namespace::Namespace,
    process::{self, Process},
    tool::Tool,
    wait,
};

/// Where it listens.
const PORT: u16 = 8080;

/// How long it may take to start, or to do a command.
const PATIENCE: Duration = Duration::from_secs(60);

/// What becomes of alerts that ask for it.
const PROFILES: &str = "name: sipguard\nfilters:\n \
    - Alert.Remediation == true && Alert.GetScenario() startsWith \"sipguard/\"\n\
    decisions:\n - type: ban\n   duration: 4h\non_success: break\n";

/// A running one, for the servers of several labs. Killed when this is dropped.
#[derive(Debug)]
pub struct Crowdsec {
    namespace: Namespace,
    folder: TempDir,
    addresses: Vec<IpAddr>,
    process: Option<Process>,
}

impl Crowdsec {
    /// Starts it, and wires it to the servers of these labs.
    ///
    /// # Errors
    /// Where it does not listen in time.
    pub fn start(labs: &[&Lab]) -> Result<Self> {
        let folder = TempDir::with_prefix("sipguard-crowdsec-").context("cannot make a folder")?;
        let namespace = Namespace::new()?;
        let wire = |(lab, number): (&&Lab, u8)| lab.connect(&namespace, number);
        let addresses = labs.iter().zip(1..).map(wire).collect::<Result<_>>()?;
        let mut one = Self { namespace, folder, addresses, process: None };
        one.configure()?;
        one.cscli(&["machines", "add", "admin", "--password", "admin", "--url", &here()])?;
        one.resume()?;
        Ok(one)
    }

    fn configure(&self) -> Result<()> {
        let folder = self.folder.path();
        for name in ["data", "hub", "plugins", "notifications"] {
            fs::create_dir(folder.join(name))?;
        }
        let config = format!(
            "common: {{ daemonize: false, log_media: stdout, log_level: info }}\n\
             config_paths:\n  config_dir: {0}/\n  data_dir: {0}/data/\n  \
             simulation_path: {0}/simulation.yaml\n  hub_dir: {0}/hub/\n  \
             index_path: {0}/hub/.index.json\n  notification_dir: {0}/notifications/\n  \
             plugin_dir: {0}/plugins/\n\
             crowdsec_service: {{ acquisition_path: {0}/acquis.yaml, parser_routines: 1 }}\n\
             cscli: {{ output: human }}\n\
             db_config: {{ log_level: info, type: sqlite, db_path: {0}/data/crowdsec.db }}\n\
             api:\n  client: {{ credentials_path: {0}/local.yaml }}\n  \
             server:\n    log_level: info\n    listen_uri: 0.0.0.0:{PORT}\n    \
             profiles_path: {0}/profiles.yaml\n    console_path: {0}/console.yaml\n\
             prometheus: {{ enabled: false }}\n",
            folder.display()
        );
        for (name, text) in [
            ("config.yaml", config.as_str()),
            ("profiles.yaml", PROFILES),
            ("simulation.yaml", "simulation: false\n"),
            ("acquis.yaml", ""),
            ("local.yaml", ""),
            ("hub/.index.json", "{}"),
        ] {
            fs::write(folder.join(name), text).context("cannot write CrowdSec's files")?;
        }
        Ok(())
    }

    /// Its address, as the server of a lab (from 0) sees it.
    #[must_use]
    pub fn url(&self, lab: usize) -> String {
        format!("http://{}", SocketAddr::new(self.addresses[lab], PORT))
    }

    /// Runs its command line to its end.
    ///
    /// # Errors
    /// Where it fails.
    pub fn cscli(&self, arguments: &[&str]) -> Result<String> {
        let mut command = self.namespace.command(self.program("cscli")?)?;
        command.arg("--error").arg("-c").arg(self.folder.path().join("config.yaml"));
        let done = process::run(command.args(arguments), PATIENCE)?.success();
        Ok(done.with_context(|| format!("cscli {}", arguments.join(" ")))?.text())
    }

    /// A key to read decisions with, in a file.
    ///
    /// # Errors
    /// Where it refuses.
    pub fn key(&self, name: &str) -> Result<PathBuf> {
        self.cscli(&["bouncers", "add", name, "--key", name])?;
        self.secret(&format!("{name}.key"), name)
    }

    /// A login to report with, in a file.
    ///
    /// # Errors
    /// Where it refuses.
    pub fn login(&self, name: &str) -> Result<PathBuf> {
        let path = self.secret(&format!("{name}.login"), "")?;
        let file = path.display().to_string();
        self.cscli(&["machines", "add", name, "--auto", "--file", &file, "--url", &here()])?;
        Ok(path)
    }

    fn secret(&self, name: &str, text: &str) -> Result<PathBuf> {
        use std::os::unix::fs::PermissionsExt as _;
        let path = self.folder.path().join(name);
        fs::write(&path, text)?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640))?;
        Ok(path)
    }

    /// Kills it.
    pub fn stop(&mut self) {
        self.process = None;
    }

    /// Starts it again, with all that it knows.
    ///
    /// # Errors
    /// Where it does not listen in time.
    pub fn resume(&mut self) -> Result<()> {
        let mut command = self.namespace.command(self.program("crowdsec")?)?;
        let folder = self.folder.path();
        command.arg("-c").arg(folder.join("config.yaml")).arg("-no-cs").current_dir(folder);
        let process = Process::start(&mut command)?;
        wait::until("CrowdSec to listen", PATIENCE, || {
            let at = SocketAddr::from(([127, 0, 0, 1], PORT));
            let heard = self.namespace.enter(|| Ok(std::net::TcpStream::connect(at).is_ok()))?;
            Ok(heard.then_some(()))
        })
        .with_context(|| format!("{}{}", process.stdout().text(), process.stderr().text()))?;
        self.process = Some(process);
        Ok(())
    }

    /// What it has said so far.
    #[must_use]
    pub fn log(&self) -> String {
        self.process.as_ref().map(|one| one.stdout().text()).unwrap_or_default()
    }

    fn program(&self, name: &str) -> Result<PathBuf> {
        let daemon = Tool::Crowdsec.path()?;
        Ok(daemon.parent().unwrap_or(Path::new("/")).join(name))
    }
}

fn here() -> String {
    format!("http://127.0.0.1:{PORT}")
}
