//! A real Prometheus in the server's namespace, and its own tool.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use super::{
    lab::Lab,
    process::{self, Finished, Process},
    tool::Tool,
    wait,
};

/// Where it listens.
const ADDRESS: &str = "127.0.0.1:9090";

/// How long it may take to start.
const PATIENCE: Duration = Duration::from_secs(30);

/// How long an answer may take.
const ANSWER: Duration = Duration::from_secs(20);

/// A running Prometheus that scrapes sipguard each second. Killed when this is
/// dropped; what it has kept goes with the lab.
#[derive(Debug)]
pub struct Prometheus<'a> {
    lab: &'a Lab,
    _process: Process,
}

impl<'a> Prometheus<'a> {
    /// Starts it with a target in the server's namespace and a file of rules.
    ///
    /// # Errors
    /// Where it does not answer in time.
    pub fn start(lab: &'a Lab, target: &str, rules: &Path) -> Result<Self> {
        let folder = lab.folder().join("prometheus");
        fs::create_dir(&folder).context("cannot make a folder for Prometheus")?;
        let rules = fs::canonicalize(rules).context("cannot find the rules")?;
        let config = folder.join("prometheus.yml");
        let text = format!(
            "global: {{ scrape_interval: 1s, scrape_timeout: 1s, evaluation_interval: 1s }}\n\
             rule_files: [{}]\n\
             scrape_configs:\n  - job_name: sipguard\n    static_configs:\n      - targets: [\"{target}\"]\n",
            rules.display()
        );
        fs::write(&config, text).context("cannot write prometheus.yml")?;
        let mut command = lab.server().command(Tool::Prometheus.path()?)?;
        command
            .arg("--config.file")
            .arg(config)
            .arg("--storage.tsdb.path")
            .arg(folder.join("data"))
            .args(["--web.listen-address", ADDRESS, "--log.level", "warn"])
            .current_dir(&folder);
        let process = Process::start(&mut command)?;
        let prometheus = Self { lab, _process: process };
        wait::until("an answer of Prometheus", PATIENCE, || {
            Ok(get(lab, &format!("http://{ADDRESS}/-/ready"), &[])?.success().ok())
        })
        .with_context(|| prometheus._process.stderr().text())?;
        Ok(prometheus)
    }

    /// The samples of a query: the labels and the number of each.
    ///
    /// # Errors
    /// Where Prometheus refuses it.
    pub fn query(&self, expression: &str) -> Result<Vec<Sample>> {
        let argument = format!("query={expression}");
        let data = self.ask("query", &["--get", "--data-urlencode", &argument])?;
        if data["resultType"] == "scalar" {
            return Ok(vec![Sample { labels: Value::Null, number: number(&data["result"])? }]);
        }
        let samples = data["result"].as_array().with_context(|| format!("no samples: {data}"))?;
        let sample = |one: &Value| {
            Ok(Sample { labels: one["metric"].clone(), number: number(&one["value"])? })
        };
        samples.iter().map(sample).collect()
    }

    /// The rules that it has loaded, with their health.
    ///
    /// # Errors
    /// Where Prometheus refuses to tell.
    pub fn rules(&self) -> Result<Vec<Value>> {
        let data = self.ask("rules", &[])?;
        let groups = data["groups"].as_array().context("no groups")?;
        Ok(groups.iter().filter_map(|group| group["rules"].as_array()).flatten().cloned().collect())
    }

    fn ask(&self, path: &str, arguments: &[&str]) -> Result<Value> {
        let answer = get(self.lab, &format!("http://{ADDRESS}/api/v1/{path}"), arguments)?;
        let mut answer: Value = serde_json::from_slice(&answer.stdout)
            .with_context(|| format!("no JSON from Prometheus:\n{answer}"))?;
        ensure!(answer["status"] == "success", "{}: {answer}", arguments.join(" "));
        Ok(answer["data"].take())
    }
}

/// One line of an answer.
#[derive(Clone, Debug)]
pub struct Sample {
    pub labels: Value,
    pub number: f64,
}

/// A time and a number, the latter as text.
fn number(value: &Value) -> Result<f64> {
    let text = value[1].as_str().with_context(|| format!("no number in {value}"))?;
    text.parse().with_context(|| format!("no number: {text}"))
}

/// Asks somebody in the server's namespace by HTTP.
///
/// # Errors
/// Where curl is missing or does not end in time.
pub fn get(lab: &Lab, url: &str, arguments: &[&str]) -> Result<Finished> {
    let mut command = lab.server().command(Tool::Curl.path()?)?;
    command.args(["--silent", "--show-error", "--max-time", "10"]).args(arguments).arg(url);
    process::run(&mut command, ANSWER)
}

/// promtool with arguments, to its end.
///
/// # Errors
/// Where it is missing or does not end in time.
pub fn promtool(arguments: &[&str], file: Option<&Path>) -> Result<Finished> {
    let file: Option<PathBuf> = file.map(Path::to_owned);
    let mut command = Command::new(Tool::Promtool.path()?);
    command.args(arguments).args(file);
    process::run(&mut command, ANSWER)
}
