//! What TLS to pods is made of: CA and client certificate from files that are read again when they change, and the
//! name that the pods of a target must prove.
//!
//! Kubernetes mounts a Secret as symbolic links that are swapped, other tools write in place: what the files hold is
//! compared, not how it came there. A change is believed once it has stayed for one look, so that a certificate is not
//! taken before its key. Connections that are open live on with what they were made with.

mod files;

#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::sync::watch;
use tracing::{info, warn};

use crate::config::{TlsFiles, TlsWhen};
use files::Contents;
pub use files::FileError;

/// Time between two looks at the files.
const POLL: Duration = Duration::from_millis(500);

/// The files' present state, for whoever makes connections.
pub type Current = watch::Receiver<Arc<ClientConfig>>;

/// TLS to the pods of one target.
#[derive(Clone)]
pub struct UpstreamTls {
    pub when: TlsWhen,
    /// `None` where no CA was given.
    pub current: Option<Current>,
    /// `None` where none was given and there is no Service to take it from.
    pub server_name: Option<ServerName<'static>>,
}

/// What one handshake is made with.
#[derive(Clone)]
pub struct Terms {
    pub config: Arc<ClientConfig>,
    pub server_name: ServerName<'static>,
}

/// What TLS cannot be spoken without.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Missing {
    #[error("it speaks TLS, and there is no CA to check its certificate with: give --upstream-ca")]
    Ca,
    #[error(
        "it speaks TLS, and nothing says what name its certificate is for: give --upstream-server-name"
    )]
    ServerName,
}

impl UpstreamTls {
    /// What a new connection is to be made with.
    pub fn terms(&self) -> Result<Terms, Missing> {
        let current = self.current.as_ref().ok_or(Missing::Ca)?;
        let server_name = self.server_name.clone().ok_or(Missing::ServerName)?;
        Ok(Terms {
            config: current.borrow().clone(),
            server_name,
        })
    }
}

/// The files, and what they hold now.
pub struct Source {
    files: TlsFiles,
    looks: Looks,
    current: watch::Sender<Arc<ClientConfig>>,
}

/// What the files hold, or why that cannot be told.
type Seen = Result<Contents, String>;

/// What the last looks saw.
#[derive(Debug)]
struct Looks {
    last: Seen,
    judged: Seen,
}

impl Looks {
    fn new(seen: Contents) -> Self {
        Self {
            last: Ok(seen.clone()),
            judged: Ok(seen),
        }
    }

    /// What is to be judged: it has stayed for one look, and is not what was judged last.
    fn next(&mut self, seen: Seen) -> Option<&Seen> {
        if seen != self.last {
            self.last = seen;
            return None;
        }
        if seen == self.judged {
            return None;
        }
        self.judged = seen;
        Some(&self.judged)
    }
}

impl Source {
    /// Reads the files for the first time: here an error is the user's to mend.
    ///
    /// # Errors
    /// A file that cannot be read, or does not hold what it is for.
    pub fn open(files: TlsFiles) -> Result<Self, FileError> {
        let contents = Contents::read(&files)?;
        let config = contents.client_config(&files)?;
        Ok(Self {
            files,
            looks: Looks::new(contents),
            current: watch::Sender::new(Arc::new(config)),
        })
    }

    pub fn current(&self) -> Current {
        self.current.subscribe()
    }

    /// Reads the files again when they change, for ever. Files that cannot be used change nothing.
    pub async fn follow(mut self) {
        loop {
            tokio::time::sleep(POLL).await;
            let files = self.files.clone();
            let read = tokio::task::spawn_blocking(move || Contents::read(&files));
            let Ok(seen) = read.await else {
                continue;
            };
            self.look(seen.map_err(|error| error.to_string()));
        }
    }

    fn look(&mut self, seen: Seen) {
        let judged = match self.looks.next(seen) {
            None => return,
            Some(Ok(contents)) => contents
                .client_config(&self.files)
                .map_err(|error| error.to_string()),
            Some(Err(error)) => Err(error.clone()),
        };
        match judged {
            Ok(config) => {
                self.current.send_replace(Arc::new(config));
                info!("the files of TLS to pods have changed: new connections are made with them");
            }
            Err(error) => warn!("{error}; TLS to pods goes on with what was read before"),
        }
    }
}

// Without the library's own account of a configuration: what it shows of keys is not ours to choose.
impl fmt::Debug for UpstreamTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UpstreamTls")
            .field("when", &self.when)
            .field("server_name", &self.server_name)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Terms {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Terms")
            .field("server_name", &self.server_name)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Source")
            .field("files", &self.files)
            .finish_non_exhaustive()
    }
}
