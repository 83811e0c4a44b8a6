//! When a request is sent again.

use clap::Args;

use crate::config::{Hedge, RetryBackoff, RetryOn, RetrySettings};
use crate::value::{self, Span};

#[derive(Args, Clone, Debug)]
pub struct RetryArgs {
    /// Further attempts after the first, each to another pod while there is one; 0 for none
    #[arg(
        long,
        env = "PODROBIN_RETRIES",
        value_name = "N",
        default_value_t = RetrySettings::default().retries,
        value_parser = clap::value_parser!(u32).range(0..=10)
    )]
    pub retries: u32,

    /// What is sent again: connect-failure (no pod has looked at the request), reset (the connection ended before the
    /// response), statuses such as 503 or 5xx, and gRPC codes such as unavailable, as far as the response's head tells
    /// them. All but connect-failure and gRPC codes hold only for methods that may be repeated (docs/retries.md)
    #[arg(
        long,
        env = "PODROBIN_RETRY_ON",
        value_name = "LIST",
        default_value_t = RetryOn::default()
    )]
    pub retry_on: RetryOn,

    /// Giving up an attempt whose response has not begun: the next pod gets the request if it may be repeated, else it is
    /// answered 504. Connecting is part of it, a body that its client still sends is not. Without it --response-timeout
    /// alone holds, after which nothing is sent again
    #[arg(
        long,
        env = "PODROBIN_PER_TRY_TIMEOUT",
        value_name = "TIME",
        value_parser = value::positive
    )]
    pub per_try_timeout: Option<Span>,

    /// The wait before a request goes out again that a pod may have seen: at random up to BASE, each time up to twice as
    /// long, at most MOST (ten times BASE where it is left out). By default there is none before another pod is asked,
    /// but what the pod itself asks for: Retry-After and grpc-retry-pushback-ms, up to 5 s
    #[arg(long, env = "PODROBIN_RETRY_BACKOFF", value_name = "BASE[..MOST]")]
    pub retry_backoff: Option<RetryBackoff>,

    /// Sending a request to a second pod while the first is silent: after TIME, or once it has taken longer than a share of
    /// the attempts does, as pNN[:min=TIME] (p95, and not before 2ms). The first answer that counts is passed on, the other
    /// attempt is cancelled. For methods that may be repeated; within the retry budget, and besides --retries. Off without it
    /// (docs/retries.md)
    #[arg(long, env = "PODROBIN_HEDGE", value_name = "WHEN")]
    pub hedge: Option<Hedge>,

    /// Retries of requests that a pod may have seen, and second attempts of --hedge, as a share of all requests over ten
    /// seconds
    #[arg(
        long,
        env = "PODROBIN_RETRY_BUDGET_RATIO",
        value_name = "SHARE",
        default_value_t = RetrySettings::default().budget_ratio,
        value_parser = value::share
    )]
    pub retry_budget_ratio: f64,

    /// Such retries a second that are allowed however few requests there are
    #[arg(
        long,
        env = "PODROBIN_RETRY_BUDGET_FLOOR",
        value_name = "N",
        default_value_t = RetrySettings::default().budget_floor,
        value_parser = clap::value_parser!(u32).range(0..=10_000)
    )]
    pub retry_budget_floor: u32,
}

impl RetryArgs {
    pub fn settings(self) -> RetrySettings {
        RetrySettings {
            retries: self.retries,
            on: self.retry_on,
            per_try: self.per_try_timeout.map(|span| span.0),
            backoff: self.retry_backoff,
            hedge: self.hedge,
            budget_ratio: self.retry_budget_ratio,
            budget_floor: self.retry_budget_floor,
        }
    }
}
