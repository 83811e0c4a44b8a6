use std::path::Path;

use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::pki_types::PrivateKeyDer;
use tempfile::TempDir;

use super::*;

pub(crate) fn pem(label: &str, der: &[u8]) -> String {
    use base64::Engine;
    let text = base64::engine::general_purpose::STANDARD.encode(der);
    format!("-----BEGIN {label}-----\n{text}\n-----END {label}-----\n")
}

/// A certificate and its key.
pub(crate) fn pair() -> (String, String) {
    let CertifiedKey { cert, signing_key } =
        generate_simple_self_signed(["a.test".to_owned()]).unwrap();
    let key = PrivateKeyDer::try_from(signing_key.serialize_der()).unwrap();
    (
        pem("CERTIFICATE", cert.der()),
        pem("PRIVATE KEY", key.secret_der()),
    )
}

/// A file of certificates, of which their number is made.
#[derive(Clone, Debug)]
struct Count(PemFile);

impl Recipe for Count {
    type Contents = Contents;
    type Made = usize;

    const OWNER: &'static str = "this test";

    fn read(&self) -> Result<Contents, FileError> {
        self.0.read()
    }

    fn make(&self, contents: &Contents) -> Result<usize, FileError> {
        Ok(self.0.certificates(contents)?.len())
    }
}

struct Stage {
    directory: TempDir,
    source: Source<Count>,
    file: PemFile,
}

impl Stage {
    /// With a file that is good.
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let file = PemFile::new("--certificates", directory.path().join("file"));
        std::fs::write(file.path(), pair().0).unwrap();
        Self {
            directory,
            source: Source::open(Count(file.clone())).unwrap(),
            file,
        }
    }

    fn write(&self, text: impl AsRef<[u8]>) {
        std::fs::write(self.file.path(), text).unwrap();
    }

    /// A look at the file as it is now; whether something new has been made of it.
    fn look(&mut self) -> bool {
        let current = self.source.current();
        self.source.look(self.file.read());
        current.has_changed().unwrap()
    }

    fn refused(&self) -> u64 {
        self.source.refused().get()
    }
}

#[test]
fn a_change_is_taken_once_it_has_stayed_for_a_look() {
    let mut stage = Stage::new();
    assert!(!stage.look());
    stage.write(pair().0 + &pair().0);
    assert!(!stage.look(), "it may be half written");
    assert!(stage.look());
    assert_eq!(**stage.source.current().borrow(), 2);
    assert!(!stage.look(), "it has been taken");
}

#[test]
fn a_secret_whose_links_are_swapped_is_a_change() {
    let mut stage = Stage::new();
    let path = |name: &str| stage.directory.path().join(name);
    std::fs::write(path("other"), pair().0).unwrap();
    std::os::unix::fs::symlink(Path::new("other"), path("fresh")).unwrap();
    std::fs::rename(path("fresh"), stage.file.path()).unwrap();
    stage.look();
    assert!(stage.look());
}

#[test]
fn a_file_that_cannot_be_used_changes_nothing_and_is_counted_once() {
    let mut stage = Stage::new();
    stage.write("half a certificate");
    for _ in 0..3 {
        assert!(!stage.look());
    }
    assert_eq!(stage.refused(), 1);
    std::fs::remove_file(stage.file.path()).unwrap();
    for _ in 0..3 {
        assert!(!stage.look());
    }
    assert_eq!(stage.refused(), 2);
    stage.write(pair().0);
    stage.look();
    assert!(stage.look(), "it can be used again");
    assert_eq!(stage.refused(), 2);
}
