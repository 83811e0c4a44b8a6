//! How long each thing may take.

use clap::Args;

use crate::config::Timeouts;
use crate::value::{self, Patience, Span};

#[derive(Args, Clone, Debug)]
pub struct TimeoutArgs {
    /// Connecting to a pod
    #[arg(
        long,
        env = "PODROBIN_CONNECT_TIMEOUT",
        value_name = "TIME",
        default_value_t = Span(Timeouts::default().connect),
        value_parser = value::positive
    )]
    pub connect_timeout: Span,

    /// Reading a request's head, its first byte included
    #[arg(
        long,
        env = "PODROBIN_HEADER_TIMEOUT",
        value_name = "TIME",
        default_value_t = Span(Timeouts::default().header),
        value_parser = value::positive
    )]
    pub header_timeout: Span,

    /// Keeping a client's connection without a request
    #[arg(
        long,
        env = "PODROBIN_CLIENT_IDLE_TIMEOUT",
        value_name = "TIME",
        default_value_t = Span(Timeouts::default().client_idle),
        value_parser = value::positive
    )]
    pub client_idle_timeout: Span,

    /// How long a client may keep a request waiting: for the next part of its body while there is no response yet, or
    /// until it takes the next part of a response. Bodies of gRPC requests may take any time
    #[arg(
        long,
        env = "PODROBIN_CLIENT_STALL",
        value_name = "TIME",
        default_value_t = Span(Timeouts::default().client_stall),
        value_parser = value::positive
    )]
    pub client_stall: Span,

    /// Keeping a connection to a pod without a request, unless the pod says how long it keeps it
    /// (Keep-Alive: timeout=)
    #[arg(
        long,
        env = "PODROBIN_UPSTREAM_IDLE_TIMEOUT",
        value_name = "TIME",
        default_value_t = Span(Timeouts::default().upstream_idle)
    )]
    pub upstream_idle_timeout: Span,

    /// Giving up a pod that has requests in flight over HTTP/2 and shows no sign of life
    #[arg(
        long,
        env = "PODROBIN_UPSTREAM_KEEPALIVE",
        value_name = "TIME",
        default_value_t = Span(Timeouts::default().upstream_keepalive),
        value_parser = value::positive
    )]
    pub upstream_keepalive: Span,

    /// From a request sent to the head of its response, or off
    #[arg(
        long,
        env = "PODROBIN_RESPONSE_TIMEOUT",
        value_name = "TIME",
        default_value_t = Patience(Timeouts::default().response)
    )]
    pub response_timeout: Patience,

    /// From a request's head to the last byte of its response, or off
    #[arg(
        long,
        env = "PODROBIN_REQUEST_TIMEOUT",
        value_name = "TIME",
        default_value_t = Patience(Timeouts::default().request)
    )]
    pub request_timeout: Patience,

    /// Keeping an upgraded connection (WebSocket and others) on which nothing moves, or off
    #[arg(
        long,
        env = "PODROBIN_TUNNEL_IDLE_TIMEOUT",
        value_name = "TIME",
        default_value_t = Patience(Timeouts::default().tunnel_idle)
    )]
    pub tunnel_idle_timeout: Patience,

    /// How long a request waits while there is no endpoint, before it is answered 503; 0 answers at once
    #[arg(
        long,
        env = "PODROBIN_HOLD",
        value_name = "TIME",
        default_value_t = Span(Timeouts::default().hold)
    )]
    pub hold: Span,

    /// How long requests in flight may take to end after SIGTERM, and upgraded connections may go on
    #[arg(
        long,
        env = "PODROBIN_DRAIN",
        value_name = "TIME",
        default_value_t = Span(Timeouts::default().drain)
    )]
    pub drain: Span,
}
