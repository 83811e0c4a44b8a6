//! Which pods stand out from the others so much that they are left out.

use std::time::Duration;

/// What pods are compared by, each where its threshold is given, and on how much.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Outliers {
    /// Standard deviations by which a success rate may lie below the mean of the pods'.
    pub success_rate: Option<f64>,
    /// From this percentage of failures on.
    pub failure_percentage: Option<f64>,
    /// Times the median of the pods' mean latencies.
    pub latency: Option<f64>,
    pub interval: Duration,
    /// Of a pod in an interval; with fewer it is not compared.
    pub min_requests: u64,
    /// With so many requests each; with fewer nobody is compared.
    pub min_pods: usize,
}

impl Default for Outliers {
    /// Volumes and interval as Envoy's and gRPC's.
    fn default() -> Self {
        Self {
            success_rate: None,
            failure_percentage: None,
            latency: None,
            interval: Duration::from_secs(10),
            min_requests: 100,
            min_pods: 5,
        }
    }
}
