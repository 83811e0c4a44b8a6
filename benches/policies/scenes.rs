//! The scenes of the tables.

use std::time::Duration;

use super::pod::{Cold, Pod, Spells};
use super::scene::Scene;

pub fn scenes() -> Vec<Scene> {
    let seconds = Duration::from_secs;
    let usual = Pod::usual;
    let slow = slow();
    let pausing = Pod {
        pause: Some(pauses(seconds(3))),
        ..usual()
    };
    let failing = |failing| Pod { failing, ..usual() };
    let hanging = Pod {
        hangs_from: Some(seconds(5)),
        ..usual()
    };
    let mut all_pause = Scene::new("10 pods, each pauses 200 ms every 5 s", 10, 0, &usual());
    for (pod, start) in all_pause.pods.iter_mut().zip(0..) {
        pod.pause = Some(pauses(Duration::from_millis(500) * start));
    }
    let mut noisy = Scene::new(
        "10 pods, on 5 in turn others are noisy: 5x",
        10,
        5,
        &usual(),
    );
    for (pod, start) in noisy.pods.iter_mut().take(5).zip(0..) {
        let spells = Spells {
            every: seconds(10),
            lasts: seconds(2),
            first: seconds(2) * start,
        };
        pod.noise = Some((spells, 5.0));
    }
    let mut all_fail = Scene::new("10 pods, each fails 1 %", 10, 0, &usual());
    for pod in &mut all_fail.pods {
        pod.failing = 0.01;
    }
    let mut busy = Scene::new("10 pods alike, at 80 % of what they can", 10, 0, &usual());
    busy.rate = 25_600.0;
    busy.lasts = seconds(5);
    let mut crowd = Scene::new(
        "1,000 pods, 50 are 10x slower, 500 sidecars",
        1000,
        50,
        &slow,
    );
    crowd.sidecars = 500;
    crowd.lasts = seconds(2);
    vec![
        Scene::new("10 pods alike", 10, 0, &usual()),
        busy,
        Scene::new("3 pods, one is 10x slower", 3, 1, &slow),
        Scene::new("10 pods, one is 10x slower", 10, 1, &slow),
        shared(50),
        crowd,
        Scene::new("10 pods, one pauses 200 ms every 5 s", 10, 1, &pausing),
        all_pause,
        noisy,
        joining(),
        Scene::new("10 pods, one fails 20 % at once", 10, 1, &failing(0.2)),
        Scene::new("10 pods, one fails all at once", 10, 1, &failing(1.0)),
        all_fail,
        Scene::new("10 pods, one hangs from 5 s on", 10, 1, &hanging),
    ]
}

/// The same pods and requests, divided among so many sidecars.
pub fn shared(sidecars: usize) -> Scene {
    let name = "100 pods, 5 are 10x slower, 50 sidecars";
    let mut scene = Scene::new(name, 100, 5, &slow());
    scene.sidecars = sidecars;
    scene.lasts = Duration::from_secs(5);
    scene
}

pub fn joining() -> Scene {
    let cold = Pod {
        cold: Some(Cold {
            joins: Duration::from_secs(10),
            lasts: Duration::from_secs(3),
            slowness: 20.0,
        }),
        ..Pod::usual()
    };
    Scene::new("10 pods, two join cold: 20x slower for 3 s", 10, 2, &cold)
}

fn slow() -> Pod {
    Pod {
        slowness: 10.0,
        ..Pod::usual()
    }
}

fn pauses(first: Duration) -> Spells {
    Spells {
        every: Duration::from_secs(5),
        lasts: Duration::from_millis(200),
        first,
    }
}
