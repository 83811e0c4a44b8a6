//! The files of TLS to pods: read, and understood.

use std::fmt;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::client::Resumption;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};

use crate::config::{ClientFiles, TlsFiles};

/// The largest file that is read, which is the largest Secret (the API server's limit).
const MOST_BYTES: u64 = 1024 * 1024;

const CA: &str = "--upstream-ca";
const CERTIFICATE: &str = "--upstream-client-cert";
const KEY: &str = "--upstream-client-key";

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
enum Reason {
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
    #[error("its key is not that of {CERTIFICATE} {}", .0.display())]
    OtherKey(PathBuf),
    #[error("TLS cannot be set up: {0}")]
    Unusable(rustls::Error),
}

/// What the files hold, byte for byte.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Contents {
    ca: Vec<u8>,
    client: Option<ClientContents>,
}

#[derive(Clone, PartialEq, Eq)]
struct ClientContents {
    certificate: Vec<u8>,
    key: Vec<u8>,
}

impl Contents {
    pub(super) fn read(files: &TlsFiles) -> Result<Self, FileError> {
        let read_as = |flag, path: &Path| read(path).map_err(fault(flag, path));
        let client = |files: &ClientFiles| {
            Ok(ClientContents {
                certificate: read_as(CERTIFICATE, &files.certificate)?,
                key: read_as(KEY, &files.key)?,
            })
        };
        Ok(Self {
            ca: read_as(CA, &files.ca)?,
            client: files.client.as_ref().map(client).transpose()?,
        })
    }

    /// `files` are for the errors' texts.
    pub(super) fn client_config(&self, files: &TlsFiles) -> Result<ClientConfig, FileError> {
        let roots = roots(&self.ca).map_err(fault(CA, &files.ca))?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| fault(CA, &files.ca)(Reason::Unusable(error)))?
            .with_root_certificates(roots);
        let (Some(contents), Some(files)) = (&self.client, &files.client) else {
            return Ok(checking(builder.with_no_client_auth()));
        };
        let chain =
            certificates(&contents.certificate).map_err(fault(CERTIFICATE, &files.certificate))?;
        let key = PrivateKeyDer::from_pem_slice(&contents.key)
            .map_err(|_| fault(KEY, &files.key)(Reason::NoKey))?;
        builder
            .with_client_auth_cert(chain, key)
            .map(checking)
            .map_err(|error| match error {
                rustls::Error::InconsistentKeys(_) => {
                    fault(KEY, &files.key)(Reason::OtherKey(files.certificate.clone()))
                }
                rustls::Error::InvalidCertificate(_) => {
                    fault(CERTIFICATE, &files.certificate)(Reason::Damaged)
                }
                _ => fault(KEY, &files.key)(Reason::UnknownKey),
            })
    }
}

/// With every handshake a whole one: a session that is resumed is one whose certificate is not looked at again, not even
/// whether it has run out meanwhile.
fn checking(mut config: ClientConfig) -> ClientConfig {
    config.resumption = Resumption::disabled();
    config
}

fn roots(pem: &[u8]) -> Result<RootCertStore, Reason> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(pem)? {
        roots.add(certificate).map_err(|_| Reason::Damaged)?;
    }
    Ok(roots)
}

/// At least one.
fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, Reason> {
    let found = CertificateDer::pem_slice_iter(pem)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|_| Reason::Damaged)?;
    match found.is_empty() {
        true => Err(Reason::NoCertificate),
        false => Ok(found),
    }
}

fn read(path: &Path) -> Result<Vec<u8>, Reason> {
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

fn fault(flag: &'static str, path: &Path) -> impl Fn(Reason) -> FileError {
    move |reason| FileError {
        flag,
        path: path.to_owned(),
        reason,
    }
}

// Keys are shown to nobody.
impl fmt::Debug for Contents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Contents").finish_non_exhaustive()
    }
}
