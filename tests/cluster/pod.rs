//! A pod's containers: an HTTP server on each of its ports that answers with the pod's name.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::pin;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// How an application ends when it gets SIGTERM.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// It ends at once, and requests in flight with it.
    AtOnce,
    /// It serves on for this long, then closes: what a preStop sleep or a careful application does.
    After(Duration),
}

/// The running containers of one pod. Dropped, they are gone as by SIGKILL.
#[derive(Debug)]
pub struct Containers {
    life: watch::Sender<Life>,
    ports: JoinSet<()>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Life {
    Running,
    Closing,
}

impl Containers {
    /// Listens on every address; each answers with `name`.
    pub fn start(name: &str, addresses: &[SocketAddr]) -> Self {
        let (life, _) = watch::channel(Life::Running);
        let mut ports = JoinSet::new();
        for address in addresses {
            let listener = listen(*address)
                .unwrap_or_else(|error| panic!("pod {name} cannot listen on {address}: {error}"));
            ports.spawn(serve(
                listener,
                Bytes::from(name.to_owned()),
                life.subscribe(),
            ));
        }
        Self { life, ports }
    }

    /// SIGTERM: returns when all containers have ended.
    pub async fn stop(mut self, exit: Exit) {
        match exit {
            Exit::AtOnce => self.ports.shutdown().await,
            Exit::After(drain) => {
                tokio::time::sleep(drain).await;
                self.life.send_replace(Life::Closing);
                while self.ports.join_next().await.is_some() {}
            }
        }
    }
}

/// An IPv6 address of a local route is not assigned to an interface, so it is bound as one that may come later.
fn listen(address: SocketAddr) -> std::io::Result<TcpListener> {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => {
            let socket = TcpSocket::new_v6()?;
            socket2::SockRef::from(&socket).set_freebind_v6(true)?;
            socket
        }
    };
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(1024)
}

async fn serve(listener: TcpListener, name: Bytes, life: watch::Receiver<Life>) {
    let mut connections = JoinSet::new();
    let mut closes = life.clone();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                if let Ok((stream, _)) = accepted {
                    connections.spawn(converse(stream, name.clone(), life.clone()));
                }
            }
            Some(_) = connections.join_next() => {}
            () = closing(&mut closes) => break,
        }
    }
    drop(listener);
    while connections.join_next().await.is_some() {}
}

async fn converse(stream: TcpStream, name: Bytes, mut life: watch::Receiver<Life>) {
    let answer = service_fn(|request| answer(request, name.clone()));
    let mut connection = pin!(http1::Builder::new().serve_connection(TokioIo::new(stream), answer));
    tokio::select! {
        // How a client leaves is the load's matter.
        _ = connection.as_mut() => return,
        () = closing(&mut life) => {}
    }
    connection.as_mut().graceful_shutdown();
    let _ = connection.await;
}

/// Returns when the application closes, or is gone.
async fn closing(life: &mut watch::Receiver<Life>) {
    let _ = life.wait_for(|life| *life == Life::Closing).await;
}

async fn answer(_: Request<Incoming>, name: Bytes) -> Result<Response<Full<Bytes>>, Infallible> {
    Ok(Response::new(Full::new(name)))
}
