//! The files of TLS to pods: read, and understood.

use std::sync::Arc;

use rustls::client::Resumption;
use rustls::{ClientConfig, RootCertStore};

use crate::config::TlsFiles;
use crate::pem::{Contents, FileError, PemFile, Reason, Recipe};

/// [`TlsFiles`], each with its flag.
#[derive(Clone, Debug)]
pub struct Files {
    ca: PemFile,
    client: Option<Client>,
}

#[derive(Clone, Debug)]
struct Client {
    certificate: PemFile,
    key: PemFile,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AllContents {
    ca: Contents,
    /// Certificate and key.
    client: Option<(Contents, Contents)>,
}

impl From<&TlsFiles> for Files {
    fn from(files: &TlsFiles) -> Self {
        let client = files.client.as_ref().map(|client| Client {
            certificate: PemFile::new("--upstream-client-cert", &client.certificate),
            key: PemFile::new("--upstream-client-key", &client.key),
        });
        Self {
            ca: PemFile::new("--upstream-ca", &files.ca),
            client,
        }
    }
}

impl Recipe for Files {
    type Contents = AllContents;
    type Made = ClientConfig;

    const OWNER: &'static str = "TLS to pods";

    fn read(&self) -> Result<AllContents, FileError> {
        let client = |files: &Client| Ok((files.certificate.read()?, files.key.read()?));
        Ok(AllContents {
            ca: self.ca.read()?,
            client: self.client.as_ref().map(client).transpose()?,
        })
    }

    fn make(&self, contents: &AllContents) -> Result<ClientConfig, FileError> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| self.ca.fault(Reason::Unusable(error)))?
            .with_root_certificates(self.roots(&contents.ca)?);
        let (Some(files), Some((certificate, key))) = (&self.client, &contents.client) else {
            return Ok(checking(builder.with_no_client_auth()));
        };
        let chain = files.certificate.certificates(certificate)?;
        builder
            .with_client_auth_cert(chain, files.key.key(key)?)
            .map(checking)
            .map_err(|error| files.key.unfit(&files.certificate, &error))
    }
}

impl Files {
    fn roots(&self, contents: &Contents) -> Result<RootCertStore, FileError> {
        let mut roots = RootCertStore::empty();
        for certificate in self.ca.certificates(contents)? {
            roots
                .add(certificate)
                .map_err(|_| self.ca.fault(Reason::Damaged))?;
        }
        Ok(roots)
    }
}

/// With every handshake a whole one: a session that is resumed is one whose certificate is not looked at again, not even
/// whether it has run out meanwhile.
fn checking(mut config: ClientConfig) -> ClientConfig {
    config.resumption = Resumption::disabled();
    config
}
