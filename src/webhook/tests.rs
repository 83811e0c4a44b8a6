//! The server on real sockets, its times short where they are what is tried.

mod bounds;

use std::time::Instant;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::*;
use crate::inject::Installation;
use crate::pem::tests::pair;

/// Nothing here takes a second; a test that waits longer has failed.
const SOON: Duration = Duration::from_secs(20);

/// Long enough never to end within a test.
const LONG: Duration = Duration::from_secs(3600);

const SHORT: Duration = Duration::from_millis(150);

/// Nothing but sizes and numbers is bounded.
const PATIENT: Bounds = Bounds {
    handshake: LONG,
    head: LONG,
    request: LONG,
    answer: LONG,
    idle: LONG,
    ..BOUNDS
};

/// A running server; it ends when dropped.
struct Stage {
    address: SocketAddr,
    roots: RootCertStore,
    metrics: Arc<Metrics>,
    trigger: drain::Trigger,
    all_ended: drain::Waiter,
    _directory: TempDir,
    _files: pem::Source<Files>,
}

fn start(bounds: Bounds) -> Stage {
    let directory = tempfile::tempdir().unwrap();
    let (certificate, key) = pair();
    let path = |name: &str| directory.path().join(name);
    std::fs::write(path("tls.crt"), &certificate).unwrap();
    std::fs::write(path("tls.key"), key).unwrap();
    let files = pem::Source::open(Files {
        certificate: PemFile::new("--tls-cert", path("tls.crt")),
        key: PemFile::new("--tls-key", path("tls.key")),
    })
    .unwrap();
    let mut roots = RootCertStore::empty();
    roots
        .add(CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap())
        .unwrap();
    let listener = bind("--listen", "127.0.0.1:0".parse().unwrap()).unwrap();
    let address = listener.local_addr().unwrap();
    let metrics = Arc::new(Metrics::default());
    let rules = Rules {
        installation: Installation::default(),
        strict: false,
    };
    let (trigger, signal) = drain::channel();
    let (guard, all_ended) = drain::guards();
    let server = Server {
        listener: tokio::net::TcpListener::from_std(listener).unwrap(),
        host: Arc::new(Host {
            bounds,
            identity: files.current(),
            desk: Desk::new(bounds, rules, metrics.clone()),
            distrusted: AtomicBool::new(false),
        }),
        drain: signal,
        guard,
    };
    tokio::spawn(server.run());
    Stage {
        address,
        roots,
        metrics,
        trigger,
        all_ended,
        _directory: directory,
        _files: files,
    }
}

impl Stage {
    async fn connect(&self) -> TlsStream<TcpStream> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(self.roots.clone())
            .with_no_client_auth();
        let stream = TcpStream::connect(self.address).await.unwrap();
        let name = ServerName::try_from("a.test").unwrap();
        let connecting = TlsConnector::from(Arc::new(config)).connect(name, stream);
        soon(connecting).await.unwrap()
    }

    /// Sends bytes and reads to the end of the connection.
    async fn exchange(&self, bytes: impl AsRef<[u8]>) -> String {
        let mut stream = self.connect().await;
        stream.write_all(bytes.as_ref()).await.unwrap();
        end(&mut stream).await
    }
}

async fn soon<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(SOON, future)
        .await
        .expect("it takes too long")
}

/// All that comes until the connection ends, however it does.
async fn end(stream: &mut TlsStream<TcpStream>) -> String {
    let mut bytes = Vec::new();
    let _ = soon(stream.read_to_end(&mut bytes)).await;
    String::from_utf8(bytes).unwrap()
}

fn post(path: &str, more: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n{more}\r\n{body}"
    )
}

/// A pod that does not ask.
fn review() -> String {
    serde_json::json!({
        "apiVersion": "admission.k8s.io/v1",
        "kind": "AdmissionReview",
        "request": {
            "uid": "u-1",
            "kind": {"group": "", "version": "v1", "kind": "Pod"},
            "operation": "CREATE",
            "object": {"metadata": {"name": "a"}, "spec": {}},
        },
    })
    .to_string()
}

const CLOSE: &str = "Connection: close\r\n";

#[tokio::test]
async fn a_review_is_answered_and_its_connection_kept() {
    let stage = start(PATIENT);
    let mut stream = stage.connect().await;
    for _ in 0..3 {
        // API servers add their timeout.
        let request = post("/mutate?timeout=5s", "", &review());
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = vec![0; 4096];
        let read = soon(stream.read(&mut answer)).await.unwrap();
        let answer = String::from_utf8(answer[..read].to_vec()).unwrap();
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
        assert!(answer.contains("content-type: application/json\r\n"));
        assert!(answer.contains("\"uid\":\"u-1\""), "{answer}");
    }
    assert_eq!(stage.metrics.connections.get(), 1);
}

#[tokio::test]
async fn what_is_no_review_is_told_what_would_be() {
    let stage = start(PATIENT);
    let length = "Content-Length: 2\r\n";
    for (request, status, said) in [
        (post("/other", CLOSE, "{}"), "404", "POST /mutate"),
        (
            "GET /mutate HTTP/1.1\r\nHost: x\r\n\r\n".to_owned(),
            "405",
            "allow: POST",
        ),
        (
            format!("POST /mutate HTTP/1.1\r\nHost: x\r\n{length}\r\n{{}}"),
            "415",
            "application/json",
        ),
        (
            format!(
                "POST /mutate HTTP/1.1\r\nHost: x\r\nContent-Type: text/yaml\r\n{length}\r\n{{}}"
            ),
            "415",
            "application/json",
        ),
        (
            post("/mutate", CLOSE, "{}"),
            "400",
            "not an AdmissionReview",
        ),
        (post("/mutate", CLOSE, ""), "400", "ends too early"),
        ("nonsense\r\n\r\n".to_owned(), "400", ""),
        (
            format!(
                "GET / HTTP/1.1\r\nX: {}\r\n\r\n",
                "x".repeat(2 * PATIENT.head_bytes)
            ),
            "431",
            "",
        ),
    ] {
        let answer = stage.exchange(&request).await;
        let first = &request[..request.len().min(40)];
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status} ")),
            "{first}: {answer}"
        );
        assert!(answer.contains(said), "{first}: {answer}");
    }
    let parameters = post("/mutate", CLOSE, &review()).replace("/json", "/json; charset=utf-8");
    assert!(
        stage
            .exchange(parameters)
            .await
            .starts_with("HTTP/1.1 200 ")
    );
}

#[tokio::test]
async fn a_drain_answers_what_has_begun_and_closes_what_is_idle() {
    let stage = start(PATIENT);
    let mut idle = stage.connect().await;
    let request = post("/mutate", "", &review());
    idle.write_all(request.as_bytes()).await.unwrap();
    let mut answer = vec![0; 4096];
    soon(idle.read(&mut answer)).await.unwrap();
    let _silent = TcpStream::connect(stage.address).await.unwrap();
    let fresh = stage.connect().await;
    let mut begun = stage.connect().await;
    let (first, rest) = request.split_at(request.len() - 5);
    begun.write_all(first.as_bytes()).await.unwrap();
    begun.flush().await.unwrap();
    soon(async {
        while stage.metrics.open() == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;

    stage.trigger.drain();
    // New ones are still taken, for one request each.
    let late = stage.exchange(&request).await;
    assert!(
        late.starts_with("HTTP/1.1 200 ") && late.contains("connection: close"),
        "{late}"
    );
    assert_eq!(end(&mut idle).await, "");
    drop(fresh);
    begun.write_all(rest.as_bytes()).await.unwrap();
    let answer = end(&mut begun).await;
    assert!(
        answer.starts_with("HTTP/1.1 200 ") && answer.contains("connection: close"),
        "{answer}"
    );

    // Queued, whether the event loop has heard of it or not.
    let queued = TcpStream::connect(stage.address).await.unwrap();
    stage.trigger.close();
    drop(queued);
    soon(stage.all_ended.all_gone()).await;
    assert!(TcpStream::connect(stage.address).await.is_err());
    assert_eq!(
        stage.metrics.connections.get(),
        stage.metrics.connections_closed.get()
    );
}

#[tokio::test]
async fn metrics_are_made_of_their_families() {
    let stage = start(PATIENT);
    stage.exchange(post("/mutate", CLOSE, &review())).await;
    let readiness = Readiness::default();
    let text = admin::text_of(Scrape {
        metrics: stage.metrics.clone(),
        not_after: Some(1_893_456_000),
        files_refused: Counter::default(),
        common: Common::read(SystemTime::now(), &readiness, &[]),
    });
    let families = FAMILIES.iter().map(admin::Family::head);
    let common = admin::COMMON.iter().map(admin::Family::head);
    admin::tests::assert_made_of(&text, families.chain(common));
    for line in [
        "podrobin_webhook_reviews_total{outcome=\"not_asked\"} 1",
        "podrobin_webhook_reviews_total{outcome=\"injected\"} 0",
        "podrobin_webhook_review_duration_seconds_count 1",
        "podrobin_webhook_certificate_expiry_timestamp_seconds 1893456000",
    ] {
        assert!(text.lines().any(|found| found == line), "{line}\n{text}");
    }
}
