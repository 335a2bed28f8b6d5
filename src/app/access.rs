//! Who is let in: the gate of this daemon, its listeners for readers with their certificates, and the file of the audit log.

use std::{
    fs::{File, OpenOptions},
    io::{self, Write as _},
    net::SocketAddr,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::net::TcpListener;
use tracing::{error, info};

use crate::{
    access::{Entry, Gate},
    api,
    config::{Access, Config, Listener},
    io::{
        bgp::explain_bind,
        clock::Clock,
        door::{Entrance, tls::TlsServer, unix::Removal},
    },
    web,
};

/// Permissions of the audit log.
const AUDIT_MODE: u32 = 0o640;

/// What a reload changes of who is let in.
#[derive(Clone)]
pub(super) struct Doors {
    gate: Arc<Gate>,
    audit: Arc<Audit>,
    tls: Arc<Mutex<Vec<Arc<TlsServer>>>>,
}

impl Doors {
    pub(super) fn new(access: &Access, clock: Clock) -> Self {
        let audit = Arc::new(Audit::default());
        let written = Arc::clone(&audit);
        let gate = Gate::new(access.rules.clone(), move || clock.now(), move |entry| written.write(entry));
        Self { gate: Arc::new(gate), audit, tls: Arc::default() }
    }

    pub(super) fn gate(&self) -> Arc<Gate> {
        Arc::clone(&self.gate)
    }

    /// Lets in whom `access` names, and writes it down where it says, from now on.
    pub(super) fn go_over(&self, access: &Access) {
        self.gate.set_rules(access.rules.clone());
        self.audit.open(access.audit.as_deref());
    }

    /// Reads certificates again, and begins the audit log anew where its file was moved aside.
    pub(super) fn renew(&self) {
        for tls in lock(&self.tls).iter() {
            if let Err(fault) = tls.reload() {
                error!("tls {}: {}; the certificate is the one before", fault.key, fault.what);
            }
        }
        let path = lock(&self.audit.0).as_ref().map(|(path, _)| path.clone());
        self.audit.open(path.as_deref());
    }
}

/// The file of the audit log, with its path.
#[derive(Default)]
struct Audit(Mutex<Option<(PathBuf, Option<File>)>>);

impl Audit {
    /// Writes to `path` from now on.
    fn open(&self, path: Option<&Path>) {
        let open = |path: &Path| OpenOptions::new().append(true).create(true).mode(AUDIT_MODE).open(path);
        *lock(&self.0) = path.map(|path| match open(path) {
            Ok(file) => (path.to_owned(), Some(file)),
            Err(why) => {
                complain(path, &why);
                (path.to_owned(), None)
            }
        });
    }

    /// Writes a line, here and to the log. What cannot be written is told once; the log has it all the same.
    fn write(&self, entry: &Entry) {
        let mut line = entry.json();
        info!(target: "audit", "audit: {line}");
        line.push('\n');
        if let Some((path, file)) = lock(&self.0).as_mut()
            && let Some(Err(why)) = file.as_mut().map(|file| file.write_all(line.as_bytes()))
        {
            complain(path, &why);
            *file = None;
        }
    }
}

fn complain(path: &Path, why: &io::Error) {
    error!("[access] audit {} cannot be written: {why}; a reload tries again", path.display());
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Listeners for readers, bound.
pub(super) struct Readers {
    pub(super) api: Vec<Entrance>,
    pub(super) http: Vec<Entrance>,
    /// Where gRPC and HTTP are, with the ports that the kernel chose.
    pub(super) api_address: Option<SocketAddr>,
    pub(super) http_address: Option<SocketAddr>,
    pub(super) settings: web::Settings,
    pub(super) removal: Option<Removal>,
}

impl Readers {
    /// Binds what `config` says; their certificates are reloaded with `doors`.
    ///
    /// # Errors
    /// A sentence that names the fix.
    pub(super) async fn bind(config: &Config, doors: &Doors) -> Result<Self, String> {
        let (api, api_address) = bind("[api]", &config.api, api::PROTOCOLS, doors).await?;
        let (http, http_address) = bind("[http]", &config.http, web::PROTOCOLS, doors).await?;
        let settings = web::Settings { hosts: config.http.hosts.clone(), metrics_open: config.http.metrics_open };
        Ok(Self { api, http, api_address, http_address, settings, removal: None })
    }

    /// Makes what is files, as the user that the process goes on as.
    ///
    /// # Errors
    /// A sentence that names the fix.
    pub(super) async fn make_socket(&mut self, config: &Config) -> Result<(), String> {
        if let Some(file) = config.api.socket.as_ref().filter(|_| config.api.enabled) {
            let (listener, file) = file.listen().await.map_err(|why| format!("[api] socket {why}"))?;
            self.api.push(Entrance::Unix(listener));
            self.removal = Some(file);
        }
        Ok(())
    }
}

async fn bind(
    section: &str,
    listener: &Listener,
    protocols: &'static [&'static str],
    doors: &Doors,
) -> Result<(Vec<Entrance>, Option<SocketAddr>), String> {
    if !listener.enabled {
        return Ok((Vec::new(), None));
    }
    let address = listener.listen;
    let bound = TcpListener::bind(address).await;
    let bound = bound.map_err(|error| format!("{section} {}", explain_bind(&error, address)))?;
    let tls = match &listener.tls {
        None => None,
        Some(files) => {
            let tls = TlsServer::new(files.clone(), protocols);
            let tls = Arc::new(tls.map_err(|fault| format!("{section} tls {}: {}", fault.key, fault.what))?);
            lock(&doors.tls).push(Arc::clone(&tls));
            Some(tls)
        }
    };
    let address = bound.local_addr().ok();
    Ok((vec![Entrance::Tcp(bound, tls)], address))
}
