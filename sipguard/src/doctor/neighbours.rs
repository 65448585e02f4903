//! What else on this machine has to do with SIP or with filtering.

use super::{Check, Finding, machine::Machine};
use crate::policy::Plan;

/// Programs that filter, as the kernel knows them, and how they get on.
const FILTERS: &[(&str, &str, &str)] = &[
    (
        "fail2ban-server",
        "fail2ban",
        "it goes on to read the server's log; what sipguard drops or bans never gets there, so it has less to do",
    ),
    (
        "firewalld",
        "firewalld",
        "its rules see only what sipguard lets through; blocks of sipguard are none of its",
    ),
    ("crowdsec", "CrowdSec", "its bouncers see only what sipguard lets through"),
];

/// Modules of iptables that rules against scanners use.
const MATCHES: &[(&str, &str)] = &[
    ("xt_string", "match strings in packets"),
    ("xt_recent", "remember recent sources"),
    ("xt_hashlimit", "limit rates of sources"),
];

/// Listening in /proc/net/udp is state 07, in /proc/net/tcp 0A.
const TABLES: [(&str, &str); 4] = [
    ("proc/net/udp", "07"),
    ("proc/net/udp6", "07"),
    ("proc/net/tcp", "0A"),
    ("proc/net/tcp6", "0A"),
];

pub(super) fn examine(machine: &Machine, plan: &Plan) -> Vec<Finding> {
    let mut findings = vec![server(machine, plan)];
    findings.extend(filters(machine));
    findings.extend(rules(machine));
    if findings.len() == 1 {
        findings.push(Finding::ok(Check::Neighbours, "no other filter was found"));
    }
    findings
}

fn server(machine: &Machine, plan: &Plan) -> Finding {
    let listening =
        |port: u16| TABLES.iter().any(|(file, state)| has_port(machine, file, state, port));
    let ports: Vec<u16> = plan.ports.iter().collect();
    match ports.iter().find(|port| listening(**port)) {
        Some(port) => Finding::ok(Check::Server, format!("something listens on port {port}")),
        None => {
            let ports: Vec<String> = ports.iter().take(8).map(ToString::to_string).collect();
            Finding::note(Check::Server, format!("nothing listens here on port {}", ports.join(", ")))
                .why("on the way to a server that is as it should be; else the server uses another port, or does not run")
                .remedy("ss -lnup; then `ports` under [sip] in sipguard.toml")
        }
    }
}

/// Lines of number, local address with port in hexadecimal, remote, state.
fn has_port(machine: &Machine, file: &str, state: &str, port: u16) -> bool {
    let table = machine.read(file).unwrap_or_default();
    table.lines().skip(1).any(|line| {
        let mut words = line.split_whitespace().skip(1);
        let (local, found) = (words.next(), words.nth(1));
        let number = local.and_then(|local| local.rsplit_once(':')).map(|(_, number)| number);
        found == Some(state)
            && number.is_some_and(|number| u16::from_str_radix(number, 16) == Ok(port))
    })
}

fn filters(machine: &Machine) -> Vec<Finding> {
    let processes = machine.names("proc");
    let running: Vec<String> = processes
        .iter()
        .filter(|name| name.bytes().all(|byte| byte.is_ascii_digit()))
        .filter_map(|id| machine.read(format!("proc/{id}/comm")))
        .map(|name| name.trim_end().to_owned())
        .collect();
    FILTERS
        .iter()
        .filter(|(process, ..)| running.iter().any(|name| name == process))
        .map(|(_, name, how)| Finding::note(Check::Neighbours, format!("{name} runs")).why(*how))
        .collect()
}

/// `/proc/modules`: name, size, users. A match that is used has some.
fn rules(machine: &Machine) -> Option<Finding> {
    let modules = machine.read("proc/modules").unwrap_or_default();
    let used = |wanted: &str| {
        modules.lines().any(|line| {
            let mut words = line.split_whitespace();
            words.next() == Some(wanted) && words.nth(1).is_some_and(|users| users != "0")
        })
    };
    let found: Vec<&str> =
        MATCHES.iter().filter(|(module, _)| used(module)).map(|(_, what)| *what).collect();
    (!found.is_empty()).then(|| {
        Finding::note(Check::Neighbours, format!("rules of iptables {}", found.join(", and ")))
            .why("they cost each packet that sipguard lets through, and may drop customers that it would not")
            .remedy("iptables-save | grep -E 'string|recent|hashlimit'; remove those that sipguard's signatures and limits replace")
    })
}

#[cfg(test)]
mod tests {
    use super::{
        super::{Level, machine::tree},
        *,
    };

    #[test]
    fn a_server_is_found_by_its_port() {
        let head = "  sl  local_address rem_address   st\n";
        let udp = format!("{head}  1: 00000000:13C4 00000000:0000 07 0\n");
        let (_folder, machine) = tree(&[("proc/net/udp", &udp)]);
        assert_eq!(server(&machine, &Plan::default()).level, Level::Ok);
        // A connection to somebody else's port is no server.
        let tcp = format!(
            "{head}  1: 0100007F:A000 0100007F:13C4 01 0\n  2: 0100007F:13C4 0100007F:A000 01 0\n"
        );
        let (_folder, machine) = tree(&[("proc/net/tcp", &tcp)]);
        assert_eq!(server(&machine, &Plan::default()).level, Level::Note);
    }

    #[test]
    fn other_filters_are_seen_by_their_processes_and_modules() {
        let (_folder, machine) = tree(&[
            ("proc/77/comm", "fail2ban-server\n"),
            ("proc/78/comm", "bash\n"),
            ("proc/modules", "xt_string 16384 3 - Live 0x0\nxt_recent 24576 0 - Live 0x0\n"),
        ]);
        let findings = examine(&machine, &Plan::default());
        assert_eq!(findings.len(), 3, "{findings:?}");
        assert_eq!(findings[1].found, "fail2ban runs");
        assert!(findings[2].found.contains("strings") && !findings[2].found.contains("recent"));
        let (_folder, empty) = tree(&[("proc/1/comm", "init\n")]);
        assert_eq!(examine(&empty, &Plan::default())[1].level, Level::Ok);
    }
}
