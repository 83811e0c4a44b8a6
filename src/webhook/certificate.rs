//! The server's certificate: from files that are read again when they change, and when it runs out.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use rustls::client::verify_server_cert_signed_by_trust_anchor;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, RootCertStore, ServerConfig};

use crate::pem::{Contents, FileError, PemFile, Reason, Recipe};

/// The API server's webhook client speaks nothing newer, so that its connections spread over replicas
/// (k8s.io/apiserver, pkg/util/webhook/client.go).
const ALPN: &[u8] = b"http/1.1";

/// Certificate and key, as a Secret of type `kubernetes.io/tls` has them.
#[derive(Clone, Debug)]
pub struct Files {
    pub certificate: PemFile,
    pub key: PemFile,
}

/// What connections are accepted with.
pub struct Identity {
    pub tls: Arc<ServerConfig>,
    /// When the certificate runs out, in seconds since 1970.
    pub not_after: Option<u64>,
}

impl Recipe for Files {
    type Contents = (Contents, Contents);
    type Made = Identity;

    const OWNER: &'static str = "the webhook's certificate";

    fn read(&self) -> Result<Self::Contents, FileError> {
        Ok((self.certificate.read()?, self.key.read()?))
    }

    fn make(&self, (certificate, key): &Self::Contents) -> Result<Identity, FileError> {
        let chain = self.certificate.certificates(certificate)?;
        let not_after = chain.first().and_then(not_after);
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut tls = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| self.certificate.fault(Reason::Unusable(error)))?
            .with_no_client_auth()
            .with_single_cert(chain, self.key.key(key)?)
            .map_err(|error| self.key.unfit(&self.certificate, &error))?;
        tls.alpn_protocols = vec![ALPN.to_vec()];
        Ok(Identity {
            tls: Arc::new(tls),
            not_after,
        })
    }
}

/// Nothing in the tree reads a certificate's times, but the check of them tells, when asked at the end of all time.
fn not_after(certificate: &CertificateDer<'_>) -> Option<u64> {
    let end_of_time = UnixTime::since_unix_epoch(Duration::from_secs(u64::MAX));
    let parsed = ParsedCertificate::try_from(certificate).ok()?;
    let roots = RootCertStore::empty();
    let checked = verify_server_cert_signed_by_trust_anchor(&parsed, &roots, &[], end_of_time, &[]);
    match checked {
        Err(rustls::Error::InvalidCertificate(CertificateError::ExpiredContext {
            not_after,
            ..
        })) => Some(not_after.as_secs()),
        _ => None,
    }
}

// Without the key, and without what the library shows of its configuration.
impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity")
            .field("not_after", &self.not_after)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair, date_time_ymd};
    use tempfile::TempDir;

    use super::*;
    use crate::pem::Source;
    use crate::pem::tests::{pair, pem};

    fn files(certificate: &str, key: &str) -> (TempDir, Files) {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        std::fs::write(path("tls.crt"), certificate).unwrap();
        std::fs::write(path("tls.key"), key).unwrap();
        let files = Files {
            certificate: PemFile::new("--tls-cert", path("tls.crt")),
            key: PemFile::new("--tls-key", path("tls.key")),
        };
        (directory, files)
    }

    #[test]
    fn the_time_a_certificate_runs_out_is_known() {
        for (year, seconds) in [(2030, 1_893_456_000), (2060, 2_840_140_800)] {
            let mut params = CertificateParams::new(["a.test".to_owned()]).unwrap();
            params.not_after = date_time_ymd(year, 1, 1);
            let key = KeyPair::generate().unwrap();
            let certificate = params.self_signed(&key).unwrap();
            assert_eq!(not_after(certificate.der()), Some(seconds), "{year}");
        }
    }

    #[test]
    fn one_that_has_run_out_is_taken_all_the_same() {
        let mut params = CertificateParams::new(["a.test".to_owned()]).unwrap();
        params.not_before = date_time_ymd(2019, 1, 1);
        params.not_after = date_time_ymd(2020, 1, 1);
        let key = KeyPair::generate().unwrap();
        let certificate = pem("CERTIFICATE", params.self_signed(&key).unwrap().der());
        let (_directory, files) = files(&certificate, &pem("PRIVATE KEY", &key.serialize_der()));
        let source = Source::open(files).unwrap();
        assert_eq!(source.current().borrow().not_after, Some(1_577_836_800));
    }

    #[test]
    fn a_bad_file_is_named_with_its_flag_and_what_is_wrong() {
        let (certificate, key) = pair();
        let other = pair().1;
        let damaged = pem("CERTIFICATE", b"damaged");
        for (certificate, key, flag, why) in [
            ("", &*key, "--tls-cert", "holds no certificate"),
            (&damaged, &key, "--tls-cert", "damaged"),
            (&certificate, "", "--tls-key", "no private key"),
            (
                &certificate,
                &other,
                "--tls-key",
                "is not that of --tls-cert",
            ),
        ] {
            let (_directory, files) = files(certificate, key);
            let said = Source::open(files).unwrap_err().to_string();
            assert!(said.contains(flag) && said.contains(why), "{said}");
            assert_eq!(said.lines().count(), 1, "{said}");
        }
    }

    #[test]
    fn nothing_of_the_key_is_shown() {
        let (certificate, key) = pair();
        let (_directory, files) = files(&certificate, &key);
        let source = Source::open(files).unwrap();
        let shown = format!("{source:?} {:?}", source.current().borrow());
        let secret = key.lines().nth(1).unwrap();
        assert!(!shown.contains(&secret[..20]), "{shown}");
    }
}
