//! How the web listener stands.

use std::net::SocketAddr;

use super::Token;
use crate::api::wire;

/// The web listener, as it tells of itself; by default it is off.
#[derive(Clone, Debug, Default)]
pub struct WebState {
    /// Where it shall listen.
    pub address: Option<SocketAddr>,
    /// Why it does not, or what is wrong with its token.
    pub problem: Option<String>,
    pub token: Option<Token>,
}

impl WebState {
    pub(super) fn report(&self) -> wire::Web {
        wire::Web { address: self.address, problem: self.problem.clone() }
    }
}
