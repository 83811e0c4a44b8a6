//! A toy pod: a small HTTP/1.1 server on loopback that ends as a well-behaved app does on SIGTERM.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::Instant;

use super::places::Places;

/// Connections of one pod at a time; more wait in the listener's backlog.
const CONNECTIONS: usize = 1024;

/// After an accept that failed.
const ACCEPT_PAUSE: Duration = Duration::from_millis(10);

/// How long the app lets its last requests finish before it exits.
const GRACE: Duration = Duration::from_secs(2);

/// What a pod makes of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manner {
    /// It answers with its name after so long.
    Answers(Duration),
    /// It works on so many at a time, each for so long; more wait in it for their turn.
    Works(usize, Duration),
    /// It answers 503 at once.
    Fails,
    /// It does not answer.
    Hangs,
}

/// A running server.
#[derive(Debug)]
pub struct Pod {
    pub address: SocketAddr,
    manner: watch::Sender<Manner>,
    places: Arc<Mutex<Places>>,
    stop: watch::Sender<()>,
    server: JoinHandle<()>,
}

impl Pod {
    /// Serves on `listener`; each answer is `name`.
    ///
    /// # Errors
    /// Where the listener has no address.
    pub fn start(listener: TcpListener, name: &str, manner: Manner) -> std::io::Result<Self> {
        let address = listener.local_addr()?;
        let (stop, stopped) = watch::channel(());
        let (manner, manner_seen) = watch::channel(manner);
        let places = Arc::<Mutex<Places>>::default();
        let app = App {
            answer: Bytes::from(format!("{name}\n")),
            manner: manner_seen,
            places: Arc::clone(&places),
        };
        Ok(Self {
            address,
            manner,
            places,
            stop,
            server: tokio::spawn(serve(listener, app, stopped)),
        })
    }

    /// Changes what it makes of requests, those that hang included. What it still has to work on it forgets.
    pub fn behave(&self, manner: Manner) {
        *lock(&self.places) = Places::default();
        self.manner.send_replace(manner);
    }

    /// Closes the listener, finishes what is in flight and ends.
    pub async fn stop(self) {
        self.stop.send_replace(());
        // A server that panicked is gone as well.
        let _ = self.server.await;
    }
}

/// What runs in the pod.
#[derive(Clone)]
struct App {
    answer: Bytes,
    manner: watch::Receiver<Manner>,
    places: Arc<Mutex<Places>>,
}

fn lock(places: &Mutex<Places>) -> std::sync::MutexGuard<'_, Places> {
    // Every place is whole even if a thread panicked while it held them.
    places.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn serve(listener: TcpListener, app: App, stopped: watch::Receiver<()>) {
    let mut stop = stopped.clone();
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept(), if connections.len() < CONNECTIONS => {
                match accepted {
                    Ok((stream, _)) => {
                        connections.spawn(converse(stream, app.clone(), stopped.clone()));
                    }
                    // No descriptor left, most likely: there may be one soon.
                    Err(_) => tokio::time::sleep(ACCEPT_PAUSE).await,
                }
            }
            Some(_) = connections.join_next() => {}
            _ = stop.changed() => break,
        }
    }
    drop(listener);
    let finish = async { while connections.join_next().await.is_some() {} };
    // Whoever has not finished by then is cut off, as a kubelet would.
    let _ = tokio::time::timeout(GRACE, finish).await;
}

async fn converse(stream: TcpStream, app: App, mut stopped: watch::Receiver<()>) {
    // Without it answers would wait for acknowledgements; a failure only makes them slow.
    let _ = stream.set_nodelay(true);
    let service = service_fn(move |request| app.clone().respond(request));
    let connection = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .serve_connection(TokioIo::new(stream), service);
    tokio::pin!(connection);
    tokio::select! {
        // How a connection ends is its client's matter.
        _ = &mut connection => return,
        _ = stopped.changed() => connection.as_mut().graceful_shutdown(),
    }
    let _ = connection.await;
}

impl App {
    async fn respond(
        mut self,
        request: Request<Incoming>,
    ) -> Result<Response<Full<Bytes>>, Infallible> {
        let mut body = request.into_body();
        // Frame by frame: what is uploaded is read, not kept.
        while let Some(Ok(_)) = body.frame().await {}
        // Whoever lets a pod hang lets it go on, or drops it; then there is nothing to wait for.
        let manner = self.manner.wait_for(|manner| *manner != Manner::Hangs);
        let manner = manner.await.map_or(Manner::Fails, |manner| *manner);
        let mut response = Response::new(Full::new(self.answer));
        match manner {
            Manner::Answers(work) => tokio::time::sleep(work).await,
            Manner::Works(places, work) => {
                let done = lock(&self.places).take(places, work, Instant::now());
                tokio::time::sleep_until(done).await;
            }
            Manner::Fails | Manner::Hangs => {
                *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
            }
        }
        Ok(response)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    const GET: &[u8] = b"GET / HTTP/1.1\r\nhost: pod\r\n\r\n";

    async fn pod(manner: Manner) -> Pod {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        Pod::start(listener, "cart-x", manner).unwrap()
    }

    #[tokio::test]
    async fn it_answers_with_its_name() {
        let pod = pod(Manner::Answers(Duration::ZERO)).await;
        let mut client = TcpStream::connect(pod.address).await.unwrap();
        client.write_all(GET).await.unwrap();
        let mut answer = vec![0; 512];
        let length = client.read(&mut answer).await.unwrap();
        let answer = String::from_utf8_lossy(&answer[..length]).into_owned();
        assert!(
            answer.starts_with("HTTP/1.1 200 OK") && answer.ends_with("cart-x\n"),
            "{answer}"
        );
    }

    #[tokio::test]
    async fn a_request_in_flight_is_answered_before_it_ends_and_the_port_is_closed_at_once() {
        let pod = pod(Manner::Answers(Duration::from_millis(200))).await;
        let address = pod.address;
        let mut client = TcpStream::connect(address).await.unwrap();
        client.write_all(GET).await.unwrap();
        let mut idle = TcpStream::connect(address).await.unwrap();
        // The pod has taken the first connection once it has taken the one after it, and closes the idle one at once.
        tokio::time::sleep(Duration::from_millis(20)).await;
        let stopping = tokio::spawn(pod.stop());
        assert_eq!(idle.read(&mut [0; 16]).await.unwrap(), 0);
        assert!(TcpStream::connect(address).await.is_err());
        let mut answer = String::new();
        client.read_to_string(&mut answer).await.unwrap();
        assert!(
            answer.contains("connection: close") && answer.ends_with("cart-x\n"),
            "{answer}"
        );
        stopping.await.unwrap();
    }
}
