//! The server. It answers with its pod's name, and misbehaves on command:
//!
//! ```text
//! GET  /readyz, /livez            for probes
//! POST /control/unready, /ready   what /readyz says from now on
//! POST /control/hang/SECONDS      requests are taken and not answered for so long, probes are
//! POST /control/freeze/SECONDS    the same, probes included
//! POST /control/hog               takes memory until it is killed
//! GET  /slow/MILLISECONDS         an answer that takes so long
//! ```

use std::convert::Infallible;
use std::future::pending;
use std::io;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use clap::Args;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, header};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until};

/// A server that answers with its pod's name, over HTTP/1.1 and gRPC (or HTTP/2) without TLS on one port.
#[derive(Debug, Args)]
pub struct Options {
    #[arg(long, env = "CART_LISTEN", default_value = "0.0.0.0:8080")]
    listen: SocketAddr,

    /// The name to answer with
    #[arg(long, env = "POD_NAME", default_value = "cart")]
    pod_name: String,

    /// Seconds to serve on after SIGTERM, as a well-behaved app does; with 0 it exits at once, in the middle of answers
    #[arg(long, env = "CART_DRAIN", default_value_t = 3)]
    drain: u64,

    /// Act as if SIGTERM was never sent
    #[arg(long, env = "CART_IGNORE_SIGTERM")]
    ignore_sigterm: bool,
}

/// What is set on command. Requests wait for it to change.
#[derive(Debug, Clone, Copy)]
struct Mood {
    ready: bool,
    hang_until: Instant,
    freeze_until: Instant,
}

#[derive(Debug, Clone)]
struct Cart {
    name: Bytes,
    mood: watch::Sender<Mood>,
}

pub async fn run(options: Options) -> io::Result<ExitCode> {
    let listener = TcpListener::bind(options.listen).await?;
    let now = Instant::now();
    let cart = Cart {
        name: Bytes::from(options.pod_name),
        mood: watch::Sender::new(Mood {
            ready: true,
            hang_until: now,
            freeze_until: now,
        }),
    };
    // Sent true when connections are to end after the answers that are due. They hold a receiver until they have.
    let closing = watch::Sender::new(false);
    let ends = end(options.drain, options.ignore_sigterm);
    tokio::pin!(ends);
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                if let Ok((stream, _)) = accepted {
                    tokio::spawn(serve(stream, cart.clone(), closing.subscribe()));
                }
            }
            told = &mut ends => {
                told?;
                break;
            }
        }
    }
    drop(listener);
    if options.drain > 0 {
        closing.send_replace(true);
        closing.closed().await;
    }
    Ok(ExitCode::SUCCESS)
}

/// Waits until it is time to end: `drain` seconds after the signal.
async fn end(drain: u64, ignore: bool) -> io::Result<()> {
    crate::told_to_end().await?;
    if ignore {
        pending::<()>().await;
    }
    sleep(Duration::from_secs(drain)).await;
    Ok(())
}

async fn serve(stream: TcpStream, cart: Cart, mut closing: watch::Receiver<bool>) {
    let _ = stream.set_nodelay(true);
    // HTTP/2 begins with "PRI"; no method of HTTP/1.1 begins with these two letters.
    let mut first = [0; 2];
    while let Ok(1) = stream.peek(&mut first).await {
        sleep(Duration::from_millis(1)).await;
    }
    let service = service_fn(|request| cart.clone().answer(request));
    let io = TokioIo::new(stream);
    if first == *b"PR" {
        let connection = http2::Builder::new(TokioExecutor::new()).serve_connection(io, service);
        tokio::pin!(connection);
        tokio::select! {
            _ = &mut connection => return,
            _ = closing.wait_for(|closing| *closing) => {}
        }
        connection.as_mut().graceful_shutdown();
        let _ = connection.await;
    } else {
        let connection = http1::Builder::new()
            .header_read_timeout(None)
            .serve_connection(io, service);
        tokio::pin!(connection);
        tokio::select! {
            _ = &mut connection => return,
            _ = closing.wait_for(|closing| *closing) => {}
        }
        connection.as_mut().graceful_shutdown();
        let _ = connection.await;
    }
}

impl Cart {
    async fn answer(
        self,
        request: Request<Incoming>,
    ) -> Result<Response<BoxBody<Bytes, Infallible>>, Infallible> {
        let grpc = is_grpc(request.headers());
        let path = request.uri().path().to_owned();
        let mut path = path.trim_matches('/').split('/');
        let command = match (path.next(), path.next()) {
            (Some("control"), command) => command,
            (Some(probe @ ("readyz" | "livez")), _) => {
                self.thaw().await;
                let good = probe == "livez" || self.mood.borrow().ready;
                let status = if good {
                    StatusCode::OK
                } else {
                    StatusCode::SERVICE_UNAVAILABLE
                };
                return Ok(text(status, Bytes::new()));
            }
            (Some("slow"), milliseconds) => {
                sleep(Duration::from_millis(number(milliseconds))).await;
                None
            }
            _ => None,
        };
        if let Some(command) = command {
            let known = self.control(command, number(path.next()));
            let status = if known {
                StatusCode::OK
            } else {
                StatusCode::NOT_FOUND
            };
            return Ok(text(status, Bytes::new()));
        }
        // A request's body is read before the answer, so that the connection can be used again.
        let _ = request.into_body().collect().await;
        self.thaw().await;
        let until = self.mood.borrow().hang_until;
        sleep_until(until).await;
        Ok(if grpc {
            grpc_message(&self.name)
        } else {
            text(StatusCode::OK, self.name)
        })
    }

    fn control(&self, command: &str, seconds: u64) -> bool {
        let until = Instant::now() + Duration::from_secs(seconds);
        match command {
            "ready" => self.mood.send_modify(|mood| mood.ready = true),
            "unready" => self.mood.send_modify(|mood| mood.ready = false),
            "hang" => self.mood.send_modify(|mood| mood.hang_until = until),
            "freeze" => self.mood.send_modify(|mood| mood.freeze_until = until),
            "hog" => {
                std::thread::spawn(hog);
            }
            _ => return false,
        }
        true
    }

    /// Waits while everything is to hang.
    async fn thaw(&self) {
        let until = self.mood.borrow().freeze_until;
        sleep_until(until).await;
    }
}

/// Takes memory, and touches it, until the kernel ends the process.
fn hog() {
    let mut taken = Vec::new();
    loop {
        taken.push(vec![1_u8; 1 << 20]);
    }
}

fn number(text: Option<&str>) -> u64 {
    text.and_then(|text| text.parse().ok()).unwrap_or(0)
}

pub fn is_grpc(headers: &HeaderMap) -> bool {
    headers
        .get(header::CONTENT_TYPE)
        .is_some_and(|kind| kind.as_bytes().starts_with(b"application/grpc"))
}

fn text(status: StatusCode, body: Bytes) -> Response<BoxBody<Bytes, Infallible>> {
    let mut response = Response::new(Full::new(body).boxed());
    *response.status_mut() = status;
    response
}

/// `message Answer { string pod = 1; }` with status OK.
fn grpc_message(name: &Bytes) -> Response<BoxBody<Bytes, Infallible>> {
    // Both lengths fit into a byte: names of pods have at most 253 letters, of which these are the first 100.
    let name = name.slice(..name.len().min(100));
    let length = u8::try_from(name.len()).unwrap_or(0);
    let mut message = BytesMut::new();
    message.put_slice(&[0, 0, 0, 0, length + 2, 0x0a, length]);
    message.put_slice(&name);
    let trailers = async {
        let mut trailers = HeaderMap::new();
        trailers.insert("grpc-status", HeaderValue::from_static("0"));
        Some(Ok(trailers))
    };
    let body = Full::new(message.freeze()).with_trailers(trailers);
    let mut response = Response::new(BoxBody::new(body));
    let kind = HeaderValue::from_static("application/grpc");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    response
}
