//! The Unix socket: who may connect is said by the permissions of its file.

use std::{
    fs, io,
    os::unix::fs::{FileTypeExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
};

use socket2::{Domain, SockAddr, Socket, Type};
use tokio::net::{UnixListener, UnixStream};

/// Connections that may wait to be accepted.
const BACKLOG: i32 = 128;

/// Where a Unix socket stands, and who may connect.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SocketFile {
    /// `socket`.
    pub path: PathBuf,
    /// `socket_mode`: the permissions of the file.
    pub mode: u32,
}

/// Removes the file when it is dropped.
pub struct Removal(PathBuf);

impl Drop for Removal {
    fn drop(&mut self) {
        // Somebody else may have done it.
        let _ = fs::remove_file(&self.0);
    }
}

impl SocketFile {
    /// Listens; a file that an earlier run left behind is replaced. Needs a runtime.
    ///
    /// # Errors
    /// A sentence that names the fix: somebody listens there, something else is there, or the folder cannot be written.
    pub async fn listen(&self) -> Result<(UnixListener, Removal), String> {
        let path = &self.path;
        if let Ok(there) = fs::symlink_metadata(path) {
            if !there.file_type().is_socket() {
                return Err(format!("{} is there already and is no socket: choose another path", path.display()));
            }
            if UnixStream::connect(path).await.is_ok() {
                return Err(format!("another program listens on {}: stop it, or choose another path", path.display()));
            }
            fs::remove_file(path).map_err(|error| format!("{} cannot be replaced: {error}", path.display()))?;
        }
        self.bind().map_err(|error| {
            let folder = path.parent().unwrap_or(Path::new("/"));
            format!("{} cannot be made: {error}; see whether {} may be written", path.display(), folder.display())
        })
    }

    fn bind(&self) -> io::Result<(UnixListener, Removal)> {
        let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
        socket.set_nonblocking(true)?;
        socket.bind(&SockAddr::unix(&self.path)?)?;
        let removal = Removal(self.path.clone());
        // Nobody can connect before `listen`, so nobody slips in under the permissions that the file is made with.
        fs::set_permissions(&self.path, fs::Permissions::from_mode(self.mode))?;
        socket.listen(BACKLOG)?;
        Ok((UnixListener::from_std(socket.into())?, removal))
    }
}
