//! The configuration, and which interfaces it is about.

use std::{collections::BTreeSet, path::Path, path::PathBuf};

use super::{Asked, Check, Finding, Running, machine::Machine};
use crate::{
    daemon::{Error, Place, config_dir},
    policy::Plan,
};

/// Warnings that are shown one by one.
const SHOWN: usize = 5;

/// What the files say.
pub(super) struct Configuration {
    outcome: Outcome,
    /// The default where the files have errors.
    plan: Plan,
}

enum Outcome {
    Good { dir: PathBuf, notes: Vec<String> },
    Bad { dir: PathBuf, error: Box<Error> },
    Missing(String),
}

impl Configuration {
    /// Reads it as `run` does.
    pub(super) fn read(asked: Option<&Path>) -> Self {
        let dir = match config_dir(asked) {
            Ok(dir) => dir,
            Err(error) => {
                return Self {
                    outcome: Outcome::Missing(error.to_string()),
                    plan: Plan::default(),
                };
            }
        };
        match Place::new(dir.clone()).load() {
            Ok((plan, notes)) => Self { outcome: Outcome::Good { dir, notes }, plan },
            Err(error) => {
                let error = Box::new(error);
                Self { outcome: Outcome::Bad { dir, error }, plan: Plan::default() }
            }
        }
    }

    pub(super) fn plan(&self) -> &Plan {
        &self.plan
    }

    pub(super) fn examine(&self) -> Vec<Finding> {
        match &self.outcome {
            Outcome::Good { dir, notes } => {
                let plan = &self.plan;
                let found = format!(
                    "{}: no errors, {} signatures, {} trusted, {} blocked",
                    dir.display(),
                    plan.signatures.len(),
                    plan.trusted.len(),
                    plan.blocked.len()
                );
                let mut findings = vec![Finding::ok(Check::Configuration, found)];
                findings.extend(warnings(dir, notes));
                findings.extend(plan.trusted.is_empty().then(nobody_trusted));
                findings
            }
            Outcome::Bad { dir, error } => {
                let finding =
                    Finding::problem(Check::Configuration, format!("{}: {error}", dir.display()));
                let why = "`sipguard run` refuses to start, and a reload changes nothing";
                vec![finding.why(why).remedy(format!("sipguard check {}", dir.display()))]
            }
            Outcome::Missing(error) => {
                let finding = Finding::problem(Check::Configuration, error.clone());
                let why = "`sipguard run` refuses to start";
                vec![
                    finding
                        .why(why)
                        .remedy("install the package, or name the directory by --config"),
                ]
            }
        }
    }
}

fn warnings(dir: &Path, notes: &[String]) -> Vec<Finding> {
    let shown = notes.iter().take(SHOWN).map(|note| {
        let first = note.lines().next().unwrap_or_default();
        Finding::warning(Check::Configuration, first.trim_start_matches("warning: "))
            .remedy(format!("sipguard check {}", dir.display()))
    });
    let more = notes.len().saturating_sub(SHOWN);
    let rest = (more > 0).then(|| {
        Finding::warning(Check::Configuration, format!("{more} more warnings"))
            .remedy(format!("sipguard check {}", dir.display()))
    });
    shown.chain(rest).collect()
}

fn nobody_trusted() -> Finding {
    Finding::note(Check::Configuration, "trusted.toml names nobody")
        .why("carriers and monitoring that begin with OPTIONS, or send many calls from one address, are dropped as strangers")
        .remedy("name them in trusted.toml; `sipguard replay` of a capture says who would be hurt")
}

/// The interfaces to look at, and why these.
pub(super) struct Interfaces {
    pub(super) names: Vec<String>,
    named: bool,
}

/// Those of the command line, of the running sipguard, of the files, or of
/// default routes.
pub(super) fn interfaces(
    asked: &Asked,
    plan: &Plan,
    running: &Running,
    machine: &Machine,
) -> Interfaces {
    let named = [asked.interfaces.clone(), running.interfaces(), plan.interfaces.clone()];
    match named.into_iter().find(|names| !names.is_empty()) {
        Some(names) => Interfaces { names: unique(names), named: true },
        None => Interfaces { names: unique(default_routes(machine)), named: false },
    }
}

impl Interfaces {
    pub(super) fn finding(&self) -> Option<Finding> {
        if self.named {
            return None;
        }
        let likely = self.names.join("\", \"");
        let example = if likely.is_empty() { "eth0" } else { &likely };
        Some(
            Finding::problem(Check::Interface, "no interface is named")
                .why("`sipguard run` does not guess which one it is")
                .remedy(format!("in sipguard.toml under [interfaces]: names = [\"{example}\"]")),
        )
    }
}

fn unique(names: Vec<String>) -> Vec<String> {
    let mut seen = BTreeSet::new();
    names.into_iter().filter(|name| seen.insert(name.clone())).collect()
}

/// Where the default routes of IPv4 lead: lines of interface, destination,
/// gateway, flags, three numbers, and mask.
fn default_routes(machine: &Machine) -> Vec<String> {
    let table = machine.read("proc/net/route").unwrap_or_default();
    let route = |line: &str| {
        let columns: Vec<&str> = line.split_whitespace().collect();
        let (name, to, mask) = (columns.first()?, columns.get(1)?, columns.get(7)?);
        (*to == "00000000" && *mask == "00000000").then(|| (*name).to_owned())
    };
    table.lines().skip(1).filter_map(route).collect()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::{
        super::{Level, machine::tree},
        *,
    };
    use crate::policy::FILES;

    fn of(settings: &str) -> (Configuration, tempfile::TempDir) {
        let dir = tempfile::tempdir().unwrap();
        for name in FILES {
            fs::write(dir.path().join(name), "").unwrap();
        }
        fs::write(dir.path().join("sipguard.toml"), settings).unwrap();
        (Configuration::read(Some(dir.path())), dir)
    }

    #[test]
    fn errors_are_problems_and_name_the_command() {
        let (bad, _dir) = of("[policy]\nposture = \"ajar\"\n");
        let findings = bad.examine();
        assert_eq!(findings[0].level, Level::Problem);
        assert!(
            findings[0].remedy.as_deref().is_some_and(|text| text.starts_with("sipguard check "))
        );
        let missing = Configuration::read(Some(Path::new("/nowhere/at/all")));
        assert_eq!(missing.examine()[0].level, Level::Problem);
        let (good, _dir) = of("");
        assert_eq!(good.examine()[0].level, Level::Ok);
        assert!(good.examine().iter().any(|one| one.found.contains("names nobody")));
    }

    #[test]
    fn interfaces_are_those_that_are_named_else_likely_ones() {
        let (_folder, machine) = tree(&[(
            "proc/net/route",
            "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\n\
             eth1\t000200C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\n\
             eth0\t00000000\t010200C0\t0003\t0\t0\t0\t00000000\n",
        )]);
        let (running, plan) = (Running::Not, Plan::default());
        let likely = interfaces(&Asked::default(), &plan, &running, &machine);
        assert_eq!(likely.names, ["eth0"]);
        let finding = likely.finding().unwrap();
        assert_eq!(finding.level, Level::Problem);
        assert!(finding.remedy.unwrap().ends_with("names = [\"eth0\"]"));
        let asked =
            Asked { interfaces: vec!["a".into(), "b".into(), "a".into()], ..Asked::default() };
        let named = interfaces(&asked, &plan, &running, &machine);
        assert_eq!(named.names, ["a", "b"]);
        assert_eq!(named.finding(), None);
    }
}
