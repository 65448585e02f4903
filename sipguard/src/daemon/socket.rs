//! The control socket in the file system.

use std::{
    fs::{self, DirBuilder, File, Permissions, TryLockError},
    io,
    os::unix::{
        fs::{DirBuilderExt, FileTypeExt, MetadataExt, OpenOptionsExt, PermissionsExt, chown},
        net::{UnixListener, UnixStream},
    },
    path::{Path, PathBuf},
};

use nix::unistd::Group;

/// Where the socket is unless told otherwise.
pub const DEFAULT_SOCKET: &str = "/run/sipguard/control.sock";

/// Members of this group may use the socket, if the group exists.
pub const GROUP: &str = "sipguard";

const SOCKET_MODE: u32 = 0o660;
const DIRECTORY_MODE: u32 = 0o755;
/// Who can open it can hold it, and keep the daemon from starting.
const LOCK_MODE: u32 = 0o600;

/// Why there is no control socket.
#[derive(Debug, thiserror::Error)]
pub enum SocketError {
    #[error("sipguard is already running: {} is in use", .0.display())]
    InUse(PathBuf),
    #[error("{} exists and is no socket", .0.display())]
    NotASocket(PathBuf),
    #[error("cannot make the control socket {}: {source}", path.display())]
    Io { path: PathBuf, source: io::Error },
}

impl SocketError {
    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> &'static str {
        match self {
            Self::InUse(_) => "see `sipguard status`, or choose another path by --socket",
            Self::NotASocket(_) => "remove the file, or choose another path by --socket",
            Self::Io { .. } => "run as root, or choose another path by --socket",
        }
    }
}

/// A bound control socket. Its file goes away with it, unless another has
/// taken its place.
#[derive(Debug)]
pub struct ControlSocket {
    path: PathBuf,
    /// Device and inode of the file that we made.
    identity: (u64, u64),
    /// Held as long as we run: whoever holds it may replace a stale socket. The
    /// file stays, for removing it would let two starters lock two files.
    _lock: File,
}

impl ControlSocket {
    /// Makes the directory and the socket. A socket that nobody listens on is
    /// replaced.
    ///
    /// # Errors
    /// Somebody listens there, or the file system refused.
    pub fn bind(path: &Path) -> Result<(Self, UnixListener), SocketError> {
        let io = |source| SocketError::Io { path: path.to_owned(), source };
        if let Some(directory) = path.parent().filter(|dir| !dir.as_os_str().is_empty()) {
            DirBuilder::new().recursive(true).mode(DIRECTORY_MODE).create(directory).map_err(io)?;
        }
        let lock = lock(path)?;
        remove_stale(path)?;
        // Nobody but root and ourselves can connect before the mode is set:
        // connecting takes the permission to write, which the usual umask of
        // 022 leaves to the owner only.
        let listener = UnixListener::bind(path).map_err(io)?;
        listener.set_nonblocking(true).map_err(io)?;
        if let Ok(Some(group)) = Group::from_name(GROUP) {
            chown(path, None, Some(group.gid.as_raw())).map_err(io)?;
        }
        fs::set_permissions(path, Permissions::from_mode(SOCKET_MODE)).map_err(io)?;
        let identity = identity(path).map_err(io)?;
        Ok((Self { path: path.to_owned(), identity, _lock: lock }, listener))
    }
}

impl Drop for ControlSocket {
    fn drop(&mut self) {
        if identity(&self.path).is_ok_and(|now| now == self.identity) {
            // Whoever starts next replaces what could not be removed.
            let _ = fs::remove_file(&self.path);
        }
    }
}

fn identity(path: &Path) -> io::Result<(u64, u64)> {
    let metadata = fs::symlink_metadata(path)?;
    Ok((metadata.dev(), metadata.ino()))
}

fn lock(path: &Path) -> Result<File, SocketError> {
    let io = |source| SocketError::Io { path: path.to_owned(), source };
    let mut name = path.as_os_str().to_owned();
    name.push(".lock");
    let mut options = File::options();
    options.create(true).append(true).mode(LOCK_MODE);
    let file = options.open(PathBuf::from(name)).map_err(io)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(SocketError::InUse(path.to_owned())),
        Err(TryLockError::Error(source)) => Err(io(source)),
    }
}

/// Removes a socket that nobody listens on, and nothing else.
fn remove_stale(path: &Path) -> Result<(), SocketError> {
    let io = |source| SocketError::Io { path: path.to_owned(), source };
    let metadata = match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        other => other.map_err(io)?,
    };
    if !metadata.file_type().is_socket() {
        return Err(SocketError::NotASocket(path.to_owned()));
    }
    match UnixStream::connect(path) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            fs::remove_file(path).map_err(io)
        }
        Err(source) => Err(io(source)),
        Ok(_) => Err(SocketError::InUse(path.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn made_with_its_directory_and_removed_at_the_end() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("run/control.sock");
        let (socket, _listener) = ControlSocket::bind(&path).unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&path), SOCKET_MODE);
        assert_eq!(mode(&dir.path().join("run")), DIRECTORY_MODE);
        // No other user can hold it.
        assert_eq!(mode(&dir.path().join("run/control.sock.lock")), LOCK_MODE);
        drop(socket);
        assert!(!path.exists());
    }

    #[test]
    fn a_second_daemon_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("control.sock");
        let first = ControlSocket::bind(&path).unwrap();
        assert!(matches!(ControlSocket::bind(&path), Err(SocketError::InUse(_))));
        // Not even while the first one does not listen yet, or any more.
        let (socket, listener) = first;
        drop(listener);
        assert!(matches!(ControlSocket::bind(&path), Err(SocketError::InUse(_))));
        drop(socket);
        assert!(ControlSocket::bind(&path).is_ok());
    }

    #[test]
    fn a_stale_socket_is_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("control.sock");
        drop(UnixListener::bind(&path).unwrap());
        assert!(path.exists());
        let bound = ControlSocket::bind(&path).unwrap();
        assert!(UnixStream::connect(&path).is_ok());
        drop(bound);
    }

    #[test]
    fn what_is_not_ours_stays() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("precious");
        fs::write(&file, "x").unwrap();
        assert!(matches!(ControlSocket::bind(&file), Err(SocketError::NotASocket(_))));
        let live = dir.path().join("live");
        let _other = UnixListener::bind(&live).unwrap();
        assert!(matches!(ControlSocket::bind(&live), Err(SocketError::InUse(_))));

        let path = dir.path().join("control.sock");
        let bound = ControlSocket::bind(&path).unwrap();
        fs::remove_file(&path).unwrap();
        fs::write(&path, "somebody else's").unwrap();
        drop(bound);
        assert!(path.exists());
    }
}
