//! Where the web listener is.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

/// The web listener, in [`super::Status`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Web {
    /// Where it shall listen; none where it is off.
    pub address: Option<SocketAddr>,
    /// Why it does not listen there, or what is wrong with its token.
    pub problem: Option<String>,
}

/// Answer to `GET /v1/web`, on the control socket only.
#[derive(Debug, Serialize, Deserialize)]
pub struct Dashboard {
    /// Where browsers find it, without the token.
    pub url: String,
    /// What changes something must carry, 64 hexadecimal digits.
    pub token: String,
    /// Why nobody answers there.
    pub problem: Option<String>,
}
