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
    let idle = ["pending", "pending_timeout"];
    let idle = idle.into_iter().find(|id| origin.is_given(id));
    if let (Some(idle), false) = (idle, overload.is_on()) {
        return Err(Refusal::usage(format_args!(
            "{} is about requests that wait while every pod is full, and no pod ever is: add --max-pod-requests N, \
             or leave it out",
            origin.flag(idle)
        )));
    }
    Ok(overload)
}
