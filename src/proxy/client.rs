//! A client's connection: who is on it, what is happening there, and how long that may take.

mod uptake;

use std::cell::{Cell, Ref, RefCell};
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};

use http::Version;
use http::header::HeaderValue;

use super::tunnel::Tunnel;
use crate::net::SharedStream;

pub use uptake::Taking;
use uptake::Uptake;

/// Shared by the connection's socket, its driver and its requests; all on one thread.
///
/// Over HTTP/1.1 there is one request at a time, over HTTP/2 many; what is said of "the request in hand" is of HTTP/1.1.
#[derive(Debug)]
pub struct Client {
    stream: SharedStream,
    version: Version,
    pub socket: SocketAddr,
    /// Its IP address, for `X-Forwarded-For`.
    pub address: HeaderValue,
    state: Cell<State>,
    /// Requests whose response has not been handed over.
    in_flight: Cell<usize>,
    /// There has been a request.
    begun: Cell<bool>,
    since: Cell<Instant>,
    patience: Patience,
    /// The head being read, as it comes.
    head: RefCell<Vec<u8>>,
    closing: Cell<bool>,
    draining: Cell<bool>,
    cut: Cell<bool>,
    /// The head of the response to the request in hand is out.
    answered: Cell<bool>,
    /// When the request in hand must be over.
    deadline: Cell<Option<Instant>>,
    uptake: Uptake,
    /// What the connection becomes once the response to the request in hand is out.
    tunnel: RefCell<Option<Box<Tunnel>>>,
}

/// A request of a client's.
#[derive(Debug)]
#[must_use]
pub struct InHand(Option<Rc<Client>>);

/// Bytes kept for heads between requests; a larger head is forgotten with its room.
const USUAL_HEAD: usize = 4096;

/// How long a connection may take for what.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// From the connection's first moment, or a later request's first byte, to the end of the head.
    pub header: Duration,
    /// Between requests.
    pub idle: Duration,
    /// For the client to take what waits of its responses.
    pub stall: Duration,
    /// The most bytes of a head that are kept.
    pub head_bytes: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Opened, and nothing has come yet.
    Silent,
    /// A head is being read.
    Head,
    /// Requests are being answered.
    Busy,
    /// Between requests.
    Idle,
}

/// Which deadline a connection has missed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expired {
    /// It began a request's head and did not finish it.
    Head,
    /// It had nothing to say.
    Quiet,
    /// Its request took longer than a request may.
    Request,
    /// It does not take its responses.
    Stalled,
}

impl Client {
    /// `opened` is the connection's first moment; since then it has been found out that it speaks `version`.
    pub fn new(
        stream: SharedStream,
        socket: SocketAddr,
        version: Version,
        opened: Instant,
        patience: Patience,
    ) -> Rc<Self> {
        let address = socket.ip().to_canonical().to_string();
        Rc::new(Self {
            stream,
            socket,
            // An IP address is always a valid value; `unknown` is the header's own word for a sender without one.
            address: HeaderValue::from_str(&address).unwrap_or(HeaderValue::from_static("unknown")),
            state: Cell::new(match version {
                // Its first words were none of a request.
                Version::HTTP_2 => State::Idle,
                _ => State::Silent,
            }),
            version,
            in_flight: Cell::new(0),
            begun: Cell::new(false),
            since: Cell::new(opened),
            patience,
            head: RefCell::default(),
            closing: Cell::new(false),
            draining: Cell::new(false),
            cut: Cell::new(false),
            answered: Cell::new(false),
            deadline: Cell::new(None),
            uptake: Uptake::default(),
            tunnel: RefCell::default(),
        })
    }

    /// The socket brought these bytes of HTTP/1.1.
    pub fn read(&self, bytes: &[u8]) {
        match self.state.get() {
            State::Busy => return,
            // The head's time has been running since the connection's first moment.
            State::Silent => self.state.set(State::Head),
            State::Idle => self.enter(State::Head),
            State::Head => {}
        }
        let mut head = self.head.borrow_mut();
        let room = self.patience.head_bytes.saturating_sub(head.len());
        head.extend_from_slice(&bytes[..bytes.len().min(room)]);
    }

    pub fn version(&self) -> Version {
        self.version
    }

    /// A request's head is complete. It is in hand until what this gives is dropped: with its response, or before there
    /// is one.
    pub fn begin(self: &Rc<Self>) -> InHand {
        self.in_flight.set(self.in_flight.get() + 1);
        self.begun.set(true);
        self.state.set(State::Busy);
        self.answered.set(false);
        InHand(Some(self.clone()))
    }

    /// Whether there has been a request. Before the first, all that hyper would write is its own word on bytes that are
    /// none.
    pub fn has_begun(&self) -> bool {
        self.begun.get()
    }

    /// The request must be over by then.
    pub fn set_deadline(&self, deadline: Instant) {
        self.deadline.set(Some(deadline));
    }

    /// A response's head is ready to go out.
    pub fn answer(&self) {
        self.answered.set(true);
    }

    /// The response in hand is a 101, and the connection's last.
    pub fn switch(&self, tunnel: Tunnel) {
        self.answer();
        self.tunnel.replace(Some(Box::new(tunnel)));
    }

    /// What the connection has become, once its HTTP is over.
    pub fn take_tunnel(&self) -> Option<Box<Tunnel>> {
        self.tunnel.take()
    }

    /// Returns once the client has left. Over HTTP/1.1 hyper does not look while it waits for somebody to read the
    /// request's body, so this does, now and then; over HTTP/2 it always does, and drops the request.
    pub async fn left(&self) {
        const LOOK_EVERY: Duration = Duration::from_millis(100);
        if self.version == Version::HTTP_2 {
            return std::future::pending().await;
        }
        while !self.stream.is_ended() {
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// The head of the request being answered, as it came; empty where it is not known, because it was sent ahead
    /// while the request before it was being answered.
    pub fn raw_head(&self) -> Ref<'_, [u8]> {
        Ref::map(self.head.borrow(), Vec::as_slice)
    }

    /// The response has been handed over to its last byte, or given up.
    fn end(&self) {
        let mut head = self.head.borrow_mut();
        head.clear();
        head.shrink_to(USUAL_HEAD);
        self.deadline.set(None);
        let left = self.in_flight.get().saturating_sub(1);
        self.in_flight.set(left);
        if left == 0 {
            self.enter(State::Idle);
        }
    }

    /// A response ends the connection; its client may not know yet.
    pub fn set_closing(&self) {
        self.closing.set(true);
    }

    pub fn is_closing(&self) -> bool {
        self.closing.get()
    }

    /// A response was cut short, and a clean end of the connection would hide it.
    pub fn set_cut(&self) {
        self.cut.set(true);
    }

    pub fn is_cut(&self) -> bool {
        self.cut.get()
    }

    /// The next response is to be the last here.
    pub fn set_draining(&self) {
        self.draining.set(true);
    }

    pub fn is_draining(&self) -> bool {
        self.draining.get()
    }

    /// Whether the request in hand has taken longer than it may.
    pub fn is_overdue(&self) -> bool {
        self.deadline
            .get()
            .is_some_and(|deadline| deadline <= Instant::now())
    }

    /// Since when no request has been in hand or on its way; `None` while one is.
    pub fn quiet_since(&self) -> Option<Instant> {
        matches!(self.state.get(), State::Silent | State::Idle).then(|| self.since.get())
    }

    /// When patience ends, as things stand. Until a response's head is out, its request keeps its own deadline.
    pub fn deadline(&self) -> Option<(Instant, Expired)> {
        let since = self.since.get();
        match self.state.get() {
            State::Silent => Some((since + self.patience.header, Expired::Quiet)),
            State::Head => Some((since + self.patience.header, Expired::Head)),
            State::Idle => Some((since + self.patience.idle, Expired::Quiet)),
            State::Busy => {
                let request = self.deadline.get().filter(|_| self.answered.get());
                let stall = self.uptake.deadline(self.patience.stall);
                let request = request.map(|deadline| (deadline, Expired::Request));
                let stall = stall.map(|deadline| (deadline, Expired::Stalled));
                request
                    .into_iter()
                    .chain(stall)
                    .min_by_key(|(deadline, _)| *deadline)
            }
        }
    }

    fn enter(&self, state: State) {
        self.state.set(state);
        self.since.set(Instant::now());
    }
}

impl InHand {
    /// The connection has become a tunnel: it is never between requests any more.
    pub fn stay(mut self) {
        self.0 = None;
    }
}

impl Drop for InHand {
    fn drop(&mut self) {
        if let Some(client) = &self.0 {
            client.end();
        }
    }
}

#[cfg(test)]
mod tests;
