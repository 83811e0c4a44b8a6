//! Limits per pod.

use std::num::NonZeroUsize;

use super::{Origin, Refusal};
use crate::cli::flags::OverloadArgs;
use crate::config::Overload;

pub(super) fn resolve(
    args: &OverloadArgs,
    workers: NonZeroUsize,
    origin: &Origin<'_>,
) -> Result<Overload, Refusal> {
    let overload = Overload {
        pod_requests: args.max_pod_requests,
        pod_connections: args.max_pod_connections,
        pending: args.pending,
        pending_timeout: args.pending_timeout.0,
    };
    if let Some(most) = overload
        .pod_connections
        .filter(|most| *most < workers.get())
    {
        let flag = origin.flag("max_pod_connections");
        return Err(Refusal::usage(format_args!(
            "{flag} is {most}, and each of the {workers} workers needs a connection of its own to a pod: raise it to \
             {workers} at least, or give --workers {most}"
        )));
    }
    match origin.first_given(&["pending", "pending_timeout"]) {
        Some(idle) if !overload.is_on() => Err(Refusal::usage(format_args!(
            "{idle} is about requests that wait while every pod is full, and no pod ever is: add --max-pod-requests N (or \
             adaptive) or --max-pod-connections N, or leave it out"
        ))),
        _ => Ok(overload),
    }
}
