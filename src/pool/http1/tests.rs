//! What becomes of an idle connection while the event loop does not turn: a peer on a thread of its own acts, and this
//! thread waits for it without a turn.

use std::io::Write;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};

use http_body_util::Empty;
use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::pki_types::{PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore, ServerConfig, ServerConnection, StreamOwned};

use tokio::io::{AsyncWrite, AsyncWriteExt};

use super::super::pod_io::PodIo;
use super::super::{Settings, Shared, tls};
use super::*;
use crate::config::{Limits, Timeouts, TlsWhen, UpstreamProtocol};
use crate::stats::TargetStats;
use crate::upstream_tls::{Terms, UpstreamTls};

type Idle = Http1<Empty<bytes::Bytes>>;

/// The peer's side: does one thing for each word it is given, and says when it is done.
struct Peer {
    address: SocketAddr,
    go: Sender<&'static [u8]>,
    done: Receiver<()>,
}

impl Peer {
    /// What it is given it writes; nothing is its end.
    fn start<S: Write>(accept: impl FnOnce(TcpStream) -> S + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (go, orders) = channel::<&'static [u8]>();
        let (told, done) = channel();
        std::thread::spawn(move || {
            let (stream, _) = listener.accept().unwrap();
            // Else the kernel holds back what follows on what was not acknowledged yet.
            stream.set_nodelay(true).unwrap();
            let mut stream = Some(accept(stream));
            told.send(()).unwrap();
            for order in orders {
                match order {
                    [] => stream = None,
                    order => {
                        let stream = stream.as_mut().unwrap();
                        stream.write_all(order).unwrap();
                        stream.flush().unwrap();
                    }
                }
                told.send(()).unwrap();
            }
        });
        Self { address, go, done }
    }

    /// Waits without a turn of the event loop.
    fn wait(&self) {
        self.done.recv().unwrap();
    }

    fn does(&self, order: &'static [u8]) {
        self.go.send(order).unwrap();
        self.wait();
    }

    async fn io(&self) -> PodIo {
        let stream = tokio::net::TcpStream::connect(self.address).await.unwrap();
        PodIo::new(SharedStream::new(stream))
    }
}

async fn idle(transport: Transport) -> Idle {
    let (limits, timeouts) = (Limits::default(), Timeouts::default());
    let settings = Settings {
        protocol: UpstreamProtocol::Auto,
        tls: UpstreamTls {
            when: TlsWhen::Auto,
            current: None,
            server_name: None,
        },
        connect_timeout: timeouts.connect,
        header_bytes: limits.header_bytes,
        idle_for: timeouts.upstream_idle,
        idle_per_pod: limits.idle_per_pod,
        idle_total: limits.idle_total,
        keepalive: timeouts.upstream_keepalive,
    };
    let shared = Shared::new(settings, Arc::new(TargetStats::new(1)), 0);
    let mut idle = Http1::handshake(transport, limits.header_bytes, shared.open(None))
        .await
        .unwrap();
    assert!(idle.is_idle());
    idle
}

/// A peer that speaks TLS, and the terms to meet it on.
fn secured() -> (Peer, Terms) {
    let CertifiedKey { cert, signing_key } =
        generate_simple_self_signed(["a.test".to_owned()]).unwrap();
    let key = PrivateKeyDer::try_from(signing_key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let server = ServerConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![cert.der().clone()], key)
        .unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(cert.der().clone()).unwrap();
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let peer = Peer::start(move |mut stream| {
        let mut session = ServerConnection::new(Arc::new(server)).unwrap();
        while session.is_handshaking() || session.wants_write() {
            session.complete_io(&mut stream).unwrap();
        }
        StreamOwned::new(session, stream)
    });
    let terms = Terms {
        config: Arc::new(config),
        server_name: ServerName::try_from("a.test").unwrap(),
    };
    (peer, terms)
}

const POISON: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\npoison";

#[tokio::test]
async fn the_kernel_knows_of_what_the_event_loop_has_not_heard() {
    for order in [POISON, b""] {
        let peer = Peer::start(|stream| stream);
        let mut idle = idle(Transport::plain(peer.io().await)).await;
        peer.wait();
        assert!(idle.is_reusable(true));
        peer.does(order);
        assert!(idle.is_reusable(false), "the event loop has turned");
        assert!(!idle.is_reusable(true));
    }
}

#[tokio::test]
async fn over_tls_a_session_ticket_does_no_harm_and_the_rest_is_found() {
    for order in [POISON, b""] {
        let (peer, terms) = secured();
        let met = tls::handshake(peer.io().await, terms, &[tls::HTTP1]);
        let (transport, _) = met.await.unwrap();
        let socket = transport.socket();
        let mut idle = idle(transport).await;
        // Its tickets are the last of the handshake.
        peer.wait();
        assert!(socket.has_bytes(), "no ticket came");
        assert!(idle.is_reusable(true));
        assert!(!socket.has_bytes());
        peer.does(order);
        assert!(idle.is_reusable(false), "the event loop has turned");
        assert!(!idle.is_reusable(true));
    }
}

/// A write that a pod is deaf to waits; the end of a connection that is found to be over must not.
#[tokio::test]
async fn the_end_of_a_connection_waits_for_nobody() {
    let (peer, terms) = secured();
    let met = tls::handshake(peer.io().await, terms, &[tls::HTTP1]);
    let (mut transport, _) = met.await.unwrap();
    peer.wait();
    // Its end, with something unread, is a reset.
    transport.write_all(b"unread").await.unwrap();
    peer.does(b"");
    transport.socket().eagerly(|| {
        let mut context = Context::from_waker(Waker::noop());
        let written = Pin::new(&mut transport).poll_write(&mut context, b"to nobody");
        assert!(written.is_ready(), "what TLS takes in: {written:?}");
        let ended = Pin::new(&mut transport).poll_shutdown(&mut context);
        assert!(ended.is_ready(), "{ended:?}");
    });
}
