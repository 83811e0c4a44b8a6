//! An API server that misbehaves as it is told to, in front of one that does not.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures::{StreamExt, stream};
use http::{Request, Response};
use http_body::Frame;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use podrobin::demo::api::Api;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::scene::LIMIT;

/// What a request asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ask {
    /// The first page of a list.
    List,
    /// A further page.
    Page,
    Watch,
    Service,
}

/// How a request is answered.
pub enum Fault {
    /// As it should be.
    Pass,
    /// With a status, content type and body, and perhaps Retry-After.
    Status(u16, &'static str, String, Option<&'static str>),
    /// Never.
    NoHead,
    /// With this, and then never anything more.
    Hang(Bytes),
    /// With this status and a body that never comes.
    HangWith(u16),
    /// With this, well ended.
    Whole(Bytes),
    /// With this, and then the connection breaks.
    Cut(Bytes),
    /// With these chunks, by their number, without end.
    Flood(Chunks),
    /// With this status and such a flood.
    FloodWith(u16, Chunks),
    /// The connection breaks at once.
    Break,
}

pub type Chunks = Arc<dyn Fn(usize) -> Bytes + Send + Sync>;

type Script = Arc<dyn Fn(Ask, usize) -> Fault + Send + Sync>;

#[derive(Clone)]
pub struct Flaky {
    api: Api,
    script: Arc<Mutex<(Script, Vec<Ask>)>>,
    seen: watch::Sender<Vec<(Ask, Instant)>>,
}

impl Flaky {
    /// Misbehaves as `script` says, which is given what is asked for, and how often that was asked for since the
    /// script began.
    pub fn new(api: Api, script: impl Fn(Ask, usize) -> Fault + Send + Sync + 'static) -> Self {
        Self {
            api,
            script: Arc::new(Mutex::new((Arc::new(script), Vec::new()))),
            seen: watch::Sender::default(),
        }
    }

    pub fn play(&self, script: impl Fn(Ask, usize) -> Fault + Send + Sync + 'static) {
        *self.script.lock().unwrap() = (Arc::new(script), Vec::new());
    }

    /// How often `ask` was asked for so far.
    pub fn count(&self, ask: Ask) -> usize {
        count(&self.seen.borrow(), ask)
    }

    /// Waits until `ask` was asked for so often.
    pub async fn asked(&self, ask: Ask, times: usize) {
        let mut seen = self.seen.subscribe();
        timeout(LIMIT, seen.wait_for(|seen| count(seen, ask) >= times))
            .await
            .unwrap_or_else(|_| panic!("{ask:?} was asked for {} times", self.count(ask)))
            .unwrap();
    }

    /// The times between requests of a kind.
    pub fn gaps(&self, ask: Ask) -> Vec<Duration> {
        let seen = self.seen.borrow();
        let times: Vec<Instant> = seen
            .iter()
            .filter(|(seen, _)| *seen == ask)
            .map(|(_, at)| *at)
            .collect();
        times.windows(2).map(|pair| pair[1] - pair[0]).collect()
    }

    pub async fn serve(self, listener: TcpListener) {
        let mut connections = JoinSet::new();
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            stream.set_nodelay(true).unwrap();
            let flaky = self.clone();
            connections.spawn(async move {
                let service = service_fn(|request| flaky.clone().answer(request));
                // Connections that break are the point.
                let _ = hyper::server::conn::http1::Builder::new()
                    .serve_connection(TokioIo::new(stream), service)
                    .await;
            });
        }
    }

    async fn answer(
        self,
        request: Request<Incoming>,
    ) -> Result<Response<UnsyncBoxBody<Bytes, io::Error>>, io::Error> {
        let query = request.uri().query().unwrap_or_default();
        let ask = if request.uri().path().contains("/services/") {
            Ask::Service
        } else if query.contains("watch=true") {
            Ask::Watch
        } else if query.contains("continue=") {
            Ask::Page
        } else {
            Ask::List
        };
        self.seen
            .send_modify(|seen| seen.push((ask, Instant::now())));
        let fault = {
            let mut script = self.script.lock().unwrap();
            let nth = script.1.iter().filter(|asked| **asked == ask).count();
            script.1.push(ask);
            (script.0)(ask, nth)
        };
        let silence = || stream::pending::<io::Result<Frame<Bytes>>>();
        let data = |bytes: Bytes| stream::iter([Ok(Frame::data(bytes))]);
        let body = match fault {
            Fault::Pass => {
                let answer = self.api.answer(&request);
                return Ok(answer.map(|body| body.map_err(never).boxed_unsync()));
            }
            Fault::Status(code, content_type, body, retry_after) => {
                let mut response = Response::builder()
                    .status(code)
                    .header("content-type", content_type);
                if let Some(seconds) = retry_after {
                    response = response.header("retry-after", seconds);
                }
                let body = StreamBody::new(data(body.into())).boxed_unsync();
                return Ok(response.body(body).unwrap());
            }
            Fault::NoHead => std::future::pending().await,
            Fault::Break => return Err(io::ErrorKind::ConnectionReset.into()),
            Fault::Hang(bytes) => StreamBody::new(data(bytes).chain(silence())).boxed_unsync(),
            Fault::HangWith(code) => {
                let body = StreamBody::new(silence()).boxed_unsync();
                return Ok(Response::builder().status(code).body(body).unwrap());
            }
            Fault::Flood(chunks) => flood(chunks),
            Fault::FloodWith(code, chunks) => {
                return Ok(Response::builder()
                    .status(code)
                    .body(flood(chunks))
                    .unwrap());
            }
            Fault::Whole(bytes) => StreamBody::new(data(bytes)).boxed_unsync(),
            Fault::Cut(bytes) => {
                let broken = stream::iter([Err(io::ErrorKind::ConnectionReset.into())]);
                StreamBody::new(data(bytes).chain(broken)).boxed_unsync()
            }
        };
        Ok(Response::new(body))
    }
}

fn flood(chunks: Chunks) -> UnsyncBoxBody<Bytes, io::Error> {
    let numbers = stream::iter(0..);
    StreamBody::new(numbers.map(move |nth| Ok(Frame::data(chunks(nth))))).boxed_unsync()
}

fn count(seen: &[(Ask, Instant)], ask: Ask) -> usize {
    seen.iter().filter(|(seen, _)| *seen == ask).count()
}

fn never(error: Infallible) -> io::Error {
    match error {}
}

/// A free address on which nothing listens until the socket is told to.
pub fn closed_port() -> (tokio::net::TcpSocket, SocketAddr) {
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = socket.local_addr().unwrap();
    (socket, address)
}
