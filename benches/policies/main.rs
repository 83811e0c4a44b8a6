//! What each policy makes of pods that are slow, pause, start cold, have noisy neighbours, fail or hang.
//!
//! `cargo bench --bench policies` prints the tables of docs/policies.md; it takes some minutes. `-- --plots docs/policies`
//! draws the plots there. `-- --longer 10` plays each scene ten times as long, `-- --seed 8` another course of things.

mod guards;
mod plot;
mod plots;
mod pod;
mod request;
mod run;
mod scene;
mod scenes;
mod sidecar;
mod tables;

use std::error::Error;
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use clap::Parser;
use guards::Guards;
use podrobin::config::{HashKey, Orca, Policy};
use scene::{Scene, Seen};

#[derive(Parser)]
struct Options {
    #[arg(long, default_value_t = 7)]
    seed: u64,
    #[arg(long, default_value_t = 1)]
    longer: u32,
    /// A folder, in which the plots are written
    #[arg(long)]
    plots: Option<PathBuf>,
}

/// One run.
struct Job {
    scene: Scene,
    policy: Policy,
    guards: Guards,
}

fn main() -> Result<(), Box<dyn Error>> {
    // What cargo says to all benchmarks.
    let options = Options::parse_from(std::env::args().filter(|argument| argument != "--bench"));
    let mut scenes = scenes::scenes();
    for scene in &mut scenes {
        scene.lasts *= options.longer;
    }
    let policies = policies();
    let mut jobs = Vec::new();
    for guards in Guards::ALL {
        for scene in &scenes {
            jobs.extend(policies.iter().map(|policy| Job {
                scene: scene.clone(),
                policy: policy.clone(),
                guards,
            }));
        }
    }
    let runs = run(&jobs, options.seed);
    let levels = runs.chunks(scenes.len() * policies.len());
    for (guards, level) in Guards::ALL.into_iter().zip(levels) {
        let rows = level.chunks(policies.len());
        println!(
            "{}",
            tables::table(guards, &policies, scenes.iter().zip(rows))
        );
    }
    if let Some(folder) = &options.plots {
        plots::draw(folder, &policies, &scenes, &runs, options.seed)?;
    }
    Ok(())
}

fn policies() -> Vec<Policy> {
    vec![
        Policy::RoundRobin,
        Policy::Random,
        Policy::LeastRequest { choices: 2 },
        Policy::LeastRequest { choices: 5 },
        Policy::PeakEwma {
            decay: Duration::from_secs(10),
        },
        Policy::Orca(Orca {
            blackout: Duration::from_secs(1),
            ..Orca::default()
        }),
        Policy::Hash(HashKey::Path),
    ]
}

/// What each job saw, in their order, by as many threads as there are processors.
fn run(jobs: &[Job], seed: u64) -> Vec<Seen> {
    let seen = Mutex::new(vec![None; jobs.len()]);
    let next = AtomicUsize::new(0);
    let work = || {
        while let Some((number, job)) = {
            let number = next.fetch_add(1, Relaxed);
            jobs.get(number).map(|job| (number, job))
        } {
            let result = job.scene.run(&job.policy, job.guards, seed);
            if let Ok(mut seen) = seen.lock() {
                seen[number] = Some(result);
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(work);
        }
    });
    let seen = seen.into_inner().unwrap_or_default();
    seen.into_iter().flatten().collect()
}
