//! A pod's socket as hyper writes to it: a pod that reads no more may have answered all the same.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::net::SharedStream;

/// What hyper reads from and writes to.
///
/// A pod may refuse an upload by its head: it answers and closes, with the body unread, and the kernel resets what is
/// written from then on. hyper would take that for the end, with the answer unread. Here such a write does not fail
/// but waits, and the read side decides: it brings the answer, or the end.
#[derive(Debug)]
pub struct PodIo {
    stream: SharedStream,
    /// How the first write that could not be made failed.
    deaf: Option<io::ErrorKind>,
}

impl PodIo {
    pub fn new(stream: SharedStream) -> Self {
        Self { stream, deaf: None }
    }

    /// The socket itself.
    pub fn stream(&self) -> SharedStream {
        self.stream.clone()
    }

    fn write(
        &mut self,
        write: impl FnOnce(Pin<&mut SharedStream>) -> Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        if self.deaf.is_some() {
            return Poll::Pending;
        }
        match write(Pin::new(&mut self.stream)) {
            Poll::Ready(Err(error)) if is_of_reader(&error) => {
                self.deaf = Some(error.kind());
                // The reader of this socket is woken by the same reset.
                Poll::Pending
            }
            written => written,
        }
    }
}

/// The other side has gone or reads no more.
fn is_of_reader(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset
    )
}

impl AsyncRead for PodIo {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buf))?;
        match self.deaf {
            // The kernel tells of a reset once, and the write has heard it: this is no clean end.
            Some(kind) if buf.filled().len() == before => Poll::Ready(Err(kind.into())),
            _ => Poll::Ready(Ok(())),
        }
    }
}

impl AsyncWrite for PodIo {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.write(|stream| stream.poll_write(cx, buf))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.write(|stream| stream.poll_write_vectored(cx, bufs))
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
