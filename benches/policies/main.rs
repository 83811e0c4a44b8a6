//! What each policy makes of pods that are slow, pause, start cold, fail or hang.
//!
//! `cargo bench --bench policies` prints a table of the tables in docs/policies.md; it takes seconds.

mod simulation;

use std::time::Duration;

use podrobin::config::{HashKey, Policy};
use simulation::{Cold, Pause, Pod, Scene};

const SEED: u64 = 7;

fn main() {
    println!(
        "| {:<42} | {:<24} | {:>7} | {:>7} | {:>7} | {:>9} | {:>7} |",
        "scene", "policy", "p50 ms", "p99 ms", "p99.9", "odd share", "failed"
    );
    println!("|---|---|---|---|---|---|---|");
    for scene in scenes() {
        for policy in policies() {
            let seen = scene.run(&policy, SEED);
            let ms = |time: Duration| time.as_secs_f64() * 1e3;
            let odd = match scene.odd {
                0 => "-".to_owned(),
                _ => format!("{:.2}", seen.odd),
            };
            println!(
                "| {:<42} | {:<24} | {:>7.1} | {:>7.1} | {:>7.1} | {odd:>9} | {:>6.2}% |",
                scene.name,
                policy.to_string(),
                ms(seen.p50),
                ms(seen.p99),
                ms(seen.p999),
                seen.failed * 100.0,
            );
        }
    }
}

fn policies() -> [Policy; 6] {
    [
        Policy::RoundRobin,
        Policy::Random,
        Policy::LeastRequest { choices: 2 },
        Policy::LeastRequest { choices: 5 },
        Policy::PeakEwma {
            decay: Duration::from_secs(10),
        },
        Policy::Hash(HashKey::Path),
    ]
}

fn scenes() -> Vec<Scene> {
    let usual = Pod::usual;
    let slow = Pod {
        slowness: 10.0,
        ..usual()
    };
    let pausing = Pod {
        pause: Some(Pause {
            every: Duration::from_secs(5),
            lasts: Duration::from_millis(200),
            first: Duration::from_secs(3),
        }),
        ..usual()
    };
    let cold = Pod {
        cold: Some(Cold {
            joins: Duration::from_secs(10),
            lasts: Duration::from_secs(3),
            slowness: 20.0,
        }),
        ..usual()
    };
    let failing = |failing| Pod { failing, ..usual() };
    let hanging = Pod {
        hangs_from: Some(Duration::from_secs(5)),
        ..usual()
    };
    let mut all_pause = Scene::new("10 pods, each pauses 200 ms every 5 s", 10, 0, &usual());
    for (pod, start) in all_pause.pods.iter_mut().zip(0..) {
        pod.pause = Some(Pause {
            every: Duration::from_secs(5),
            lasts: Duration::from_millis(200),
            first: Duration::from_millis(500) * start,
        });
    }
    let mut all_fail = Scene::new("10 pods, each fails 1 %", 10, 0, &usual());
    for pod in &mut all_fail.pods {
        pod.failing = 0.01;
    }
    let mut many = Scene::new("100 pods, 5 are 10x slower, 50 sidecars", 100, 5, &slow);
    many.sidecars = 50;
    many.lasts = Duration::from_secs(8);
    let mut busy = Scene::new("10 pods alike, at 80 % of what they can", 10, 0, &usual());
    busy.rate = 25_600.0;
    busy.lasts = Duration::from_secs(5);
    vec![
        Scene::new("10 pods alike", 10, 0, &usual()),
        busy,
        Scene::new("3 pods, one is 10x slower", 3, 1, &slow),
        Scene::new("10 pods, one is 10x slower", 10, 1, &slow),
        many,
        Scene::new("10 pods, one pauses 200 ms every 5 s", 10, 1, &pausing),
        all_pause,
        Scene::new("10 pods, two join cold: 20x slower for 3 s", 10, 2, &cold),
        Scene::new("10 pods, one fails 20 % at once", 10, 1, &failing(0.2)),
        Scene::new("10 pods, one fails all at once", 10, 1, &failing(1.0)),
        all_fail,
        Scene::new("10 pods, one hangs from 5 s on", 10, 1, &hanging),
    ]
}
