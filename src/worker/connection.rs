//! One client connection, from its first byte to its close.

mod detect;
mod http1;
mod http2;
mod patience;

use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};

use http::Version;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::drain::Signal;
use crate::error::Kind;
use crate::net::SharedStream;
use crate::proxy::client::{Client, Patience};
use crate::proxy::{Proxy, Settings, answer};
use detect::Detected;

/// Once draining, a connection without a request is kept this long: one may be on its way.
const DRAIN_LINGER: Duration = Duration::from_millis(500);

/// How long, and for how many bytes, a closing connection is read on, so that the client gets to see the response: a
/// close with bytes unread is a reset, which takes back what was sent (RFC 9112 section 9.6).
const LINGER: Duration = Duration::from_secs(2);
const LINGER_BYTES: usize = 1024 * 1024;

#[derive(Debug)]
pub struct Connection {
    stream: SharedStream,
    peer: SocketAddr,
    opened: Instant,
    proxy: Rc<Proxy>,
    patience: Patience,
    header_bytes: usize,
    header_count: usize,
}

impl Connection {
    pub fn new(stream: TcpStream, peer: SocketAddr, proxy: Rc<Proxy>, settings: &Settings) -> Self {
        // Without it a small response waits for the client's acknowledgement; a socket that refuses is going anyway.
        let _ = stream.set_nodelay(true);
        Self {
            stream: SharedStream::new(stream),
            peer,
            opened: Instant::now(),
            proxy,
            patience: Patience {
                header: settings.timeouts.header,
                idle: settings.timeouts.client_idle,
                stall: settings.timeouts.client_stall,
                head_bytes: settings.limits.header_bytes,
            },
            header_bytes: settings.limits.header_bytes,
            header_count: settings.limits.header_count,
        }
    }

    /// Serves requests until either side has had enough, and closes.
    pub async fn serve(self, mut drain: Signal) {
        match detect::protocol(&self.stream, self.opened + self.patience.header, &mut drain).await {
            Detected::Http1(read) => self.http1(read, drain).await,
            Detected::Http2(read) => self.http2(read, drain).await,
            Detected::TooSlow => {
                self.proxy.count_refused(Kind::HeaderTimeout);
                let reason = "the connection's first bytes did not arrive in time";
                self.refuse(Kind::HeaderTimeout, reason).await;
            }
            Detected::Nothing => {}
        }
    }

    /// Turns the client away with an answer.
    pub async fn refuse(self, kind: Kind, reason: &str) {
        self.stream.write_now(answer::raw(kind, reason).as_bytes());
        linger(self.stream).await;
    }

    fn client(&self, version: Version) -> Rc<Client> {
        Client::new(
            self.stream.clone(),
            self.peer,
            version,
            self.opened,
            self.patience,
        )
    }
}

/// Ends our side and reads the client's out, within bounds.
async fn linger(mut stream: SharedStream) {
    let read_out = async {
        if stream.shutdown().await.is_err() {
            return;
        }
        let mut discarded = 0;
        // On the heap: in the future it would be part of every connection's memory.
        let mut buffer = vec![0; 4096];
        while discarded < LINGER_BYTES {
            match stream.read(&mut buffer).await {
                Ok(0) | Err(_) => return,
                Ok(read) => discarded += read,
            }
        }
    };
    // A client that goes on for longer is cut off.
    let _ = tokio::time::timeout(LINGER, read_out).await;
}
