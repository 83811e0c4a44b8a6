//! Ten pods in one process, each on an address of loopback of its own and all on one port, as pods of a Service are.
//!
//! A pod has so many places. A request takes one, works as long as it is dealt, and is answered; those that find none
//! wait in order. All that is waited for is time, so that one thread serves thousands of requests a second.

mod behaviour;

use std::cell::{Cell, RefCell};
use std::convert::Infallible;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::rc::Rc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use clap::Args;
use http::{HeaderValue, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use podrobin::load_report::METRICS;
use serde_json::json;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc, watch};

use behaviour::{Behaviour, Command};

#[derive(Args, Debug)]
pub struct Options {
    #[arg(long, default_value_t = 10)]
    pods: u8,
    /// Requests that a pod works on at a time
    #[arg(long, default_value_t = 8)]
    places: usize,
    /// What a request takes on average, in ms; 0 answers at once
    #[arg(long, default_value_t = 10.0)]
    mean: f64,
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Tell a load with each answer, each pod another, as the policy weighted:orca goes by it
    #[arg(long)]
    report: bool,
}

/// Ports that are tried until one is free on all addresses.
const TRIES: usize = 20;

/// Commands that wait to be obeyed.
const COMMANDS: usize = 16;

/// The path that tells whether the pod is well, at once and uncounted.
const HEALTH: &str = "/healthz";

#[derive(Debug)]
struct Pod {
    name: String,
    behaviour: RefCell<Behaviour>,
    places: Semaphore,
    /// Requests that came.
    seen: Cell<u64>,
    /// Becomes true when the pod goes, with all its connections.
    gone: watch::Sender<bool>,
    /// Of how long a request takes.
    mean: Duration,
    /// What it tells of its load.
    report: Option<HeaderValue>,
}

pub async fn run(options: Options) -> io::Result<()> {
    fastrand::seed(options.seed);
    let (port, listeners) = listen(options.pods).await?;
    let pods: Vec<Rc<Pod>> = listeners
        .into_iter()
        .enumerate()
        .map(|(number, listener)| Pod::start(number, listener, &options))
        .collect();
    println!("{}", json!({ "port": port }));

    let mut commands = commands();
    while let Some(line) = commands.recv().await {
        match line.trim() {
            "reset" => pods.iter().for_each(|pod| pod.seen.set(0)),
            "counts" => {
                let counts: Vec<u64> = pods.iter().map(|pod| pod.seen.get()).collect();
                println!("{}", json!(counts));
            }
            line => obey(&pods, line).map_err(io::Error::other)?,
        }
    }
    Ok(())
}

/// `NUMBER COMMAND`: which pod, and what it does from now on.
fn obey(pods: &[Rc<Pod>], line: &str) -> Result<(), String> {
    let (number, command) = line.split_once(' ').unwrap_or((line, ""));
    let number: Option<usize> = number.parse().ok();
    let pod = number.and_then(|number| pods.get(number));
    let pod = pod.ok_or_else(|| format!("no pod in {line:?}"))?;
    match command.parse()? {
        Command::Behave(behaviour) => *pod.behaviour.borrow_mut() = behaviour,
        Command::Go => {
            pod.gone.send_replace(true);
        }
    }
    Ok(())
}

/// Lines of standard input, until it ends: then so do the pods.
fn commands() -> mpsc::Receiver<String> {
    let (sender, receiver) = mpsc::channel(COMMANDS);
    std::thread::spawn(move || {
        for line in io::stdin().lines().map_while(Result::ok) {
            if sender.blocking_send(line).is_err() {
                return;
            }
        }
    });
    receiver
}

/// Listeners on 127.0.1.1 and those after it, all on one port.
async fn listen(pods: u8) -> io::Result<(u16, Vec<TcpListener>)> {
    let mut error = io::Error::other("no pods");
    for _ in 0..TRIES {
        match listen_once(pods).await {
            Ok(listeners) => return Ok(listeners),
            Err(failed) => error = failed,
        }
    }
    Err(error)
}

async fn listen_once(pods: u8) -> io::Result<(u16, Vec<TcpListener>)> {
    let mut port = 0;
    let mut listeners = Vec::new();
    for number in 1..=pods {
        let address = SocketAddr::from((Ipv4Addr::new(127, 0, 1, number), port));
        let listener = TcpListener::bind(address).await?;
        port = listener.local_addr()?.port();
        listeners.push(listener);
    }
    Ok((port, listeners))
}

impl Pod {
    fn start(number: usize, listener: TcpListener, options: &Options) -> Rc<Self> {
        let pod = Rc::new(Self {
            name: number.to_string(),
            behaviour: RefCell::default(),
            places: Semaphore::new(options.places),
            seen: Cell::new(0),
            gone: watch::Sender::new(false),
            mean: Duration::from_secs_f64(options.mean / 1000.0),
            report: options.report.then(|| report(number)).flatten(),
        });
        tokio::task::spawn_local(Rc::clone(&pod).accept(listener));
        pod
    }

    async fn accept(self: Rc<Self>, listener: TcpListener) {
        let mut gone = self.gone.subscribe();
        loop {
            tokio::select! {
                accepted = listener.accept() => {
                    if let Ok((stream, _)) = accepted {
                        tokio::task::spawn_local(Rc::clone(&self).serve(stream));
                    }
                }
                _ = gone.wait_for(|gone| *gone) => return,
            }
        }
    }

    async fn serve(self: Rc<Self>, stream: TcpStream) {
        let mut gone = self.gone.subscribe();
        let _ = stream.set_nodelay(true);
        let service = service_fn(|request| self.answer(request));
        tokio::select! {
            _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service) => {}
            _ = gone.wait_for(|gone| *gone) => {}
        }
    }

    async fn answer(
        &self,
        request: Request<Incoming>,
    ) -> Result<Response<Full<Bytes>>, Infallible> {
        let behaviour = self.behaviour.borrow().clone();
        let asks_health = request.uri().path() == HEALTH;
        if !asks_health {
            self.seen.set(self.seen.get() + 1);
        }
        if behaviour.hangs {
            std::future::pending::<()>().await;
        }
        if asks_health {
            return Ok(self.response(StatusCode::OK));
        }
        if fastrand::f64() < behaviour.failing {
            return Ok(self.response(StatusCode::INTERNAL_SERVER_ERROR));
        }
        if !self.mean.is_zero() {
            let _place = self.places.acquire().await;
            let now = Instant::now();
            let end = behaviour.end(now, behaviour::work(self.mean));
            tokio::time::sleep_until(end.into()).await;
        }
        Ok(self.response(StatusCode::OK))
    }

    fn response(&self, status: StatusCode) -> Response<Full<Bytes>> {
        let mut response = Response::new(Full::new(Bytes::from(self.name.clone())));
        *response.status_mut() = status;
        if let Some(report) = &self.report {
            response.headers_mut().insert(METRICS, report.clone());
        }
        response
    }
}

/// A hundred requests a second, and the more in use the higher the pod's number.
fn report(number: usize) -> Option<HeaderValue> {
    let report = format!("TEXT cpu_utilization=0.{},rps_fractional=100", 20 + number);
    HeaderValue::try_from(report).ok()
}
