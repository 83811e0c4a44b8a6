//! Which policy each listener has: the one for its Service, or the one for all.

use super::super::Refusal;
use super::Origin;
use crate::config::{Policy, Source};
use crate::value::{PolicyArg, ServiceArg};

/// One for each of `sources`, in their order.
pub(super) fn resolve(
    args: &[PolicyArg],
    sources: &[&Source],
    namespace: Option<&str>,
    origin: &Origin<'_>,
) -> Result<Vec<Policy>, Refusal> {
    let names = |arg: &PolicyArg, source: &Source| match (&arg.service, source) {
        (Some(name), Source::Service(service)) => name.names(&ServiceArg::from(service), namespace),
        _ => false,
    };
    for (index, arg) in args.iter().enumerate() {
        if let Some(before) = args[..index].iter().find(|it| it.service == arg.service) {
            return Err(Refusal::usage(format_args!(
                "{} says {before} and {arg}: give one policy for all, and one for each Service that is to have another, \
                 such as shop/pay=least-request",
                origin.flag("policies")
            )));
        }
        let of_nobody = arg.service.is_some() && !sources.iter().any(|source| names(arg, source));
        if of_nobody {
            return Err(Refusal::usage(format_args!(
                "{} {arg} is for a Service that no --service names: write it as there, or drop it",
                origin.flag("policies")
            )));
        }
    }
    let of = |source: &Source| {
        // The more exact name goes first: one with the port before one without.
        let own = args
            .iter()
            .filter(|arg| names(arg, source))
            .max_by_key(|arg| arg.service.as_ref().is_some_and(ServiceArg::has_port));
        let common = || args.iter().find(|arg| arg.service.is_none());
        own.or_else(common)
            .map(|arg| arg.policy.clone())
            .unwrap_or_default()
    };
    Ok(sources.iter().map(|source| of(source)).collect())
}
