//! Which endpoints of a big Service this sidecar uses: so many, its own choice of them.
//!
//! Rendezvous hashing, as gRPC's random subsetting has it (gRFC A68): each endpoint has a number that depends on itself
//! and on who asks, and the lowest are used. So an endpoint that goes or comes changes the place of one other at most, and
//! the choices of all sidecars together are even as if drawn at random.

use crate::config::Subset;
use crate::endpoint::{Endpoint, Standing};
use crate::stable_hash::stable_hash;

/// Leaves traffic to as many of those that would get some as the subset has room for. Weight 0 takes no room from others.
pub(super) fn choose(endpoints: &mut [Endpoint], subset: &Subset) {
    let asking = stable_hash(subset.own.as_bytes(), 0);
    let mut ranked: Vec<(bool, u64, &mut Endpoint)> = endpoints
        .iter_mut()
        .filter(|endpoint| endpoint.is_used())
        .map(|endpoint| {
            let name = endpoint.address().to_string();
            let rank = stable_hash(name.as_bytes(), asking);
            (endpoint.weight == 0, rank, endpoint)
        })
        .collect();
    ranked.sort_unstable_by_key(|(drained, rank, _)| (*drained, *rank));
    for (_, _, endpoint) in ranked.into_iter().skip(subset.most) {
        endpoint.standing = Standing::Outside;
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};
    use std::net::SocketAddr;

    use proptest::prelude::*;

    use super::*;
    use crate::endpoint::{AppProtocol, Identity};

    fn endpoint(number: u16, standing: Standing, weight: u32) -> Endpoint {
        Endpoint {
            identity: Identity {
                address: ([10, 0, 0, 1], number).into(),
                uid: None,
            },
            pod: None,
            node: None,
            zone: None,
            protocol: AppProtocol::Http1,
            weight,
            standing,
        }
    }

    fn chosen(endpoints: &[Endpoint], most: usize, own: &str) -> BTreeSet<SocketAddr> {
        let subset = Subset {
            most,
            own: own.to_owned(),
        };
        let mut endpoints = endpoints.to_vec();
        choose(&mut endpoints, &subset);
        let used = endpoints.iter().filter(|endpoint| endpoint.is_used());
        used.map(Endpoint::address).collect()
    }

    fn standing() -> impl Strategy<Value = Standing> {
        prop_oneof![
            6 => Just(Standing::Ready),
            1 => Just(Standing::Fallback),
            1 => Just(Standing::NotReady),
            1 => Just(Standing::Elsewhere),
        ]
    }

    proptest! {
        #[test]
        fn as_many_are_used_as_there_is_room_for_and_a_change_of_one_moves_one(
            given in prop::collection::vec((standing(), 0_u32..3), 1..40),
            most in 1_usize..20,
            own in "[a-z]{1,8}",
            gone in any::<prop::sample::Index>(),
        ) {
            let endpoints: Vec<Endpoint> = (1..)
                .zip(given)
                .map(|(number, (standing, weight))| endpoint(number, standing, weight))
                .collect();
            let used = endpoints.iter().filter(|endpoint| endpoint.is_used());
            let before = chosen(&endpoints, most, &own);
            prop_assert_eq!(before.len(), used.clone().count().min(most));
            // One of weight 0 only where all others are in.
            let drained = used.clone().any(|endpoint| {
                endpoint.weight == 0 && before.contains(&endpoint.address())
            });
            let left_out = used.clone().any(|endpoint| {
                endpoint.weight > 0 && !before.contains(&endpoint.address())
            });
            prop_assert!(!(drained && left_out));

            let mut fewer = endpoints.clone();
            let gone = fewer.remove(gone.index(endpoints.len())).address();
            let after = chosen(&fewer, most, &own);
            let lost: Vec<_> = before.difference(&after).collect();
            prop_assert!(lost.iter().all(|lost| **lost == gone));
            prop_assert!(after.difference(&before).count() <= 1);
        }
    }

    /// 5,000 sidecars that use 20 of 100 pods each: 1,000 to a pod on average, of which the spread of a draw at random is
    /// 28. Within a tenth is more than three times that; with fewer sidecars it would be less even.
    #[test]
    fn all_sidecars_together_use_all_pods_within_a_tenth() {
        let endpoints: Vec<Endpoint> = (1..=100)
            .map(|number| endpoint(number, Standing::Ready, 1))
            .collect();
        let mut users: BTreeMap<SocketAddr, u32> = BTreeMap::new();
        for sidecar in 0..5_000 {
            for address in chosen(&endpoints, 20, &format!("web-7d4b9c-{sidecar:05}")) {
                *users.entry(address).or_default() += 1;
            }
        }
        assert_eq!(users.len(), 100);
        let (least, most) = (users.values().min(), users.values().max());
        assert!(
            least >= Some(&900) && most <= Some(&1100),
            "{least:?} to {most:?}"
        );
    }
}
