use std::path::PathBuf;

use tempfile::TempDir;

use super::*;
use crate::config::{ClientFiles, TlsFiles};
use crate::pem::FileError;
use crate::pem::tests::{pair, pem};

struct Stage {
    directory: TempDir,
    files: TlsFiles,
}

impl Stage {
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
        Source::open(Files::from(&self.files))
    }

    fn refused(&self) -> String {
        self.open().unwrap_err().to_string()
    }
}

#[test]
fn good_files_are_taken() {
    let source = Stage::new().open().unwrap();
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
        let files = Stage::new();
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
    let files = Stage::new();
    std::fs::remove_file(files.path("key")).unwrap();
    assert!(files.refused().contains("cannot be read"));
    std::fs::create_dir(files.path("key")).unwrap();
    assert!(files.refused().contains("not a regular file"));
}

#[test]
fn nothing_of_a_key_is_shown() {
    let files = Stage::new();
    let key = std::fs::read_to_string(files.path("key")).unwrap();
    let secret = key.lines().nth(1).unwrap();
    let source = files.open().unwrap();
    let tls = UpstreamTls {
        when: TlsWhen::On,
        current: Some(source.current()),
        server_name: ServerName::try_from("a.test").ok(),
    };
    let shown = format!("{source:?} {tls:?} {:?}", tls.terms().unwrap());
    let bytes = format!("{:?}", &key.as_bytes()[30..40]);
    assert!(!shown.contains(&secret[..20]), "{shown}");
    assert!(!shown.contains(bytes.trim_matches(['[', ']'])), "{shown}");

    // Nor by a key that is put where a certificate belongs.
    files.write("ca", &key);
    assert!(!files.refused().contains(&secret[..20]));
}

#[test]
fn what_is_missing_names_its_flag() {
    let source = Stage::new().open().unwrap();
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
