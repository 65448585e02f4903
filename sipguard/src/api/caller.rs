//! Who is at the other end of the control socket.

use std::ffi::CString;

use axum::{
    extract::{ConnectInfo, FromRequestParts, connect_info::Connected},
    http::request::Parts,
    serve::IncomingStream,
};
use nix::unistd::{Gid, Group, Uid, User, getgrouplist};
use tokio::net::UnixListener;

use super::failure::ApiError;
use crate::daemon::GROUP;

/// The credentials that the kernel took down when the caller connected
/// (SO_PEERCRED); `None` where it did not.
#[derive(Clone, Copy, Debug)]
pub(super) struct Peer(Option<Caller>);

/// A caller who may use the socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Caller {
    pub(super) uid: u32,
    gid: u32,
}

impl Connected<IncomingStream<'_, UnixListener>> for Peer {
    fn connect_info(stream: IncomingStream<'_, UnixListener>) -> Self {
        let credentials = stream.io().peer_cred().ok();
        Self(credentials.map(|peer| Caller { uid: peer.uid(), gid: peer.gid() }))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Caller {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, ApiError> {
        let peer = parts.extensions.get::<ConnectInfo<Peer>>().and_then(|info| info.0.0);
        let caller = peer.ok_or_else(|| ApiError::forbidden("the caller is unknown"))?;
        match caller.is_permitted() {
            true => Ok(caller),
            false => Err(ApiError::forbidden(&format!("uid {} may not do this", caller.uid))),
        }
    }
}

impl Caller {
    /// Root, the daemon's own user, and members of the socket's group: the
    /// same as the mode of the socket says, and still so when somebody changed
    /// that mode. Membership is what the user database says, for the kernel
    /// passes on no more than the caller's first group.
    fn is_permitted(self) -> bool {
        if self.uid == 0 || self.uid == Uid::effective().as_raw() {
            return true;
        }
        let Ok(Some(group)) = Group::from_name(GROUP) else { return false };
        if group.gid == Gid::from_raw(self.gid) {
            return true;
        }
        let Ok(Some(user)) = User::from_uid(Uid::from_raw(self.uid)) else { return false };
        let groups =
            CString::new(user.name).ok().and_then(|name| getgrouplist(&name, user.gid).ok());
        groups.is_some_and(|groups| groups.contains(&group.gid))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn root_and_the_own_user_are_permitted_and_strangers_are_not() {
        assert!(Caller { uid: 0, gid: 0 }.is_permitted());
        assert!(Caller { uid: Uid::effective().as_raw(), gid: 12_345 }.is_permitted());
        assert!(!Caller { uid: 4_000_000_000, gid: 4_000_000_000 }.is_permitted());
    }
}
