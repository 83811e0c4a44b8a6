//! Sockets: listeners shared by port among workers, and a stream that can be looked at while hyper owns it.

use std::cell::{Cell, RefCell};
use std::io::{self, Read};
use std::mem::MaybeUninit;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use futures::FutureExt;
use socket2::{Domain, Protocol, SockRef, Socket, Type};
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::{TcpListener, TcpStream};

/// Connections the kernel keeps for us before they are accepted.
const BACKLOG: i32 = 1024;

/// Binds `count` listeners to one address, so that the kernel spreads connections over them.
///
/// `SO_REUSEPORT` would also let a second process share the port unnoticed, so the address is first bound without it:
/// a port in use is an error.
pub fn listen(address: SocketAddr, count: usize) -> io::Result<Vec<std::net::TcpListener>> {
    if count == 1 {
        return Ok(vec![bind(address, false)?]);
    }
    let mut address = address;
    if address.port() != 0 {
        drop(bind(address, false)?);
    }
    let mut listeners = Vec::with_capacity(count);
    for _ in 0..count {
        let listener = bind(address, true)?;
        address = listener.local_addr()?;
        listeners.push(listener);
    }
    Ok(listeners)
}

fn bind(address: SocketAddr, share: bool) -> io::Result<std::net::TcpListener> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM.nonblocking(),
        Some(Protocol::TCP),
    )?;
    socket.set_reuse_address(true)?;
    if share {
        socket.set_reuse_port(true)?;
    }
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// What an address that can't be bound calls for.
pub fn mend_bind(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::AddrInUse => "the port is in use; stop its owner or choose another".to_owned(),
        io::ErrorKind::PermissionDenied => {
            "no right to this port; choose one from 1024 on, or allow it (net.ipv4.ip_unprivileged_port_start)".to_owned()
        }
        io::ErrorKind::AddrNotAvailable => "no interface of this host has this address".to_owned(),
        _ => error.to_string(),
    }
}

/// Accepts a connection that waits in the kernel, whether the event loop knows of it or not.
pub fn accept_now(listener: &TcpListener) -> Option<(TcpStream, SocketAddr)> {
    let (socket, peer) = SockRef::from(listener).accept().ok()?;
    socket.set_nonblocking(true).ok()?;
    Some((TcpStream::from_std(socket.into()).ok()?, peer.as_socket()?))
}

/// A TCP stream with a second handle, for one thread.
///
/// hyper takes its stream whole; the other handle asks the kernel what waits in it, and reads what is left once hyper
/// is done.
#[derive(Clone, Debug)]
pub struct SharedStream(Rc<Shared>);

#[derive(Debug)]
struct Shared {
    stream: RefCell<TcpStream>,
    /// Reads ask the kernel itself, not what the event loop saw on its last turn.
    eager: Cell<bool>,
}

impl SharedStream {
    pub fn new(stream: TcpStream) -> Self {
        Self(Rc::new(Shared {
            stream: RefCell::new(stream),
            eager: Cell::new(false),
        }))
    }

    /// Does `look` with reads that ask the kernel itself: they find what the event loop has not heard of yet.
    pub fn eagerly<T>(&self, look: impl FnOnce() -> T) -> T {
        self.0.eager.set(true);
        let seen = look();
        self.0.eager.set(false);
        seen
    }

    /// The socket, to set its options.
    pub fn with_socket<T>(&self, set: impl FnOnce(SockRef<'_>) -> T) -> T {
        set(SockRef::from(&*self.0.stream.borrow()))
    }

    /// Whether bytes wait to be read (the peer's end is no byte).
    pub fn has_bytes(&self) -> bool {
        let stream = self.0.stream.borrow();
        let mut byte = [MaybeUninit::uninit()];
        matches!(SockRef::from(&*stream).peek(&mut byte), Ok(1..))
    }

    /// Makes the coming close a reset: the peer is not to take it for an end.
    pub fn reset(&self) {
        // A socket that refuses has no peer any more.
        let _ = self.0.stream.borrow().set_zero_linger();
    }

    /// Whether the peer has ended its side, also where bytes that it sent before are still unread.
    pub fn is_ended(&self) -> bool {
        let stream = self.0.stream.borrow();
        let ready = stream.ready(Interest::READABLE).now_or_never();
        matches!(ready, Some(Ok(ready)) if ready.is_read_closed())
    }

    /// Writes what the socket takes at once; for a last word to a peer that is being sent away.
    pub fn write_now(&self, bytes: &[u8]) {
        // A peer that cannot take it is being sent away all the same.
        let _ = self.0.stream.borrow().try_write(bytes);
    }
}

impl AsyncRead for SharedStream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.0.eager.get() {
            let read = self.with_socket(|socket| (&*socket).read(buf.initialize_unfilled()));
            match read {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                read => {
                    buf.advance(read?);
                    return Poll::Ready(Ok(()));
                }
            }
        }
        Pin::new(&mut *self.0.stream.borrow_mut()).poll_read(cx, buf)
    }
}

impl AsyncWrite for SharedStream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut *self.0.stream.borrow_mut()).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut *self.0.stream.borrow_mut()).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.0.stream.borrow().is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.0.stream.borrow_mut()).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.0.stream.borrow_mut()).poll_shutdown(cx)
    }
}

/// What a client on this machine connects to: a listener on all addresses is reached on the loopback of its family.
pub fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}

/// Whether two listeners could not both be bound, or would take each other's connections. Port 0 is any free one.
pub fn overlap(one: SocketAddr, other: SocketAddr) -> bool {
    // `[::]` takes IPv4 connections as well, unless the system is set up otherwise.
    let covers = |wide: IpAddr, narrow: IpAddr| {
        wide.is_unspecified() && (wide.is_ipv6() || narrow.is_ipv4())
    };
    one.port() == other.port()
        && one.port() != 0
        && (one.ip() == other.ip() || covers(one.ip(), other.ip()) || covers(other.ip(), one.ip()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_in_use_is_an_error_even_where_ports_are_shared() {
        let taken = listen("127.0.0.1:0".parse().unwrap(), 2).unwrap();
        let address = taken[0].local_addr().unwrap();
        assert_eq!(taken[1].local_addr().unwrap(), address);
        for count in [1, 2] {
            let error = listen(address, count).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
        }
    }

    #[test]
    fn what_listens_everywhere_is_asked_here() {
        for (listens, asked) in [
            ("0.0.0.0:9800", "127.0.0.1:9800"),
            ("[::]:9800", "[::1]:9800"),
            ("10.0.0.1:1", "10.0.0.1:1"),
        ] {
            assert_eq!(reachable(listens.parse().unwrap()), asked.parse().unwrap());
        }
    }
}
