//! A pod's socket as hyper sees it: a pod that reads no more may have answered all the same, and one that says nothing
//! without end has not.

use std::cell::Cell;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::net::SharedStream;

/// What hyper reads from and writes to.
///
/// A pod may refuse an upload by its head: it answers and closes, with the body unread, and the kernel resets what is
/// written from then on. hyper would take that for the end, with the answer unread. Here such a write does not fail
/// but waits (over HTTP/2: is forgotten), and the read side decides: it brings the answer, or the end.
///
/// hyper reads on for as long as interim responses (1xx) come, or zeros and white space of a chunk's size, and forgets
/// them. Here they have a bound.
#[derive(Debug)]
pub struct PodIo {
    stream: SharedStream,
    /// How the first write that could not be made failed.
    deaf: Option<io::ErrorKind>,
    when_deaf: WhenDeaf,
    allowance: Option<Rc<Allowance>>,
}

/// What becomes of bytes for a pod that takes no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WhenDeaf {
    /// They wait: for HTTP/1.1, whose connection is read on until it ends.
    Wait,
    /// They are thrown away, as if they had been sent: for HTTP/2, which reads no further while it has something to
    /// write.
    Discard,
    /// They fail: for what is no HTTP any more, and may have read all there was.
    Fail,
}

/// How many bytes may still come that bring neither a response's head nor a piece of its body.
#[derive(Debug)]
pub struct Allowance {
    most: usize,
    left: Cell<usize>,
}

impl Allowance {
    pub fn new(most: usize) -> Rc<Self> {
        Rc::new(Self {
            most,
            left: Cell::new(most),
        })
    }

    /// The next head or piece is awaited from here on.
    pub fn renew(&self) {
        self.left.set(self.most);
    }

    /// Before a read: all that was read so far was of no use.
    fn check(&self) -> io::Result<()> {
        match self.left.get() {
            0 => Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "bytes without end that say nothing",
            )),
            _ => Ok(()),
        }
    }

    fn take(&self, bytes: usize) {
        self.left.set(self.left.get().saturating_sub(bytes));
    }
}

impl PodIo {
    pub fn new(stream: SharedStream) -> Self {
        Self {
            stream,
            deaf: None,
            when_deaf: WhenDeaf::Wait,
            allowance: None,
        }
    }

    /// Bounds what may be read in vain, or no more. That is for HTTP/1.1: over HTTP/2 every byte is part of a frame, and
    /// frames have bounds of their own.
    pub fn limit(&mut self, allowance: Option<Rc<Allowance>>) {
        self.allowance = allowance;
    }

    pub fn when_deaf(&mut self, when_deaf: WhenDeaf) {
        self.when_deaf = when_deaf;
    }

    /// The socket itself.
    pub fn stream(&self) -> SharedStream {
        self.stream.clone()
    }

    /// Writes up to `length` bytes.
    fn write(
        &mut self,
        length: usize,
        write: impl FnOnce(Pin<&mut SharedStream>) -> Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        let deaf = match self.deaf {
            Some(kind) => kind,
            None => match write(Pin::new(&mut self.stream)) {
                Poll::Ready(Err(error)) if is_of_reader(&error) => *self.deaf.insert(error.kind()),
                written => return written,
            },
        };
        match self.when_deaf {
            // The reader of this socket is woken by the same reset.
            WhenDeaf::Wait => Poll::Pending,
            WhenDeaf::Discard => Poll::Ready(Ok(length)),
            WhenDeaf::Fail => Poll::Ready(Err(deaf.into())),
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
        if let Some(allowance) = &self.allowance {
            allowance.check()?;
        }
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buf))?;
        if let Some(allowance) = &self.allowance {
            allowance.take(buf.filled().len() - before);
        }
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
        self.write(buf.len(), |stream| stream.poll_write(cx, buf))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let length = bufs.iter().map(|buf| buf.len()).sum();
        self.write(length, |stream| stream.poll_write_vectored(cx, bufs))
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
