//! What docs/policies.md claims, by the simulation that its tables are from.

#[path = "../../../benches/policies/simulation.rs"]
mod scene;

use std::time::Duration;

use podrobin::config::Policy;
use scene::{Cold, Pause, Pod, Scene, Seen};

const SEEDS: [u64; 3] = [1, 2, 3];

fn run(scene: &Scene, policy: &str, seed: u64) -> Seen {
    let mut scene = scene.clone();
    scene.lasts = Duration::from_secs(8);
    let policy: Policy = policy.parse().unwrap();
    scene.run(&policy, seed)
}

#[test]
fn with_a_slow_pod_least_request_and_peak_ewma_beat_round_robin_at_p99() {
    let slow = Pod {
        slowness: 10.0,
        ..Pod::usual()
    };
    for pods in [3, 10] {
        let scene = Scene::new("one is 10x slower", pods, 1, &slow);
        for seed in SEEDS {
            let [round_robin, least_request, peak_ewma] =
                ["round-robin", "least-request", "peak-ewma"]
                    .map(|policy| run(&scene, policy, seed));
            assert!(round_robin.odd > 0.95, "{round_robin:?}");
            assert!(least_request.odd < 0.3, "{least_request:?}");
            assert!(peak_ewma.odd < 0.1, "{peak_ewma:?}");
            assert!(
                4 * least_request.p99 < 3 * round_robin.p99,
                "{least_request:?}"
            );
            assert!(2 * peak_ewma.p99 < round_robin.p99, "{peak_ewma:?}");
        }
    }
}

#[test]
fn a_pod_that_fails_fast_draws_requests_under_least_request_and_not_under_peak_ewma() {
    let failing = Pod {
        failing: 1.0,
        ..Pod::usual()
    };
    let scene = Scene::new("one fails all", 10, 1, &failing);
    for seed in SEEDS {
        let [least_request, peak_ewma] =
            ["least-request", "peak-ewma"].map(|policy| run(&scene, policy, seed));
        assert!(least_request.failed > 0.1, "{least_request:?}");
        assert!(peak_ewma.failed < 0.01, "{peak_ewma:?}");
    }
}

#[test]
fn a_pod_that_hangs_costs_least_request_and_peak_ewma_few_requests() {
    let hanging = Pod {
        hangs_from: Some(Duration::from_secs(2)),
        ..Pod::usual()
    };
    let scene = Scene::new("one hangs", 10, 1, &hanging);
    for seed in SEEDS {
        let failed = |policy| run(&scene, policy, seed).failed;
        assert!(failed("round-robin") > 0.05);
        assert!(failed("least-request") < 0.01);
        assert!(failed("peak-ewma") < 0.01);
    }
}

#[test]
fn pods_that_pause_or_start_cold_hold_up_fewer_requests_where_load_is_looked_at() {
    let pausing = Pod {
        pause: Some(Pause {
            every: Duration::from_secs(2),
            lasts: Duration::from_millis(400),
            first: Duration::from_secs(1),
        }),
        ..Pod::usual()
    };
    let cold = Pod {
        cold: Some(Cold {
            joins: Duration::from_secs(3),
            lasts: Duration::from_secs(2),
            slowness: 20.0,
        }),
        ..Pod::usual()
    };
    for (name, pod) in [("one pauses", pausing), ("one is cold", cold)] {
        let scene = Scene::new(name, 10, 1, &pod);
        for seed in SEEDS {
            let p99 = |policy| run(&scene, policy, seed).p99;
            let round_robin = p99("round-robin");
            for policy in ["least-request", "peak-ewma"] {
                let p99 = p99(policy);
                assert!(2 * p99 < round_robin, "{}: {policy} {p99:?}", scene.name);
            }
        }
    }
}

#[test]
fn the_same_seed_gives_the_same_figures() {
    let scene = Scene::new("alike", 3, 0, &Pod::usual());
    for policy in super::POLICIES {
        let figures = || {
            let seen = run(&scene, policy, 5);
            (seen.p50, seen.p99, seen.p999)
        };
        assert_eq!(figures(), figures(), "{policy}");
    }
}
