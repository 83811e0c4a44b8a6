//! Which pods stand out from the others so much that they are left out.

use clap::Args;

use crate::config::Outliers;
use crate::value::{self, Span};

#[derive(Args, Clone, Debug)]
pub struct OutlierArgs {
    /// Leaves out a pod whose share of successes in an interval is so many standard deviations below the mean of the
    /// pods' (1.9 as gRPC and Envoy). For pods that fail more than the others. Off by default
    #[arg(
        long,
        env = "PODROBIN_EJECT_SUCCESS_RATE",
        value_name = "STDEVS",
        value_parser = value::exponent
    )]
    pub eject_success_rate: Option<f64>,

    /// Leaves out a pod that fails this percentage of its requests in an interval, whatever the others do. Off by
    /// default
    #[arg(
        long,
        env = "PODROBIN_EJECT_FAILURE_PERCENTAGE",
        value_name = "PERCENT",
        value_parser = value::positive_percent
    )]
    pub eject_failure_percentage: Option<f64>,

    /// Leaves out a pod whose successes take more than so many times as long, on average over an interval, as the median
    /// pod's. Off by default
    #[arg(
        long,
        env = "PODROBIN_EJECT_LATENCY",
        value_name = "FACTOR",
        value_parser = value::factor
    )]
    pub eject_latency: Option<f64>,

    /// How often pods are compared, and how long one that stands out is left out first
    #[arg(
        long,
        env = "PODROBIN_EJECT_INTERVAL",
        value_name = "TIME",
        default_value_t = Span(Outliers::default().interval),
        value_parser = value::positive
    )]
    pub eject_interval: Span,

    /// Requests that a pod must have had in an interval to be compared
    #[arg(
        long,
        env = "PODROBIN_EJECT_MIN_REQUESTS",
        value_name = "N",
        default_value_t = Outliers::default().min_requests,
        value_parser = clap::value_parser!(u64).range(1..=1_000_000)
    )]
    pub eject_min_requests: u64,

    /// Pods that must have had so many, or none is compared
    #[arg(
        long,
        env = "PODROBIN_EJECT_MIN_PODS",
        value_name = "N",
        default_value_t = Outliers::default().min_pods,
        value_parser = value::count::<2, 100_000>
    )]
    pub eject_min_pods: usize,
}
