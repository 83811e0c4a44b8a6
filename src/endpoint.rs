//! An endpoint: one port of one pod, as the list of its Service names it.

use std::fmt;
use std::net::SocketAddr;

/// What tells one endpoint from another for as long as it lives.
///
/// All state (ejections, counters, idle connections) belongs to an identity, so an address that comes back as
/// another pod starts clean. Ordered by address, which keeps the rotation stable over updates.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Identity {
    pub address: SocketAddr,
    /// `targetRef.uid`; `None` where the slice names no pod.
    pub uid: Option<String>,
}

/// One endpoint of a Service, whether it gets traffic or not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    pub identity: Identity,
    /// The pod's name (`targetRef.name`).
    pub pod: Option<String>,
    pub node: Option<String>,
    pub zone: Option<String>,
    pub protocol: AppProtocol,
    /// Its part of the requests, beside those of the others, where the policy is `weighted`; with 0 it gets none under
    /// any policy, unless nobody has more.
    pub weight: u32,
    pub standing: Standing,
}

/// The weight of endpoints that are given none.
pub const USUAL_WEIGHT: u32 = 1;

/// As the weights of the Gateway API.
pub const MOST_WEIGHT: u32 = 1_000_000;

/// Why an endpoint does or does not get traffic, by the list alone (ejection is membership's matter).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Standing {
    /// Ready, and chosen by hints and traffic policy.
    Ready,
    /// Terminating but still serving, used because the whole Service has no ready endpoint (KEP-1669).
    Fallback,
    /// Terminating, and others are ready, or it serves no more.
    Terminating,
    /// Neither ready nor terminating.
    NotReady,
    /// Ready, but topology hints or the traffic policy give it to clients elsewhere.
    Elsewhere,
    /// It would get traffic, but more than this sidecar is to use are there.
    Outside,
}

/// How a pod's port is spoken to, from `appProtocol` of the slice (KEP-3726).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum AppProtocol {
    /// HTTP/1.1 in clear text; also where nothing is said.
    #[default]
    Http1,
    /// HTTP/2 in clear text, known beforehand.
    Http2,
    /// TLS, in whose handshake the pod chooses between HTTP/1.1 and HTTP/2.
    Tls,
    TlsHttp1,
    TlsHttp2,
}

/// A weight, if that is what `text` says.
pub fn weight(text: &str) -> Option<u32> {
    text.parse().ok().filter(|weight| *weight <= MOST_WEIGHT)
}

impl Endpoint {
    /// Whether requests may be sent there, by the list alone.
    pub fn is_used(&self) -> bool {
        matches!(self.standing, Standing::Ready | Standing::Fallback)
    }

    pub fn address(&self) -> SocketAddr {
        self.identity.address
    }

    /// The pod's name, or its address where the slice names no pod.
    pub fn name(&self) -> String {
        self.pod
            .clone()
            .unwrap_or_else(|| self.identity.address.to_string())
    }
}

impl Standing {
    /// The word for logs, `/state` and metric labels.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ready => "ready",
            Self::Fallback => "fallback",
            Self::Terminating => "terminating",
            Self::NotReady => "not_ready",
            Self::Elsewhere => "elsewhere",
            Self::Outside => "outside",
        }
    }
}

impl fmt::Display for Standing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
