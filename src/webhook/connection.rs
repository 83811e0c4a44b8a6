//! One connection, from its handshake to its close.

use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::task::Poll;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use rustls::AlertDescription;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tracing::{debug, warn};

use super::Bounds;
use super::certificate::Identity;
use super::desk::{Desk, is_last, last};
use super::pace::{Pace, Paced, Stage};
use crate::drain::Signal;

/// Once draining, a connection without a request is kept this long: one may be on its way.
const DRAIN_LINGER: Duration = Duration::from_millis(500);

/// How long, and for how many bytes, a client is read on that was answered before it had sent all: a close with bytes
/// unread is a reset, which takes back what was sent (RFC 9112 section 9.6).
const LINGER: Duration = Duration::from_secs(2);
const LINGER_BYTES: usize = 16 * 1024 * 1024;

/// How long the close of a connection without a request may take.
const PARTING: Duration = Duration::from_secs(1);

/// What connections are served with.
#[derive(Debug)]
pub struct Host {
    pub bounds: Bounds,
    pub identity: watch::Receiver<Arc<Identity>>,
    pub desk: Desk,
    /// The last handshake failed for the certificate, and was warned of.
    pub distrusted: AtomicBool,
}

/// Why a connection was ended by us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ending {
    /// It had no request, and no time left to begin one.
    Unused,
    /// A head or an answer took too long.
    Stalled(Stage),
}

impl Host {
    /// Until either side has had enough.
    pub async fn serve(&self, stream: TcpStream, mut drain: Signal) {
        // Without it an answer waits for the client's acknowledgement; a socket that refuses is going anyway.
        let _ = stream.set_nodelay(true);
        if let Some(stream) = self.handshake(stream, &mut drain).await {
            self.converse(stream, drain).await;
        }
    }

    async fn handshake(
        &self,
        stream: TcpStream,
        drain: &mut Signal,
    ) -> Option<TlsStream<TcpStream>> {
        let tls = self.identity.borrow().tls.clone();
        let over = async {
            tokio::select! {
                () = sleep(self.bounds.handshake) => {}
                () = async { drain.draining().await; sleep(DRAIN_LINGER).await } => {}
            }
        };
        let outcome = tokio::select! {
            biased;
            outcome = TlsAcceptor::from(tls).accept(stream) => outcome,
            () = over => Err(io::ErrorKind::TimedOut.into()),
        };
        match outcome {
            Ok(stream) => {
                self.distrusted.store(false, Relaxed);
                Some(stream)
            }
            Err(error) => {
                self.note(&error);
                None
            }
        }
    }

    fn note(&self, error: &io::Error) {
        // Whoever connects and leaves, as a TCP probe does, has not tried.
        if error.kind() == io::ErrorKind::UnexpectedEof {
            return;
        }
        self.desk.metrics().handshakes_failed.inc();
        if is_distrust(error) && !self.distrusted.swap(true, Relaxed) {
            warn!(
                "a client does not trust the certificate ({error}): the caBundle of the webhook configuration must be \
                 that of --tls-cert, and its names those of the Service"
            );
        } else {
            debug!(%error, "TLS handshake failed");
        }
    }

    async fn converse<S>(&self, stream: S, drain: Signal)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let pace = Pace::new();
        let unread = AtomicBool::new(false);
        let service = service_fn(|request| {
            pace.enter(Stage::Review);
            let (pace, unread, drain) = (&pace, &unread, &drain);
            async move {
                let mut response = self.desk.answer(request).await;
                if is_last(&response) {
                    unread.store(true, Relaxed);
                } else if drain.is_draining() {
                    response = last(response);
                }
                pace.enter(Stage::Answer);
                Ok::<_, Infallible>(response)
            }
        });
        let mut connection = http1::Builder::new()
            .header_read_timeout(None)
            .max_header_size(self.bounds.head_bytes)
            .max_buf_size(self.bounds.head_bytes.max(MIN_BUFFER))
            .serve_connection(TokioIo::new(Paced::new(stream, pace.clone())), &service);
        match self.drive(&mut connection, &pace, drain.clone()).await {
            Ok(Ok(())) if unread.load(Relaxed) => {
                linger(connection.into_parts().io.into_inner().into_inner()).await;
            }
            Ok(Ok(())) => {}
            // Bytes that are no request have been answered by hyper.
            Ok(Err(error)) => debug!(%error, "connection failed"),
            Err(Ending::Unused) => {
                Pin::new(&mut connection).graceful_shutdown();
                // A client that is gone, or does not take the goodbye, misses nothing.
                let _ = timeout(PARTING, connection).await;
            }
            Err(Ending::Stalled(stage)) => debug!(?stage, "connection took too long"),
        }
    }

    /// Lets the connection work until it ends, or may not go on.
    async fn drive<E>(
        &self,
        mut connection: impl Future<Output = Result<(), E>> + Unpin,
        pace: &Pace,
        mut drain: Signal,
    ) -> Result<Result<(), E>, Ending> {
        let mut draining = pin!(drain.draining());
        let mut drained: Option<Instant> = None;
        let mut patience = pin!(sleep_until(Instant::now()));
        poll_fn(|cx| {
            if let Poll::Ready(ended) = Pin::new(&mut connection).poll(cx) {
                return Poll::Ready(Ok(ended));
            }
            if drained.is_none() && draining.as_mut().poll(cx).is_ready() {
                drained = Some(Instant::now());
            }
            let (stage, since) = pace.now();
            let is_unused = matches!(stage, Stage::Fresh | Stage::Idle);
            let last_moment = drained
                .filter(|_| is_unused)
                .map(|drained| drained.max(since) + DRAIN_LINGER);
            let limit = stage.limit(&self.bounds).map(|limit| since + limit);
            let Some(deadline) = [limit, last_moment].into_iter().flatten().min() else {
                return Poll::Pending;
            };
            if patience.deadline() != deadline {
                patience.as_mut().reset(deadline);
            }
            if patience.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
            Poll::Ready(Err(match is_unused {
                true => Ending::Unused,
                false => Ending::Stalled(stage),
            }))
        })
        .await
    }
}

/// What hyper needs at least.
const MIN_BUFFER: usize = 8 * 1024;

/// Whether the client has said that it does not trust our certificate.
fn is_distrust(error: &io::Error) -> bool {
    let alert = error.get_ref().and_then(|inner| inner.downcast_ref());
    matches!(
        alert,
        Some(rustls::Error::AlertReceived(
            AlertDescription::BadCertificate
                | AlertDescription::UnknownCA
                | AlertDescription::CertificateExpired
                | AlertDescription::CertificateUnknown
                // Its CA's name is known, and with another key.
                | AlertDescription::DecryptError
                | AlertDescription::UnsupportedCertificate
        ))
    )
}

/// Ends our side, and reads the client's out, within bounds.
async fn linger(mut stream: impl AsyncRead + AsyncWrite + Unpin) {
    let read_out = async {
        if stream.shutdown().await.is_err() {
            return;
        }
        let mut discarded = 0;
        // On the heap: in the future it would be part of every connection's memory.
        let mut buffer = vec![0; 16 * 1024];
        while discarded < LINGER_BYTES {
            match stream.read(&mut buffer).await {
                Ok(0) | Err(_) => return,
                Ok(read) => discarded += read,
            }
        }
    };
    // A client that goes on for longer is cut off.
    let _ = timeout(LINGER, read_out).await;
}
