//! Limits per pod.

use super::{Origin, Refusal};
use crate::cli::flags::OverloadArgs;
use crate::config::Overload;

pub(super) fn resolve(args: &OverloadArgs, origin: &Origin<'_>) -> Result<Overload, Refusal> {
    let overload = Overload {
        pod_requests: args.max_pod_requests,
        pending: args.pending,
        pending_timeout: args.pending_timeout.0,
    };
    match origin.first_given(&["pending", "pending_timeout"]) {
        Some(idle) if !overload.is_on() => Err(Refusal::usage(format_args!(
            "{idle} is about requests that wait while every pod is full, and no pod ever is: add --max-pod-requests N (or \
             adaptive), or leave it out"
        ))),
        _ => Ok(overload),
    }
}
