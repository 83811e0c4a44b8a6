//! A client that writes bytes and reads exactly what comes back. Every wait is bounded.

use std::io;
use std::net::SocketAddr;

use super::head::{Framing, Head, Message};
use super::wire::Wire;
use super::within::soon;

#[derive(Debug)]
pub struct Client {
    pub wire: Wire,
}

impl Client {
    pub async fn connect(address: SocketAddr) -> Self {
        let wire = soon("a connection", Wire::connect(address)).await.unwrap();
        Self { wire }
    }

    pub async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        soon("room to write", self.wire.send(bytes)).await.unwrap();
    }

    /// The next head, interim ones too.
    pub async fn head(&mut self) -> Head {
        soon("a response head", self.wire.head())
            .await
            .unwrap()
            .unwrap_or_else(|| panic!("closed without a response"))
    }

    /// The next response, whole.
    pub async fn response(&mut self) -> Message {
        self.try_response().await.unwrap()
    }

    /// The next response, or how it broke off.
    pub async fn try_response(&mut self) -> io::Result<Message> {
        soon("a response", async {
            let head = self.wire.head().await?;
            let head = head.ok_or_else(|| io::Error::other("closed without a response"))?;
            let framing = head.response_framing();
            self.wire.rest(head, framing).await
        })
        .await
    }

    /// The next response that is not an interim one.
    pub async fn final_response(&mut self) -> Message {
        loop {
            let response = self.response().await;
            if response.status() >= 200 {
                return response;
            }
        }
    }

    /// The response to a HEAD request: no body, whatever its head says.
    pub async fn response_to_head(&mut self) -> Message {
        let head = self.head().await;
        self.wire.rest(head, Framing::Length(0)).await.unwrap()
    }

    /// Sends bytes and reads the response.
    pub async fn ask(&mut self, bytes: impl AsRef<[u8]>) -> Message {
        self.send(bytes).await;
        self.response().await
    }

    pub async fn get(&mut self, target: &str) -> Message {
        self.ask(get(target)).await
    }

    /// The sidecar closes the connection cleanly, without a further byte.
    pub async fn closed(&mut self) {
        soon("the sidecar's close", self.wire.end()).await.unwrap();
    }
}

/// The smallest GET.
pub fn get(target: &str) -> String {
    format!("GET {target} HTTP/1.1\r\nHost: shop\r\n\r\n")
}

/// A POST with a body of known length.
pub fn post(target: &str, body: &[u8]) -> Vec<u8> {
    let length = body.len();
    let head = format!("POST {target} HTTP/1.1\r\nHost: shop\r\nContent-Length: {length}\r\n\r\n");
    [head.as_bytes(), body].concat()
}
