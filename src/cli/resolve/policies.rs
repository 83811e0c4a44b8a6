//! Which policy each listener has: the one for its Service, or the one for all.

use super::super::Refusal;
use super::Origin;
use crate::config::{Policy, Source};
use crate::value::{PolicyArg, ServiceArg, Stray};

/// One for each of `sources`, in their order.
pub(super) fn resolve(
    args: &[PolicyArg],
    sources: &[&Source],
    namespace: Option<&str>,
    origin: &Origin<'_>,
) -> Result<Vec<Policy>, Refusal> {
    let names = |name: &ServiceArg, source: &Source| match source {
        Source::Service(service) => name.names(&ServiceArg::from(service), namespace),
        _ => false,
    };
    let is_served = |name: &ServiceArg| sources.iter().any(|source| names(name, source));
    if let Some(stray) = PolicyArg::strays(args, is_served).next() {
        let flag = origin.flag("policies");
        return Err(match stray {
            Stray::Second(first, second) => Refusal::usage(format_args!(
                "{flag} says {first} and {second}: give one policy for all, and one for each Service that is to have \
                 another, such as shop/pay=least-request"
            )),
            Stray::Nobodys(policy, _) => Refusal::usage(format_args!(
                "{flag} {policy} is for a Service that no --service names: write it as there, or drop it"
            )),
        });
    }
    let of = |source: &Source| {
        // The more exact name goes first: one with the port before one without.
        let own = args
            .iter()
            .filter_map(|arg| Some((arg.service.as_ref()?, arg)))
            .filter(|(name, _)| names(name, source))
            .max_by_key(|(name, _)| name.has_port())
            .map(|(_, arg)| arg);
        let common = || args.iter().find(|arg| arg.service.is_none());
        own.or_else(common)
            .map(|arg| arg.policy.clone())
            .unwrap_or_default()
    };
    Ok(sources.iter().map(|source| of(source)).collect())
}
