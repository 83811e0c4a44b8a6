//! Which answers count as failures of their pod.

use clap::Args;

use crate::config::{FailureCodes, FailureStatuses, Failures};

#[derive(Args, Clone, Debug)]
pub struct FailureArgs {
    /// Statuses of answers that count as failures of the pod (5xx,429): as many in a row as --eject-consecutive
    /// says eject it, and where pods are compared they take the place of 5xx but 501. The client gets them all the same. By
    /// default no status counts in a row
    #[arg(long, env = "PODROBIN_FAILURE_STATUSES", value_name = "LIST")]
    pub failure_statuses: Option<FailureStatuses>,

    /// The same for the codes of gRPC calls (unavailable,internal), in the response's head or its trailers
    #[arg(long, env = "PODROBIN_FAILURE_GRPC", value_name = "LIST")]
    pub failure_grpc: Option<FailureCodes>,
}

impl FailureArgs {
    pub fn settings(self) -> Failures {
        Failures {
            statuses: self.failure_statuses.map(|FailureStatuses(set)| set),
            codes: self.failure_grpc.map(|FailureCodes(set)| set),
        }
    }
}
