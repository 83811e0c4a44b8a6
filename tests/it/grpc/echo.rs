//! A tonic server and a tonic client for one service of texts, without generated code.

use std::net::SocketAddr;

use bytes::{Buf, BufMut, Bytes};
use futures::stream::{self, BoxStream};
use futures::{Stream, StreamExt};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tonic::body::Body;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::server::StreamingService;
use tonic::transport::server::TcpIncoming;
use tonic::transport::{Channel, Endpoint, Server};
use tonic::{Code, Request, Response, Status, Streaming};

use crate::support::soon;

/// A pod whose calls are named by the last part of their path:
///
/// - `Echo` answers each message as it comes, `Join` all of them with one, `Count` a number with as many;
/// - `Fail` fails at once with the words of the message, `FailLate` after an answer, `FailAt` too, but only at the pod
///   that the message names;
/// - `Hang` never answers.
#[derive(Debug)]
pub struct EchoPod {
    pub address: SocketAddr,
    open: watch::Receiver<usize>,
    serving: JoinHandle<()>,
}

impl EchoPod {
    pub async fn start(name: &'static str) -> Self {
        let incoming = TcpIncoming::bind(([127, 0, 0, 1], 0).into()).unwrap();
        let address = incoming.local_addr().unwrap();
        let open = watch::Sender::new(0);
        let receiver = open.subscribe();
        let service = tower::service_fn(move |request: http::Request<Body>| {
            let kind = request.uri().path().rsplit('/').next();
            let call = Call {
                name,
                kind: kind.unwrap().to_owned(),
                open: open.clone(),
            };
            async move {
                let mut server = tonic::server::Grpc::new(Text);
                Ok::<_, std::convert::Infallible>(server.streaming(call, request).await)
            }
        });
        let serving = tokio::spawn(async move {
            let server = Server::builder().serve_with_incoming(service, incoming);
            server.await.unwrap();
        });
        Self {
            address,
            open: receiver,
            serving,
        }
    }

    /// Waits until so many calls are under way.
    pub async fn until_open(&self, count: usize) {
        let mut open = self.open.clone();
        let reached = open.wait_for(|open| *open == count);
        drop(soon(&format!("{count} open calls"), reached).await.unwrap());
    }
}

impl Drop for EchoPod {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

struct Call {
    name: &'static str,
    kind: String,
    open: watch::Sender<usize>,
}

/// A call under way, until it is dropped.
struct Open(watch::Sender<usize>);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.send_modify(|open| *open -= 1);
    }
}

type Answers = BoxStream<'static, Result<String, Status>>;

impl StreamingService<String> for Call {
    type Response = String;
    type ResponseStream = Answers;
    type Future = futures::future::BoxFuture<'static, Result<Response<Answers>, Status>>;

    fn call(&mut self, request: Request<Streaming<String>>) -> Self::Future {
        self.open.send_modify(|open| *open += 1);
        let open = Open(self.open.clone());
        let (name, kind) = (self.name, self.kind.clone());
        Box::pin(async move {
            let (metadata, _, messages) = request.into_parts();
            let answers = answers(name, &kind, messages).await?;
            let answers = answers.map(move |answer| {
                let _open = &open;
                answer
            });
            let mut response = Response::new(answers.boxed());
            let echoed = response.metadata_mut();
            if let Some(text) = metadata.get("x-echo") {
                echoed.insert("x-echo", text.clone());
            }
            if let Some(bytes) = metadata.get_bin("x-echo-bin") {
                echoed.insert_bin("x-echo-bin", bytes.clone());
            }
            Ok(response)
        })
    }
}

async fn answers(
    name: &'static str,
    kind: &str,
    mut messages: Streaming<String>,
) -> Result<Answers, Status> {
    if kind == "Echo" {
        let echo = move |message: Result<String, Status>| Ok(format!("{name}: {}", message?));
        return Ok(messages.map(echo).boxed());
    }
    let first = messages.message().await?.unwrap_or_default();
    match kind {
        "Count" => {
            let count: usize = first.parse().unwrap();
            let numbers = (0..count).map(|number| Ok(number.to_string()));
            Ok(stream::iter(numbers).boxed())
        }
        "Join" => {
            let mut all = first;
            while let Some(message) = messages.message().await? {
                all += &message;
            }
            Ok(stream::iter([Ok(all)]).boxed())
        }
        "Fail" => {
            let details = Bytes::from_static(b"\x00details\xff");
            Err(Status::with_details(
                Code::FailedPrecondition,
                first,
                details,
            ))
        }
        "FailLate" => {
            let answer = Ok("so far so good".to_owned());
            Ok(stream::iter([answer, Err(Status::aborted(first))]).boxed())
        }
        "FailAt" => {
            let end = (first == name).then(|| Err(Status::unavailable("as asked")));
            let answer = Ok("so far so good".to_owned());
            Ok(stream::iter([answer].into_iter().chain(end)).boxed())
        }
        "Hang" => std::future::pending().await,
        _ => Err(Status::unimplemented(kind)),
    }
}

/// A client with one channel.
#[derive(Clone, Debug)]
pub struct Caller {
    channel: Channel,
}

impl Caller {
    pub async fn connect(address: SocketAddr) -> Self {
        let endpoint = Endpoint::from_shared(format!("http://{address}")).unwrap();
        let channel = soon("a channel", endpoint.connect()).await.unwrap();
        Self { channel }
    }

    pub async fn unary(&self, kind: &str, message: &str) -> Result<String, Status> {
        let mut client = tonic::client::Grpc::new(self.channel.clone());
        client.ready().await.unwrap();
        let request = Request::new(message.to_owned());
        let answer = client.unary(request, path(kind), Text).await;
        answer.map(Response::into_inner)
    }

    pub async fn stream(
        &self,
        kind: &str,
        messages: impl Stream<Item = String> + Send + 'static,
    ) -> Result<Response<Streaming<String>>, Status> {
        self.ask(kind, Request::new(messages)).await
    }

    pub async fn ask(
        &self,
        kind: &str,
        request: Request<impl Stream<Item = String> + Send + 'static>,
    ) -> Result<Response<Streaming<String>>, Status> {
        let mut client = tonic::client::Grpc::new(self.channel.clone());
        client.ready().await.unwrap();
        client.streaming(request, path(kind), Text).await
    }
}

fn path(kind: &str) -> http::uri::PathAndQuery {
    format!("/it.Texts/{kind}").parse().unwrap()
}

/// Messages that are their text and nothing else.
#[derive(Clone, Copy, Debug)]
struct Text;

impl Codec for Text {
    type Encode = String;
    type Decode = String;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for Text {
    type Item = String;
    type Error = Status;

    fn encode(&mut self, text: String, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        buffer.put(text.as_bytes());
        Ok(())
    }
}

impl Decoder for Text {
    type Item = String;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<String>, Status> {
        let bytes = buffer.copy_to_bytes(buffer.remaining());
        let text = String::from_utf8(bytes.into());
        text.map(Some)
            .map_err(|error| Status::internal(error.to_string()))
    }
}
