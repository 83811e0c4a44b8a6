//! The load: clients that keep their connection to the sidecar, send at an even rate and never retry, so that what
//! they count as failed is what an app would have seen.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, StatusCode, header};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::SendRequest;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior};

use super::times::Times;
use crate::config::Span;

/// Clients at most, each with one connection.
const CLIENTS: u32 = 200;

/// Causes of failure that are kept to be shown.
const CAUSES: usize = 5;

/// What the clients do.
#[derive(Clone, Copy, Debug)]
pub struct Traffic {
    /// Requests a second of all clients together.
    pub rate: u32,
    /// Of these, what one client sends: it has one request under way at a time, so that the less it sends the more
    /// can wait at once.
    pub each: u32,
    /// How long a client waits for an answer.
    pub patience: Duration,
    /// Every so many requests one is a POST, which may not be repeated once it was sent; none for 0.
    pub post_every: u64,
}

/// Running clients. Dropped, they end.
#[derive(Debug)]
pub struct Load {
    _clients: JoinSet<()>,
    count: u32,
    /// A permit for each client that has a request under way.
    turns: Arc<Semaphore>,
    ledger: Arc<Ledger>,
}

#[derive(Debug, Default)]
struct Ledger {
    started: AtomicU64,
    answered: AtomicU64,
    failed: AtomicU64,
    causes: Mutex<Vec<String>>,
    times: Mutex<Times>,
}

/// What the clients have seen so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    pub answered: u64,
    pub failed: u64,
    /// Sent and not yet answered.
    pub waiting: u64,
}

/// Why a request failed, as its client sees it.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("cannot connect: {0}")]
    Connect(#[from] std::io::Error),
    #[error("connection broke: {0}")]
    Broken(#[from] hyper::Error),
    #[error("answered {0}: {1}")]
    Status(StatusCode, String),
    #[error("no answer within {}", Span(*.0))]
    Late(Duration),
}

impl Load {
    /// Starts clients that send to `target`.
    pub fn start(target: SocketAddr, traffic: Traffic) -> Self {
        let rate = traffic.rate.max(1);
        let count = rate.div_ceil(traffic.each.max(1)).min(CLIENTS);
        let interval = Duration::from_secs(count.into()) / rate;
        let turns = Arc::new(Semaphore::new(count as usize));
        let ledger = Arc::new(Ledger::default());
        let mut clients = JoinSet::new();
        for number in 0..count {
            let client = Client {
                target,
                traffic,
                sender: None,
                turns: Arc::clone(&turns),
                ledger: Arc::clone(&ledger),
            };
            // Spread over the interval, so that the sum is even.
            clients.spawn(client.run(interval * number / count, interval));
        }
        Self {
            _clients: clients,
            count,
            turns,
            ledger,
        }
    }

    /// Lets every request under way finish and none start until the permit is dropped: a moment at which counts can
    /// be compared exactly. `None` never happens while the load runs.
    pub async fn hush(&self) -> Option<SemaphorePermit<'_>> {
        self.turns.acquire_many(self.count).await.ok()
    }

    pub fn tally(&self) -> Tally {
        let answered = self.ledger.answered.load(Relaxed);
        let failed = self.ledger.failed.load(Relaxed);
        let started = self.ledger.started.load(Relaxed);
        Tally {
            answered,
            failed,
            waiting: started.saturating_sub(answered + failed),
        }
    }

    /// How long the clients have waited for each request that is over, failed ones too, and begins anew.
    pub fn take_times(&self) -> Times {
        std::mem::take(&mut *self.ledger.times())
    }

    /// The first few different causes of failure.
    pub fn causes(&self) -> Vec<String> {
        self.ledger.causes().clone()
    }
}

impl Ledger {
    fn causes(&self) -> std::sync::MutexGuard<'_, Vec<String>> {
        // A list of texts is whole even if a thread panicked while it held it.
        self.causes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn times(&self) -> std::sync::MutexGuard<'_, Times> {
        self.times.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn fail(&self, failure: &Failure) {
        self.failed.fetch_add(1, Relaxed);
        let cause = failure.to_string();
        let mut causes = self.causes();
        if causes.len() < CAUSES && !causes.contains(&cause) {
            causes.push(cause);
        }
    }
}

struct Client {
    target: SocketAddr,
    traffic: Traffic,
    sender: Option<SendRequest<Full<Bytes>>>,
    turns: Arc<Semaphore>,
    ledger: Arc<Ledger>,
}

impl Client {
    async fn run(mut self, start: Duration, interval: Duration) {
        let turns = Arc::clone(&self.turns);
        let mut ticks = tokio::time::interval_at(Instant::now() + start, interval);
        // After a wait it goes on at its pace; catching up would be another load.
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let Ok(turn) = turns.acquire().await else {
                return;
            };
            let number = self.ledger.started.fetch_add(1, Relaxed);
            let patience = self.traffic.patience;
            let began = Instant::now();
            let outcome = tokio::time::timeout(patience, self.exchange(number)).await;
            self.ledger.times().note(began.elapsed());
            match outcome.unwrap_or(Err(Failure::Late(patience))) {
                Ok(()) => {
                    self.ledger.answered.fetch_add(1, Relaxed);
                }
                Err(failure) => {
                    self.sender = None;
                    self.ledger.fail(&failure);
                }
            }
            drop(turn);
        }
    }

    async fn exchange(&mut self, number: u64) -> Result<(), Failure> {
        let mut sender = match self.sender.take().filter(|sender| !sender.is_closed()) {
            Some(sender) => sender,
            None => connect(self.target).await?,
        };
        let response = sender.send_request(self.traffic.request(number)).await?;
        let status = response.status();
        let body = response.into_body().collect().await?.to_bytes();
        if status != StatusCode::OK {
            let text = String::from_utf8_lossy(&body).trim().to_owned();
            return Err(Failure::Status(status, text));
        }
        self.sender = Some(sender);
        Ok(())
    }
}

async fn connect(target: SocketAddr) -> Result<SendRequest<Full<Bytes>>, Failure> {
    let stream = TcpStream::connect(target).await?;
    stream.set_nodelay(true)?;
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    // Ends with its sender; an error reaches the request that meets it.
    tokio::spawn(connection);
    sender.ready().await?;
    Ok(sender)
}

impl Traffic {
    /// That of an app that can wait: for longer than the sidecar holds a request.
    pub fn patient(rate: u32) -> Self {
        Self {
            rate,
            each: 10,
            patience: Duration::from_secs(15),
            post_every: 4,
        }
    }

    fn request(&self, number: u64) -> Request<Full<Bytes>> {
        let post = self.post_every > 0 && number.is_multiple_of(self.post_every);
        let body: &[u8] = if post { b"item=42" } else { b"" };
        let mut request = Request::new(Full::new(Bytes::from_static(body)));
        *request.method_mut() = if post { Method::POST } else { Method::GET };
        *request.uri_mut() = http::Uri::from_static("/cart");
        let host = header::HeaderValue::from_static("cart.shop");
        request.headers_mut().insert(header::HOST, host);
        request
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::demo::pod::{Manner, Pod};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    async fn until(load: &Load, what: impl Fn(Tally) -> bool) -> Tally {
        loop {
            let tally = load.tally();
            if what(tally) {
                return tally;
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }

    #[tokio::test]
    async fn answers_are_counted_and_nothing_is_under_way_in_a_hush() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let pod = Pod::start(
            listener,
            "cart-x",
            Manner::Answers(Duration::from_millis(1)),
        )
        .unwrap();
        let load = Load::start(pod.address, Traffic::patient(400));
        until(&load, |tally| tally.answered > 20).await;
        let hush = load.hush().await.unwrap();
        let before = load.tally();
        tokio::time::sleep(Duration::from_millis(30)).await;
        assert_eq!((load.tally(), before.waiting), (before, 0));
        drop(hush);
        until(&load, |tally| tally.answered > before.answered).await;
        assert_eq!(load.tally().failed, 0);
    }

    #[tokio::test]
    async fn an_answer_other_than_200_and_a_broken_connection_are_failures_with_their_cause() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let load = Load::start(listener.local_addr().unwrap(), Traffic::patient(10));
        let (mut stream, _) = listener.accept().await.unwrap();
        assert!(stream.read(&mut [0; 512]).await.unwrap() > 0);
        stream
            .write_all(b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 3\r\n\r\nUH\n")
            .await
            .unwrap();
        until(&load, |tally| tally.failed == 1).await;
        let (mut stream, _) = listener.accept().await.unwrap();
        assert!(stream.read(&mut [0; 512]).await.unwrap() > 0);
        drop(stream);
        let tally = until(&load, |tally| tally.failed == 2).await;
        assert_eq!(tally.answered, 0);
        let causes = load.causes();
        assert_eq!(causes[0], "answered 503 Service Unavailable: UH");
        assert!(causes[1].starts_with("connection broke"), "{causes:?}");
    }

    #[tokio::test]
    async fn a_client_gives_up_after_its_patience_and_what_it_waited_counts() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let patience = Duration::from_millis(20);
        let traffic = Traffic {
            patience,
            ..Traffic::patient(10)
        };
        let load = Load::start(listener.local_addr().unwrap(), traffic);
        until(&load, |tally| tally.failed == 1).await;
        assert!(load.take_times().percentile(50) >= patience);
        assert_eq!(load.causes(), ["no answer within 20ms"]);
    }

    #[test]
    fn every_so_many_requests_one_is_a_post_or_none_is() {
        let posts = |post_every: u64| {
            let traffic = Traffic {
                post_every,
                ..Traffic::patient(1)
            };
            let numbers = 0..12;
            numbers
                .filter(|number| traffic.request(*number).method() == Method::POST)
                .count()
        };
        assert_eq!([posts(4), posts(1), posts(0)], [3, 12, 0]);
    }

    #[tokio::test]
    async fn a_request_that_waits_is_seen_as_waiting() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let load = Load::start(listener.local_addr().unwrap(), Traffic::patient(30));
        assert_eq!(until(&load, |tally| tally.waiting == 3).await.failed, 0);
    }
}
