//! Keep-alive clients that ask without pause until they are told to stop.

use std::collections::BTreeMap;
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};

use tokio::task::JoinSet;

use super::client::get;
use super::head::Message;
use super::wire::Wire;
use super::within::{eventually, soon};

#[derive(Debug)]
pub struct Load {
    clients: JoinSet<Tally>,
    stop: Arc<AtomicBool>,
    answered: Arc<AtomicUsize>,
}

/// What became of the requests.
#[derive(Debug, Default)]
pub struct Tally {
    /// Answers by pod.
    pub by_pod: BTreeMap<String, usize>,
    /// Connections reset before they carried an answer: the listener closed under them.
    pub turned_away: usize,
    /// Everything else, in words.
    pub failed: Vec<String>,
}

impl Load {
    /// So many clients, each with a connection it keeps.
    pub fn start(address: SocketAddr, clients: usize) -> Self {
        let stop = Arc::<AtomicBool>::default();
        let answered = Arc::<AtomicUsize>::default();
        let mut set = JoinSet::new();
        for _ in 0..clients {
            set.spawn(run(address, stop.clone(), answered.clone()));
        }
        Self {
            clients: set,
            stop,
            answered,
        }
    }

    /// Waits until so many more requests have been answered.
    pub async fn more(&self, count: usize) {
        let wanted = self.answered.load(Relaxed) + count;
        let what = format!("{count} more answers under load");
        eventually(&what, async || {
            (self.answered.load(Relaxed) >= wanted).then_some(())
        })
        .await;
    }

    /// Ends after the requests that are under way.
    pub async fn stop(self) -> Tally {
        self.stop.store(true, Relaxed);
        self.ended().await
    }

    /// Waits until each client has found that nobody listens any more.
    pub async fn ended(self) -> Tally {
        let tallies = soon("the clients to end", self.clients.join_all()).await;
        let mut sum = Tally::default();
        for tally in tallies {
            for (pod, count) in tally.by_pod {
                *sum.by_pod.entry(pod).or_default() += count;
            }
            sum.turned_away += tally.turned_away;
            sum.failed.extend(tally.failed);
        }
        sum
    }
}

impl Tally {
    pub fn answered(&self) -> usize {
        self.by_pod.values().sum()
    }

    pub fn assert_nothing_lost(&self) {
        assert!(self.failed.is_empty(), "{:?}", self.failed);
    }
}

async fn run(address: SocketAddr, stop: Arc<AtomicBool>, answered: Arc<AtomicUsize>) -> Tally {
    let mut tally = Tally::default();
    let mut kept = None;
    while !stop.load(Relaxed) {
        let fresh = kept.is_none();
        let mut wire = match kept.take() {
            Some(wire) => wire,
            None => match Wire::connect(address).await {
                Ok(wire) => wire,
                Err(_) => return tally,
            },
        };
        match soon("an answer under load", exchange(&mut wire)).await {
            Err(error) if fresh && error.kind() == ErrorKind::ConnectionReset => {
                tally.turned_away += 1;
            }
            Ok(answer) if answer.status() == 200 => {
                answered.fetch_add(1, Relaxed);
                *tally.by_pod.entry(answer.pod().to_owned()).or_default() += 1;
                if answer.field("connection") != Some("close") {
                    kept = Some(wire);
                }
            }
            Ok(answer) => tally
                .failed
                .push(format!("{}: {}", answer.head.line, answer.text())),
            Err(error) => tally.failed.push(error.to_string()),
        }
    }
    tally
}

async fn exchange(wire: &mut Wire) -> io::Result<Message> {
    wire.send(get("/load")).await?;
    let head = wire.head().await?;
    let head = head.ok_or_else(|| io::Error::other("closed without a response"))?;
    let framing = head.response_framing();
    wire.rest(head, framing).await
}
