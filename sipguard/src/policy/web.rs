//! The section `[web]`: where browsers and Prometheus find sipguard.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

/// The TCP listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebSettings {
    /// `None` where it is off.
    pub listen: Option<SocketAddr>,
    /// Names of this host that browsers may call it by, in lower case.
    pub names: Vec<String>,
}

impl Default for WebSettings {
    fn default() -> Self {
        let listen = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 9061);
        Self { listen: Some(listen), names: Vec::new() }
    }
}

impl WebSettings {
    /// The address, or `off`.
    #[must_use]
    pub fn shown(&self) -> String {
        self.listen.map_or_else(|| "off".to_owned(), |address| address.to_string())
    }
}
