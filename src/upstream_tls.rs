//! What TLS to pods is made of: CA and client certificate from files that are read again when they change, and the
//! name that the pods of a target must prove. Connections that are open live on with what they were made with.

mod files;

#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;

use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::sync::watch;

use crate::config::TlsWhen;
use crate::pem;
pub use files::Files;

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
pub type Source = pem::Source<Files>;

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
