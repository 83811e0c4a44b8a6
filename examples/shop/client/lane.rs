//! A lane: requests at even distances, over a connection of its own that is opened again when it has ended.

use std::cell::RefCell;
use std::error::Error;
use std::io::{self, ErrorKind};
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep_until, timeout};

use super::tally::Tally;
use super::{Manner, Options};

/// A lane that is behind by more does not catch up: it would be a burst, and no longer a rate.
const CATCH_UP: Duration = Duration::from_secs(1);

/// Requests of one lane that may be on their way at once, where the manner knows no smaller bound.
const MOST: usize = 10_000;

#[derive(Debug)]
pub struct Lane {
    options: Rc<Options>,
    tally: Rc<Tally>,
    connection: RefCell<Option<Connection>>,
}

#[derive(Debug)]
enum Connection {
    Http1(http1::SendRequest<Full<Bytes>>),
    Http2(http2::SendRequest<Full<Bytes>>),
}

impl Lane {
    pub fn new(options: Rc<Options>, tally: Rc<Tally>) -> Self {
        Self {
            options,
            tally,
            connection: RefCell::new(None),
        }
    }

    /// Sends a request at `due` and each `gap` after it, until the tally is stopped.
    pub async fn run(self, mut due: Instant, gap: Duration) {
        let lane = Rc::new(self);
        while !lane.tally.stopped() {
            sleep_until(due).await;
            if lane.tally.stopped() {
                return;
            }
            let behind = due.elapsed();
            if behind > CATCH_UP || lane.tally.on_their_way() >= MOST {
                lane.tally.skipped();
            } else if lane.options.manner == Manner::KeepAlive {
                lane.request().await;
            } else {
                let lane = Rc::clone(&lane);
                tokio::task::spawn_local(async move { lane.request().await });
            }
            due += gap;
        }
    }

    async fn request(&self) {
        let started = self.tally.sent();
        let limit = Duration::from_secs(self.options.timeout);
        let outcome = match timeout(limit, self.exchange()).await {
            Ok(outcome) => outcome,
            Err(_) => Err("no answer in time".to_owned()),
        };
        self.tally.done(started, &outcome);
    }

    /// One request and its whole answer: the pod's name, or why there is none.
    async fn exchange(&self) -> Result<String, String> {
        let answer = match self.options.manner {
            Manner::KeepAlive => {
                let mut sender = self.http1().await?;
                let answer = sender.send_request(self.message()).await;
                let answer = read(answer).await?;
                // Kept only with a whole answer; a lane over HTTP/1.1 has one request at a time.
                *self.connection.borrow_mut() = Some(Connection::Http1(sender));
                answer
            }
            Manner::Grpc => {
                let mut sender = self.http2().await?;
                let answer = sender.send_request(self.message()).await;
                read(answer).await?
            }
            Manner::New => {
                let mut sender = self.open_http1().await?;
                read(sender.send_request(self.message()).await).await?
            }
        };
        let (status, grpc_status, body) = answer;
        if status != StatusCode::OK {
            return Err(format!("status {}: {}", status.as_u16(), body.trim()));
        }
        if self.options.manner == Manner::Grpc && grpc_status != "0" {
            return Err(format!("grpc-status {grpc_status}"));
        }
        Ok(body)
    }

    async fn http1(&self) -> Result<http1::SendRequest<Full<Bytes>>, String> {
        let kept = self.connection.borrow_mut().take();
        if let Some(Connection::Http1(mut sender)) = kept
            && sender.ready().await.is_ok()
        {
            return Ok(sender);
        }
        self.open_http1().await
    }

    async fn open_http1(&self) -> Result<http1::SendRequest<Full<Bytes>>, String> {
        let io = TokioIo::new(self.connect().await?);
        let (sender, connection) = http1::handshake(io).await.map_err(|error| cause(&error))?;
        tokio::task::spawn_local(connection);
        Ok(sender)
    }

    /// The connection that all calls of the lane share.
    async fn http2(&self) -> Result<http2::SendRequest<Full<Bytes>>, String> {
        if let Some(Connection::Http2(sender)) = &*self.connection.borrow()
            && !sender.is_closed()
        {
            return Ok(sender.clone());
        }
        let io = TokioIo::new(self.connect().await?);
        let (sender, connection) = http2::handshake(TokioExecutor::new(), io)
            .await
            .map_err(|error| cause(&error))?;
        tokio::task::spawn_local(connection);
        *self.connection.borrow_mut() = Some(Connection::Http2(sender.clone()));
        Ok(sender)
    }

    async fn connect(&self) -> Result<TcpStream, String> {
        let host = self.options.url.host().unwrap_or("localhost");
        let host = host.trim_matches(['[', ']']);
        let port = self.options.url.port_u16().unwrap_or(80);
        let stream = TcpStream::connect((host, port))
            .await
            .map_err(|error| format!("connect: {}", io_cause(&error)))?;
        let _ = stream.set_nodelay(true);
        Ok(stream)
    }

    fn message(&self) -> Request<Full<Bytes>> {
        let url = &self.options.url;
        let mut request = Request::new(Full::default());
        *request.method_mut() = self.options.method.clone();
        if self.options.manner == Manner::Grpc {
            *request.method_mut() = Method::POST;
            *request.uri_mut() = url.clone();
            let headers = request.headers_mut();
            headers.insert(
                header::CONTENT_TYPE,
                HeaderValue::from_static("application/grpc"),
            );
            headers.insert(header::TE, HeaderValue::from_static("trailers"));
            // A message of no bytes.
            *request.body_mut() = Full::new(Bytes::from_static(&[0; 5]));
        } else {
            let path = url.path_and_query().map_or("/", |path| path.as_str());
            if let Ok(path) = path.parse() {
                *request.uri_mut() = path;
            }
            let host = url
                .authority()
                .map_or("cart", |authority| authority.as_str());
            if let Ok(host) = HeaderValue::from_str(host) {
                request.headers_mut().insert(header::HOST, host);
            }
        }
        request
    }
}

/// The whole answer: status, grpc-status, and the text of its body.
async fn read(
    answer: Result<Response<Incoming>, hyper::Error>,
) -> Result<(StatusCode, String, String), String> {
    let answer = answer.map_err(|error| cause(&error))?;
    let status = answer.status();
    let mut headers = answer.headers().clone();
    let body = answer
        .into_body()
        .collect()
        .await
        .map_err(|error| cause(&error))?;
    headers.extend(body.trailers().cloned().unwrap_or_default());
    let grpc_status = headers
        .get("grpc-status")
        .map(|status| String::from_utf8_lossy(status.as_bytes()).into_owned());
    let mut bytes = body.to_bytes();
    if crate::cart::is_grpc(&headers) {
        // After the message's head and the field's.
        bytes = bytes.slice(bytes.len().min(7)..);
    }
    let text = String::from_utf8_lossy(&bytes).into_owned();
    Ok((status, grpc_status.unwrap_or_default(), text))
}

/// A failure as a few words that can be counted.
fn cause(error: &hyper::Error) -> String {
    let mut inner: &dyn Error = error;
    while let Some(source) = inner.source() {
        inner = source;
    }
    match inner.downcast_ref::<io::Error>() {
        Some(error) => io_cause(error),
        None => inner.to_string(),
    }
}

fn io_cause(error: &io::Error) -> String {
    match error.kind() {
        ErrorKind::ConnectionRefused => "refused".to_owned(),
        ErrorKind::ConnectionReset => "reset".to_owned(),
        ErrorKind::TimedOut => "timed out".to_owned(),
        ErrorKind::BrokenPipe => "broken pipe".to_owned(),
        _ => error.to_string(),
    }
}
