//! Where we stand: what the own pod has to do with the choice of endpoints.

use crate::config::{FamilyChoice, OwnPod};

use super::slices::{Family, Selection};

/// What is wanted of any Service as seen from `pod`; the port is still open.
pub fn selection(pod: &OwnPod) -> Selection {
    Selection {
        port: None,
        node: pod.node.clone(),
        zone: pod.zone.clone(),
        family: family(pod),
        local: false,
    }
}

fn family(pod: &OwnPod) -> Family {
    match (pod.family, pod.ip) {
        (FamilyChoice::Ipv4, _) => Family::Ipv4,
        (FamilyChoice::Ipv6, _) => Family::Ipv6,
        (FamilyChoice::Auto, Some(ip)) if ip.is_ipv6() => Family::PreferIpv6,
        (FamilyChoice::Auto, _) => Family::PreferIpv4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn family_of(family_choice: FamilyChoice, ip: Option<&str>) -> Family {
        family(&OwnPod {
            family: family_choice,
            ip: ip.map(|ip| ip.parse().unwrap()),
            ..OwnPod::default()
        })
    }

    #[test]
    fn the_flag_decides_then_the_own_address_then_ipv4() {
        use FamilyChoice::{Auto, Ipv4, Ipv6};
        assert_eq!(family_of(Ipv4, Some("fd00::1")), Family::Ipv4);
        assert_eq!(family_of(Ipv6, Some("10.0.0.1")), Family::Ipv6);
        assert_eq!(family_of(Auto, Some("fd00::1")), Family::PreferIpv6);
        assert_eq!(family_of(Auto, Some("10.0.0.1")), Family::PreferIpv4);
        assert_eq!(family_of(Auto, None), Family::PreferIpv4);
    }
}
