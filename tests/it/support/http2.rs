//! HTTP/2 spoken well, for scenes where only one side misbehaves: a client, and scripts for pods.

use std::fmt;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use h2::client::{ResponseFuture, SendRequest};
use h2::server::SendResponse;
use h2::{Reason, RecvStream, SendStream};
use http::{HeaderMap, Request, Response, StatusCode};
use tokio::net::TcpStream;
use tokio::sync::{Notify, Semaphore};
use tokio::task::{JoinHandle, JoinSet};

use super::pod::{Session, Streams};
use super::within::soon;

/// A connection with prior knowledge. Every wait is bounded.
#[derive(Clone, Debug)]
pub struct H2Client {
    sender: SendRequest<Bytes>,
    /// Ends when the connection does.
    connection: Arc<JoinHandle<Result<(), h2::Error>>>,
}

/// A whole response.
#[derive(Clone, Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
    pub trailers: HeaderMap,
}

/// A request under way.
pub struct Call {
    pub response: ResponseFuture,
    pub upload: SendStream<Bytes>,
}

impl H2Client {
    pub async fn connect(address: SocketAddr) -> Self {
        // As most clients do: more than that before the server has told its limit may be refused.
        let mut builder = h2::client::Builder::new();
        builder.initial_max_send_streams(100);
        Self::connect_as(address, &builder).await
    }

    pub async fn connect_as(address: SocketAddr, builder: &h2::client::Builder) -> Self {
        let stream = soon("a connection", TcpStream::connect(address))
            .await
            .unwrap();
        stream.set_nodelay(true).unwrap();
        let (sender, connection) = soon("a handshake", builder.handshake(stream))
            .await
            .unwrap();
        Self {
            sender,
            connection: Arc::new(tokio::spawn(connection)),
        }
    }

    /// Begins a request; `ended`: it has no body.
    pub async fn open(&self, request: Request<()>, ended: bool) -> Result<Call, h2::Error> {
        let mut sender = soon("room for a stream", self.sender.clone().ready()).await?;
        let (response, upload) = sender.send_request(request, ended)?;
        Ok(Call { response, upload })
    }

    pub async fn try_get(&self, path: &str) -> Result<Answer, h2::Error> {
        self.open(get(path), true).await?.answer().await
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.try_get(path).await.unwrap()
    }

    pub async fn send(&self, request: Request<()>, body: &[u8]) -> Answer {
        let mut call = self.open(request, false).await.unwrap();
        call.upload
            .send_data(Bytes::copy_from_slice(body), true)
            .unwrap();
        call.answer().await.unwrap()
    }

    pub async fn post(&self, path: &str, body: &[u8]) -> Answer {
        self.send(post(path), body).await
    }

    /// Waits for the connection's end.
    pub async fn ended(self) {
        drop(self.sender);
        let connection = Arc::into_inner(self.connection).expect("the last handle");
        // How it ended is another scene's matter.
        let _ = soon("the connection's end", connection).await;
    }
}

impl Call {
    /// The whole response.
    pub async fn answer(self) -> Result<Answer, h2::Error> {
        soon("a response", async {
            let (head, body) = self.response.await?.into_parts();
            let (body, trailers) = whole(body).await?;
            Ok(Answer {
                status: head.status.as_u16(),
                headers: head.headers,
                body,
                trailers,
            })
        })
        .await
    }
}

impl Answer {
    pub fn field(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    /// The name of the pod that answered.
    pub fn pod(&self) -> &str {
        self.field("x-pod")
            .unwrap_or_else(|| panic!("no pod answered: {self:?}"))
    }

    /// The flag, where the answer is the sidecar's own.
    pub fn flag(&self) -> Option<&str> {
        self.field("x-podrobin-error")
    }

    /// `grpc-status`, in trailers or in the head where that is all there is.
    pub fn code(&self) -> Option<&str> {
        let status = self
            .trailers
            .get("grpc-status")
            .or(self.headers.get("grpc-status"));
        status.map(|status| status.to_str().unwrap())
    }
}

impl fmt::Debug for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Call")
    }
}

pub fn get(path: &str) -> Request<()> {
    request("GET", path)
}

pub fn post(path: &str) -> Request<()> {
    request("POST", path)
}

pub fn request(method: &str, path: &str) -> Request<()> {
    let uri = format!("http://shop{path}");
    Request::builder().method(method).uri(uri).body(()).unwrap()
}

/// A gRPC call's head.
pub fn call(path: &str) -> Request<()> {
    let mut request = post(path);
    let headers = request.headers_mut();
    headers.insert("content-type", "application/grpc".parse().unwrap());
    headers.insert("te", "trailers".parse().unwrap());
    request
}

/// A body with its trailers, taken as it comes.
pub async fn whole(mut body: RecvStream) -> Result<(Vec<u8>, HeaderMap), h2::Error> {
    let mut bytes = Vec::new();
    while let Some(data) = body.data().await {
        let data = data?;
        body.flow_control().release_capacity(data.len())?;
        bytes.extend_from_slice(&data);
    }
    Ok((bytes, body.trailers().await?.unwrap_or_default()))
}

/// One request to a pod, in the hands of its script.
pub struct Exchange {
    pub head: http::request::Parts,
    pub body: RecvStream,
    pub respond: SendResponse<Bytes>,
    /// The pod's name.
    pub name: String,
    /// Tells the connection to take no more streams.
    pub farewell: Arc<Notify>,
    streams: Streams,
}

impl Exchange {
    /// Reads the request to its end and remembers it.
    pub async fn read(&mut self) -> Result<(), h2::Error> {
        let mut bytes = Vec::new();
        while let Some(data) = self.body.data().await {
            let data = data?;
            self.body.flow_control().release_capacity(data.len())?;
            bytes.extend_from_slice(&data);
        }
        let trailers = self.body.trailers().await?.unwrap_or_default();
        self.streams.finished(&self.head, bytes, trailers);
        Ok(())
    }

    /// The head of a plain answer.
    pub fn ok(&self) -> Response<()> {
        let response = Response::builder().status(StatusCode::OK);
        response.header("x-pod", &self.name).body(()).unwrap()
    }

    /// Reads the request and answers 200 with the pod's name.
    pub async fn answer(&mut self) -> Result<(), h2::Error> {
        self.read().await?;
        let mut body = self.respond.send_response(self.ok(), false)?;
        body.send_data(Bytes::from(self.name.clone()), true)
    }

    pub fn reset(&mut self, reason: Reason) {
        self.respond.send_reset(reason);
    }

    /// Never answers: ends when the other side resets the stream, with its reason as the error.
    pub async fn until_reset(&mut self) -> Result<(), h2::Error> {
        let reason = std::future::poll_fn(|cx| self.respond.poll_reset(cx)).await?;
        Err(reason.into())
    }
}

type Following = Pin<Box<dyn Future<Output = io::Result<()>> + Send>>;

/// A pod's script that answers every request with the pod's name.
pub fn answer_all(session: Session) -> Following {
    script(|mut exchange: Exchange| async move { exchange.answer().await })(session)
}

/// Answers a request once it gets a permit: for [`script`].
pub fn gated(
    go: &Arc<Semaphore>,
) -> impl Fn(Exchange) -> Pin<Box<dyn Future<Output = Result<(), h2::Error>> + Send>>
+ Clone
+ Send
+ Sync
+ 'static {
    let gate = go.clone();
    move |mut exchange| {
        let gate = gate.clone();
        Box::pin(async move {
            gate.acquire().await.unwrap().forget();
            exchange.answer().await
        })
    }
}

/// A pod's script that gives each request to `each`.
pub fn script<F, Fut>(each: F) -> impl Fn(Session) -> Following + Send + 'static
where
    F: Fn(Exchange) -> Fut + Clone + Send + Sync + 'static,
    Fut: Future<Output = Result<(), h2::Error>> + Send + 'static,
{
    script_as(h2::server::Builder::new(), each)
}

/// The same with settings of the pod's own.
pub fn script_as<F, Fut>(
    builder: h2::server::Builder,
    each: F,
) -> impl Fn(Session) -> Following + Send + 'static
where
    F: Fn(Exchange) -> Fut + Clone + Send + Sync + 'static,
    Fut: Future<Output = Result<(), h2::Error>> + Send + 'static,
{
    move |session| Box::pin(serve(session, builder.clone(), each.clone()))
}

async fn serve<F, Fut>(session: Session, builder: h2::server::Builder, each: F) -> io::Result<()>
where
    F: Fn(Exchange) -> Fut,
    Fut: Future<Output = Result<(), h2::Error>> + Send + 'static,
{
    let (name, streams) = (session.name.clone(), session.streams());
    let mut http2 = builder
        .handshake::<_, Bytes>(session.wire.into_stream())
        .await
        .map_err(io::Error::other)?;
    let farewell = Arc::new(Notify::new());
    // Dropped with the connection.
    let mut exchanges = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            accepted = http2.accept() => accepted,
            () = farewell.notified() => {
                http2.graceful_shutdown();
                continue;
            }
        };
        let Some(accepted) = accepted else {
            return Ok(());
        };
        let (request, respond) = accepted.map_err(io::Error::other)?;
        let (head, body) = request.into_parts();
        streams.begun();
        let exchange = Exchange {
            head,
            body,
            respond,
            name: name.clone(),
            farewell: farewell.clone(),
            streams: streams.clone(),
        };
        let (followed, streams) = (each(exchange), streams.clone());
        exchanges.spawn(async move {
            let outcome = followed.await;
            streams.ended(outcome.err().and_then(|error| error.reason()));
        });
    }
}
