//! Upgraded connections: who may switch protocols, what a tunnel carries, and how it ends.

mod asking;
mod endings;
mod http2;
mod limits;
mod tunnels;

use std::future::Future;
use std::io;

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::support::head::Head;
use crate::support::pod::Session;
use crate::support::{Client, Pod, Sidecar, soon};

const ASK: &str = "GET /chat HTTP/1.1\r\nHost: shop\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                   Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

const SWITCH: &str = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                      Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";

/// Reads a request and switches.
async fn switch(session: &mut Session) -> io::Result<()> {
    session.head().await?;
    session.wire.send(SWITCH).await
}

/// A pod that switches, says its name and then what it hears, until it hears the end.
async fn echoing(name: &str) -> Pod {
    Pod::scripted(name, |mut session: Session| async move {
        switch(&mut session).await?;
        let greeting = format!("{};", session.name);
        session.wire.send(greeting).await?;
        let (mut from, mut to) = session.wire.stream().split();
        let mut buffer = vec![0; 4096];
        loop {
            match from.read(&mut buffer).await? {
                0 => return to.shutdown().await,
                read => to.write_all(&buffer[..read]).await?,
            }
        }
    })
    .await
}

/// A pod that switches and goes on as `script` says.
async fn switching<F, Fut>(name: &str, script: F) -> Pod
where
    F: Fn(Session) -> Fut + Clone + Send + 'static,
    Fut: Future<Output = io::Result<()>> + Send + 'static,
{
    Pod::scripted(name, move |mut session: Session| {
        let script = script.clone();
        async move {
            switch(&mut session).await?;
            script(session).await
        }
    })
    .await
}

/// A client whose connection has switched, and the head that said so.
async fn tunnel(sidecar: &Sidecar) -> (Client, Head) {
    let mut client = sidecar.client().await;
    client.send(ASK).await;
    let head = client.head().await;
    assert_eq!(head.status(), 101, "{head:?}");
    (client, head)
}

/// A tunnel to an echoing pod, with that pod's name.
async fn echo(sidecar: &Sidecar) -> (Client, String) {
    let (mut client, _) = tunnel(sidecar).await;
    let name = soon("bytes", client.wire.until(b";"))
        .await
        .unwrap()
        .unwrap();
    let name = String::from_utf8(name).unwrap();
    (client, name.trim_end_matches(';').to_owned())
}

async fn assert_echoes(client: &mut Client, text: &str) {
    client.send(text).await;
    let heard = soon("an echo", client.wire.exact(text.len())).await;
    assert_eq!(heard.unwrap(), text.as_bytes());
}
