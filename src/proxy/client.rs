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

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: Duration = Duration::from_secs(10);
    const IDLE: Duration = Duration::from_secs(600);

    fn client() -> Rc<Client> {
        let patience = Patience {
            header: HEADER,
            idle: IDLE,
            head_bytes: 16,
        };
        Client::new(([127, 0, 0, 1], 1).into(), patience)
    }

    #[test]
    fn a_first_heads_time_runs_from_the_connections_first_moment() {
        let client = client();
        let opened = client.since.get();
        assert_eq!(client.deadline(), Some((opened + HEADER, Expired::Quiet)));
        client.read(b"GET");
        assert_eq!(client.deadline(), Some((opened + HEADER, Expired::Head)));
        client.begin();
        assert_eq!(client.deadline(), None);
    }

    #[test]
    fn a_later_heads_time_runs_from_its_first_byte_and_idleness_from_the_last_end() {
        let client = client();
        client.begin();
        client.end();
        let (idle_until, expired) = client.deadline().unwrap();
        assert_eq!(
            (idle_until, expired),
            (client.since.get() + IDLE, Expired::Quiet)
        );
        client.read(b"G");
        let begun = client.since.get();
        client.read(b"E");
        assert_eq!(client.deadline(), Some((begun + HEADER, Expired::Head)));
    }

    #[test]
    fn the_head_is_kept_until_its_request_ends_and_bodies_are_not() {
        let client = client();
        client.read(b"GET / ");
        client.read(b"HTTP");
        client.begin();
        client.read(b"body");
        assert_eq!(&*client.raw_head(), b"GET / HTTP");
        client.end();
        assert!(client.raw_head().is_empty());
    }

    #[test]
    fn what_would_pass_the_bound_is_not_kept() {
        let client = client();
        client.read(&[b'x'; 10]);
        client.read(&[b'y'; 10]);
        assert_eq!(client.raw_head().len(), 10);
    }

    #[test]
    fn an_ipv4_client_on_an_ipv6_socket_is_named_by_its_ipv4_address() {
        let patience = client().patience;
        let mapped = Client::new("[::ffff:10.1.2.3]:5".parse().unwrap(), patience);
        assert_eq!(mapped.address, "10.1.2.3");
    }
}
