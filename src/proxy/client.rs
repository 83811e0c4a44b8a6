//! A client's connection: who is on it, what is happening there, and how long that may take.

use std::cell::{Cell, Ref, RefCell};
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};

use http::header::HeaderValue;

/// Shared by the connection's socket, its driver and its requests; all on one thread.
#[derive(Debug)]
pub struct Client {
    pub socket: SocketAddr,
    /// Its IP address, for `X-Forwarded-For`.
    pub address: HeaderValue,
    state: Cell<State>,
    since: Cell<Instant>,
    patience: Patience,
    /// The head being read, as it comes.
    head: RefCell<Vec<u8>>,
    closing: Cell<bool>,
    draining: Cell<bool>,
}

/// How long a connection may take for what.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// From the connection's first moment, or a later request's first byte, to the end of the head.
    pub header: Duration,
    /// Between requests.
    pub idle: Duration,
    /// The most bytes of a head that are kept.
    pub head_bytes: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Opened, and nothing has come yet.
    Silent,
    /// A head is being read.
    Head,
    /// A request is being answered.
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
}

impl Client {
    pub fn new(socket: SocketAddr, patience: Patience) -> Rc<Self> {
        let address = socket.ip().to_canonical().to_string();
        Rc::new(Self {
            socket,
            // An IP address is always a valid value; `unknown` is the header's own word for a sender without one.
            address: HeaderValue::from_str(&address).unwrap_or(HeaderValue::from_static("unknown")),
            state: Cell::new(State::Silent),
            since: Cell::new(Instant::now()),
            patience,
            head: RefCell::default(),
            closing: Cell::new(false),
            draining: Cell::new(false),
        })
    }

    /// The socket brought these bytes.
    pub fn read(&self, bytes: &[u8]) {
        match self.state.get() {
            State::Busy => return,
            // The head's time has been running since the connection's first moment.
            State::Silent => self.state.set(State::Head),
            State::Idle => self.enter(State::Head),
            State::Head => {}
        }
        let mut head = self.head.borrow_mut();
        if head.len() + bytes.len() <= self.patience.head_bytes {
            head.extend_from_slice(bytes);
        }
    }

    /// A request's head is complete.
    pub fn begin(&self) {
        self.state.set(State::Busy);
    }

    /// The head of the request being answered, as it came; empty where it is not known, because it was sent ahead
    /// while the request before it was being answered.
    pub fn raw_head(&self) -> Ref<'_, [u8]> {
        Ref::map(self.head.borrow(), Vec::as_slice)
    }

    /// The response has been handed over to its last byte, or given up.
    pub fn end(&self) {
        self.head.borrow_mut().clear();
        self.enter(State::Idle);
    }

    /// A response ends the connection; its client may not know yet.
    pub fn set_closing(&self) {
        self.closing.set(true);
    }

    pub fn is_closing(&self) -> bool {
        self.closing.get()
    }

    /// The next response is to be the last here.
    pub fn set_draining(&self) {
        self.draining.set(true);
    }

    pub fn is_draining(&self) -> bool {
        self.draining.get()
    }

    pub fn is_busy(&self) -> bool {
        self.state.get() == State::Busy
    }

    /// Whether no request is being read or answered.
    pub fn is_quiet(&self) -> bool {
        matches!(self.state.get(), State::Silent | State::Idle)
    }

    /// When patience ends, as things stand; never while a request is being answered.
    pub fn deadline(&self) -> Option<(Instant, Expired)> {
        let since = self.since.get();
        match self.state.get() {
            State::Silent => Some((since + self.patience.header, Expired::Quiet)),
            State::Head => Some((since + self.patience.header, Expired::Head)),
            State::Idle => Some((since + self.patience.idle, Expired::Quiet)),
            State::Busy => None,
        }
    }

    fn enter(&self, state: State) {
        self.state.set(state);
        self.since.set(Instant::now());
    }
}
