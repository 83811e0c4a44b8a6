//! How a pod that is new, or back, is brought to its share.

use clap::Args;

use crate::config::SlowStart;
use crate::value::{self, Span};

#[derive(Args, Clone, Debug)]
pub struct SlowStartArgs {
    /// How long a pod that is new beside others, or back after it got nothing, takes to its whole share, such as 30s;
    /// for pods that are slow until their caches and compilers are warm. By default it has that at once
    #[arg(
        long,
        env = "PODROBIN_SLOW_START",
        value_name = "TIME",
        value_parser = value::positive
    )]
    pub slow_start: Option<Span>,

    /// The part of its share, in percent, that --slow-start begins with
    #[arg(
        long,
        env = "PODROBIN_SLOW_START_FLOOR",
        value_name = "PERCENT",
        default_value_t = SlowStart::default().floor * 100.0,
        value_parser = value::percent
    )]
    pub slow_start_floor: f64,

    /// How a share grows from there: evenly with 1, later with more (2 is at a quarter of the way by half time), sooner
    /// with less
    #[arg(
        long,
        env = "PODROBIN_SLOW_START_CURVE",
        value_name = "EXP",
        default_value_t = SlowStart::default().curve,
        value_parser = value::exponent
    )]
    pub slow_start_curve: f64,
}
