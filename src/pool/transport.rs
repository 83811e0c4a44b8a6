//! What carries bytes to a pod: its socket, or TLS over it.

use std::cell::Cell;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_rustls::client::TlsStream;

use super::pod_io::{Allowance, PodIo, WhenDeaf};
use super::tls::{self, Alert};
use crate::net::SharedStream;

/// A connection's way to a pod.
#[derive(Debug)]
pub enum Transport {
    Plain(PodIo),
    Tls(Box<Secured>),
}

/// TLS after its handshake. A write that the pod is deaf to waits below it, as it does without TLS.
#[derive(Debug)]
pub struct Secured {
    stream: TlsStream<PodIo>,
    socket: SharedStream,
    refusal: Refusal,
    /// Whether we had a certificate to show.
    has_certificate: bool,
}

/// Whether the pod has refused our certificate. In TLS 1.3 it looks at it only after our handshake is over, when a
/// request may be on its way already (RFC 8446 section 4.4.2.4): its answer is then an alert before any byte, and the
/// request was looked at by nobody.
#[derive(Clone, Debug, Default)]
pub struct Refusal(Rc<Cell<Verdict>>);

#[derive(Clone, Copy, Debug, Default)]
enum Verdict {
    #[default]
    Awaited,
    /// It has sent something: we are accepted.
    Accepted,
    Refused(Alert),
}

/// Bytes of a last word: an alert, behind what little the socket has not taken.
const LAST_WORD: usize = 1024;

impl Transport {
    pub fn plain(io: PodIo) -> Self {
        Self::Plain(io)
    }

    pub fn tls(stream: TlsStream<PodIo>, has_certificate: bool) -> Self {
        Self::Tls(Box::new(Secured {
            socket: stream.get_ref().0.stream(),
            stream,
            refusal: Refusal::default(),
            has_certificate,
        }))
    }

    /// Bounds what may be read in vain, or no more; over TLS by the bytes of its records.
    pub fn limit(&mut self, allowance: Option<Rc<Allowance>>) {
        match self {
            Self::Plain(io) => io.limit(allowance),
            Self::Tls(secured) => secured.stream.get_mut().0.limit(allowance),
        }
    }

    /// What becomes of bytes for a pod that takes no more.
    pub fn when_deaf(&mut self, when_deaf: WhenDeaf) {
        match self {
            Self::Plain(io) => io.when_deaf(when_deaf),
            Self::Tls(secured) => secured.stream.get_mut().0.when_deaf(when_deaf),
        }
    }

    pub fn is_tls(&self) -> bool {
        matches!(self, Self::Tls(_))
    }

    /// The socket, for a look at it while the connection is someone else's.
    pub fn socket(&self) -> SharedStream {
        match self {
            Self::Plain(io) => io.stream(),
            Self::Tls(secured) => secured.socket.clone(),
        }
    }

    /// To be asked when the connection has failed. `None` without TLS.
    pub fn refusal(&self) -> Option<Refusal> {
        match self {
            Self::Plain(_) => None,
            Self::Tls(secured) => Some(secured.refusal.clone()),
        }
    }
}

impl Refusal {
    pub fn alert(&self) -> Option<Alert> {
        match self.0.get() {
            Verdict::Refused(alert) => Some(alert),
            Verdict::Awaited | Verdict::Accepted => None,
        }
    }

    fn heard(&self, read: &io::Result<bool>, has_certificate: bool) {
        if !matches!(self.0.get(), Verdict::Awaited) {
            return;
        }
        let verdict = match read {
            Ok(true) => Verdict::Accepted,
            Ok(false) => return,
            Err(error) => match tls::refusal_of_certificate(error, has_certificate) {
                Some(alert) => Verdict::Refused(alert),
                None => return,
            },
        };
        self.0.set(verdict);
    }
}

impl AsyncRead for Secured {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let read = ready!(Pin::new(&mut self.stream).poll_read(cx, buf));
        let read = read.map(|()| buf.filled().len() > before);
        self.refusal.heard(&read, self.has_certificate);
        Poll::Ready(read.map(drop))
    }
}

impl Secured {
    /// Ends our side as TLS asks for (RFC 8446 section 6.1), if that can be said at once: a pod that has gone is not
    /// waited for. Once; further calls say nothing.
    fn say_goodbye(&mut self) {
        let (_, session) = self.stream.get_mut();
        session.send_close_notify();
        let mut word = Vec::new();
        while session.wants_write() && word.len() < LAST_WORD {
            if session.write_tls(&mut word).is_err() {
                return;
            }
        }
        self.socket.write_now(&word);
    }
}

impl Drop for Secured {
    fn drop(&mut self) {
        self.say_goodbye();
    }
}

impl AsyncRead for Transport {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(io) => Pin::new(io).poll_read(cx, buf),
            Self::Tls(secured) => Pin::new(&mut **secured).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Transport {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(io) => Pin::new(io).poll_write(cx, buf),
            Self::Tls(secured) => Pin::new(&mut secured.stream).poll_write(cx, buf),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(io) => Pin::new(io).poll_write_vectored(cx, bufs),
            Self::Tls(secured) => Pin::new(&mut secured.stream).poll_write_vectored(cx, bufs),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Plain(io) => io.is_write_vectored(),
            Self::Tls(secured) => secured.stream.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(io) => Pin::new(io).poll_flush(cx),
            Self::Tls(secured) => Pin::new(&mut secured.stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(io) => Pin::new(io).poll_shutdown(cx),
            Self::Tls(secured) => {
                secured.say_goodbye();
                Pin::new(&mut secured.socket).poll_shutdown(cx)
            }
        }
    }
}
