//! An open load: requests are due at random times that no answer delays, and what one took is counted from when it was
//! due. So a proxy that stops for a moment is charged with all that should have been sent meanwhile.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use clap::Args;
use http::header::{HOST, HeaderValue};
use http::{Request, StatusCode};
use http_body_util::{BodyExt, Empty};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::time::Instant;

#[derive(Args, Debug)]
pub struct Options {
    target: SocketAddr,
    /// Requests a second on average, with gaps as independent clients make them
    #[arg(long, default_value_t = 500.0)]
    rate: f64,
    /// Seconds that are not counted, and then those that are
    #[arg(long, default_value_t = 3.0)]
    warm: f64,
    #[arg(long, default_value_t = 10.0)]
    seconds: f64,
    /// Seconds that a client waits for its answer
    #[arg(long, default_value_t = 2.0)]
    patience: f64,
    /// The same seed sends at the same times
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

/// Different paths, for policies that go by them.
const PATHS: u32 = 10_000;

/// Requests under way at most; more are failed without being sent.
const UNDER_WAY: usize = 4096;

type Sender = SendRequest<Empty<Bytes>>;

struct Load {
    target: SocketAddr,
    host: HeaderValue,
    patience: Duration,
    /// Connections that wait for a request, the one used last at the end.
    idle: RefCell<Vec<Sender>>,
    under_way: Cell<usize>,
    seen: RefCell<Seen>,
}

#[derive(Default)]
struct Seen {
    /// From when a request was due until its answer was whole, or had failed.
    took: Vec<Duration>,
    /// From when a request was due until it was sent: what the machine adds.
    late: Vec<Duration>,
    failed: BTreeMap<String, u64>,
}

pub async fn run(options: Options) -> io::Result<()> {
    let load = Rc::new(Load {
        target: options.target,
        host: HeaderValue::from_str(&options.target.to_string()).map_err(io::Error::other)?,
        patience: Duration::from_secs_f64(options.patience),
        idle: RefCell::default(),
        under_way: Cell::new(0),
        seen: RefCell::default(),
    });
    let mut random = fastrand::Rng::with_seed(options.seed);
    let mut due = Instant::now();
    let begin = due + Duration::from_secs_f64(options.warm);
    let end = begin + Duration::from_secs_f64(options.seconds);
    let mut begun = false;
    while due < end {
        tokio::time::sleep_until(due).await;
        if due >= begin && !begun {
            begun = true;
            println!("begin");
        }
        let path = random.u32(..PATHS);
        tokio::task::spawn_local(Rc::clone(&load).request(due, path, begun));
        due += Duration::from_secs_f64(-random.f64().max(1e-12).ln() / options.rate);
    }
    while load.under_way.get() > 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    println!("{}", load.seen.borrow_mut().line());
    Ok(())
}

impl Load {
    async fn request(self: Rc<Self>, due: Instant, path: u32, counts: bool) {
        let late = due.elapsed();
        let outcome = if self.under_way.get() < UNDER_WAY {
            self.under_way.set(self.under_way.get() + 1);
            let exchange = tokio::time::timeout_at(due + self.patience, self.exchange(path));
            let outcome = exchange
                .await
                .unwrap_or_else(|_| Err("no answer".to_owned()));
            self.under_way.set(self.under_way.get() - 1);
            outcome
        } else {
            Err("too many under way".to_owned())
        };
        if counts {
            let mut seen = self.seen.borrow_mut();
            seen.took.push(due.elapsed());
            seen.late.push(late);
            if let Err(cause) = outcome {
                *seen.failed.entry(cause).or_default() += 1;
            }
        }
    }

    async fn exchange(&self, path: u32) -> Result<(), String> {
        loop {
            let mut sender = self.sender().await?;
            let mut request = Request::new(Empty::new());
            *request.uri_mut() = format!("/item/{path}").parse().unwrap_or_default();
            request.headers_mut().insert(HOST, self.host.clone());
            let response = match sender.send_request(request).await {
                Ok(response) => response,
                // Closed while it was idle, and not sent.
                Err(error) if error.is_canceled() => continue,
                Err(error) => return Err(cause(&error)),
            };
            let status = response.status();
            let body = response.into_body().collect().await;
            body.map_err(|error| cause(&error))?;
            self.idle.borrow_mut().push(sender);
            return match status {
                StatusCode::OK => Ok(()),
                status => Err(status.as_str().to_owned()),
            };
        }
    }

    /// A connection that is ready: one that was used before, or a new one.
    async fn sender(&self) -> Result<Sender, String> {
        loop {
            let idle = self.idle.borrow_mut().pop();
            let Some(mut sender) = idle else { break };
            if !sender.is_closed() && sender.ready().await.is_ok() {
                return Ok(sender);
            }
        }
        let stream = TcpStream::connect(self.target).await;
        let stream = stream.map_err(|error| format!("connect: {}", error.kind()))?;
        let _ = stream.set_nodelay(true);
        let connection = handshake(TokioIo::new(stream)).await;
        let (sender, connection) = connection.map_err(|error| cause(&error))?;
        tokio::task::spawn_local(connection);
        Ok(sender)
    }
}

impl Seen {
    fn line(&mut self) -> Value {
        self.took.sort_unstable();
        self.late.sort_unstable();
        json!({
            "sent": self.took.len(),
            "failed": self.failed.values().sum::<u64>(),
            "causes": self.failed,
            "p50": quantile(&self.took, 500),
            "p99": quantile(&self.took, 990),
            "p999": quantile(&self.took, 999),
            "late": quantile(&self.late, 990),
        })
    }
}

/// What so many of a thousand are below, in ms; nothing of nothing.
fn quantile(sorted: &[Duration], thousandths: usize) -> Option<f64> {
    let index = sorted.len() * thousandths / 1000;
    let found = sorted.get(index.min(sorted.len().checked_sub(1)?))?;
    Some(found.as_secs_f64() * 1000.0)
}

fn cause(error: &hyper::Error) -> String {
    let mut inner: &dyn std::error::Error = error;
    while let Some(source) = inner.source() {
        inner = source;
    }
    inner.to_string()
}
