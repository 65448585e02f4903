//! Two namespaces with a wire between them.

use std::{
    fs::{self, Permissions},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    os::unix::fs::PermissionsExt as _,
    path::Path,
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use tempfile::TempDir;

use super::{
    namespace::Namespace,
    process::{self, Finished},
    tool::Tool,
};

/// The SIP port.
pub const SIP: u16 = 5060;
/// The SIP server.
pub const SERVER: IpAddr = IpAddr::V4(Ipv4Addr::new(203, 0, 113, 1));
/// The server's way out.
pub const GATEWAY: IpAddr = IpAddr::V4(Ipv4Addr::new(203, 0, 113, 126));
/// The SIP server at its second interface.
pub const SECOND_SERVER: IpAddr = IpAddr::V4(Ipv4Addr::new(203, 0, 113, 129));
/// Sources that nobody knows.
pub const STRANGERS: [IpAddr; 4] = [
    IpAddr::V4(Ipv4Addr::new(198, 51, 100, 7)),
    IpAddr::V4(Ipv4Addr::new(198, 51, 100, 8)),
    IpAddr::V4(Ipv4Addr::new(198, 51, 100, 9)),
    IpAddr::V4(Ipv4Addr::new(198, 51, 100, 10)),
];
/// The first of them, from which scanners scan unless told otherwise.
pub const STRANGER: IpAddr = STRANGERS[0];
/// The operator's trunk, trusted in [`super::policy::Policy::usual`].
pub const TRUSTED: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 10));
/// The SIP server.
pub const SERVER_V6: IpAddr = IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, 0, 0, 1));
/// A source that nobody knows.
pub const STRANGER_V6: IpAddr = IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 2, 0, 0, 0, 0, 7));

/// Time limit of one call of `ip`.
const IP_LIMIT: Duration = Duration::from_secs(20);

/// From linux/if_link.h.
const XDP_ATTACHED_DRV: u64 = 1;

/// The largest MTU of a veth.
const LARGEST_MTU: u32 = 65_535;

/// A wire between the namespaces: one interface at each end.
#[derive(Debug)]
struct Wire {
    far: &'static str,
    wan: &'static str,
    server: &'static [&'static str],
    outside: &'static [&'static str],
}

const FIRST: Wire = Wire {
    far: "far0",
    wan: WAN,
    server: &["203.0.113.1/25", "2001:db8:1::1/64"],
    outside: &[
        "203.0.113.126/25",
        "2001:db8:1::fe/64",
        "198.51.100.7/32",
        "198.51.100.8/32",
        "198.51.100.9/32",
        "198.51.100.10/32",
        "192.0.2.10/32",
        "2001:db8:2::7/128",
    ],
};

const SECOND: Wire = Wire {
    far: "far1",
    wan: SECOND_WAN,
    server: &["203.0.113.129/25"],
    outside: &["203.0.113.254/25"],
};

/// The server's interface.
pub const WAN: &str = "wan0";
/// The server's second interface, after [`Lab::add_second_wire`].
pub const SECOND_WAN: &str = "wan1";

/// The namespaces of one test, with a folder for its files.
#[derive(Debug)]
pub struct Lab {
    outside: Namespace,
    server: Namespace,
    folder: TempDir,
}

impl Lab {
    /// Makes the namespaces and the wire, with addresses and routes.
    ///
    /// # Errors
    /// Where the kernel or `ip` refuses.
    pub fn new() -> Result<Self> {
        let folder = TempDir::with_prefix("sipguard-lab-").context("cannot make a folder")?;
        // Other users are in there in some tests.
        fs::set_permissions(folder.path(), Permissions::from_mode(0o755))?;
        let lab = Self { outside: Namespace::new()?, server: Namespace::new()?, folder };
        for namespace in [&lab.outside, &lab.server] {
            quieten(namespace)?;
            ip(namespace, &["link", "set", "dev", "lo", "up"])?;
        }
        lab.make_wire_again()?;
        Ok(lab)
    }

    /// Makes the first wire, with its addresses and routes.
    ///
    /// # Errors
    /// Where the kernel or `ip` refuses.
    pub fn make_wire_again(&self) -> Result<()> {
        self.add_wire(&FIRST)?;
        // Strangers by default, for tools that let the kernel choose.
        self.ip_outside(&[
            "route",
            "replace",
            "203.0.113.0/25",
            "dev",
            FIRST.far,
            "src",
            "198.51.100.7",
        ])?;
        self.ip_outside(&[
            "route",
            "replace",
            "2001:db8:1::/64",
            "dev",
            FIRST.far,
            "src",
            "2001:db8:2::7",
        ])?;
        self.add_routes()
    }

    fn add_routes(&self) -> Result<()> {
        self.ip_server(&["route", "replace", "default", "via", "203.0.113.126"])?;
        self.ip_server(&["route", "replace", "default", "via", "2001:db8:1::fe"])
    }

    /// Removes the first wire, both ends of it.
    ///
    /// # Errors
    /// Where the kernel or `ip` refuses.
    pub fn cut_wire(&self) -> Result<()> {
        self.ip_outside(&["link", "delete", "dev", FIRST.far])
    }

    /// Brings the server's end of the first wire up, which was down.
    ///
    /// # Errors
    /// Where the kernel or `ip` refuses.
    pub fn restore_wire(&self) -> Result<()> {
        self.ip_server(&["link", "set", "dev", FIRST.wan, "up"])?;
        // IPv6 addresses have gone, and with them their routes.
        for address in FIRST.server.iter().filter(|address| address.contains(':')) {
            self.ip_server(&["address", "replace", address, "dev", FIRST.wan, "nodad"])?;
        }
        self.add_routes()
    }

    /// A second wire: [`SECOND_SERVER`] at [`SECOND_WAN`].
    ///
    /// # Errors
    /// Where the kernel or `ip` refuses.
    pub fn add_second_wire(&self) -> Result<()> {
        self.add_wire(&SECOND)?;
        self.ip_outside(&[
            "route",
            "replace",
            "203.0.113.128/25",
            "dev",
            SECOND.far,
            "src",
            "198.51.100.7",
        ])
    }

    fn add_wire(&self, wire: &Wire) -> Result<()> {
        let server = self.server.path();
        // One queue each, so that what was sent first comes first.
        let queues = ["numtxqueues", "1", "numrxqueues", "1"];
        let near = ["link", "add", "name", wire.far];
        let peer = ["type", "veth", "peer", "name", wire.wan, "netns", &server];
        self.ip_outside(&[&near[..], &queues, &peer, &queues].concat())?;
        for (namespace, name, addresses) in
            [(&self.outside, wire.far, wire.outside), (&self.server, wire.wan, wire.server)]
        {
            for address in addresses {
                // IPv6 addresses would be unusable until nobody else claims them.
                let nodad: &[&str] = if address.contains(':') { &["nodad"] } else { &[] };
                ip(namespace, &[&["address", "add", address, "dev", name], nodad].concat())?;
            }
            ip(namespace, &["link", "set", "dev", name, "up"])?;
        }
        Ok(())
    }

    /// Where phones, trunks and scanners are.
    #[must_use]
    pub fn outside(&self) -> &Namespace {
        &self.outside
    }

    /// Where the SIP server and sipguard are.
    #[must_use]
    pub fn server(&self) -> &Namespace {
        &self.server
    }

    /// A folder that goes away with this.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Runs `ip` in the outside namespace.
    ///
    /// # Errors
    /// Where it fails.
    pub fn ip_outside(&self, arguments: &[&str]) -> Result<()> {
        ip(&self.outside, arguments).map(drop)
    }

    /// Runs `ip` in the server's namespace.
    ///
    /// # Errors
    /// Where it fails.
    pub fn ip_server(&self, arguments: &[&str]) -> Result<()> {
        ip(&self.server, arguments).map(drop)
    }

    /// A wire from the server to somebody who serves several labs: addresses
    /// `10.99.NUMBER.1` there, which is returned, and `10.99.NUMBER.2` here.
    ///
    /// # Errors
    /// Where the kernel or `ip` refuses.
    pub fn connect(&self, other: &Namespace, number: u8) -> Result<IpAddr> {
        let (near, far, path) = ("back0", format!("lab{number}"), other.path());
        self.ip_server(&[
            "link", "add", "name", near, "type", "veth", "peer", "name", &far, "netns", &path,
        ])?;
        for (namespace, name, host) in [(&self.server, near, 2), (other, far.as_str(), 1)] {
            let address = format!("10.99.{number}.{host}/30");
            ip(namespace, &["address", "add", &address, "dev", name])?;
            ip(namespace, &["link", "set", "dev", name, "up"])?;
        }
        ip(other, &["link", "set", "dev", "lo", "up"])?;
        Ok(Ipv4Addr::new(10, 99, number, 1).into())
    }

    /// Gives the server's interface and its peer the largest MTU.
    ///
    /// # Errors
    /// Where the kernel refuses.
    pub fn enlarge_mtu(&self) -> Result<()> {
        let mtu = LARGEST_MTU.to_string();
        self.ip_outside(&["link", "set", "dev", FIRST.far, "mtu", &mtu])?;
        self.ip_server(&["link", "set", "dev", FIRST.wan, "mtu", &mtu])
    }

    /// Frames that an interface of the server has received, dropped ones too.
    ///
    /// # Errors
    /// Where `ip` fails.
    pub fn received(&self, interface: &str) -> Result<u64> {
        let link = link(&self.server, interface)?;
        link["stats64"]["rx"]["packets"].as_u64().with_context(|| format!("no counter in {link}"))
    }

    /// Whether the first wire carries frames.
    ///
    /// # Errors
    /// Where `ip` fails.
    pub fn is_up(&self) -> Result<bool> {
        Ok(link(&self.outside, FIRST.far)?["operstate"] == "UP")
    }

    /// Frames that the first wire has lost on their way to the server, before
    /// any XDP program saw them.
    ///
    /// # Errors
    /// Where `ip` fails.
    pub fn lost(&self) -> Result<u64> {
        let link = link(&self.outside, FIRST.far)?;
        link["stats64"]["tx"]["dropped"].as_u64().with_context(|| format!("no counter in {link}"))
    }

    /// The id of the XDP program at an interface of the server, if there is one.
    ///
    /// # Errors
    /// Where `ip` fails.
    pub fn xdp_program(&self, interface: &str) -> Result<Option<u64>> {
        Ok(link(&self.server, interface)?["xdp"]["prog"]["id"].as_u64())
    }

    /// The tag of the XDP program at an interface of the server, if there is
    /// one: a hash of its instructions.
    ///
    /// # Errors
    /// Where `ip` fails.
    pub fn xdp_tag(&self, interface: &str) -> Result<Option<String>> {
        Ok(link(&self.server, interface)?["xdp"]["prog"]["tag"].as_str().map(str::to_owned))
    }

    /// Whether an XDP program runs in the driver of an interface of the server,
    /// as the kernel says.
    ///
    /// # Errors
    /// Where `ip` fails.
    pub fn has_native_xdp(&self, interface: &str) -> Result<bool> {
        Ok(link(&self.server, interface)?["xdp"]["mode"] == XDP_ATTACHED_DRV)
    }
}

/// The SIP port of an address.
#[must_use]
pub const fn sip(address: IpAddr) -> SocketAddr {
    SocketAddr::new(address, SIP)
}

fn ip(namespace: &Namespace, arguments: &[&str]) -> Result<Finished> {
    process::run(namespace.command(Tool::Ip.path()?)?.args(arguments), IP_LIMIT)?
        .success()
        .with_context(|| format!("ip {}", arguments.join(" ")))
}

fn link(namespace: &Namespace, interface: &str) -> Result<Value> {
    let answer = ip(namespace, &["-json", "-statistics", "link", "show", "dev", interface])?;
    let mut links: Value = serde_json::from_slice(&answer.stdout).context("what ip says")?;
    ensure!(links[0].is_object(), "no link in {links}");
    Ok(links[0].take())
}

/// Lets sources come in at either interface, and keeps the kernel from sending
/// frames of its own where that can be.
fn quieten(namespace: &Namespace) -> Result<()> {
    namespace.enter(|| {
        for (file, value) in [
            ("ipv4/conf/all/rp_filter", "0"),
            ("ipv4/conf/default/rp_filter", "0"),
            ("ipv6/conf/all/disable_ipv6", "0"),
            ("ipv6/conf/default/disable_ipv6", "0"),
            ("ipv6/conf/default/router_solicitations", "0"),
        ] {
            // A container may have /proc/sys read-only; the usual values do then.
            let _ = fs::write(Path::new("/proc/sys/net").join(file), value);
        }
        Ok(())
    })
}
