//! When a request is sent again.

use clap::Args;

use crate::config::{RetryOn, RetrySettings};
use crate::value;

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

    /// Retries of requests that a pod may have seen, as a share of all requests over ten seconds
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
            budget_ratio: self.retry_budget_ratio,
            budget_floor: self.retry_budget_floor,
        }
    }
}
