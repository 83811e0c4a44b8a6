//! How long a pod that was removed still gets requests.
//!
//! `cargo bench --bench propagation`. The in-memory API tells the real sidecar, through the real Kubernetes client,
//! that a pod is gone, while clients send 1,000 requests a second; the pod goes on answering and notes when each
//! request reaches it. The figure is the time from just before the API writes the watch event to the arrival of the
//! pod's last request: more than the time from the event's last byte to the last pick, by both their ways through
//! loopback. Ends with exit code 1 where its 99th percentile is beyond [`BOUND`] or a request fails.

use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use jiff::Timestamp;
use tokio::net::TcpListener;

use podrobin::demo::api::Api;
use podrobin::demo::load::{Load, Traffic};
use podrobin::demo::manifest::{self, Entry, Standing};
use podrobin::demo::sidecar::Sidecar;

const BOUND: Duration = Duration::from_millis(10);
const RATE: u32 = 1_000;
const PODS: usize = 4;
const REMOVALS: usize = 300;

/// How long a removed pod is watched for late requests.
const WATCH: Duration = Duration::from_millis(40);

/// How long a pod that is back may take to get its first request.
const PATIENCE: Duration = Duration::from_secs(5);

type Failure = Box<dyn std::error::Error + Send + Sync>;

fn main() -> ExitCode {
    match measure() {
        Ok(Measured {
            mut lags,
            failed,
            rate,
        }) => {
            lags.sort();
            let late = lags.iter().filter(|lag| !lag.is_zero()).count();
            let (p50, p99) = (percentile(&lags, 50), percentile(&lags, 99));
            println!(
                "{REMOVALS} removals at {rate:.0} requests/s, {failed} requests failed; \
                 after {late} of the events a request came"
            );
            println!(
                "event to last request: p50 {}, p99 {}, most {} (bound: p99 {})",
                millis(p50),
                millis(p99),
                millis(percentile(&lags, 100)),
                millis(BOUND)
            );
            ExitCode::from(u8::from(p99 > BOUND || failed > 0))
        }
        Err(failure) => {
            eprintln!("propagation: {failure}");
            ExitCode::FAILURE
        }
    }
}

struct Measured {
    lags: Vec<Duration>,
    failed: u64,
    /// Requests a second that were really answered.
    rate: f64,
}

/// A pod that notes when its last request came.
struct Pod {
    address: SocketAddr,
    /// Nanoseconds from `epoch`.
    last: Arc<AtomicU64>,
    epoch: Instant,
}

fn measure() -> Result<Measured, Failure> {
    // Pods and clients on threads of their own, so that a note is not late because the API is busy.
    let pods = on_thread(start_pods())??;
    let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    listener.set_nonblocking(true)?;
    let server = listener.local_addr()?;
    let api = Api::new();
    let serving = api.clone();
    on_thread(async move {
        tokio::spawn(async move {
            if let Ok(listener) = TcpListener::from_std(listener) {
                serving.serve(listener).await;
            }
        });
    })?;
    api.apply_service(&manifest::service())?;
    let runtime = runtime()?;
    runtime.block_on(churn(&api, server, &pods))
}

async fn churn(api: &Api, server: SocketAddr, pods: &[Pod]) -> Result<Measured, Failure> {
    let mut generation = vec![0_usize; pods.len()];
    publish(api, pods, &generation, None)?;
    let sidecar = Sidecar::start(server, &[]).await?;
    let proxy = sidecar.proxy;
    let load = on_thread(async move { Load::start(proxy, Traffic::patient(RATE)) })?;
    for pod in pods {
        request_after(pod, pod.since()).await?;
    }
    let mut lags = Vec::new();
    let (began, answered) = (Instant::now(), load.tally().answered);
    for removal in 0..REMOVALS {
        let place = removal % pods.len();
        let pod = &pods[place];
        let event = pod.since();
        publish(api, pods, &generation, Some(place))?;
        tokio::time::sleep(WATCH).await;
        lags.push(pod.last().saturating_sub(event));
        // Back as another pod on the same address.
        generation[place] += 1;
        let back = pod.since();
        publish(api, pods, &generation, None)?;
        request_after(pod, back).await?;
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let tally = load.tally();
    let rate = (tally.answered - answered) as f64 / began.elapsed().as_secs_f64();
    for cause in load.causes() {
        eprintln!("failed: {cause}");
    }
    drop(load);
    sidecar.stop().await?;
    Ok(Measured {
        lags,
        failed: tally.failed,
        rate,
    })
}

/// Tells of every pod but `removed`.
fn publish(
    api: &Api,
    pods: &[Pod],
    generation: &[usize],
    removed: Option<usize>,
) -> Result<(), Failure> {
    let entries: Vec<Entry> = pods
        .iter()
        .zip(generation)
        .enumerate()
        .filter(|(place, _)| Some(*place) != removed)
        .map(|(place, (pod, generation))| Entry {
            name: format!("cart-{place}-{generation}"),
            uid: format!("uid-{place}-{generation}"),
            address: pod.address,
            standing: Standing::Ready,
        })
        .collect();
    let entries: Vec<&Entry> = entries.iter().collect();
    let port = pods.first().map_or(0, |pod| pod.address.port());
    for slice in manifest::slices([port], &entries, Timestamp::now()) {
        api.apply_slice(&slice)?;
    }
    Ok(())
}

async fn request_after(pod: &Pod, moment: Duration) -> Result<(), Failure> {
    let patience = Instant::now() + PATIENCE;
    while pod.last() <= moment {
        if Instant::now() > patience {
            return Err(format!("no request reached {} in {PATIENCE:?}", pod.address).into());
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    Ok(())
}

impl Pod {
    fn since(&self) -> Duration {
        self.epoch.elapsed()
    }

    fn last(&self) -> Duration {
        Duration::from_nanos(self.last.load(Relaxed))
    }
}

async fn start_pods() -> std::io::Result<Vec<Pod>> {
    let epoch = Instant::now();
    let mut pods = Vec::new();
    let mut port = 0;
    for host in (101..).take(PODS) {
        let listener = TcpListener::bind((Ipv4Addr::new(127, 0, 1, host), port)).await?;
        let address = listener.local_addr()?;
        port = address.port();
        let last = Arc::new(AtomicU64::new(0));
        tokio::spawn(serve(listener, Arc::clone(&last), epoch));
        pods.push(Pod {
            address,
            last,
            epoch,
        });
    }
    Ok(pods)
}

async fn serve(listener: TcpListener, last: Arc<AtomicU64>, epoch: Instant) {
    while let Ok((stream, _)) = listener.accept().await {
        let last = Arc::clone(&last);
        tokio::spawn(async move {
            let service = service_fn(move |request| answer(request, Arc::clone(&last), epoch));
            let connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
            // It ends when the sidecar closes it.
            let _ = connection.await;
        });
    }
}

async fn answer(
    request: Request<Incoming>,
    last: Arc<AtomicU64>,
    epoch: Instant,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let now = u64::try_from(epoch.elapsed().as_nanos()).unwrap_or(u64::MAX);
    last.fetch_max(now, Relaxed);
    let _ = request.into_body().collect().await;
    Ok(Response::new(Full::new(Bytes::from_static(b"ok\n"))))
}

fn millis(time: Duration) -> String {
    format!("{:.2} ms", time.as_secs_f64() * 1e3)
}

fn percentile(sorted: &[Duration], percent: usize) -> Duration {
    let rank = (sorted.len() * percent).div_ceil(100).max(1);
    sorted.get(rank - 1).copied().unwrap_or_default()
}

/// Runs `start` on a runtime of its own thread, which goes on with what it has spawned.
fn on_thread<T: Send + 'static>(
    start: impl Future<Output = T> + Send + 'static,
) -> Result<T, Failure> {
    let runtime = runtime()?;
    let (sender, receiver) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        runtime.block_on(async {
            // Nobody waits any more: the bench has failed already.
            let _ = sender.send(start.await);
            std::future::pending::<()>().await;
        });
    });
    Ok(receiver.recv()?)
}

fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
}
