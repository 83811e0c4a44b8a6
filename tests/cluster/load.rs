//! Load: a few keep-alive HTTP/1.1 clients, each sending one request after the other.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{Method, Request};
use http_body_util::{BodyExt, Empty};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::wait::within;

/// Clients that run until they are told to stop.
#[derive(Debug)]
pub struct Load {
    clients: JoinSet<()>,
    stop: watch::Sender<bool>,
    answered: watch::Receiver<usize>,
    tally: Arc<Mutex<Tally>>,
}

/// What the clients saw.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// Good answers by pod.
    pub by_pod: BTreeMap<String, usize>,
    /// Every request without a good answer, in its own words.
    pub failures: Vec<String>,
    /// The longest time a good answer took.
    pub slowest: Duration,
}

/// One client with its connection, reopened when it was closed.
#[derive(Debug)]
pub struct Client {
    address: SocketAddr,
    sender: Option<SendRequest<Empty<Bytes>>>,
}

impl Load {
    /// `clients` connections to `address`, each pausing between its requests.
    pub fn start(address: SocketAddr, clients: usize, pause: Duration) -> Self {
        let (stop, stopped) = watch::channel(false);
        let (answered_sender, answered) = watch::channel(0);
        let answered_sender = Arc::new(answered_sender);
        let tally = Arc::new(Mutex::new(Tally::default()));
        let mut tasks = JoinSet::new();
        for _ in 0..clients {
            let mut client = Client::new(address);
            let stopped = stopped.clone();
            let answered = answered_sender.clone();
            let tally = tally.clone();
            tasks.spawn(async move {
                while !*stopped.borrow() {
                    let begin = Instant::now();
                    let outcome = client.get().await;
                    tally.lock().unwrap().add(outcome, begin.elapsed());
                    answered.send_modify(|count| *count += 1);
                    tokio::time::sleep(pause).await;
                }
            });
        }
        Self {
            clients: tasks,
            stop,
            answered,
            tally,
        }
    }

    /// Waits until `count` more requests have ended.
    pub async fn more(&mut self, count: usize) {
        let goal = *self.answered.borrow() + count;
        within(
            "the load goes on",
            self.answered.wait_for(|answered| *answered >= goal),
        )
        .await
        .unwrap();
    }

    /// Waits until requests are being held: none ends for this long.
    pub async fn silent_for(&mut self, pause: Duration) {
        within("the load stands still", async {
            loop {
                self.answered.mark_unchanged();
                if tokio::time::timeout(pause, self.answered.changed())
                    .await
                    .is_err()
                {
                    return;
                }
            }
        })
        .await;
    }

    /// What was seen so far.
    pub fn tally(&self) -> Tally {
        self.tally.lock().unwrap().clone()
    }

    /// Lets every client finish its request, and returns what all of them saw.
    pub async fn finish(mut self) -> Tally {
        self.stop.send_replace(true);
        within("the last requests end", async {
            while let Some(client) = self.clients.join_next().await {
                client.unwrap();
            }
        })
        .await;
        self.tally()
    }
}

impl Tally {
    pub fn total(&self) -> usize {
        self.by_pod.values().sum()
    }

    /// Good answers since an earlier look, by pod.
    pub fn since(&self, earlier: &Self) -> BTreeMap<String, usize> {
        let mut more = self.by_pod.clone();
        for (pod, before) in &earlier.by_pod {
            if let Some(count) = more.get_mut(pod) {
                *count -= before;
            }
        }
        more.retain(|_, count| *count > 0);
        more
    }

    /// Fails with every failed request's text.
    pub fn assert_none_failed(&self) {
        assert!(
            self.failures.is_empty(),
            "{} of {} requests failed:\n{}",
            self.failures.len(),
            self.failures.len() + self.total(),
            self.failures.join("\n")
        );
    }

    fn add(&mut self, outcome: Result<String, String>, took: Duration) {
        match outcome {
            Ok(pod) => {
                *self.by_pod.entry(pod).or_default() += 1;
                self.slowest = self.slowest.max(took);
            }
            Err(failure) => self.failures.push(format!("after {took:?}: {failure}")),
        }
    }
}

impl Client {
    pub fn new(address: SocketAddr) -> Self {
        Self {
            address,
            sender: None,
        }
    }

    /// One GET; the pod's name, or why there is none.
    pub async fn get(&mut self) -> Result<String, String> {
        let (status, body) = self.send(Method::GET, "/").await?;
        if status == 200 {
            Ok(body)
        } else {
            Err(format!("{status}: {body}"))
        }
    }

    /// One request; its status and body.
    pub async fn send(&mut self, method: Method, path: &str) -> Result<(u16, String), String> {
        let sender = self.connected().await?;
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("host", "shop.test")
            .body(Empty::new())
            .map_err(|error| error.to_string())?;
        let response = sender.send_request(request).await;
        let response = response.map_err(|error| format!("no answer: {error}"))?;
        let status = response.status().as_u16();
        let body = response.into_body().collect().await;
        let body = body.map_err(|error| format!("{status} was cut short: {error}"))?;
        Ok((
            status,
            String::from_utf8_lossy(&body.to_bytes()).into_owned(),
        ))
    }

    async fn connected(&mut self) -> Result<&mut SendRequest<Empty<Bytes>>, String> {
        let usable = match &mut self.sender {
            Some(sender) => sender.ready().await.is_ok(),
            None => false,
        };
        if !usable {
            self.sender = Some(connect(self.address).await?);
        }
        self.sender
            .as_mut()
            .ok_or_else(|| "no connection".to_owned())
    }
}

async fn connect(address: SocketAddr) -> Result<SendRequest<Empty<Bytes>>, String> {
    let stream = TcpStream::connect(address)
        .await
        .map_err(|error| format!("connect to {address}: {error}"))?;
    let (sender, connection) = handshake(TokioIo::new(stream))
        .await
        .map_err(|error| format!("handshake with {address}: {error}"))?;
    tokio::spawn(connection);
    Ok(sender)
}
