//! How long a connection may stay where it is, and a stream that notes when it moves on.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;

use super::Bounds;

/// Where a connection stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Nothing has come yet.
    Fresh,
    /// A request's head has begun to come.
    Head,
    /// A request is being read and answered.
    Review,
    /// An answer is on its way to the client.
    Answer,
    /// Every request has been answered.
    Idle,
}

/// Shared by a connection's stream, its service and its driver, which are all one task.
#[derive(Clone, Debug)]
pub struct Pace(Arc<Mutex<(Stage, Instant)>>);

impl Pace {
    pub fn new() -> Self {
        Self(Arc::new(Mutex::new((Stage::Fresh, Instant::now()))))
    }

    pub fn enter(&self, stage: Stage) {
        *self.lock() = (stage, Instant::now());
    }

    /// The stage, and since when.
    pub fn now(&self) -> (Stage, Instant) {
        *self.lock()
    }

    fn has_read(&self) {
        let mut now = self.lock();
        match now.0 {
            // A head's time begins with the connection, or with its own first byte.
            Stage::Fresh => now.0 = Stage::Head,
            Stage::Idle => *now = (Stage::Head, Instant::now()),
            Stage::Head | Stage::Review | Stage::Answer => {}
        }
    }

    fn has_flushed(&self) {
        let mut now = self.lock();
        if now.0 == Stage::Answer {
            *now = (Stage::Idle, Instant::now());
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, (Stage, Instant)> {
        // Two values that belong to nothing else are whole even if a thread panicked.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Stage {
    /// How long it may last; a review has a limit of its own.
    pub fn limit(self, bounds: &Bounds) -> Option<Duration> {
        match self {
            Self::Fresh | Self::Head => Some(bounds.head),
            Self::Review => None,
            Self::Answer => Some(bounds.answer),
            Self::Idle => Some(bounds.idle),
        }
    }
}

/// A client's stream.
#[derive(Debug)]
pub struct Paced<S> {
    stream: S,
    pace: Pace,
}

impl<S> Paced<S> {
    pub fn new(stream: S, pace: Pace) -> Self {
        Self { stream, pace }
    }

    pub fn into_inner(self) -> S {
        self.stream
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Paced<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buf))?;
        if buf.filled().len() > before {
            self.pace.has_read();
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Paced<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    /// hyper flushes once it has written all that it has.
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(Pin::new(&mut self.stream).poll_flush(cx))?;
        self.pace.has_flushed();
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
