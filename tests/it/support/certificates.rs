//! Certificates made for a scene, and the files they come in.

use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, date_time_ymd};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tempfile::TempDir;

/// Somebody who signs certificates.
#[derive(Debug)]
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: CertificateDer<'static>,
}

/// A certificate with its key.
#[derive(Debug)]
pub struct Leaf {
    pub certificate: CertificateDer<'static>,
    pub key: PrivateKeyDer<'static>,
}

impl Authority {
    pub fn new(name: &str) -> Self {
        let mut params = CertificateParams::new([]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap().der().clone();
        Self {
            issuer: Issuer::new(params, key),
            certificate,
        }
    }

    pub fn certificate(&self) -> CertificateDer<'static> {
        self.certificate.clone()
    }

    pub fn pem(&self) -> String {
        pem("CERTIFICATE", &self.certificate)
    }

    /// A certificate for `name`, good for long.
    pub fn issue(&self, name: &str) -> Leaf {
        self.issue_with(name, |_| {})
    }

    /// One whose time is over.
    pub fn issue_expired(&self, name: &str) -> Leaf {
        self.issue_with(name, |params| {
            params.not_before = date_time_ymd(2019, 1, 1);
            params.not_after = date_time_ymd(2020, 1, 1);
        })
    }

    /// One whose time is still to come.
    pub fn issue_early(&self, name: &str) -> Leaf {
        self.issue_with(name, |params| params.not_before = date_time_ymd(4000, 1, 1))
    }

    fn issue_with(&self, name: &str, change: impl FnOnce(&mut CertificateParams)) -> Leaf {
        let mut params = CertificateParams::new([name.to_owned()]).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        change(&mut params);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap().der().clone();
        Leaf {
            certificate,
            key: PrivateKeyDer::try_from(key.serialize_der()).unwrap(),
        }
    }
}

impl Leaf {
    pub fn clone_key(&self) -> PrivateKeyDer<'static> {
        self.key.clone_key()
    }

    pub fn pem(&self) -> String {
        pem("CERTIFICATE", &self.certificate)
    }

    pub fn key_pem(&self) -> String {
        pem("PRIVATE KEY", self.key.secret_der())
    }
}

fn pem(label: &str, der: &[u8]) -> String {
    let text = STANDARD.encode(der);
    format!("-----BEGIN {label}-----\n{text}\n-----END {label}-----\n")
}

/// A Secret as a kubelet mounts it: names that lead through one link, which is swapped when the Secret changes.
#[derive(Debug)]
pub struct Mount {
    directory: TempDir,
    version: AtomicUsize,
}

impl Mount {
    pub fn of(files: &[(&str, String)]) -> Self {
        let mount = Self {
            directory: tempfile::tempdir().unwrap(),
            version: AtomicUsize::new(0),
        };
        for (name, _) in files {
            let target = PathBuf::from("..data").join(name);
            std::os::unix::fs::symlink(target, mount.path(name)).unwrap();
        }
        mount.set(files);
        mount
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Replaces all files at once.
    pub fn set(&self, files: &[(&str, String)]) {
        let version = format!("..{}", self.version.fetch_add(1, Relaxed));
        std::fs::create_dir(self.path(&version)).unwrap();
        for (name, text) in files {
            std::fs::write(self.path(&version).join(name), text).unwrap();
        }
        std::os::unix::fs::symlink(&version, self.path("..fresh")).unwrap();
        std::fs::rename(self.path("..fresh"), self.path("..data")).unwrap();
    }
}
