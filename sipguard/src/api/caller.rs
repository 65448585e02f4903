//! Who asks: somebody at the other end of the control socket, or whom the guard
//! of the web listener has let through.

use std::ffi::CString;

use axum::{
    extract::{ConnectInfo, FromRequestParts},
    http::request::Parts,
};
use nix::unistd::{Gid, Group, Uid, User, getgrouplist};
use tokio::net::UnixStream;

use super::failure::ApiError;
use crate::daemon::{By, GROUP};

/// The credentials that the kernel took down when the caller connected
/// (SO_PEERCRED); `None` where it did not.
#[derive(Clone, Copy, Debug)]
pub(super) struct Peer(Option<Caller>);

/// What the guard of the web listener puts into a request that it lets through.
/// Nothing from outside can put it there.
#[derive(Clone, Copy, Debug)]
pub(super) struct Admitted;

/// A caller who may use the API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Caller {
    /// Of the control socket.
    Local { uid: u32, gid: u32 },
    /// Of the web listener.
    Web,
}

impl Peer {
    pub(super) fn of(stream: &UnixStream) -> Self {
        let credentials = stream.peer_cred().ok();
        Self(credentials.map(|peer| Caller::Local { uid: peer.uid(), gid: peer.gid() }))
    }

    /// Whose places it takes; those of nobody where the kernel does not say.
    pub(super) const fn uid(self) -> u32 {
        match self.0 {
            Some(Caller::Local { uid, .. }) => uid,
            Some(Caller::Web) | None => u32::MAX,
        }
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Caller {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, ApiError> {
        if parts.extensions.get::<Admitted>().is_some() {
            return Ok(Self::Web);
        }
        let peer = parts.extensions.get::<ConnectInfo<Peer>>().and_then(|info| info.0.0);
        let caller = peer.ok_or_else(|| ApiError::forbidden("the caller is unknown"))?;
        match caller {
            Self::Local { uid, gid } if !is_permitted(uid, gid) => {
                Err(ApiError::forbidden(&format!("uid {uid} may not do this")))
            }
            permitted => Ok(permitted),
        }
    }
}

impl Caller {
    /// In whose name something is done.
    pub(super) const fn by(self) -> By {
        match self {
            Self::Local { uid, .. } => By::Uid(uid),
            Self::Web => By::Web,
        }
    }
}

/// Root, the daemon's own user, and members of the socket's group: the same as
/// the mode of the socket says, and still so when somebody changed that mode.
/// Membership is what the user database says, for the kernel passes on no more
/// than the caller's first group.
fn is_permitted(uid: u32, gid: u32) -> bool {
    if uid == 0 || uid == Uid::effective().as_raw() {
        return true;
    }
    let Ok(Some(group)) = Group::from_name(GROUP) else { return false };
    if group.gid == Gid::from_raw(gid) {
        return true;
    }
    let Ok(Some(user)) = User::from_uid(Uid::from_raw(uid)) else { return false };
    let groups = CString::new(user.name).ok().and_then(|name| getgrouplist(&name, user.gid).ok());
    groups.is_some_and(|groups| groups.contains(&group.gid))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn root_and_the_own_user_are_permitted_and_strangers_are_not() {
        assert!(is_permitted(0, 0));
        assert!(is_permitted(Uid::effective().as_raw(), 12_345));
        assert!(!is_permitted(4_000_000_000, 4_000_000_000));
    }
}
