//! `--policy`: a policy, and the Service that it is for.

use std::fmt;
use std::str::FromStr;

use super::{ServiceArg, service_name};
use crate::config::Policy;

/// `[SERVICE=]POLICY`, SERVICE being `[NAMESPACE/]NAME[:PORT]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyArg {
    /// Without one it is for all that have none of their own.
    pub service: Option<ServiceArg>,
    pub policy: Policy,
}

/// A policy that makes no sense among others.
#[derive(Clone, Copy, Debug)]
pub enum Stray<'a> {
    /// One before it is for the same.
    Second(&'a PolicyArg, &'a PolicyArg),
    /// It is for a Service that is not served.
    Nobodys(&'a PolicyArg, &'a ServiceArg),
}

impl PolicyArg {
    /// Those that make no sense, in their order.
    pub fn strays<'a>(
        policies: &'a [Self],
        is_served: impl Fn(&ServiceArg) -> bool,
    ) -> impl Iterator<Item = Stray<'a>> {
        policies
            .iter()
            .enumerate()
            .filter_map(move |(index, policy)| {
                let mut before = policies[..index].iter();
                if let Some(first) = before.find(|other| other.service == policy.service) {
                    return Some(Stray::Second(first, policy));
                }
                let service = policy.service.as_ref()?;
                (!is_served(service)).then_some(Stray::Nobodys(policy, service))
            })
    }
}

impl FromStr for PolicyArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        // Options of a policy have an equals sign too.
        let whole = match text.parse() {
            Ok(policy) => {
                return Ok(Self {
                    service: None,
                    policy,
                });
            }
            Err(reason) => reason,
        };
        let Some((service, policy)) = text.split_once('=') else {
            return Err(whole);
        };
        let (namespace, name, port) = service_name(service)?;
        let service = ServiceArg {
            listen: None,
            namespace,
            name,
            port,
        };
        match policy.parse() {
            Ok(policy) => Ok(Self {
                service: Some(service),
                policy,
            }),
            Err(_) if Policy::is_named_by(text) => Err(whole),
            Err(reason) => Err(reason),
        }
    }
}

impl fmt::Display for PolicyArg {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(service) = &self.service {
            write!(f, "{service}=")?;
        }
        self.policy.fmt(f)
    }
}
