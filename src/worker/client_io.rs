//! A client's socket as hyper reads it, telling the [`Client`] what hyper keeps to itself: when bytes came, and which.

use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::net::SharedStream;
use crate::proxy::client::Client;

/// What hyper reads from and writes to.
#[derive(Debug)]
pub struct ClientIo {
    stream: SharedStream,
    /// What was read to find out what is spoken.
    ahead: Vec<u8>,
    /// Who is told of bytes, over HTTP/1.1.
    client: Option<Rc<Client>>,
}

impl ClientIo {
    pub fn http1(stream: SharedStream, client: Rc<Client>, ahead: Vec<u8>) -> Self {
        Self {
            stream,
            ahead,
            client: Some(client),
        }
    }

    pub fn http2(stream: SharedStream, ahead: Vec<u8>) -> Self {
        Self {
            stream,
            ahead,
            client: None,
        }
    }

    /// hyper's own answer to a connection that does not begin with a request is bare, and for one that is not HTTP at
    /// all it is out of place: the driver of the connection has a better one.
    fn is_own_word(&self) -> bool {
        self.client
            .as_ref()
            .is_some_and(|client| !client.has_begun())
    }
}

impl AsyncRead for ClientIo {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        if self.ahead.is_empty() {
            ready!(Pin::new(&mut self.stream).poll_read(cx, buf))?;
        } else {
            let fits = self.ahead.len().min(buf.remaining());
            buf.put_slice(&self.ahead[..fits]);
            self.ahead.drain(..fits);
        }
        let read = &buf.filled()[before..];
        if let Some(client) = self.client.as_ref().filter(|_| !read.is_empty()) {
            client.read(read);
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for ClientIo {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.is_own_word() {
            return Poll::Ready(Ok(buf.len()));
        }
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if self.is_own_word() {
            return Poll::Ready(Ok(bufs.iter().map(|buf| buf.len()).sum()));
        }
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.is_own_word() {
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
