//! What a failed attempt means: for the client, for the pod, and for another attempt.

use std::io::ErrorKind;

use super::answer::Failure;
use super::attempt::Blame;
use super::outgoing::{Outgoing, Unsayable};
use super::replay::AttemptBody;
use crate::error::Kind;
use crate::pool::{Cause, ConnectError, Upstream};

/// A failed attempt: what the client is told if it was the last, and whether it may be followed by another.
pub(super) struct Setback {
    pub failure: Failure,
    pub unsent: bool,
    pub blame: Blame,
    /// It was taken back from a pod that answers nobody, and another attempt is paid for.
    pub moves: bool,
}

/// What it means for a request that no connection could be made.
pub(super) fn unreached(error: &ConnectError, upstream: &Upstream<AttemptBody>) -> Setback {
    let (kind, blame) = match error {
        ConnectError::Told(error) => {
            return Setback {
                blame: Blame::Nobody,
                ..unreached(error, upstream)
            };
        }
        ConnectError::Timeout(_) => (Kind::ConnectTimeout, Blame::Pod),
        ConnectError::Failed(ErrorKind::ConnectionRefused) => (Kind::ConnectFailed, Blame::Refused),
        ConnectError::Failed(_) => (Kind::ConnectFailed, Blame::Pod),
        ConnectError::Full => (Kind::PodsFull, Blame::Nobody),
        ConnectError::Exhausted(_) => (Kind::Overload, Blame::Nobody),
        ConnectError::Protocol => (Kind::BrokenProtocol, Blame::Pod),
        ConnectError::Tls(_) => (Kind::TlsFailed, Blame::Pod),
        ConnectError::NoTls(_) => (Kind::TlsFailed, Blame::Nobody),
    };
    Setback {
        failure: Failure::new(
            kind,
            format!("could not connect to pod {}: {error}", label(upstream)),
        ),
        unsent: true,
        blame,
        moves: false,
    }
}

/// The request has no form in what the pod speaks.
pub(super) fn unsayable(Unsayable: Unsayable) -> Setback {
    Setback {
        failure: Failure::new(
            Kind::BadRequest,
            "the request's Host cannot be an HTTP/2 authority",
        ),
        unsent: true,
        blame: Blame::Nobody,
        moves: false,
    }
}

/// What it means for the request that it brought no response.
pub(super) fn setback(
    cause: Cause,
    unsent: bool,
    outgoing: &Outgoing,
    upstream: &Upstream<AttemptBody>,
) -> Setback {
    let pod = label(upstream);
    if outgoing.body.is_broken() {
        return Setback {
            failure: Failure::new(
                Kind::BadRequest,
                "the request's body ended early or is malformed",
            ),
            unsent,
            blame: Blame::Nobody,
            moves: false,
        };
    }
    let (kind, what) = match cause {
        Cause::HeadTooLarge => (
            Kind::BrokenProtocol,
            "sent a response head that is too large",
        ),
        Cause::Protocol => (Kind::BrokenProtocol, "sent something that is not HTTP"),
        Cause::Ended | Cause::Stale => (Kind::Reset, "closed the connection before it answered"),
        Cause::Reset => (Kind::Reset, "reset the request before it answered"),
        Cause::Refused => (Kind::Reset, "took no further requests"),
        Cause::Silent => (Kind::Reset, "gave no sign of life"),
        // The handshake's last word, only late.
        Cause::Unwelcome(alert) => return unreached(&ConnectError::Tls(alert.into()), upstream),
    };
    Setback {
        failure: Failure::new(kind, format!("pod {pod} {what}")),
        unsent,
        blame: match cause {
            // A pod may close a kept connection, or take no more, whenever it likes.
            Cause::Stale | Cause::Refused => Blame::Nobody,
            _ => Blame::Pod,
        },
        moves: false,
    }
}

/// How a pod is named to clients: never by its address.
pub(super) fn label(upstream: &Upstream<AttemptBody>) -> String {
    let endpoint = upstream.endpoint();
    endpoint
        .pod
        .clone()
        .unwrap_or_else(|| "(without a name)".to_owned())
}
