//! Bytes both ways between a client and a pod, until each has ended its side.

use std::cell::RefCell;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf, Bytes};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep};

/// Where bytes are read to, one for all relays of a thread: a relay keeps only what its reader does not take at once,
/// which is at most this much in each direction, and a quiet one keeps nothing.
#[derive(Clone, Debug)]
pub struct Scratch(Rc<RefCell<Box<[u8]>>>);

const SCRATCH: usize = 16 * 1024;

/// How many bytes each side may still send, to be thrown away, once it was told the end.
const LAST_WORDS: usize = 1024 * 1024;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    Client,
    Pod,
}

/// How a relay came to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// Each side ended its own, and the other was told.
    Whole,
    /// This side broke off.
    Cut(Side),
    /// No byte was passed on for too long.
    Idle,
}

/// A client and a pod that are joined.
#[derive(Debug)]
pub struct Relay<C, P> {
    client: C,
    pod: P,
    /// From the client to the pod.
    up: Flow,
    /// From the pod to the client.
    down: Flow,
    /// The side that takes nothing any more, while what it said before may still be on its way.
    deaf: Option<Side>,
    scratch: Scratch,
}

/// One direction.
#[derive(Debug)]
struct Flow {
    /// Read, and not yet taken by the reader.
    waiting: Bytes,
    state: State,
    /// The source has said all it had to say.
    heard_out: bool,
    unflushed: bool,
    /// Bytes that the reader has taken.
    passed: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Open,
    /// The source has ended; its reader is still to be told, after what waits.
    Ending,
    Over,
}

/// Which end of a flow failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Broken {
    Source,
    Reader,
}

impl Default for Scratch {
    fn default() -> Self {
        Self(Rc::new(RefCell::new(vec![0; SCRATCH].into())))
    }
}

impl<C, P> Relay<C, P>
where
    C: AsyncRead + AsyncWrite + Unpin,
    P: AsyncRead + AsyncWrite + Unpin,
{
    /// Joins the two. The first bytes are what was read of each before.
    pub fn new(client: (C, Bytes), pod: (P, Bytes), scratch: Scratch) -> Self {
        Self {
            client: client.0,
            pod: pod.0,
            up: Flow::new(client.1),
            down: Flow::new(pod.1),
            deaf: None,
            scratch,
        }
    }

    /// Passes bytes on until both sides have ended, one has broken off, or nothing has moved for as long as `idle`.
    /// The end of one side alone is passed on, and the other goes on.
    ///
    /// May be dropped and called again.
    pub async fn run(&mut self, idle: Option<Duration>) -> Ending {
        let mut quiet = idle.map(|limit| Quiet::new(limit, self.moved()));
        poll_fn(|cx| {
            let ended = self.poll(cx);
            match &mut quiet {
                Some(quiet) if ended.is_pending() => {
                    quiet.poll(self.moved(), cx).map(|()| Ending::Idle)
                }
                _ => ended,
            }
        })
        .await
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Ending> {
        let scratch = &mut *self.scratch.0.borrow_mut();
        match self.up.poll(&mut self.client, &mut self.pod, scratch, cx) {
            Poll::Ready(Err(Broken::Source)) => return Poll::Ready(Ending::Cut(Side::Client)),
            Poll::Ready(Err(Broken::Reader)) => self.deaf = Some(Side::Pod),
            Poll::Ready(Ok(())) | Poll::Pending => {}
        }
        match self.down.poll(&mut self.pod, &mut self.client, scratch, cx) {
            Poll::Ready(Err(Broken::Source)) => return Poll::Ready(Ending::Cut(Side::Pod)),
            Poll::Ready(Err(Broken::Reader)) => self.deaf = Some(Side::Client),
            Poll::Ready(Ok(())) | Poll::Pending => {}
        }
        if self.up.state != State::Over || self.down.state != State::Over {
            return Poll::Pending;
        }
        Poll::Ready(self.deaf.map_or(Ending::Whole, Ending::Cut))
    }

    /// Ends both sides in an orderly way: what was read goes out, each is told the end, and what either still says is
    /// read and thrown away, since a close on unread bytes is a reset. Returns once both have ended; how long that may
    /// take is for the caller to say.
    pub async fn part(&mut self) {
        self.up.stop();
        self.down.stop();
        let (mut from_client, mut from_pod) = (0, 0);
        poll_fn(|cx| {
            let scratch = &mut *self.scratch.0.borrow_mut();
            // A side that cannot be told any more has gone.
            let told_pod = self.up.poll(&mut self.client, &mut self.pod, scratch, cx);
            let told_client = self.down.poll(&mut self.pod, &mut self.client, scratch, cx);
            let client = self
                .up
                .poll_hear_out(&mut self.client, &mut from_client, scratch, cx);
            let pod = self
                .down
                .poll_hear_out(&mut self.pod, &mut from_pod, scratch, cx);
            let done = told_pod.is_ready() && told_client.is_ready();
            match done && client.is_ready() && pod.is_ready() {
                true => Poll::Ready(()),
                false => Poll::Pending,
            }
        })
        .await;
    }

    /// Bytes that the pod took from the client, and the client from the pod.
    pub fn passed(&self) -> (u64, u64) {
        (self.up.passed, self.down.passed)
    }

    fn moved(&self) -> u64 {
        self.up.passed.wrapping_add(self.down.passed)
    }
}

impl Flow {
    fn new(waiting: Bytes) -> Self {
        Self {
            waiting,
            state: State::Open,
            heard_out: false,
            unflushed: false,
            passed: 0,
        }
    }

    /// Passes on what there is. An error is the end of it.
    fn poll(
        &mut self,
        source: &mut (impl AsyncRead + Unpin),
        reader: &mut (impl AsyncWrite + Unpin),
        scratch: &mut [u8],
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), Broken>> {
        let polled = self.poll_pass(source, reader, scratch, cx);
        if let Poll::Ready(Err(_)) = polled {
            self.state = State::Over;
            self.waiting.clear();
        }
        polled
    }

    fn poll_pass(
        &mut self,
        source: &mut (impl AsyncRead + Unpin),
        reader: &mut (impl AsyncWrite + Unpin),
        scratch: &mut [u8],
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), Broken>> {
        loop {
            while self.waiting.has_remaining() {
                match ready!(Pin::new(&mut *reader).poll_write(cx, &self.waiting)) {
                    Ok(0) | Err(_) => return Poll::Ready(Err(Broken::Reader)),
                    Ok(taken) => {
                        self.waiting.advance(taken);
                        self.took(taken);
                    }
                }
            }
            match self.state {
                State::Over => return Poll::Ready(Ok(())),
                State::Ending => {
                    // TLS takes more than its socket does, and a close would leave the rest behind.
                    ready!(self.poll_flush(reader, cx))?;
                    let told = ready!(Pin::new(&mut *reader).poll_shutdown(cx));
                    told.map_err(|_| Broken::Reader)?;
                    self.state = State::Over;
                }
                State::Open => {
                    let mut room = ReadBuf::new(scratch);
                    match Pin::new(&mut *source).poll_read(cx, &mut room) {
                        Poll::Ready(Ok(())) => {}
                        Poll::Ready(Err(_)) => return Poll::Ready(Err(Broken::Source)),
                        Poll::Pending => {
                            ready!(self.poll_flush(reader, cx))?;
                            return Poll::Pending;
                        }
                    }
                    if room.filled().is_empty() {
                        self.heard_out = true;
                        self.state = State::Ending;
                        continue;
                    }
                    let taken = match Pin::new(&mut *reader).poll_write(cx, room.filled()) {
                        Poll::Ready(Ok(taken)) => taken,
                        Poll::Ready(Err(_)) => return Poll::Ready(Err(Broken::Reader)),
                        Poll::Pending => 0,
                    };
                    self.took(taken);
                    if taken < room.filled().len() {
                        self.waiting = Bytes::copy_from_slice(&room.filled()[taken..]);
                    }
                }
            }
        }
    }

    fn took(&mut self, bytes: usize) {
        self.passed += bytes as u64;
        self.unflushed = true;
    }

    fn poll_flush(
        &mut self,
        reader: &mut (impl AsyncWrite + Unpin),
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), Broken>> {
        if self.unflushed {
            let flushed = ready!(Pin::new(reader).poll_flush(cx));
            flushed.map_err(|_| Broken::Reader)?;
            self.unflushed = false;
        }
        Poll::Ready(Ok(()))
    }

    /// No more is passed on than what was read.
    fn stop(&mut self) {
        if self.state == State::Open {
            self.state = State::Ending;
        }
    }

    /// Throws away what the source still says, until it ends or has said too much.
    fn poll_hear_out(
        &mut self,
        source: &mut (impl AsyncRead + Unpin),
        heard: &mut usize,
        scratch: &mut [u8],
        cx: &mut Context<'_>,
    ) -> Poll<()> {
        while !self.heard_out {
            let mut room = ReadBuf::new(scratch);
            let read = ready!(Pin::new(&mut *source).poll_read(cx, &mut room));
            *heard += room.filled().len();
            self.heard_out = read.is_err() || room.filled().is_empty() || *heard > LAST_WORDS;
        }
        Poll::Ready(())
    }
}

/// Notices that nothing has moved for as long as `limit`, with a timer that is set anew only when it fires.
#[derive(Debug)]
struct Quiet {
    limit: Duration,
    timer: Pin<Box<Sleep>>,
    moved: u64,
    since: Instant,
}

impl Quiet {
    fn new(limit: Duration, moved: u64) -> Self {
        let since = Instant::now();
        Self {
            limit,
            timer: Box::pin(tokio::time::sleep_until(since + limit)),
            moved,
            since,
        }
    }

    fn poll(&mut self, moved: u64, cx: &mut Context<'_>) -> Poll<()> {
        if moved != self.moved {
            self.moved = moved;
            self.since = Instant::now();
        }
        while self.timer.as_mut().poll(cx).is_ready() {
            let until = self.since + self.limit;
            if until <= Instant::now() {
                return Poll::Ready(());
            }
            self.timer.as_mut().reset(until);
        }
        Poll::Pending
    }
}

#[cfg(test)]
mod tests;
