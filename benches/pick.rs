//! What a pick costs, and what folding a large Service's slices costs.
//!
//! `cargo bench --bench pick`. Each figure is the median of rounds, on one thread.

use std::collections::BTreeMap;
use std::hint::black_box;
use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::api::discovery::v1::{Endpoint, EndpointConditions, EndpointPort, EndpointSlice};
use podrobin::balance::{Balancer, Candidate};
use podrobin::config::Policy;
use podrobin::discovery::slices::{Selection, Slice, Slices, fold};
use podrobin::endpoint::Identity;

const ROUNDS: usize = 31;
const PICKS: u32 = 100_000;

fn main() {
    for policy in [Policy::RoundRobin, Policy::Random] {
        for endpoints in [3, 10, 100, 1_000, 100_000] {
            let picker = Balancer::new(policy).picker(&candidates(endpoints));
            let took = median(|| {
                for _ in 0..PICKS {
                    black_box(picker.pick(|_| false));
                }
            });
            report(
                &format!("pick, {}, {endpoints} endpoints", policy.as_str()),
                took,
                PICKS,
            );
        }
    }
    let selection = Selection::default();
    for (count, endpoints) in [(10, 1_000), (1_000, 100_000)] {
        let slices = slices(count, 100);
        assert_eq!(fold(&slices, &selection).endpoints.len(), endpoints);
        let took = median(|| drop(black_box(fold(&slices, &selection))));
        let weight: usize = slices.values().map(Slice::weight).sum();
        println!("{endpoints} endpoints weigh {weight} bytes");
        report(
            &format!("fold, {endpoints} endpoints in {count} slices"),
            took,
            1,
        );
    }
}

fn report(what: &str, took: Duration, times: u32) {
    let nanos = took.as_secs_f64() * 1e9 / f64::from(times);
    println!("{what:<40} {nanos:>12.1} ns");
}

fn median(mut run: impl FnMut()) -> Duration {
    run();
    let mut rounds: Vec<Duration> = (0..ROUNDS)
        .map(|_| {
            let start = Instant::now();
            run();
            start.elapsed()
        })
        .collect();
    rounds.sort();
    rounds[ROUNDS / 2]
}

fn candidates(count: usize) -> Vec<Candidate> {
    (0..count)
        .map(|member| Candidate {
            member,
            identity: Identity {
                address: (
                    [
                        10,
                        byte(member / 62_500),
                        byte(member / 250 % 250),
                        byte(member % 250),
                    ],
                    8080,
                )
                    .into(),
                uid: Some(format!("uid-{member}")),
            },
            trial: false,
        })
        .collect()
}

fn slices(count: usize, endpoints: usize) -> Slices {
    let slice = |number: usize| {
        let slice = EndpointSlice {
            address_type: "IPv4".to_owned(),
            ports: Some(vec![EndpointPort {
                port: Some(8080),
                ..EndpointPort::default()
            }]),
            endpoints: Some(
                (0..endpoints)
                    .map(|index| endpoint(number, index))
                    .collect(),
            ),
            ..EndpointSlice::default()
        };
        (format!("cart-{number}"), Slice::from(slice))
    };
    (0..count).map(slice).collect::<BTreeMap<_, _>>()
}

fn endpoint(slice: usize, index: usize) -> Endpoint {
    Endpoint {
        addresses: vec![format!("10.{}.{}.{index}", slice / 250, slice % 250)],
        conditions: Some(EndpointConditions {
            ready: Some(true),
            serving: Some(true),
            terminating: Some(false),
        }),
        node_name: Some(format!("node-{}", index % 20)),
        zone: Some(format!("zone-{}", index % 3)),
        target_ref: Some(ObjectReference {
            name: Some(format!("cart-{slice}-{index}")),
            uid: Some(format!("uid-{slice}-{index}")),
            ..ObjectReference::default()
        }),
        ..Endpoint::default()
    }
}

fn byte(number: usize) -> u8 {
    u8::try_from(number % 256).unwrap_or(u8::MAX)
}
