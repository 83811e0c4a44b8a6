//! One PEM file: its bytes, and what is wrong with them.

use std::io::{self, Read};
use std::path::{Path, PathBuf};

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// The largest file that is read, which is the largest Secret (the API server's limit).
const MOST_BYTES: u64 = 1024 * 1024;

/// A file that is of no use, and the mend.
#[derive(Debug, thiserror::Error)]
#[error("cannot use {flag} {}: {reason}", path.display())]
pub struct FileError {
    flag: &'static str,
    path: PathBuf,
    reason: Reason,
}

/// Never with anything of the file: it may be a key.
#[derive(Debug, thiserror::Error)]
pub enum Reason {
    #[error("it cannot be read: {0}")]
    Unreadable(#[from] io::Error),
    #[error("it is not a regular file")]
    NotAFile,
    #[error("it is larger than {} MiB", MOST_BYTES / 1024 / 1024)]
    TooLarge,
    #[error("it holds no certificate in PEM form (-----BEGIN CERTIFICATE-----)")]
    NoCertificate,
    #[error("a certificate in it is damaged")]
    Damaged,
    #[error(
        "it holds no private key in PEM form that is not encrypted (-----BEGIN PRIVATE KEY-----)"
    )]
    NoKey,
    #[error("its key is damaged, or of a kind that is not supported (RSA, ECDSA and Ed25519 are)")]
    UnknownKey,
    #[error("its key is not that of {flag} {}", path.display())]
    OtherKey { flag: &'static str, path: PathBuf },
    #[error("TLS cannot be set up: {0}")]
    Unusable(rustls::Error),
}

impl FileError {
    pub(super) fn new(flag: &'static str, path: &Path, reason: Reason) -> Self {
        Self {
            flag,
            path: path.to_owned(),
            reason,
        }
    }
}

pub(super) fn read(path: &Path) -> Result<Vec<u8>, Reason> {
    // Asked before it is opened: opening a pipe would wait for its writer.
    if !std::fs::metadata(path)?.is_file() {
        return Err(Reason::NotAFile);
    }
    let mut bytes = Vec::new();
    std::fs::File::open(path)?
        .take(MOST_BYTES + 1)
        .read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MOST_BYTES {
        return Err(Reason::TooLarge);
    }
    Ok(bytes)
}

/// At least one.
pub(super) fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, Reason> {
    let found = CertificateDer::pem_slice_iter(pem)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|_| Reason::Damaged)?;
    match found.is_empty() {
        true => Err(Reason::NoCertificate),
        false => Ok(found),
    }
}

pub(super) fn key(pem: &[u8]) -> Result<PrivateKeyDer<'static>, Reason> {
    PrivateKeyDer::from_pem_slice(pem).map_err(|_| Reason::NoKey)
}
