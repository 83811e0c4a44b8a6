use std::path::{Path, PathBuf};

use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::pki_types::PrivateKeyDer;
use tempfile::TempDir;

use super::*;
use crate::config::ClientFiles;

fn pem(label: &str, der: &[u8]) -> String {
    use base64::Engine;
    let text = base64::engine::general_purpose::STANDARD.encode(der);
    format!("-----BEGIN {label}-----\n{text}\n-----END {label}-----\n")
}

/// A certificate and its key.
fn pair() -> (String, String) {
    let CertifiedKey { cert, signing_key } =
        generate_simple_self_signed(["a.test".to_owned()]).unwrap();
    let key = PrivateKeyDer::try_from(signing_key.serialize_der()).unwrap();
    (
        pem("CERTIFICATE", cert.der()),
        pem("PRIVATE KEY", key.secret_der()),
    )
}

struct Files {
    directory: TempDir,
    files: TlsFiles,
}

impl Files {
    /// With a CA and a client certificate that are good.
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        let files = TlsFiles {
            ca: path("ca"),
            client: Some(ClientFiles {
                certificate: path("cert"),
                key: path("key"),
            }),
        };
        let files = Self { directory, files };
        let (certificate, key) = pair();
        files.write("ca", &pair().0);
        files.write("cert", &certificate);
        files.write("key", &key);
        files
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn write(&self, name: &str, text: impl AsRef<[u8]>) {
        std::fs::write(self.path(name), text).unwrap();
    }

    fn open(&self) -> Result<Source, FileError> {
        Source::open(self.files.clone())
    }

    fn refused(&self) -> String {
        self.open().unwrap_err().to_string()
    }

    /// A look at the files as they are now; whether their configuration is another one after it.
    fn look(&self, source: &mut Source) -> bool {
        let mut current = source.current();
        let seen = Contents::read(&self.files).map_err(|error| error.to_string());
        source.look(seen);
        current.has_changed().unwrap() && {
            current.mark_unchanged();
            true
        }
    }
}

#[test]
fn good_files_are_taken() {
    let source = Files::new().open().unwrap();
    let config = source.current().borrow().clone();
    assert!(config.client_auth_cert_resolver.has_certs());
}

#[test]
fn a_bad_file_is_named_with_its_flag_and_what_is_wrong() {
    let huge = " ".repeat(1024 * 1024 + 1);
    let damaged = pem("CERTIFICATE", b"damaged");
    let encrypted = pem("ENCRYPTED PRIVATE KEY", b"encrypted");
    for (name, text, flag, why) in [
        ("ca", "", "--upstream-ca", "holds no certificate"),
        ("ca", "no PEM", "--upstream-ca", "holds no certificate"),
        ("ca", &damaged, "--upstream-ca", "damaged"),
        ("ca", &huge, "--upstream-ca", "larger than 1 MiB"),
        ("cert", "", "--upstream-client-cert", "holds no certificate"),
        ("cert", &damaged, "--upstream-client-cert", "damaged"),
        ("key", "", "--upstream-client-key", "no private key"),
        ("key", &encrypted, "--upstream-client-key", "not encrypted"),
        ("key", &pair().1, "--upstream-client-key", "is not that of"),
        (
            "key",
            &pem("PRIVATE KEY", b"damaged"),
            "--upstream-client-key",
            "damaged",
        ),
    ] {
        let files = Files::new();
        files.write(name, text);
        let said = files.refused();
        let path = files.path(name).display().to_string();
        for part in [flag, why, &path] {
            assert!(said.contains(part), "{part}: {said}");
        }
        assert_eq!(said.lines().count(), 1, "{said}");
    }
}

#[test]
fn a_file_that_is_not_there_or_is_none_is_named() {
    let files = Files::new();
    std::fs::remove_file(files.path("key")).unwrap();
    assert!(files.refused().contains("cannot be read"));
    std::fs::create_dir(files.path("key")).unwrap();
    assert!(files.refused().contains("not a regular file"));
}

#[test]
fn a_change_is_taken_once_it_has_stayed_for_a_look() {
    let files = Files::new();
    let mut source = files.open().unwrap();
    assert!(!files.look(&mut source));
    files.write("ca", pair().0);
    assert!(!files.look(&mut source), "it may be half written");
    assert!(files.look(&mut source));
    assert!(!files.look(&mut source), "it has been taken");
}

#[test]
fn a_secret_whose_links_are_swapped_is_a_change() {
    let files = Files::new();
    let swap = |to: &Path| {
        let link = files.path("fresh");
        std::os::unix::fs::symlink(to, &link).unwrap();
        std::fs::rename(link, files.path("ca")).unwrap();
    };
    let mut source = files.open().unwrap();
    let other = files.path("other");
    std::fs::write(&other, pair().0).unwrap();
    swap(&other);
    files.look(&mut source);
    assert!(files.look(&mut source));
}

#[test]
fn files_that_cannot_be_used_change_nothing() {
    let files = Files::new();
    let mut source = files.open().unwrap();
    let good = std::fs::read(files.path("key")).unwrap();
    // The first half of a change: the key that belongs to it is still to come.
    files.write("key", pair().1);
    for _ in 0..3 {
        assert!(!files.look(&mut source));
    }
    std::fs::remove_file(files.path("key")).unwrap();
    for _ in 0..3 {
        assert!(!files.look(&mut source));
    }
    files.write("key", good);
    files.look(&mut source);
    assert!(files.look(&mut source), "they can be used again");
}

#[test]
fn nothing_of_a_key_is_shown() {
    let files = Files::new();
    let key = std::fs::read_to_string(files.path("key")).unwrap();
    let secret = key.lines().nth(1).unwrap();
    let source = files.open().unwrap();
    let tls = UpstreamTls {
        when: TlsWhen::On,
        current: Some(source.current()),
        server_name: ServerName::try_from("a.test").ok(),
    };
    let shown = format!(
        "{source:?} {:?} {tls:?} {:?}",
        source.looks,
        tls.terms().unwrap()
    );
    let bytes = format!("{:?}", &key.as_bytes()[30..40]);
    assert!(!shown.contains(&secret[..20]), "{shown}");
    assert!(!shown.contains(bytes.trim_matches(['[', ']'])), "{shown}");

    // Nor by a key that is put where a certificate belongs.
    files.write("ca", &key);
    assert!(!files.refused().contains(&secret[..20]));
}

#[test]
fn what_is_missing_names_its_flag() {
    let source = Files::new().open().unwrap();
    let tls = |current: Option<Current>, name: Option<&'static str>| {
        let tls = UpstreamTls {
            when: TlsWhen::Auto,
            current,
            server_name: name.map(|name| ServerName::try_from(name).unwrap()),
        };
        tls.terms().map(|_| ())
    };
    assert_eq!(tls(None, Some("a.test")), Err(Missing::Ca));
    assert_eq!(tls(Some(source.current()), None), Err(Missing::ServerName));
    assert_eq!(tls(Some(source.current()), Some("a.test")), Ok(()));
}
