//! F46: what real programs print, imported, and the result in the real filter.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use jiff::Timestamp;
use sipguard::policy::{self, Plan};
use tests::rig::{
    lab::{Lab, SERVER, STRANGERS, TRUSTED, WAN},
    policy::Policy,
    process::{self, Finished, Process},
    sipguard::Sipguard,
    tool::{Tool, can_run},
    traffic::{Listener, request, sender},
    wait,
};

const PATIENCE: Duration = Duration::from_secs(20);

/// The script that guides on SIP scanners give, in their order: what is
/// established, administration, peers, strings of scanners, limits, media.
const GUIDE: &str = r#"#!/bin/sh
TRUSTED_SIP_IPS="192.0.2.10 192.0.2.128/25"
ADMIN=192.0.2.99
iptables -F
iptables -N SIP_TRUSTED; iptables -N SIP_SCANNER_BLOCK; iptables -N SIP_RATE_LIMIT
iptables -A INPUT -i lo -j ACCEPT
iptables -A INPUT -m state --state ESTABLISHED,RELATED -j ACCEPT
iptables -A INPUT -p tcp -s $ADMIN --dport 22 -j ACCEPT
iptables -A INPUT -s 198.51.100.10 -j DROP
for IP in $TRUSTED_SIP_IPS; do iptables -A SIP_TRUSTED -s $IP -j ACCEPT; done
iptables -A INPUT -p udp --dport 5060 -j SIP_TRUSTED
for s in "OPTIONS sip:" friendly-scanner VaxSIPUserAgent sipvicious SIPScan sipcli "evil dialer" system; do
  iptables -A SIP_SCANNER_BLOCK -m string --string "$s" --algo bm -j DROP
done
iptables -A INPUT -p udp --dport 5060 -j SIP_SCANNER_BLOCK
iptables -A SIP_RATE_LIMIT -p udp --dport 5060 -m connlimit --connlimit-above 10 --connlimit-mask 32 -j DROP
iptables -A SIP_RATE_LIMIT -m recent --set --name sip_rate
iptables -A SIP_RATE_LIMIT -m recent --update --seconds 60 --hitcount 20 --name sip_rate -j DROP
iptables -A SIP_RATE_LIMIT -j ACCEPT
iptables -A INPUT -p udp --dport 5060 -j SIP_RATE_LIMIT
iptables -A INPUT -p udp --dport 10000:20000 -j ACCEPT
iptables -A INPUT -j DROP
"#;

/// Runs a shell script in the server's namespace. `iptables` is the older one,
/// whose modules every kernel has.
fn shell(lab: &Lab, script: &str) -> Result<Finished> {
    let text = format!("set -e\niptables() {{ iptables-legacy \"$@\"; }}\n{script}");
    let mut command = lab.server().command("/bin/sh")?;
    command.env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").arg("-c").arg(text);
    process::run(&mut command, PATIENCE)?.success()
}

/// What `sipguard import` prints for one file of the configuration.
fn import(lab: &Lab, input: &Path, arguments: &[&str]) -> Result<Finished> {
    let mut command = lab.server().command(Tool::Sipguard.path()?)?;
    command.args(["import", "auto"]).arg(input).args(arguments);
    process::run(&mut command, PATIENCE)?.success()
}

/// All four files of it, and what the real check says of them.
fn imported(lab: &Lab, text: &[u8], arguments: &[&str]) -> Result<(Policy, Plan)> {
    let input = lab.folder().join("input");
    fs::write(&input, text)?;
    let part = |name: &str| {
        let done = import(lab, &input, &[arguments, &["--file", name]].concat())?;
        ensure!(done.words().contains("carried over"), "{done}");
        Ok(done.text())
    };
    let policy = Policy {
        main: part("sipguard")?,
        trusted: part("trusted")?,
        blacklist: part("blacklist")?,
        signatures: part("signatures")?,
    };
    let folder = tests::rig::policy::Folder::new(lab.folder().join("imported"))?;
    policy.write(&folder)?;
    let mut check = Command::new(Tool::Sipguard.path()?);
    process::run(check.arg("check").arg(folder.path()), PATIENCE)?.success()?;
    let (plan, _) = policy::load(folder.path())?;
    Ok((policy, plan))
}

fn trusted(plan: &Plan) -> Vec<String> {
    plan.trusted.keys().map(ToString::to_string).collect()
}

fn blocked(plan: &Plan) -> Vec<String> {
    plan.blocked.keys().map(ToString::to_string).collect()
}

#[test]
fn f46_the_guides_script_stops_scanners_and_harms_nobody_any_more() -> Result<()> {
    if !can_run(&[Tool::Ip, Tool::Sipguard, Tool::IptablesLegacy]) {
        return Ok(());
    }
    let lab = Lab::new()?;
    shell(&lab, GUIDE)?;
    let saved = shell(&lab, "iptables-legacy-save")?.stdout;
    shell(&lab, "iptables -F")?;
    let (policy, plan) = imported(&lab, &saved, &[])?;
    ensure!(trusted(&plan) == ["192.0.2.10", "192.0.2.128/25"], "{}", policy.trusted);
    ensure!(blocked(&plan) == ["198.51.100.10/32"], "{}", policy.blacklist);
    ensure!(policy.main.contains("\noptions = \"drop\""), "{}", policy.main);
    ensure!(policy.signatures.contains("\ntext = \"evil dialer\""), "{}", policy.signatures);
    ensure!(policy.signatures.contains("\n#text = \"system\""), "{}", policy.signatures);
    // The script itself says the same as the rules that it makes.
    let (_, of_script) = imported(&lab, GUIDE.as_bytes(), &[])?;
    ensure!(of_script.trusted == plan.trusted && of_script.blocked == plan.blocked);
    ensure!(of_script.signatures == plan.signatures);

    // As the guide to migration says: behind the signatures that come along.
    let shipped = Policy::usual()?.signatures;
    let policy = Policy { signatures: shipped + &policy.signatures, ..policy };
    let listener = Listener::new(&lab, SERVER)?;
    let _sipguard = Sipguard::start(&lab, &policy, &["--iface", WAN])?;
    let [stranger, phone, other, enemy] = STRANGERS;
    let (stranger, phone) = (sender(&lab, stranger)?, sender(&lab, phone)?);
    let (other, enemy, trunk) =
        (sender(&lab, other)?, sender(&lab, enemy)?, sender(&lab, TRUSTED)?);
    let edited = |from: &str, to: &str| {
        let text =
            String::from_utf8_lossy(&request("OPTIONS", b"x-test 1", 3)).replacen(from, to, 1);
        text.into_bytes()
    };
    for (what, from, datagram) in [
        ("OPTIONS", &stranger, request("OPTIONS", b"Telephone/1.6", 1)),
        ("D03: OPTIONS sips:", &stranger, edited("OPTIONS sip:", "OPTIONS sips:")),
        ("D03: OPTIONS tel:", &stranger, edited("OPTIONS sip:100@203.0.113.1", "OPTIONS tel:100")),
        ("friendly-scanner", &stranger, request("REGISTER", b"friendly-scanner", 4)),
        ("D05: Friendly-Scanner", &stranger, request("REGISTER", b"Friendly-Scanner", 5)),
        ("sipcli", &stranger, request("INVITE", b"sipcli/v1.8", 6)),
        ("a text of the operator's own", &stranger, request("INVITE", b"The Evil Dialer 2", 7)),
        ("a blocked source", &enemy, request("REGISTER", b"Telephone/1.6", 8)),
    ] {
        ensure!(!listener.receives(from, &datagram)?, "{what} has passed");
    }
    let quoting = [&request("NOTIFY", b"Telephone/1.6", 9)[..], b"OPTIONS sip:x"].concat();
    let response = b"SIP/2.0 200 OK\r\nCSeq: 1 OPTIONS\r\nUser-Agent: sipcli\r\n\
                     Call-ID: number-10-end\r\nContent-Length: 0\r\n\r\n"
        .to_vec();
    for (what, from, datagram) in [
        ("L01: a keepalive of the trunk", &trunk, request("OPTIONS", b"sipcli/v1.8", 11)),
        ("D04: a body that quotes OPTIONS", &phone, quoting),
        ("L12: an answer", &phone, response),
        ("D18: 3CXPhoneSystem", &phone, request("REGISTER", b"3CXPhoneSystem", 12)),
        ("a phone", &phone, request("REGISTER", b"X-Lite release 1103k", 13)),
    ] {
        ensure!(listener.receives(from, &datagram)?, "{what} has not passed");
    }
    // D06, D09 and D11: the script let 20 packets a minute and 10 ports pass.
    for number in 100..140 {
        let port = sender(&lab, other.local_addr()?.ip())?;
        let passed = listener.receives(&port, &request("INVITE", b"Telephone/1.6", number))?;
        ensure!(passed, "INVITE {number} of an office has not passed");
    }
    Ok(())
}

#[test]
fn f46_nft_and_ipset_as_they_print_themselves() -> Result<()> {
    if !can_run(&[Tool::Ip, Tool::Sipguard, Tool::Nft, Tool::Ipset]) {
        return Ok(());
    }
    let lab = Lab::new()?;
    let rules = lab.folder().join("rules.nft");
    fs::write(
        &rules,
        "table inet sip {
           set peers { type ipv4_addr; flags interval; elements = { 192.0.2.10, 198.51.100.0/26, 203.0.113.80-203.0.113.83 } }
           set six { type ipv6_addr; elements = { 2001:db8::66 } }
           set bad { type ipv4_addr; flags timeout; elements = { 198.51.100.66 timeout 2h } }
           set other { type ipv4_addr; elements = { 192.0.2.201 } }
           chain input { type filter hook input priority 0; policy accept;
             ct state established accept
             udp dport { 5060, 5070 } ip saddr @peers accept
             tcp dport 22 ip saddr @other accept
             ip saddr @bad drop
             ip6 saddr @six drop
             udp dport 5060 ip saddr 192.0.2.203 accept comment \"a gateway\"
           }
         }",
    )?;
    shell(&lab, &format!("nft -f {}", rules.display()))?;
    for arguments in ["", "-j"] {
        let printed = shell(&lab, &format!("nft {arguments} list ruleset"))?.stdout;
        let (policy, plan) = imported(&lab, &printed, &[])?;
        let peers = ["192.0.2.10", "192.0.2.203", "198.51.100.0/26", "203.0.113.80/30"];
        ensure!(trusted(&plan) == peers, "{arguments}: {}", policy.trusted);
        ensure!(
            blocked(&plan) == ["198.51.100.66/32", "2001:db8::66/128"],
            "{arguments}: {}",
            policy.blacklist
        );
        let until = plan.blocked.values().find_map(|block| block.until).context("no end")?;
        let left = until.as_second() - Timestamp::now().as_second();
        ensure!((7100..=7200).contains(&left), "{left} seconds are left of two hours");
        ensure!(policy.trusted.contains("a gateway"), "{}", policy.trusted);
        let all = [&policy.trusted, &policy.blacklist, &policy.main].map(String::as_str).concat();
        ensure!(all.contains("answered once"), "{all}");
        // Of one set alone nobody knows what it is for.
        let set = shell(&lab, &format!("nft {arguments} list set inet sip bad"))?.stdout;
        let (_, nobody) = imported(&lab, &set, &[])?;
        ensure!(nobody.blocked.is_empty() && nobody.trusted.is_empty());
        let (_, told) = imported(&lab, &set, &["--into", "blacklist"])?;
        ensure!(blocked(&told) == ["198.51.100.66/32"]);
    }

    shell(
        &lab,
        "ipset create bad hash:ip timeout 600; ipset add bad 198.51.100.66 timeout 300
         ipset create nets hash:net; ipset add nets 203.0.113.192/26
         ipset create hp hash:ip,port; ipset add hp 198.51.100.67,udp:5060
         ipset create six hash:ip family inet6; ipset add six 2001:db8::66
         iptables -A INPUT -m set --match-set bad src -j DROP",
    )?;
    let saved = shell(&lab, "ipset save")?.stdout;
    let (_, plan) = imported(&lab, &saved, &["--into", "blacklist"])?;
    let expected = ["198.51.100.66/32", "198.51.100.67/32", "203.0.113.192/26", "2001:db8::66/128"];
    ensure!(blocked(&plan) == expected, "{:?}", blocked(&plan));
    let ends = plan.blocked.values().filter(|block| block.until.is_some()).count();
    ensure!(ends == 1, "{ends} entries end by themselves");
    let rules = shell(&lab, "iptables-legacy-save")?.stdout;
    let (policy, _) = imported(&lab, &rules, &[])?;
    ensure!(
        policy.blacklist.contains("ipset save bad | sipguard import ipset -"),
        "{}",
        policy.blacklist
    );
    Ok(())
}

#[test]
fn f46_bans_of_a_real_fail2ban() -> Result<()> {
    if !can_run(&[Tool::Ip, Tool::Sipguard, Tool::Fail2ban]) {
        return Ok(());
    }
    let lab = Lab::new()?;
    let fail2ban = Fail2ban::start(&lab)?;
    fail2ban.ask("set asterisk banip 198.51.100.66 2001:db8::66")?;
    fail2ban.ask("set sshd banip 198.51.100.67")?;
    let status = wait::until("the bans", PATIENCE, || {
        let status = fail2ban.ask("status asterisk")?.text();
        Ok(status.contains("Currently banned:\t2").then_some(status))
    })?;
    let expected = ["198.51.100.66/32", "2001:db8::66/128"];
    for (what, text) in [
        ("status", status.into_bytes()),
        ("banned", fail2ban.ask("banned")?.stdout),
        ("banip", fail2ban.ask("get asterisk banip --with-time")?.stdout),
    ] {
        let (policy, plan) = imported(&lab, &text, &[])?;
        ensure!(blocked(&plan) == expected, "{what}: {}", policy.blacklist);
        ensure!(plan.blocked.values().all(|block| block.until.is_some()), "{what}");
    }
    let folder = fail2ban.stop()?;
    let database = folder.join("bans.sqlite3");
    let before = fs::read(&database)?;
    let (policy, plan) = imported(&lab, &before, &[])?;
    ensure!(blocked(&plan) == expected, "{}", policy.blacklist);
    ensure!(policy.blacklist.contains("#    \"198.51.100.67\""), "{}", policy.blacklist);
    for block in plan.blocked.values() {
        let left = block.until.context("no end")?.as_second() - Timestamp::now().as_second();
        ensure!((500..=600).contains(&left), "{left} seconds are left of ten minutes");
    }
    let (_, chosen) = imported(&lab, &before, &["--list", "sshd"])?;
    ensure!(blocked(&chosen) == ["198.51.100.67/32"]);
    ensure!(chosen.blocked.values().all(|block| block.until.is_none()), "its ban never ends");
    ensure!(fs::read(&database)? == before, "the database has changed");
    Ok(())
}

/// A fail2ban of our own: its files are in the lab, its actions do nothing.
struct Fail2ban<'a> {
    lab: &'a Lab,
    folder: PathBuf,
    process: Process,
}

impl<'a> Fail2ban<'a> {
    fn start(lab: &'a Lab) -> Result<Self> {
        let folder = lab.folder().join("fail2ban");
        fs::create_dir_all(&folder)?;
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o700))?;
        for inner in ["filter.d", "action.d"] {
            fs::create_dir_all(folder.join(inner))?;
        }
        let path = folder.display();
        fs::write(folder.join("empty.log"), "")?;
        fs::write(
            folder.join("fail2ban.conf"),
            format!(
                "[Definition]\nloglevel = INFO\nlogtarget = {path}/log\nsyslogsocket = auto\n\
                 socket = {path}/socket\npidfile = {path}/pid\ndbfile = {path}/bans.sqlite3\n\
                 dbpurgeage = 1d\ndbmaxmatches = 10\n[Thread]\nstacksize = 0\n"
            ),
        )?;
        let jail = |name: &str, time: &str| {
            format!(
                "[{name}]\nenabled = true\nbackend = polling\nfilter = any\naction =\n\
                 logpath = {path}/empty.log\nbantime = {time}\nmaxretry = 5\nfindtime = 600\n"
            )
        };
        fs::write(folder.join("jail.conf"), jail("asterisk", "600") + &jail("sshd", "-1"))?;
        fs::write(
            folder.join("filter.d/any.conf"),
            "[Definition]\nfailregex = ^refused <HOST>$\nignoreregex =\n",
        )?;
        let mut command = lab.server().command(Tool::Fail2ban.path()?)?;
        command.args(["-f", "-c"]).arg(&folder);
        command.arg("-s").arg(folder.join("socket")).arg("-p").arg(folder.join("pid"));
        let process = Process::start(&mut command)?;
        let fail2ban = Self { lab, folder, process };
        wait::until("fail2ban", PATIENCE, || {
            let ready = fail2ban.ask("status").is_ok_and(|said| said.text().contains("sshd"));
            Ok(ready.then_some(()))
        })
        .with_context(|| format!("fail2ban said: {}", fail2ban.process.stderr().text()))?;
        Ok(fail2ban)
    }

    fn ask(&self, words: &str) -> Result<Finished> {
        let client = Tool::Fail2ban.path()?.with_file_name("fail2ban-client");
        let mut command = self.lab.server().command(client)?;
        command.arg("-c").arg(&self.folder).arg("-s").arg(self.folder.join("socket"));
        command.arg("-p").arg(self.folder.join("pid")).args(words.split(' '));
        process::run(&mut command, PATIENCE)?.success()
    }

    /// Its folder, with a database that nobody writes any more.
    fn stop(self) -> Result<PathBuf> {
        self.process.signal(nix::sys::signal::Signal::SIGTERM)?;
        self.process.finish(PATIENCE)?;
        Ok(self.folder)
    }
}

#[test]
fn f46_peers_of_a_real_kamailio() -> Result<()> {
    if !can_run(&[Tool::Ip, Tool::Sipguard, Tool::Kamailio]) {
        return Ok(());
    }
    let lab = Lab::new()?;
    // In the lab's folder its own users may not write, and it needs none.
    let folder = lab.folder().join("kamailio");
    let tables = folder.join("db");
    fs::create_dir_all(&tables)?;
    let addresses = "id(int,auto) grp(int) ip_addr(string) mask(int) port(int) tag(string,null) \n\
                     1:1:192.0.2.10:32:0:carrier\n2:1:203.0.113.64:27:5060:net\n\
                     3:2:2001\\:db8\\:\\:1:128:0:six\n";
    fs::write(tables.join("address"), addresses)?;
    let version = "table_name(string) table_version(int)\naddress:6\ntrusted:6\n";
    fs::write(tables.join("version"), version)?;
    let trusted_table = "id(int,auto) src_ip(string) proto(string) from_pattern(string,null) \
                         ruri_pattern(string,null) tag(string,null) priority(int) \n";
    fs::write(tables.join("trusted"), trusted_table)?;
    let (path, socket) = (folder.display(), folder.join("ctl"));
    fs::write(
        folder.join("kamailio.cfg"),
        format!(
            "children=1\nlisten=udp:127.0.0.1:5060\nloadmodule \"db_text.so\"\nloadmodule \"kex.so\"\n\
             loadmodule \"ctl.so\"\nloadmodule \"permissions.so\"\n\
             modparam(\"ctl\", \"binrpc\", \"unix:{}\")\n\
             modparam(\"permissions\", \"db_url\", \"text://{path}/db\")\n\
             modparam(\"permissions\", \"db_mode\", 1)\nrequest_route {{ exit; }}\n",
            socket.display()
        ),
    )?;
    let mut command = lab.server().command(Tool::Kamailio.path()?)?;
    command.args(["-DD", "-E", "-Y"]).arg(&folder).arg("-f").arg(folder.join("kamailio.cfg"));
    let kamailio = Process::start(&mut command)?;
    let ask = |what: &str| shell(&lab, &format!("kamcmd -s unix:{} {what}", socket.display()));
    let dump = wait::until("kamailio", PATIENCE, || {
        let dump = ask("permissions.addressDump").ok().map(|done| done.text());
        Ok(dump.filter(|dump| dump.contains("carrier")))
    })
    .with_context(|| format!("kamailio said: {}", kamailio.stderr().text()))?;
    let nets = ask("permissions.subnetDump")?.text();
    let (policy, plan) = imported(&lab, (dump + &nets).as_bytes(), &[])?;
    let peers = ["192.0.2.10", "203.0.113.64/27:5060", "2001:db8::1"];
    ensure!(trusted(&plan) == peers, "{}", policy.trusted);
    // Its table says the same.
    let (_, table) = imported(&lab, addresses.as_bytes(), &[])?;
    ensure!(table.trusted == plan.trusted);
    let (_, second) = imported(&lab, addresses.as_bytes(), &["--list", "2"])?;
    ensure!(trusted(&second) == ["2001:db8::1"]);
    Ok(())
}

#[test]
fn f46_the_command_line_says_what_is_wrong() -> Result<()> {
    if !can_run(&[Tool::Ip, Tool::Sipguard]) {
        return Ok(());
    }
    let lab = Lab::new()?;
    let input = lab.folder().join("input");
    let fails = |text: &[u8], arguments: &[&str], code: i32, words: &str| {
        fs::write(&input, text)?;
        let mut command = lab.server().command(Tool::Sipguard.path()?)?;
        command.arg("import").args(arguments).arg(&input);
        let done = process::run(&mut command, PATIENCE)?.expect_code(code)?;
        ensure!(done.words().contains(words) && done.stdout.is_empty(), "{done}");
        Ok(())
    };
    fails(b"hello", &["auto"], 1, "hint: name it in place of auto")?;
    fails(b"a\n\xff", &["auto"], 1, "input: line 2: a byte here is not UTF-8")?;
    fails(b"<list>\n<", &["freeswitch"], 1, "line 2: this is not XML")?;
    fails(b"", &["iptables"], 1, "the input is empty")?;
    fails(b"x", &["iptables", "--into", "trusted"], 2, "--into does nothing for iptables")?;
    fails(b"[x]\ntype=identify\nmatch=192.0.2.1\n", &["auto", "--ttl", "1h"], 2, "--ttl does")?;
    fails(b"x", &["whatever"], 2, "possible values: auto, iptables")?;
    // An address of the server's own is never blocked.
    fs::write(&input, format!("create a hash:ip\nadd a {SERVER}\nadd a 192.0.2.77\n"))?;
    let done = import(&lab, &input, &["--into", "blacklist"])?;
    ensure!(done.words().contains("ipset: carried over 1, left 1"), "{done}");
    ensure!(done.text().contains("`203.0.113.1` is an address of this host"), "{done}");
    for name in policy::FILES {
        ensure!(done.text().contains(&format!("# ===== {name} =====")), "{done}");
    }
    Ok(())
}
