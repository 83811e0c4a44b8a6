//! TLS to pods: what is spoken there, whom it is spoken with, and what happens when it is not.

mod certificates;
mod connections;
mod files;
mod limits;
mod protocols;

use http::{HeaderMap, Method, Request, Version};
use hyper::body::Bytes;
use std::net::SocketAddr;
use tokio::net::TcpStream;

use crate::support::certificates::{Authority, Mount};
use crate::support::sidecar::Plan;
use crate::support::{Pod, Sidecar, soon};

/// What the scenes' pods have certificates for.
const NAME: &str = "cart.shop.svc";

/// A sidecar that trusts `authority`, over TLS to a fixed list of pods.
fn over<'a>(pods: impl IntoIterator<Item = &'a Pod>, mount: &Mount) -> Plan {
    trusting(Sidecar::over(pods), mount)
        .with("--upstream-tls", "on")
        .with("--upstream-server-name", NAME)
}

/// With the CA of `mount`.
fn trusting(plan: Plan, mount: &Mount) -> Plan {
    plan.with("--upstream-ca", &mount.path("ca.crt").display().to_string())
}

/// A Secret that holds nothing but CAs.
fn ca(authorities: &[&Authority]) -> Mount {
    Mount::of(&[("ca.crt", bundle(authorities))])
}

fn bundle(authorities: &[&Authority]) -> String {
    authorities
        .iter()
        .map(|authority| authority.pem())
        .collect()
}

/// A request over HTTP/2 on a connection of its own: the response's headers and body.
async fn ask_http2(proxy: SocketAddr, method: Method, body: &str) -> (HeaderMap, String) {
    let answered = async {
        let stream = TcpStream::connect(proxy).await.unwrap();
        let (sender, connection) = h2::client::handshake(stream).await.unwrap();
        let driving = tokio::spawn(connection);
        let mut sender = sender.ready().await.unwrap();
        let mut request = Request::new(());
        *request.method_mut() = method;
        *request.uri_mut() = "http://shop/h2".parse().unwrap();
        *request.version_mut() = Version::HTTP_2;
        let (response, mut upload) = sender.send_request(request, false).unwrap();
        upload
            .send_data(Bytes::copy_from_slice(body.as_bytes()), true)
            .unwrap();
        let (head, mut body) = response.await.unwrap().into_parts();
        let mut text = Vec::new();
        while let Some(data) = body.data().await {
            text.extend_from_slice(&data.unwrap());
        }
        driving.abort();
        (head.headers, String::from_utf8(text).unwrap())
    };
    soon("an answer over HTTP/2", answered).await
}
