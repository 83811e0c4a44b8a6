//! The plots of docs/policies.md.

use std::fs;
use std::io;
use std::path::Path;

use podrobin::config::Policy;

use super::guards::Guards;
use super::plot::{Axis, Mark, Plot, colour};
use super::scene::{Scene, Seen};
use super::scenes::{joining, shared};
use super::tables::{millis, short};
use super::{Job, run};

const SIDECARS: [usize; 5] = [1, 5, 20, 100, 500];

/// Draws all. `runs` are those of the tables: for each level of guards each scene under each policy.
pub fn draw(
    folder: &Path,
    policies: &[Policy],
    scenes: &[Scene],
    runs: &[Seen],
    seed: u64,
) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    let level = |guards| {
        let before = Guards::ALL.iter().take_while(|level| **level != guards);
        let rows = runs.chunks(policies.len());
        rows.skip(before.count() * scenes.len()).take(scenes.len())
    };
    let alone: Vec<&[Seen]> = level(Guards::Nothing).collect();
    let guarded: Vec<&[Seen]> = level(Guards::All).collect();
    let again: Vec<&[Seen]> = level(Guards::Again).collect();
    fs::write(
        folder.join("p99.svg"),
        waits(policies, scenes, [&alone, &guarded, &again]),
    )?;

    let jobs: Vec<Job> = SIDECARS
        .iter()
        .flat_map(|sidecars| policies.iter().map(|policy| (*sidecars, policy)))
        .map(|(sidecars, policy)| Job {
            scene: shared(sidecars),
            policy: policy.clone(),
            guards: Guards::Nothing,
        })
        .collect();
    let seen = run(&jobs, seed);
    fs::write(folder.join("sidecars.svg"), divided(policies, &seen))?;

    let place = scenes.iter().position(|scene| scene.name == joining().name);
    let both = place.and_then(|place| Some((*alone.get(place)?, *guarded.get(place)?)));
    if let Some((alone, guarded)) = both {
        fs::write(folder.join("joining.svg"), joined(policies, alone, guarded))?;
    }
    Ok(())
}

/// A row a scene, a point a policy; the policy alone, with all guards, with what is sent again.
fn waits(policies: &[Policy], scenes: &[Scene], levels: [&[&[Seen]]; 3]) -> String {
    const ROW: f64 = 26.0;
    const TOP: f64 = 70.0;
    let bottom = TOP + ROW * scenes.len() as f64;
    let x = Axis {
        from: 20.0,
        to: 2000.0,
        logarithmic: true,
        start: 300.0,
        end: 860.0,
    };
    let y = Axis {
        from: 0.0,
        to: 1.0,
        logarithmic: false,
        start: bottom,
        end: TOP - 10.0,
    };
    let title = "The slowest of a hundred requests, in ms. Dots: the policy alone; rings: with all guards; crosses: with retries and a hedge";
    let mut plot = Plot::new(880.0, bottom + 30.0, title);
    plot.legend(20.0, 44.0, policies.iter().map(short));
    plot.grid(
        x,
        y,
        &[],
        &[20.0, 50.0, 100.0, 200.0, 500.0, 1000.0, 2000.0],
    );
    for (row, scene) in scenes.iter().enumerate() {
        let at = TOP + ROW * (row as f64 + 0.5);
        plot.text(x.start - 10.0, at + 4.0, "end", "#222", scene.name);
        plot.line((x.start, at), (x.end, at), "#eee");
        for (seen, mark) in levels.iter().zip([Mark::Dot, Mark::Ring, Mark::Cross]) {
            for (number, seen) in seen
                .get(row)
                .copied()
                .unwrap_or_default()
                .iter()
                .enumerate()
            {
                // Beside each other, where they are alike.
                let aside = (number as f64 - (policies.len() - 1) as f64 / 2.0) * 2.5;
                plot.mark(x.place(millis(seen.p99)), at + aside, colour(number), mark);
            }
        }
    }
    plot.finish()
}

fn divided(policies: &[Policy], seen: &[Seen]) -> String {
    let x = Axis {
        from: 1.0,
        to: 500.0,
        logarithmic: true,
        start: 60.0,
        end: 760.0,
    };
    let y = Axis {
        from: 20.0,
        to: 300.0,
        logarithmic: true,
        start: 360.0,
        end: 70.0,
    };
    let title = "100 pods, 5 of them 10x slower: the slowest of a hundred requests, in ms, by the number of sidecars";
    let mut plot = Plot::new(780.0, 390.0, title);
    plot.legend(20.0, 44.0, policies.iter().map(short));
    plot.grid(
        x,
        y,
        &[20.0, 50.0, 100.0, 200.0, 300.0],
        &SIDECARS.map(|sidecars| sidecars as f64),
    );
    for number in 0..policies.len() {
        let points = SIDECARS.iter().zip(seen.chunks(policies.len()));
        let points = points.filter_map(|(sidecars, seen)| {
            let p99 = millis(seen.get(number)?.p99);
            Some((x.place(*sidecars as f64), y.place(p99)))
        });
        plot.curve(points, colour(number));
    }
    plot.finish()
}

fn joined(policies: &[Policy], alone: &[Seen], guarded: &[Seen]) -> String {
    let title = "Two pods join cold at 10 s, and are 20x slower for 3 s: what they get of an even share, by second";
    let mut plot = Plot::new(880.0, 350.0, title);
    plot.legend(20.0, 44.0, policies.iter().map(short));
    for (start, name, seen) in [
        (60.0, "the policy alone", alone),
        (490.0, "with all guards: slow start of 5 s", guarded),
    ] {
        let x = Axis {
            from: 8.0,
            to: 20.0,
            logarithmic: false,
            start,
            end: start + 370.0,
        };
        let y = Axis {
            from: 0.0,
            to: 1.5,
            logarithmic: false,
            start: 320.0,
            end: 90.0,
        };
        plot.text(start, 76.0, "start", "#222", name);
        plot.grid(
            x,
            y,
            &[0.0, 0.5, 1.0, 1.5],
            &[10.0, 12.0, 14.0, 16.0, 18.0, 20.0],
        );
        for (number, seen) in seen.iter().enumerate() {
            let points = seen.odd_by_second.iter().enumerate().skip(8);
            let points =
                points.map(|(second, share)| (x.place(second as f64 + 0.5), y.place(*share)));
            plot.curve(points, colour(number));
        }
    }
    plot.finish()
}
