//! How many failures eject a pod, for how long, and how many pods at most.

use clap::Args;

use crate::config::Ejection;
use crate::value::{self, Span};

#[derive(Args, Clone, Debug)]
pub struct EjectionArgs {
    /// Failures in a row, with no answer between, after which a pod is left out for a while (ejected); 0 leaves out nobody
    /// for them
    #[arg(
        long,
        env = "PODROBIN_EJECT_CONSECUTIVE",
        value_name = "N",
        default_value_t = Ejection::default().consecutive.unwrap_or(0),
        value_parser = clap::value_parser!(u32).range(0..=10_000)
    )]
    pub eject_consecutive: u32,

    /// How long a pod is left out the first time; then twice as long each time, until it has been well for a minute. Pods
    /// that stand out from the others are out for --eject-interval at first, where that is longer
    #[arg(
        long,
        env = "PODROBIN_EJECT_TIME",
        value_name = "TIME",
        default_value_t = Span(Ejection::default().first),
        value_parser = value::positive
    )]
    pub eject_time: Span,

    /// The longest time that a pod is left out
    #[arg(
        long,
        env = "PODROBIN_EJECT_LONGEST",
        value_name = "TIME",
        default_value_t = Span(Ejection::default().longest),
        value_parser = value::positive
    )]
    pub eject_longest: Span,

    /// Percentage of the pods that are left out at most, rounded down (10 is none of 9 pods), and never all. Pods that
    /// cannot be connected to may be more while others answer
    #[arg(
        long,
        env = "PODROBIN_EJECT_MOST",
        value_name = "PERCENT",
        default_value_t = Ejection::default().most,
        value_parser = value::count::<1, 100>
    )]
    pub eject_most: usize,

    /// With fewer percent of the pods usable than this (not failing their checks, nor ejected or on trial) all are used, as
    /// the few would be overrun. By default only where all fail their checks
    #[arg(
        long,
        env = "PODROBIN_PANIC_THRESHOLD",
        value_name = "PERCENT",
        value_parser = value::count::<1, 99>
    )]
    pub panic_threshold: Option<usize>,
}
