//! Making a connection to a pod.

use std::io;
use std::net::SocketAddr;
use std::rc::{Rc, Weak};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body::Body;
use socket2::{SockRef, TcpKeepalive};
use tokio::net::TcpSocket;

use super::http1::Http1;
use super::http2::Shareable;
use super::pod_io::PodIo;
use super::tls::{self, HTTP1, HTTP2, TlsError};
use super::transport::Transport;
use super::{Settings, Shared, Spoken, Upstream};
use crate::admission::ConnectionPermit;
use crate::net::SharedStream;
use crate::upstream_tls::{Missing, Terms};

/// Why a connection could not be made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConnectError {
    #[error("no answer within {0:?}")]
    Timeout(Duration),
    #[error("{0}")]
    Failed(io::ErrorKind),
    /// This side has no socket or port left; the pod was not even asked.
    #[error("out of sockets here ({0})")]
    Exhausted(io::ErrorKind),
    /// The pod answered something else.
    #[error(
        "it does not speak HTTP/2, which is what appProtocol or --upstream-protocol says it speaks"
    )]
    Protocol,
    /// All the connections that it may be given are there, and busy; the pod was not even asked.
    #[error("all of its connections are busy (--max-pod-connections)")]
    Full,
    /// As another request has told already, which waited for the same connection.
    #[error(transparent)]
    Told(Box<ConnectError>),
    #[error(transparent)]
    Tls(TlsError),
    /// It is to be spoken to over TLS, and we were not given what that takes; the pod was not even asked.
    #[error(transparent)]
    NoTls(#[from] Missing),
}

impl<B> Upstream<B>
where
    B: Body<Data = Bytes> + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    pub(super) async fn connect_http1(
        &self,
        over_tls: bool,
        permit: Option<ConnectionPermit>,
    ) -> Result<Http1<B>, ConnectError> {
        let settings = &self.shared.settings;
        let terms = terms(settings, over_tls)?;
        let connected = async {
            let io = PodIo::new(open(self.identity.address, Watch::Idle).await?);
            let transport = match terms {
                Some(terms) => tls::handshake(io, terms, &[HTTP1]).await?.0,
                None => Transport::plain(io),
            };
            Http1::handshake(transport, settings.header_bytes, self.shared.open(permit)).await
        };
        within(settings.connect_timeout, connected).await
    }

    /// A connection to be shared. It is made for whoever waits, so it borrows nothing of the one that asked first.
    pub(super) fn connect_http2(
        &self,
        over_tls: bool,
        permit: Option<ConnectionPermit>,
    ) -> impl Future<Output = Result<Option<Rc<Shareable>>, ConnectError>> + 'static {
        let (address, shared) = (self.identity.address, self.shared.clone());
        async move {
            let settings = &shared.settings;
            let terms = terms(settings, over_tls)?;
            let connected = async {
                let io = PodIo::new(open(address, Watch::Always(settings.keepalive)).await?);
                let transport = match terms {
                    Some(terms) => match tls::handshake(io, terms, &[HTTP2]).await? {
                        (transport, true) => transport,
                        // HTTP/2 over TLS is always agreed on (RFC 9113 section 3.2).
                        (_, false) => return Err(ConnectError::Protocol),
                    },
                    None => Transport::plain(io),
                };
                shareable(transport, &shared, permit).await.map(Some)
            };
            within(settings.connect_timeout, connected).await
        }
    }

    /// A connection over TLS, on which the pod chooses: one of HTTP/2 to be shared, or one of HTTP/1.1, which is put
    /// with the idle ones for one of those who wait.
    pub(super) fn connect_either(
        self: &Rc<Self>,
        permit: Option<ConnectionPermit>,
    ) -> impl Future<Output = Result<Option<Rc<Shareable>>, ConnectError>> + 'static {
        let (address, shared) = (self.identity.address, self.shared.clone());
        let upstream: Weak<Self> = Rc::downgrade(self);
        async move {
            let settings = &shared.settings;
            let terms = settings.tls.terms()?;
            let connected = async {
                let io = PodIo::new(open(address, Watch::Idle).await?);
                let socket = io.stream();
                let (transport, is_http2) = tls::handshake(io, terms, &[HTTP2, HTTP1]).await?;
                if is_http2 {
                    let watch = Watch::Always(settings.keepalive);
                    socket
                        .with_socket(|socket| watch.set(&socket))
                        .map_err(|error| ConnectError::Failed(error.kind()))?;
                    return shareable(transport, &shared, permit).await.map(Some);
                }
                let bytes = settings.header_bytes;
                let connection = Http1::handshake(transport, bytes, shared.open(permit)).await?;
                if let Some(upstream) = upstream.upgrade() {
                    upstream.idle.put_back(connection, Instant::now());
                }
                Ok(None)
            };
            let met = within(settings.connect_timeout, connected).await;
            if let (Ok(met), Some(upstream)) = (&met, upstream.upgrade()) {
                upstream.chosen.set(Some(match met {
                    Some(_) => Spoken::Http2,
                    None => Spoken::Http1,
                }));
            }
            met
        }
    }
}

/// What TLS is to be made with. Asked before the pod is.
fn terms(settings: &Settings, over_tls: bool) -> Result<Option<Terms>, Missing> {
    over_tls.then(|| settings.tls.terms()).transpose()
}

async fn shareable(
    transport: Transport,
    shared: &Rc<Shared>,
    permit: Option<ConnectionPermit>,
) -> Result<Rc<Shareable>, ConnectError> {
    let Settings {
        header_bytes,
        keepalive,
        ..
    } = shared.settings;
    Shareable::handshake(transport, header_bytes, keepalive, shared.open(permit)).await
}

async fn within<T>(
    timeout: Duration,
    connected: impl Future<Output = Result<T, ConnectError>>,
) -> Result<T, ConnectError> {
    tokio::time::timeout(timeout, connected)
        .await
        .unwrap_or(Err(ConnectError::Timeout(timeout)))
}

/// How the kernel watches over a connection whose other end may go without a word.
#[derive(Clone, Copy, Debug)]
enum Watch {
    /// Only while nothing of ours waits to be acknowledged: an upload to a pod that does not read for a while goes on.
    Idle,
    /// Always: an HTTP/2 pod reads its socket whatever its requests do, so that bytes it does not take for this long
    /// are bytes that nobody will take.
    Always(Duration),
}

async fn open(address: SocketAddr, watch: Watch) -> Result<SharedStream, ConnectError> {
    let socket = socket(address, watch).map_err(|error| ConnectError::Exhausted(error.kind()))?;
    let stream = socket
        .connect(address)
        .await
        .map_err(|error| match error.kind() {
            kind @ io::ErrorKind::AddrNotAvailable => ConnectError::Exhausted(kind),
            kind => ConnectError::Failed(kind),
        })?;
    Ok(SharedStream::new(stream))
}

fn socket(address: SocketAddr, watch: Watch) -> io::Result<TcpSocket> {
    let socket = if address.is_ipv4() {
        TcpSocket::new_v4()?
    } else {
        TcpSocket::new_v6()?
    };
    socket.set_nodelay(true)?;
    watch.set(&SockRef::from(&socket))?;
    Ok(socket)
}

/// The kernel refuses more seconds to a probe, or milliseconds to an acknowledgement, than so many bits hold.
const LONGEST_PROBE: Duration = Duration::from_secs(i16::MAX as u64);
const LONGEST_UNACKNOWLEDGED: Duration = Duration::from_millis(i32::MAX as u64);

impl Watch {
    fn set(self, socket: &SockRef<'_>) -> io::Result<()> {
        let keepalive = TcpKeepalive::new();
        let keepalive = match self {
            Self::Idle => keepalive
                .with_time(Duration::from_secs(15))
                .with_interval(Duration::from_secs(5)),
            Self::Always(within) => {
                socket.set_tcp_user_timeout(Some(within.min(LONGEST_UNACKNOWLEDGED)))?;
                // The kernel counts in whole seconds, from one.
                let part = (within / 4).clamp(Duration::from_secs(1), LONGEST_PROBE / 2);
                keepalive.with_time(part * 2).with_interval(part)
            }
        };
        socket.set_tcp_keepalive(&keepalive.with_retries(3))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_watches_over_connections() {
        let address = ([127, 0, 0, 1], 80).into();
        let shared = socket(address, Watch::Always(Duration::from_secs(20))).unwrap();
        let options = SockRef::from(&shared);
        assert!(options.keepalive().unwrap());
        // Half of the time until the first probe, and the probes in what is left.
        assert_eq!(
            options.tcp_keepalive_time().unwrap(),
            Duration::from_secs(10)
        );
        assert_eq!(
            options.tcp_keepalive_interval().unwrap(),
            Duration::from_secs(5)
        );
        let unacknowledged = options.tcp_user_timeout().unwrap();
        assert_eq!(unacknowledged, Some(Duration::from_secs(20)));

        // Longer than the kernel can count.
        let forever = socket(address, Watch::Always(Duration::from_secs(365 * 86_400))).unwrap();
        let options = SockRef::from(&forever);
        assert!(options.tcp_keepalive_time().unwrap() >= Duration::from_secs(8 * 3600));

        let own = socket(address, Watch::Idle).unwrap();
        let options = SockRef::from(&own);
        assert!(options.keepalive().unwrap());
        // An upload to a pod that does not read for a while goes on.
        assert_eq!(options.tcp_user_timeout().unwrap(), None);
        // What began as the one becomes the other where the pod chooses HTTP/2.
        Watch::Always(Duration::from_secs(8)).set(&options).unwrap();
        assert_eq!(
            options.tcp_keepalive_time().unwrap(),
            Duration::from_secs(4)
        );
    }
}
