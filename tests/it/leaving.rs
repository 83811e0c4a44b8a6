//! Clients that leave before they are answered.

use crate::support::client::post;
use crate::support::{Pod, Sidecar, Slices};

#[tokio::test]
async fn a_held_request_whose_client_has_left_never_reaches_a_pod() {
    let slices = Slices::none();
    let sidecar = Sidecar::watching(&slices).start().await;
    let chunked = "POST /chunked HTTP/1.1\r\nHost: shop\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n\r\n";
    let mut clients = Vec::new();
    for request in [
        post("/small", b"body"),
        // More than is read with the head: the rest waits in the socket, before the client's end.
        post("/large", &[b'x'; 20_000]),
        chunked.into(),
    ] {
        let mut client = sidecar.client().await;
        client.send(request).await;
        clients.push(client);
    }
    let mut staying = sidecar.client().await;
    staying.send(post("/staying", &[b'x'; 20_000])).await;
    sidecar.until_held(4).await;
    drop(clients);
    sidecar.until_held(1).await;

    let pod = Pod::start("a").await;
    slices.set([&pod]);
    assert_eq!(staying.response().await.pod(), "a");
    assert_eq!(pod.only_request().head.target(), "/staying");
    let gone = ["class=\"4xx\"", "flag=\"DC\""];
    assert_eq!(sidecar.metric("podrobin_requests_total", &gone).await, 3.0);
}
