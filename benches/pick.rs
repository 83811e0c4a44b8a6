//! What a pick costs, and what folding a large Service's slices costs.
//!
//! `cargo bench --bench pick`. Each figure is the quickest of many rounds, on one thread: whatever else
//! the machine does only adds to it.

use std::collections::BTreeMap;
use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::api::discovery::v1::{Endpoint, EndpointConditions, EndpointPort, EndpointSlice};
use podrobin::balance::{Ask, Balancer, Candidate, Picker};
use podrobin::config::{HashKey, Orca, Policy};
use podrobin::discovery::slices::{Selection, Slice, Slices, fold};
use podrobin::endpoint::Identity;
use podrobin::stats::{Outcome, TargetStats};

const ROUNDS: usize = 101;
const WORKERS: usize = 2;

const PICKS: u32 = 10_000;

fn main() {
    for policy in &policies() {
        for endpoints in [3, 100, 1_000] {
            let (candidates, mut balancer) = set(policy, endpoints);
            let picker = balancer.picker(&candidates);
            let took = quickest(|| pick(&picker));
            report(
                &format!("pick, {policy}, {endpoints} endpoints"),
                took,
                PICKS,
            );
        }
    }
    for policy in &policies() {
        for endpoints in [3, 1_000] {
            let (candidates, _) = set(policy, endpoints);
            let took = quickest(|| drop(black_box(fresh(policy).picker(&candidates))));
            let what = format!("picker made, {policy}, {endpoints} endpoints");
            report(&what, took, 1);
        }
    }
    let selection = Selection::default();
    for (count, endpoints) in [(10, 1_000), (1_000, 100_000)] {
        let slices = slices(count, 100);
        assert_eq!(fold(&slices, &selection).endpoints.len(), endpoints);
        let took = quickest(|| drop(black_box(fold(&slices, &selection))));
        let weight: usize = slices.values().map(Slice::weight).sum();
        println!("{endpoints} endpoints weigh {weight} bytes");
        report(
            &format!("fold, {endpoints} endpoints in {count} slices"),
            took,
            1,
        );
    }
}

fn policies() -> [Policy; 8] {
    [
        Policy::RoundRobin,
        Policy::Random,
        Policy::LeastRequest { choices: 2 },
        Policy::LeastRequest { choices: 5 },
        Policy::PeakEwma {
            decay: Duration::from_secs(10),
        },
        Policy::Weighted,
        Policy::Orca(Orca::default()),
        Policy::Hash(HashKey::Path),
    ]
}

fn fresh(policy: &Policy) -> Balancer {
    Balancer::new(policy, &Arc::new(TargetStats::new(WORKERS)))
}

/// Endpoints that have been in use, of different weights, and whose pickers they are for.
fn set(policy: &Policy, endpoints: usize) -> (Vec<Candidate>, Balancer) {
    let balancer = fresh(policy);
    let candidates = candidates(endpoints, &balancer);
    let now = Instant::now();
    for (candidate, millis) in candidates.iter().zip((1..20).cycle()) {
        candidate.stats.shard(0).start();
        if let Some(latency) = candidate.stats.latency() {
            latency.observe(Outcome::Answered, Duration::from_millis(millis), now);
        }
    }
    (candidates, balancer)
}

/// As a worker picks: with a key, which most policies do not look at, and the real clock.
fn pick(picker: &Picker) {
    for number in 0..u64::from(PICKS) {
        let key = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        black_box(picker.pick(&Ask::now(Some(key)), |_| false));
    }
}

fn report(what: &str, took: Duration, times: u32) {
    let nanos = took.as_secs_f64() * 1e9 / f64::from(times);
    println!("{what:<56} {nanos:>12.1} ns");
}

fn quickest(mut run: impl FnMut()) -> Duration {
    let rounds = (0..ROUNDS).map(|_| {
        let start = Instant::now();
        run();
        start.elapsed()
    });
    rounds.min().unwrap_or_default()
}

fn candidates(count: usize, balancer: &Balancer) -> Vec<Candidate> {
    let now = Instant::now();
    (0..count)
        .zip((1..=10).cycle())
        .map(|(member, weight)| Candidate {
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
            weight,
            ramp: None,
            stats: balancer.stats(WORKERS, now).into(),
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
