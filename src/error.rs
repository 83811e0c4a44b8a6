//! Every way a request can fail, in one table: what the client is told, what may be tried again, whom it blames.
//!
//! `docs/errors.md` shows the same table; a test holds the two against each other.

use http::StatusCode;

/// A kind of failure. The row of a kind is [`Kind::row`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    NoEndpoints,
    ConnectFailed,
    ConnectTimeout,
    TlsFailed,
    Reset,
    TryTimeout,
    ResponseTimeout,
    RequestTimeout,
    BrokenProtocol,
    Overload,
    PodsFull,
    BadRequest,
    MethodNotAllowed,
    ExpectationFailed,
    HeaderTooLarge,
    HeaderTimeout,
    BodyTimeout,
    UnsupportedCoding,
    ClientGone,
}

/// One row of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row {
    pub kind: Kind,
    /// The kind in plain words, as the docs' table has it.
    pub name: &'static str,
    pub status: StatusCode,
    /// What a gRPC client is told instead of the status.
    pub code: Code,
    pub flag: Flag,
    pub retry: Retry,
    /// Whether it counts against the pod.
    pub blames_pod: bool,
}

/// Short cause of a request's end, for metrics, logs and the `x-podrobin-error` header. Envoy's letters where Envoy
/// has the same thing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Flag {
    /// Nothing went wrong.
    None,
    /// No endpoint.
    Uh,
    /// Could not connect.
    Uf,
    /// The upstream connection ended early.
    Uc,
    /// The upstream took too long.
    Ut,
    /// The upstream broke its protocol.
    Upe,
    /// A limit of this process.
    Uo,
    /// The client broke its protocol.
    Dpe,
    /// The client left.
    Dc,
}

/// The codes of gRPC that are used here, by their numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Code {
    Cancelled = 1,
    DeadlineExceeded = 4,
    ResourceExhausted = 8,
    Unimplemented = 12,
    Internal = 13,
    Unavailable = 14,
}

/// When a request that failed so may be sent again, to another pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retry {
    /// It was never sent.
    AnyMethod,
    /// It may have been processed.
    Idempotent,
    No,
}

impl Kind {
    pub const ALL: [Self; 19] = [
        Self::NoEndpoints,
        Self::ConnectFailed,
        Self::ConnectTimeout,
        Self::TlsFailed,
        Self::Reset,
        Self::TryTimeout,
        Self::ResponseTimeout,
        Self::RequestTimeout,
        Self::BrokenProtocol,
        Self::Overload,
        Self::PodsFull,
        Self::BadRequest,
        Self::MethodNotAllowed,
        Self::ExpectationFailed,
        Self::HeaderTooLarge,
        Self::HeaderTimeout,
        Self::BodyTimeout,
        Self::UnsupportedCoding,
        Self::ClientGone,
    ];

    /// The table.
    pub const fn row(self) -> Row {
        use StatusCode as S;
        let (name, status, code, flag, retry, blames_pod) = match self {
            Self::NoEndpoints => (
                "no endpoint",
                S::SERVICE_UNAVAILABLE,
                Code::Unavailable,
                Flag::Uh,
                Retry::No,
                false,
            ),
            Self::ConnectFailed => (
                "connect refused or unreachable",
                S::BAD_GATEWAY,
                Code::Unavailable,
                Flag::Uf,
                Retry::AnyMethod,
                true,
            ),
            Self::ConnectTimeout => (
                "connect timeout",
                S::GATEWAY_TIMEOUT,
                Code::Unavailable,
                Flag::Uf,
                Retry::AnyMethod,
                true,
            ),
            Self::TlsFailed => (
                "TLS with the pod failed",
                S::BAD_GATEWAY,
                Code::Unavailable,
                Flag::Uf,
                Retry::AnyMethod,
                true,
            ),
            Self::Reset => (
                "reset before response headers",
                S::BAD_GATEWAY,
                Code::Unavailable,
                Flag::Uc,
                Retry::Idempotent,
                true,
            ),
            Self::TryTimeout => (
                "per-try timeout",
                S::GATEWAY_TIMEOUT,
                Code::DeadlineExceeded,
                Flag::Ut,
                Retry::Idempotent,
                true,
            ),
            Self::ResponseTimeout => (
                "response timeout",
                S::GATEWAY_TIMEOUT,
                Code::DeadlineExceeded,
                Flag::Ut,
                Retry::No,
                true,
            ),
            Self::RequestTimeout => (
                "request timeout",
                S::GATEWAY_TIMEOUT,
                Code::DeadlineExceeded,
                Flag::Ut,
                Retry::No,
                false,
            ),
            Self::BrokenProtocol => (
                "broken upstream protocol",
                S::BAD_GATEWAY,
                Code::Internal,
                Flag::Upe,
                Retry::No,
                true,
            ),
            Self::Overload => (
                "too many in flight or held",
                S::SERVICE_UNAVAILABLE,
                Code::ResourceExhausted,
                Flag::Uo,
                Retry::No,
                false,
            ),
            Self::PodsFull => (
                "every pod is full",
                S::SERVICE_UNAVAILABLE,
                Code::ResourceExhausted,
                Flag::Uo,
                Retry::No,
                false,
            ),
            Self::BadRequest => (
                "bad request",
                S::BAD_REQUEST,
                Code::Internal,
                Flag::Dpe,
                Retry::No,
                false,
            ),
            Self::MethodNotAllowed => (
                "CONNECT",
                S::METHOD_NOT_ALLOWED,
                Code::Unimplemented,
                Flag::Dpe,
                Retry::No,
                false,
            ),
            Self::ExpectationFailed => (
                "unknown expectation",
                S::EXPECTATION_FAILED,
                Code::Internal,
                Flag::Dpe,
                Retry::No,
                false,
            ),
            Self::HeaderTooLarge => (
                "request head too large",
                S::REQUEST_HEADER_FIELDS_TOO_LARGE,
                Code::ResourceExhausted,
                Flag::Dpe,
                Retry::No,
                false,
            ),
            Self::HeaderTimeout => (
                "request head too slow",
                S::REQUEST_TIMEOUT,
                Code::DeadlineExceeded,
                Flag::Dpe,
                Retry::No,
                false,
            ),
            Self::BodyTimeout => (
                "request body too slow",
                S::REQUEST_TIMEOUT,
                Code::DeadlineExceeded,
                Flag::Dpe,
                Retry::No,
                false,
            ),
            Self::UnsupportedCoding => (
                "unsupported transfer coding",
                S::NOT_IMPLEMENTED,
                Code::Unimplemented,
                Flag::Dpe,
                Retry::No,
                false,
            ),
            Self::ClientGone => (
                "client gone",
                CLIENT_CLOSED_REQUEST,
                Code::Cancelled,
                Flag::Dc,
                Retry::No,
                false,
            ),
        };
        Row {
            kind: self,
            name,
            status,
            code,
            flag,
            retry,
            blames_pod,
        }
    }
}

/// Never sent, only logged and counted: nginx's status for a client that left.
const CLIENT_CLOSED_REQUEST: StatusCode = match StatusCode::from_u16(499) {
    Ok(status) => status,
    Err(_) => StatusCode::BAD_REQUEST,
};

impl Code {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Cancelled => "CANCELLED",
            Self::DeadlineExceeded => "DEADLINE_EXCEEDED",
            Self::ResourceExhausted => "RESOURCE_EXHAUSTED",
            Self::Unimplemented => "UNIMPLEMENTED",
            Self::Internal => "INTERNAL",
            Self::Unavailable => "UNAVAILABLE",
        }
    }
}

impl Flag {
    pub const ALL: [Self; 9] = [
        Self::None,
        Self::Uh,
        Self::Uf,
        Self::Uc,
        Self::Ut,
        Self::Upe,
        Self::Uo,
        Self::Dpe,
        Self::Dc,
    ];

    /// The letters for logs, metrics and headers; `-` for none.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::None => "-",
            Self::Uh => "UH",
            Self::Uf => "UF",
            Self::Uc => "UC",
            Self::Ut => "UT",
            Self::Upe => "UPE",
            Self::Uo => "UO",
            Self::Dpe => "DPE",
            Self::Dc => "DC",
        }
    }
}

#[cfg(test)]
mod tests;
