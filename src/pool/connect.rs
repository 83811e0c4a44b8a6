//! Making a connection to a pod.

use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use http_body::Body;
use socket2::{SockRef, TcpKeepalive};
use tokio::net::TcpSocket;

use super::Upstream;
use super::http1::Http1;
use super::http2::Shareable;
use super::pod_io::PodIo;
use crate::net::SharedStream;

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
    /// It asks for a protocol that we do not speak.
    #[error("it speaks {0}, which podrobin does not")]
    NotSpoken(String),
}

impl<B> Upstream<B>
where
    B: Body<Data = Bytes> + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    pub(super) async fn connect_http1(&self) -> Result<Http1<B>, ConnectError> {
        let settings = &self.shared.settings;
        let (address, timeout) = (self.identity.address, settings.connect_timeout);
        let connected = async {
            let stream = open(address, Watch::Idle).await?;
            Http1::handshake(stream, settings.header_bytes, self.shared.open()).await
        };
        within(timeout, connected).await
    }

    /// A connection to be shared. It is made for whoever waits, so it borrows nothing of the one that asked first.
    pub(super) fn connect_http2(
        &self,
    ) -> impl Future<Output = Result<Rc<Shareable>, ConnectError>> + 'static {
        let (address, shared) = (self.identity.address, self.shared.clone());
        async move {
            let settings = &shared.settings;
            let connected = async {
                let stream = open(address, Watch::Always(settings.keepalive)).await?;
                let io = PodIo::new(stream, None);
                let (bytes, alive) = (settings.header_bytes, settings.keepalive);
                Shareable::handshake(io, bytes, alive, shared.open()).await
            };
            within(settings.connect_timeout, connected).await
        }
    }
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
    let options = SockRef::from(&socket);
    let keepalive = TcpKeepalive::new();
    let keepalive = match watch {
        Watch::Idle => keepalive
            .with_time(Duration::from_secs(15))
            .with_interval(Duration::from_secs(5)),
        Watch::Always(within) => {
            options.set_tcp_user_timeout(Some(within))?;
            // The kernel counts in whole seconds, from one.
            let part = (within / 4).max(Duration::from_secs(1));
            keepalive.with_time(part * 2).with_interval(part)
        }
    };
    options.set_tcp_keepalive(&keepalive.with_retries(3))?;
    Ok(socket)
}
