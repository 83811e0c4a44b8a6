//! What docs/policies.md claims, by the simulation that its tables are from.

#[path = "../../../benches/policies/guards.rs"]
mod guards;
#[path = "../../../benches/policies/pod.rs"]
mod pod;
#[path = "../../../benches/policies/request.rs"]
mod request;
#[path = "../../../benches/policies/run.rs"]
mod run;
#[path = "../../../benches/policies/scene.rs"]
mod scene;
#[path = "../../../benches/policies/sidecar.rs"]
mod sidecar;

use std::time::Duration;

use guards::Guards;
use pod::{Cold, Pod, Spells};
use podrobin::config::Policy;
use scene::{Scene, Seen};

const SEEDS: [u64; 3] = [1, 2, 3];

/// The policy alone.
fn run(scene: &Scene, policy: &str, seed: u64) -> Seen {
    guarded(scene, policy, Guards::Nothing, seed)
}

fn guarded(scene: &Scene, policy: &str, guards: Guards, seed: u64) -> Seen {
    let mut scene = scene.clone();
    scene.lasts = Duration::from_secs(8);
    let policy: Policy = policy.parse().unwrap();
    scene.run(&policy, guards, seed)
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
        pause: Some(Spells {
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
fn what_waits_at_a_pod_that_hangs_is_taken_back() {
    let hanging = Pod {
        hangs_from: Some(Duration::from_secs(1)),
        ..Pod::usual()
    };
    let scene = Scene::new("one hangs", 10, 1, &hanging);
    for seed in SEEDS {
        let seen = |guards| guarded(&scene, "round-robin", guards, seed);
        let (alone, usual) = (seen(Guards::Nothing), seen(Guards::Usual));
        assert!(alone.failed > 0.05, "{alone:?}");
        assert!(usual.failed < 0.1 * alone.failed, "{usual:?}");
        // Before clients have waited their two seconds, each of them once.
        assert!(usual.p99 < Duration::from_millis(1_900), "{usual:?}");
        assert!((0.001..0.05).contains(&usual.again), "{usual:?}");
    }
}

#[test]
fn a_hedge_cures_pauses_and_a_retry_failures_for_what_the_budget_allows() {
    let mut pausing = Scene::new("each pauses in turn", 10, 0, &Pod::usual());
    for (pod, start) in pausing.pods.iter_mut().zip(0..) {
        pod.pause = Some(Spells {
            every: Duration::from_secs(5),
            lasts: Duration::from_millis(200),
            first: Duration::from_millis(500) * start,
        });
    }
    let failing = Pod {
        failing: 1.0,
        ..Pod::usual()
    };
    let failing = Scene::new("one fails all", 10, 1, &failing);
    for seed in SEEDS {
        let pauses = |guards| guarded(&pausing, "round-robin", guards, seed);
        let (alone, again) = (pauses(Guards::Nothing), pauses(Guards::Again));
        assert!(2 * again.p99 < alone.p99, "{again:?}");
        assert_eq!(alone.again, 0.0);
        assert!((0.02..0.1).contains(&again.again), "{again:?}");

        let fails = |policy| guarded(&failing, policy, Guards::Again, seed);
        assert!(fails("round-robin").failed < 0.001);
        // It draws more than the budget pays for.
        let drawn = fails("least-request:choices=5");
        assert!(drawn.failed > 0.05, "{drawn:?}");
        assert!((0.18..0.22).contains(&drawn.again), "{drawn:?}");
    }
}

#[test]
fn pods_that_fail_or_are_slow_are_ejected_where_pods_are_compared() {
    let failing = Pod {
        failing: 0.3,
        ..Pod::usual()
    };
    let slow = Pod {
        slowness: 10.0,
        ..Pod::usual()
    };
    for pod in [failing, slow] {
        let scene = Scene::new("one is bad", 10, 1, &pod);
        for seed in SEEDS {
            let odd = |guards| guarded(&scene, "round-robin", guards, seed).odd;
            assert!(odd(Guards::Usual) > 0.95);
            let guarded = odd(Guards::All);
            assert!(guarded < 0.5, "{guarded}: {pod:?}");
        }
    }
}

#[test]
fn a_cold_pod_comes_to_its_share_by_and_by_where_there_is_slow_start() {
    let cold = Pod {
        cold: Some(Cold {
            joins: Duration::from_secs(2),
            lasts: Duration::from_secs(2),
            slowness: 2.0,
        }),
        ..Pod::usual()
    };
    let scene = Scene::new("one is cold", 10, 1, &cold);
    for policy in ["round-robin", "least-request", "weighted", "hash:path"] {
        let shares = |guards| guarded(&scene, policy, guards, 1).odd_by_second;
        let (at_once, by_and_by) = (shares(Guards::Usual), shares(Guards::All));
        assert!(at_once[2] > 0.5, "{policy}: {at_once:?}");
        assert!(by_and_by[2] < 0.4, "{policy}: {by_and_by:?}");
        assert!(
            by_and_by[3..].is_sorted_by(|one, next| *one < next + 0.15),
            "{policy}: {by_and_by:?}"
        );
    }
}

#[test]
fn with_reports_the_load_follows_what_pods_can_do() {
    let slow = Pod {
        slowness: 4.0,
        ..Pod::usual()
    };
    let scene = Scene::new("half are slow", 10, 5, &slow);
    let orca = "weighted:orca:blackout=0:update=500ms";
    for seed in SEEDS {
        let odd = run(&scene, orca, seed).odd;
        // Of five: a quarter beside a whole.
        assert!((odd - 0.4).abs() < 0.1, "{odd}");
    }
}

#[test]
fn the_same_seed_gives_the_same_figures() {
    let scene = Scene::new("alike", 3, 0, &Pod::usual());
    for (policy, guards) in super::POLICIES
        .into_iter()
        .zip(Guards::ALL.into_iter().cycle())
    {
        let figures = || {
            let seen = guarded(&scene, policy, guards, 5);
            (seen.p50, seen.p99, seen.p999)
        };
        assert_eq!(figures(), figures(), "{policy}");
    }
}
