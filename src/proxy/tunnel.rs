//! A connection that has switched protocols: from its 101 on, bytes both ways and nothing else.

use std::time::Duration;

use bytes::Bytes;
use http::{Response, Version};
use tokio::io::{AsyncRead, AsyncWrite};

use super::body::ResponseBody;
use super::headers;
use super::record::Record;
use super::upgrade::Protocols;
use crate::admission::Permit;
use crate::drain::Signal;
use crate::error::Flag;
use crate::net::SharedStream;
use crate::pool::{Incoming, Upgraded};
use crate::relay::{Ending, Relay, Scratch, Side};

/// How long the two sides of a tunnel that is ended here may take to end theirs.
pub const PARTING: Duration = Duration::from_secs(1);

/// A pod that has switched, with the tunnel's place.
#[derive(Debug)]
pub struct Switched {
    pub pod: Upgraded,
    pub place: Permit,
}

/// A tunnel that waits for its client's side. Dropped before that, its client has left.
#[derive(Debug)]
pub struct Tunnel {
    pod: Upgraded,
    record: Record,
    idle: Option<Duration>,
    scratch: Scratch,
    _place: Permit,
}

/// The answer that makes the tunnel, as the client gets it.
pub fn switching(response: Response<Incoming>, switched: Switched) -> Response<ResponseBody> {
    let (mut head, _) = response.into_parts();
    let chosen = Protocols::named(&head.headers);
    headers::for_client(&mut head.headers);
    head.version = Version::HTTP_11;
    if let Some(chosen) = chosen {
        chosen.put(&mut head.headers);
    }
    Response::from_parts(head, ResponseBody::switched(switched))
}

impl Tunnel {
    /// From here on `record` is that of a tunnel. `idle`: how long nothing may pass through it.
    pub fn new(
        switched: Switched,
        mut record: Record,
        idle: Option<Duration>,
        scratch: Scratch,
    ) -> Self {
        record.switch();
        Self {
            pod: switched.pod,
            record,
            idle,
            scratch,
            _place: switched.place,
        }
    }

    /// Joins the pod with its client, of whom `ahead` was read already, until both have ended, or until the drain
    /// closes what is left.
    ///
    /// `socket` is the client's: whoever is cut off by the other is told so by a reset, and not by an end that could
    /// be taken for the other's own.
    pub async fn run<C>(self, client: C, ahead: Bytes, socket: &SharedStream, mut drain: Signal)
    where
        C: AsyncRead + AsyncWrite + Unpin,
    {
        let Self {
            pod,
            mut record,
            idle,
            scratch,
            _place,
        } = self;
        let (_opened, io, read, pods_socket) = pod.into_parts();
        let mut relay = Relay::new((client, ahead), (io, read), scratch);
        let ended = tokio::select! {
            biased;
            ended = relay.run(idle) => Some(ended),
            () = drain.closing() => None,
        };
        let flag = match ended {
            Some(Ending::Whole) => Flag::None,
            Some(Ending::Cut(Side::Client)) => {
                pods_socket.reset();
                Flag::Dc
            }
            Some(Ending::Cut(Side::Pod)) => {
                socket.reset();
                Flag::Uc
            }
            Some(Ending::Idle) | None => {
                // Who takes longer is cut off.
                let _ = tokio::time::timeout(PARTING, relay.part()).await;
                Flag::Uo
            }
        };
        record.tunnelled(flag, relay.passed());
    }
}
