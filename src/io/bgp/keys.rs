//! TCP-MD5 keys (RFC 2385) of the listeners: who may connect with which key. A range has one key for all of it
//! (`TCP_MD5SIG_EXT`). Keys of connections that we open are set in `socket`.

use std::os::fd::AsFd;

use tokio::net::TcpListener;
use tracing::warn;

use super::{super::sockopt, NeighborSettings, Remote, Speaker};

impl Speaker {
    /// Tells the listeners the neighbour's TCP-MD5 key.
    pub(super) fn set_key(&self, settings: &NeighborSettings) {
        if let Err(why) = self.try_key(settings) {
            warn!("{} cannot connect to us: {why}", settings.label(settings.remote));
        }
    }

    /// Tells the listeners the TCP-MD5 key of a neighbour or range that exists or is about to, before anything depends
    /// on it. Sessions that are up keep theirs. Without a password nothing happens.
    ///
    /// # Errors
    /// The kernel takes no key for it; the sentence names the fix. Some listeners may have the key.
    pub fn try_key(&self, settings: &NeighborSettings) -> Result<(), String> {
        let Some(password) = &settings.password else { return Ok(()) };
        for listener in &self.0.listeners {
            change_key(listener, settings.remote, password.0.as_bytes()).map_err(|error| {
                format!(
                    "the kernel takes no TCP-MD5 key for {} ({error}); if there are many keys, raise \
                     net.core.optmem_max or use one range with one password",
                    settings.remote
                )
            })?;
        }
        Ok(())
    }

    /// Takes the TCP-MD5 key of `new` back, which `try_key` has set; `old` is the one that holds again.
    pub fn restore_key(&self, new: &NeighborSettings, old: Option<&NeighborSettings>) {
        match old.filter(|old| old.password.is_some()) {
            Some(old) => self.set_key(old),
            None => self.remove_key(new),
        }
    }

    pub(super) fn remove_key(&self, settings: &NeighborSettings) {
        if settings.password.is_some() {
            for listener in &self.0.listeners {
                // A key that could not be set cannot be removed either.
                let _ = change_key(listener, settings.remote, b"");
            }
        }
    }
}

fn change_key(listener: &TcpListener, remote: Remote, key: &[u8]) -> std::io::Result<()> {
    let same_family = listener.local_addr()?.is_ipv4() == remote.prefix().is_v4();
    if same_family { sockopt::set_md5_key(listener.as_fd(), remote.prefix(), key) } else { Ok(()) }
}
