//! PEM files: read within bounds, understood, and read again when they change.
//!
//! Kubernetes mounts a Secret as symbolic links that are swapped, other tools write in place: what the files hold is
//! compared, not how it came there. A change is believed once it has stayed for one look, so that a certificate is not
//! taken before its key.

mod file;
mod follow;

#[cfg(test)]
pub(crate) mod tests;

use std::fmt;
use std::path::{Path, PathBuf};

use rustls::pki_types::{CertificateDer, PrivateKeyDer};

pub use file::{FileError, Reason};
pub use follow::{Recipe, Source};

/// A file, and the flag that names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PemFile {
    flag: &'static str,
    path: PathBuf,
}

/// Bytes of a file, which may be a key: shown to nobody.
#[derive(Clone, PartialEq, Eq)]
pub struct Contents(Vec<u8>);

impl PemFile {
    pub fn new(flag: &'static str, path: impl Into<PathBuf>) -> Self {
        Self {
            flag,
            path: path.into(),
        }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// # Errors
    /// A file that cannot be read, is no regular one, or is too large.
    pub fn read(&self) -> Result<Contents, FileError> {
        file::read(&self.path)
            .map(Contents)
            .map_err(|reason| self.fault(reason))
    }

    /// What is wrong with this file.
    pub fn fault(&self, reason: Reason) -> FileError {
        FileError::new(self.flag, &self.path, reason)
    }

    /// The certificates in it, at least one.
    ///
    /// # Errors
    /// None, or a damaged one.
    pub fn certificates(
        &self,
        contents: &Contents,
    ) -> Result<Vec<CertificateDer<'static>>, FileError> {
        file::certificates(&contents.0).map_err(|reason| self.fault(reason))
    }

    /// The private key in it.
    ///
    /// # Errors
    /// None, or one that is encrypted.
    pub fn key(&self, contents: &Contents) -> Result<PrivateKeyDer<'static>, FileError> {
        file::key(&contents.0).map_err(|reason| self.fault(reason))
    }

    /// What it means that this file's key and that certificate cannot be used together.
    pub fn unfit(&self, certificate: &Self, error: &rustls::Error) -> FileError {
        match error {
            rustls::Error::InconsistentKeys(_) => self.fault(Reason::OtherKey {
                flag: certificate.flag,
                path: certificate.path.clone(),
            }),
            rustls::Error::InvalidCertificate(_) => certificate.fault(Reason::Damaged),
            _ => self.fault(Reason::UnknownKey),
        }
    }
}

impl fmt::Debug for Contents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Contents").finish_non_exhaustive()
    }
}
