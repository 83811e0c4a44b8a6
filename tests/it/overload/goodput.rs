//! Three times as many requests as the pods can answer: what is answered while somebody waits for it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, timeout};

use crate::support::client::get;
use crate::support::pod::Session;
use crate::support::sidecar::Plan;
use crate::support::{Client, Load, Pod, Sidecar};

/// What a pod works on at a time, and for how long; what it is given beside waits there, and is done whether somebody
/// still waits for it or not.
const AT_A_TIME: usize = 4;
const WORK: Duration = Duration::from_millis(100);
/// How long a client waits for its answer.
const PATIENCE: Duration = Duration::from_millis(500);
/// In which the queues grow to what they come to.
const WARM_UP: Duration = Duration::from_secs(2);
const WATCHED: Duration = Duration::from_secs(3);

async fn pod(name: &str) -> Pod {
    let slots = Arc::new(Semaphore::new(AT_A_TIME));
    Pod::scripted(name, move |mut session: Session| {
        let slots = slots.clone();
        async move {
            while session.request().await?.is_some() {
                let slot = slots.acquire().await;
                sleep(WORK).await;
                drop(slot);
                session.answer().await?;
            }
            Ok(())
        }
    })
    .await
}

const PODS: usize = 2;

async fn pods() -> [Pod; PODS] {
    [pod("a").await, pod("b").await]
}

/// Answers a second where just as many ask as can be answered at a time.
async fn capacity() -> f64 {
    let pods = pods().await;
    let sidecar = Sidecar::over(&pods)
        .with("--policy", "least-request")
        .start()
        .await;
    let load = Load::start(sidecar.proxy, pods.len() * AT_A_TIME);
    load.more(pods.len() * AT_A_TIME * 2).await;
    let began = Instant::now();
    let before = answered(&sidecar).await;
    sleep(WATCHED).await;
    let during = answered(&sidecar).await - before;
    let rate = during / began.elapsed().as_secs_f64();
    load.stop().await.assert_nothing_lost();
    rate
}

async fn answered(sidecar: &Sidecar) -> f64 {
    sidecar
        .metric("podrobin_requests_total", &["class=\"2xx\""])
        .await
}

/// Answers a second that come in time, where clients ask at `rate` whatever comes of it.
async fn goodput(rate: f64, plan: impl FnOnce(Plan) -> Plan) -> f64 {
    let pods = pods().await;
    let sidecar = plan(Sidecar::over(&pods)).start().await;
    let good = Arc::<AtomicUsize>::default();
    let mut clients = JoinSet::new();
    let mut ticks = interval(Duration::from_secs_f64(1.0 / rate));
    // What a busy machine was late for is made up for: the rate holds.
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let began = Instant::now();
    let mut counted_from = None;
    while began.elapsed() < WARM_UP + WATCHED {
        ticks.tick().await;
        if counted_from.is_none() && began.elapsed() >= WARM_UP {
            counted_from = Some((Instant::now(), good.load(Relaxed)));
        }
        let (good, address) = (good.clone(), sidecar.proxy);
        clients.spawn(async move {
            let answer = timeout(PATIENCE, async {
                let mut client = Client::connect(address).await;
                client.send(get("/")).await;
                client.try_response().await
            });
            if let Ok(Ok(answer)) = answer.await
                && answer.status() == 200
            {
                good.fetch_add(1, Relaxed);
            }
        });
        while clients.try_join_next().is_some() {}
    }
    let (since, before) = counted_from.unwrap();
    let during = (good.load(Relaxed) - before) as f64 / since.elapsed().as_secs_f64();
    clients.shutdown().await;
    during
}

/// Answers a second.
#[derive(Debug)]
struct Seen {
    capacity: f64,
    without: f64,
    with: f64,
    adaptive: f64,
}

async fn see() -> Seen {
    let capacity = capacity().await;
    let rate = 3.0 * capacity;
    // One more than it works on, so that it need not wait for the next.
    let limit = (AT_A_TIME + 1).to_string();
    let limited =
        async |limit: &str| goodput(rate, |plan| plan.with("--max-pod-requests", limit)).await;
    let seen = Seen {
        capacity,
        without: goodput(rate, |plan| plan).await,
        with: limited(&limit).await,
        // It has found out within the warm-up, with a few answers a second to go by.
        adaptive: limited("adaptive:max=50").await,
    };
    println!("{seen:.0?}");
    seen
}

/// What a machine that others use too may spoil: seen once, it is true.
const ROUNDS: usize = 3;

#[tokio::test]
async fn with_a_limit_the_pods_do_what_they_can_under_three_times_as_much() {
    let able = (PODS * AT_A_TIME) as f64 / WORK.as_secs_f64();
    let mut failed = Vec::new();
    for _ in 0..ROUNDS {
        let seen = see().await;
        let least = 0.9 * seen.capacity;
        if seen.with >= least && seen.adaptive >= least && seen.without < 0.5 * seen.capacity {
            return;
        }
        // Where not even as many as can be at work get it done, it is the machine that is short of time.
        if seen.capacity >= 0.9 * able {
            failed.push(seen);
        }
    }
    assert!(
        failed.len() < ROUNDS,
        "less than nine tenths with a limit, or half without: {failed:?}"
    );
}
