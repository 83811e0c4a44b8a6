//! IPv4 or IPv6: a dual-stack Service has one set of slices for each, of the same pods (KEP-563).
//!
//! A pod counts once, so one family is used at a time.

use std::net::IpAddr;

use super::{Family, Slices};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum IpFamily {
    V4,
    V6,
}

impl IpFamily {
    /// From a slice's `addressType`. FQDN has no agreed meaning, and kube-proxy ignores it too.
    pub(super) fn read(address_type: &str) -> Option<Self> {
        match address_type {
            "IPv4" => Some(Self::V4),
            "IPv6" => Some(Self::V6),
            _ => None,
        }
    }

    /// An IPv4 address written as IPv6 (`::ffff:10.0.0.1`) belongs to neither: it would be a second name for the same
    /// pod.
    pub(super) fn holds(self, ip: IpAddr) -> bool {
        match ip {
            IpAddr::V4(_) => self == Self::V4,
            IpAddr::V6(ip) => self == Self::V6 && ip.to_ipv4_mapped().is_none(),
        }
    }

    fn other(self) -> Self {
        match self {
            Self::V4 => Self::V6,
            Self::V6 => Self::V4,
        }
    }

    fn as_str(self) -> &'static str {
        match self {
            Self::V4 => "IPv4",
            Self::V6 => "IPv6",
        }
    }
}

/// The family to use for a port: the one preferred, if the Service has any endpoint of it, ready or not.
///
/// Ready does not matter here: both families are the same pods, and a Service whose pods fail must not flip to other
/// identities. Also returns a note where the family demanded is not there and the other one is.
pub(super) fn choose(slices: &Slices, port: &str, wanted: Family) -> (IpFamily, Option<String>) {
    let (first, strict) = match wanted {
        Family::PreferIpv4 => (IpFamily::V4, false),
        Family::PreferIpv6 => (IpFamily::V6, false),
        Family::Ipv4 => (IpFamily::V4, true),
        Family::Ipv6 => (IpFamily::V6, true),
    };
    let other = first.other();
    if has(slices, port, first) || !has(slices, port, other) {
        (first, None)
    } else if strict {
        let note = format!(
            "the Service has no {} endpoints, which were asked for, only {} ones",
            first.as_str(),
            other.as_str()
        );
        (first, Some(note))
    } else {
        (other, None)
    }
}

fn has(slices: &Slices, port: &str, family: IpFamily) -> bool {
    slices
        .values()
        .filter(|slice| slice.number(port).is_some())
        .flat_map(|slice| &slice.backends)
        .any(|backend| family.holds(backend.ip))
}
