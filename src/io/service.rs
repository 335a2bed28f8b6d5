//! The service manager that started us (sd_notify(3), systemd.service(5) `Type=notify-reload`): it is told when we are ready,
//! reload, stop, and, as long as we really work, that we live. Without one (no `NOTIFY_SOCKET`) nothing is told to nobody.

use std::{
    ffi::OsStr,
    io,
    os::{
        linux::net::SocketAddrExt as _,
        unix::{
            ffi::OsStrExt as _,
            net::{SocketAddr, UnixDatagram},
        },
    },
    time::Duration,
};

use super::sockopt;

/// The way to the service manager.
#[derive(Debug)]
pub struct ServiceManager {
    place: Option<SocketAddr>,
    socket: Option<UnixDatagram>,
    watchdog: Option<Duration>,
}

impl ServiceManager {
    /// As the environment says. A socket that cannot be used is as good as none.
    pub fn from_environment() -> Self {
        let read = |name: &str| std::env::var(name).ok();
        let socket = std::env::var_os("NOTIFY_SOCKET");
        let watchdog = watchdog(read("WATCHDOG_USEC").as_deref(), read("WATCHDOG_PID").as_deref());
        Self::new(socket.as_deref(), watchdog)
    }

    /// The one that listens at `place`: a path, or an abstract name behind `@`. `watchdog`: it gives us up when it is not told
    /// for so long that we live.
    pub fn new(place: Option<&OsStr>, watchdog: Option<Duration>) -> Self {
        let place = place.and_then(|place| address(place).ok());
        let socket = place.as_ref().and_then(|_| UnixDatagram::unbound().ok());
        Self { place, socket, watchdog }
    }

    /// How often it must be told that we live: twice within its patience. `None`: it does not want to know.
    pub fn beat(&self) -> Option<Duration> {
        self.watchdog.filter(|_| self.place.is_some()).map(|patience| patience / 2)
    }

    /// Whether anybody is told anything.
    pub fn is_there(&self) -> bool {
        self.place.is_some()
    }

    /// We serve. `status` is one line for people.
    pub fn ready(&self, status: &str) {
        self.tell(&format!("READY=1\nSTATUS={status}"));
    }

    /// We read our configuration again; `ready` must follow.
    pub fn reloading(&self) {
        // Tells this reload from the one that was asked for later.
        let now = sockopt::monotonic_micros();
        self.tell(&format!("RELOADING=1\nMONOTONIC_USEC={now}\nSTATUS=reading the configuration again"));
    }

    /// We end.
    pub fn stopping(&self) {
        self.tell("STOPPING=1\nSTATUS=saying goodbye to the neighbors");
    }

    /// One line for people.
    pub fn status(&self, status: &str) {
        self.tell(&format!("STATUS={status}"));
    }

    /// We live.
    pub fn alive(&self) {
        self.tell("WATCHDOG=1");
    }

    /// A manager that does not listen now will ask why we are silent: there is nobody else to tell.
    fn tell(&self, message: &str) {
        if let (Some(place), Some(socket)) = (&self.place, &self.socket) {
            let _ = socket.send_to_addr(message.as_bytes(), place);
        }
    }
}

fn address(place: &OsStr) -> io::Result<SocketAddr> {
    match place.as_bytes() {
        [b'@', name @ ..] => SocketAddr::from_abstract_name(name),
        _ => SocketAddr::from_pathname(place),
    }
}

/// The patience of the watchdog; `None` where it waits for another process, or for none.
fn watchdog(micros: Option<&str>, pid: Option<&str>) -> Option<Duration> {
    let ours = pid.is_none_or(|pid| pid.parse() == Ok(std::process::id()));
    let micros: u64 = micros?.parse().ok()?;
    (ours && micros > 0).then(|| Duration::from_micros(micros))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_watchdog_may_wait_for_somebody_else() {
        let ours = std::process::id().to_string();
        assert_eq!(watchdog(Some("30000000"), None), Some(Duration::from_secs(30)));
        assert_eq!(watchdog(Some("30000000"), Some(&ours)), Some(Duration::from_secs(30)));
        assert_eq!(watchdog(Some("30000000"), Some("1")), None);
        assert_eq!(watchdog(Some("0"), None), None);
        assert_eq!(watchdog(None, None), None);
    }

    #[test]
    fn both_kinds_of_sockets_are_told_and_nobody_is_no_trouble() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("notify");
        let name = format!("ribwatch-{}-notify", std::process::id());
        let abstract_name = SocketAddr::from_abstract_name(&name).unwrap();
        let sockets = [
            (UnixDatagram::bind(&path).unwrap(), path.clone().into_os_string()),
            (UnixDatagram::bind_addr(&abstract_name).unwrap(), format!("@{name}").into()),
        ];
        for (listening, place) in sockets {
            let manager = ServiceManager::new(Some(&place), Some(Duration::from_secs(30)));
            assert_eq!(manager.beat(), Some(Duration::from_secs(15)));
            manager.ready("2 sessions");
            manager.alive();
            let mut octets = [0; 100];
            let mut next = || {
                let length = listening.recv(&mut octets).unwrap();
                String::from_utf8(octets[..length].to_vec()).unwrap()
            };
            assert_eq!(next(), "READY=1\nSTATUS=2 sessions");
            assert_eq!(next(), "WATCHDOG=1");
        }
        let nobody = ServiceManager::new(None, Some(Duration::from_secs(30)));
        nobody.stopping();
        assert_eq!((nobody.is_there(), nobody.beat()), (false, None));
        ServiceManager::new(Some(dir.path().join("gone").as_os_str()), None).stopping();
    }
}
