//! One pod that means harm among good ones: what it breaks are its own requests alone, and nothing of it is kept.

mod phases;
mod responses;

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::task::JoinSet;

use crate::support::client::{get, post};
use crate::support::head::Message;
use crate::support::pod::Session;
use crate::support::wire::Wire;
use crate::support::{Pod, Sidecar, soon, within};

const GOOD: [&str; 3] = ["a", "b", "c"];
const CLIENTS: usize = 8;
const GETS: usize = 12;
const UPLOADS: usize = 4;

/// Far more than can be kept to be sent again.
const UPLOAD: usize = 256 << 10;

/// For all of them, some of which wait for a pod that says nothing.
const A_WHILE: Duration = Duration::from_secs(60);

/// What the process may grow by, whatever a pod sends: heads of both sides, buffers of [`CLIENTS`] exchanges and what
/// the allocator keeps. Endless input would pass it in no time.
const GROWTH: u64 = 12 << 20;

/// What clients ask while the pod misbehaves.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Asked {
    Gets,
    Uploads,
}

/// How requests ended, by whom the answer came from.
#[derive(Debug, Default)]
struct Tally {
    /// Whole answers, by the pod that gave its name.
    by_pod: BTreeMap<String, usize>,
    /// The sidecar's own errors, by flag, and connections that were cut.
    failed: BTreeMap<String, usize>,
}

/// Lets clients ask a sidecar over three good pods and one that follows `script`, and holds it to this: every request
/// that a good pod got was answered by it, only what the bad one got could fail, and memory stayed within bounds.
async fn among_good_pods<F, Fut>(what: &str, asked: Asked, script: F) -> (Tally, Pod)
where
    F: Fn(Session) -> Fut + Send + 'static,
    Fut: Future<Output = io::Result<()>> + Send + 'static,
{
    let bad = Pod::scripted("bad", script).await;
    let mut pods = Vec::new();
    for name in GOOD {
        pods.push(Pod::start(name).await);
    }
    let mut sidecar = Sidecar::over(pods.iter().chain([&bad]))
        // For pods that say nothing; well above what a good one takes on a busy machine.
        .with("--response-timeout", "1s")
        .on_one_worker()
        .start()
        .await;
    // What an exchange takes is there before it is measured.
    for _ in 0..8 {
        soon(what, ask(sidecar.proxy, Asked::Gets, 1)).await;
    }
    let answered_before: Vec<usize> = pods.iter().map(|pod| pod.record().requests.len()).collect();
    let before = sidecar.peak();

    let mut clients = JoinSet::new();
    let requests = match asked {
        Asked::Gets => GETS,
        Asked::Uploads => UPLOADS,
    };
    for _ in 0..CLIENTS {
        clients.spawn(ask(sidecar.proxy, asked, requests));
    }
    let mut sum = Tally::default();
    for tally in within(A_WHILE, what, clients.join_all()).await {
        for (pod, count) in tally.by_pod {
            *sum.by_pod.entry(pod).or_default() += count;
        }
        for (flag, count) in tally.failed {
            *sum.failed.entry(flag).or_default() += count;
        }
    }

    for (pod, before) in pods.iter().zip(answered_before) {
        let got = pod.record().requests.len() - before;
        let answered = sum.by_pod.get(&pod.name).copied().unwrap_or_default();
        assert_eq!(answered, got, "{what}: of {}: {sum:?}", pod.name);
    }
    let asked_of_bad = bad.record().connections.max(bad.record().heads.len());
    assert!(asked_of_bad > 0, "{what}: it was never asked");
    let failed: usize = sum.failed.values().sum();
    assert!(failed <= asked_of_bad, "{what}: {sum:?}");
    let growth = sidecar.peak().saturating_sub(before);
    println!("{what}: {sum:?}, peak {} KiB more", growth >> 10);
    assert!(growth < GROWTH, "{what}: {growth} bytes more");
    assert!(sidecar.is_running(), "{what}");
    (sum, bad)
}

async fn ask(address: SocketAddr, asked: Asked, requests: usize) -> Tally {
    let request = match asked {
        Asked::Gets => get("/load").into_bytes(),
        Asked::Uploads => post("/load", &vec![b'x'; UPLOAD]),
    };
    let mut tally = Tally::default();
    let mut kept = None;
    for _ in 0..requests {
        let mut wire = match kept.take() {
            Some(wire) => wire,
            None => Wire::connect(address).await.unwrap(),
        };
        match exchange(&mut wire, &request).await {
            Ok(answer) if answer.flag().is_none() => {
                *tally.by_pod.entry(answer.pod().to_owned()).or_default() += 1;
                if answer.field("connection") != Some("close") {
                    kept = Some(wire);
                }
            }
            Ok(answer) => {
                let flag = answer.flag().unwrap_or_default().to_owned();
                *tally.failed.entry(flag).or_default() += 1;
            }
            Err(_) => *tally.failed.entry("cut".to_owned()).or_default() += 1,
        }
    }
    tally
}

/// Sends until all is sent or an answer comes.
async fn exchange(wire: &mut Wire, request: &[u8]) -> io::Result<Message> {
    let (reader, mut writer) = wire.stream().split();
    tokio::select! {
        biased;
        sent = writer.write_all(request) => sent?,
        ready = reader.readable() => ready?,
    }
    let head = wire.head().await?;
    let head = head.ok_or_else(|| io::Error::other("closed without a response"))?;
    let framing = head.response_framing();
    wire.rest(head, framing).await
}
