//! A pod: a listener of its own that follows a script and remembers what it saw.

use std::fmt;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::{JoinHandle, JoinSet};

use super::head::{Head, Message};
use super::manners;
use super::wire::Wire;
use super::within::soon;

/// Ends with its connections when it is dropped.
#[derive(Debug)]
pub struct Pod {
    pub name: String,
    pub address: SocketAddr,
    record: Arc<watch::Sender<Record>>,
    /// The port while nobody listens: connections are refused, and no other test can get it.
    closed: Option<TcpSocket>,
    task: Option<JoinHandle<()>>,
}

/// What a pod saw.
#[derive(Debug, Default)]
pub struct Record {
    /// Connections accepted.
    pub connections: usize,
    /// Connections that have not ended.
    pub open: usize,
    /// Heads read, whether their bodies came or not.
    pub heads: Vec<Head>,
    /// Requests read whole.
    pub requests: Vec<Message>,
    /// Requests over HTTP/2 that began.
    pub streams: usize,
    /// Of these, how the script's work on them ended: the reason of a reset by the other side, if that is what it was.
    pub ended: Vec<Option<h2::Reason>>,
    /// Requests over HTTP/2 read whole.
    pub calls: Vec<Seen>,
}

/// A request as it came over HTTP/2.
#[derive(Clone, Debug)]
pub struct Seen {
    pub uri: http::Uri,
    pub headers: http::HeaderMap,
    pub body: Vec<u8>,
    pub trailers: http::HeaderMap,
}

/// Writes a pod's record for requests over HTTP/2.
#[derive(Clone, Debug)]
pub struct Streams(Arc<watch::Sender<Record>>);

impl Streams {
    pub fn begun(&self) {
        self.0.send_modify(|record| record.streams += 1);
    }

    pub fn ended(&self, reason: Option<h2::Reason>) {
        self.0.send_modify(|record| record.ended.push(reason));
    }

    pub fn finished(&self, head: &http::request::Parts, body: Vec<u8>, trailers: http::HeaderMap) {
        let seen = Seen {
            uri: head.uri.clone(),
            headers: head.headers.clone(),
            body,
            trailers,
        };
        self.0.send_modify(|record| record.calls.push(seen));
    }
}

/// One connection to a pod, in the hands of its script.
pub struct Session {
    pub wire: Wire,
    /// The first connection is number 1.
    pub number: usize,
    pub name: String,
    record: Arc<watch::Sender<Record>>,
}

impl Pod {
    /// A pod that answers every request with its name.
    pub async fn start(name: &str) -> Self {
        Self::scripted(name, manners::answer_all).await
    }

    /// A pod that follows `script` on each connection.
    pub async fn scripted<F, Fut>(name: &str, script: F) -> Self
    where
        F: Fn(Session) -> Fut + Send + 'static,
        Fut: Future<Output = io::Result<()>> + Send + 'static,
    {
        let mut pod = Self::refusing(name);
        pod.open(script);
        pod
    }

    /// A pod that answers a request once it gets a permit.
    pub async fn gated(name: &str) -> (Self, Arc<Semaphore>) {
        let go = Arc::new(Semaphore::new(0));
        let gate = go.clone();
        let pod = Self::scripted(name, move |mut session: Session| {
            let gate = gate.clone();
            async move {
                while session.request().await?.is_some() {
                    gate.acquire().await.unwrap().forget();
                    session.answer().await?;
                }
                Ok(())
            }
        })
        .await;
        (pod, go)
    }

    /// A pod that refuses connections until it is opened.
    pub fn refusing(name: &str) -> Self {
        let socket = bound(([127, 0, 0, 1], 0).into());
        Self {
            name: name.to_owned(),
            address: socket.local_addr().unwrap(),
            record: Arc::default(),
            closed: Some(socket),
            task: None,
        }
    }

    /// A pod whose address swallows SYNs, as that of a dead sandbox does.
    pub async fn swallowing(name: &str) -> Self {
        let mut pod = Self::refusing(name);
        // Linux keeps one connection more than the backlog says, and drops the SYNs of all further ones.
        let listener = pod.listen(0);
        let only = TcpStream::connect(pod.address).await.unwrap();
        pod.task = Some(tokio::spawn(async move {
            let _kept_open = (listener, only);
            std::future::pending::<()>().await;
        }));
        pod
    }

    /// A pod that refused begins to follow `script`.
    pub fn open<F, Fut>(&mut self, script: F)
    where
        F: Fn(Session) -> Fut + Send + 'static,
        Fut: Future<Output = io::Result<()>> + Send + 'static,
    {
        let listener = self.listen(1024);
        let serving = serve(listener, self.name.clone(), self.record.clone(), script);
        self.task = Some(tokio::spawn(serving));
    }

    /// Ends it as a SIGKILL does: its connections end, and new ones are refused.
    pub async fn kill(&mut self) {
        let task = self
            .task
            .take()
            .unwrap_or_else(|| panic!("{} is dead already", self.name));
        // Before the port is free for anybody else.
        self.closed = Some(bound(self.address));
        task.abort();
        // Its sockets are closed once the task is gone.
        let _ = task.await;
    }

    fn listen(&mut self, backlog: u32) -> TcpListener {
        let closed = self.closed.take();
        let socket = closed.unwrap_or_else(|| panic!("{} is open already", self.name));
        socket.listen(backlog).unwrap()
    }

    /// What it saw so far.
    pub fn record(&self) -> watch::Ref<'_, Record> {
        self.record.borrow()
    }

    /// Waits until its record is as wanted.
    pub async fn until(&self, what: &str, wanted: impl FnMut(&Record) -> bool) {
        let mut record = self.record.subscribe();
        let what = format!("{}: {what}", self.name);
        soon(&what, record.wait_for(wanted)).await.unwrap();
    }

    /// The only request it got.
    pub fn only_request(&self) -> Message {
        let record = self.record();
        assert_eq!(record.requests.len(), 1, "{}: {record:?}", self.name);
        record.requests[0].clone()
    }

    /// The only request it got over HTTP/2.
    pub fn only_call(&self) -> Seen {
        let record = self.record();
        assert_eq!(record.calls.len(), 1, "{}: {record:?}", self.name);
        record.calls[0].clone()
    }

    /// How many heads of that method came.
    pub fn count(&self, method: &str) -> usize {
        let record = self.record();
        let heads = record.heads.iter();
        heads.filter(|head| head.method() == method).count()
    }
}

impl Drop for Pod {
    fn drop(&mut self) {
        if let Some(task) = &self.task {
            task.abort();
        }
    }
}

/// A socket that has its port, and nobody else does.
fn bound(address: SocketAddr) -> TcpSocket {
    let socket = TcpSocket::new_v4().unwrap();
    // For one that is bound again while connections of its past are still known to the kernel, or its listener is there.
    socket.set_reuseaddr(true).unwrap();
    socket.set_reuseport(true).unwrap();
    socket.bind(address).unwrap();
    socket
}

async fn serve<F, Fut>(
    listener: TcpListener,
    name: String,
    record: Arc<watch::Sender<Record>>,
    script: F,
) where
    F: Fn(Session) -> Fut,
    Fut: Future<Output = io::Result<()>> + Send + 'static,
{
    // Dropped with this task, and the connections with it.
    let mut connections = JoinSet::new();
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            return;
        };
        record.send_modify(|record| {
            record.connections += 1;
            record.open += 1;
        });
        let session = Session {
            wire: Wire::new(stream).unwrap(),
            number: record.borrow().connections,
            name: name.clone(),
            record: record.clone(),
        };
        let record = record.clone();
        let followed = script(session);
        connections.spawn(async move {
            // How the connection ended is the scene's business, which sees it from the client's side.
            let _ = followed.await;
            record.send_modify(|record| record.open -= 1);
        });
        while connections.try_join_next().is_some() {}
    }
}

impl Session {
    /// The next request's head; nothing at the end of the connection.
    pub async fn head(&mut self) -> io::Result<Option<Head>> {
        let head = self.wire.head().await?;
        if let Some(head) = &head {
            self.record
                .send_modify(|record| record.heads.push(head.clone()));
        }
        Ok(head)
    }

    /// The body of the request whose head was read.
    pub async fn rest(&mut self, head: Head) -> io::Result<Message> {
        let framing = head.request_framing();
        let request = self.wire.rest(head, framing).await?;
        self.record
            .send_modify(|record| record.requests.push(request.clone()));
        Ok(request)
    }

    /// The next request, whole.
    pub async fn request(&mut self) -> io::Result<Option<Message>> {
        match self.head().await? {
            Some(head) => self.rest(head).await.map(Some),
            None => Ok(None),
        }
    }

    /// The part of the pod's record that is of HTTP/2.
    pub fn streams(&self) -> Streams {
        Streams(self.record.clone())
    }

    /// A plain answer: 200 with the pod's name.
    pub async fn answer(&mut self) -> io::Result<()> {
        let name = &self.name;
        let length = name.len();
        let answer =
            format!("HTTP/1.1 200 OK\r\nx-pod: {name}\r\ncontent-length: {length}\r\n\r\n{name}");
        self.wire.send(answer).await
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "connection {} of {}", self.number, self.name)
    }
}
