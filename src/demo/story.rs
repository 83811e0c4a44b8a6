//! The demo's script: which scene runs when. Pure, so that any length of run can be checked without running it.

use std::time::Duration;

/// What happens to the pods in a scene.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    /// Nothing: the set stands still.
    Steady,
    /// One pod fails its readiness probe.
    Unready,
    /// It passes again.
    Recovered,
    /// Two more pods.
    ScaleUp,
    /// Every pod is replaced, one after the other.
    Rollout,
    /// No pod at all: requests are held.
    ScaleToZero,
    /// The pods of the start are back.
    Return,
}

/// A part of the run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scene {
    pub act: Act,
    /// From the start of the run.
    pub starts: Duration,
    pub lasts: Duration,
}

/// The scenes of one cycle with their share of it, in thousandths.
const CYCLE: [(Act, u32); 7] = [
    (Act::Steady, 180),
    (Act::Unready, 110),
    (Act::Recovered, 90),
    (Act::ScaleUp, 110),
    (Act::Rollout, 290),
    (Act::ScaleToZero, 120),
    (Act::Return, 100),
];

/// The length a cycle is made for. A longer run repeats it, so that no gap without pods outlasts the sidecar's hold.
const CYCLE_LENGTH: Duration = Duration::from_secs(10);

/// Pods that [`Act::ScaleUp`] adds.
pub const EXTRA_PODS: usize = 2;

/// The scenes of a run that takes `total`, without gaps.
pub fn scenes(total: Duration) -> Vec<Scene> {
    let cycles = cycles(total);
    let cycle = total / cycles;
    let mut scenes = Vec::new();
    for number in 0..cycles {
        let mut passed = 0;
        for (act, share) in CYCLE {
            let starts = cycle * number + cycle * passed / 1000;
            passed += share;
            let ends = cycle * number + cycle * passed / 1000;
            scenes.push(Scene {
                act,
                starts,
                lasts: ends - starts,
            });
        }
    }
    scenes
}

fn cycles(total: Duration) -> u32 {
    let whole = total.as_millis() / CYCLE_LENGTH.as_millis();
    u32::try_from(whole).unwrap_or(u32::MAX).max(1)
}

impl Act {
    /// Its name in the output, at most 16 letters.
    pub fn name(self) -> &'static str {
        match self {
            Self::Steady => "steady",
            Self::Unready => "one pod unready",
            Self::Recovered => "ready again",
            Self::ScaleUp => "scale up",
            Self::Rollout => "rolling update",
            Self::ScaleToZero => "scale to zero",
            Self::Return => "scale from zero",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn scenes_follow_each_other_and_fill_the_run(millis in 1_000_u64..3_600_000) {
            let total = Duration::from_millis(millis);
            let mut at = Duration::ZERO;
            for scene in scenes(total) {
                prop_assert!(scene.starts >= at && scene.starts - at < Duration::from_micros(50));
                at = scene.starts + scene.lasts;
            }
            prop_assert!(total >= at && total - at < Duration::from_millis(1));
        }

        #[test]
        fn no_gap_without_pods_outlasts_the_default_hold(millis in 1_000_u64..3_600_000) {
            let hold = crate::config::Timeouts::default().hold;
            for scene in scenes(Duration::from_millis(millis)) {
                prop_assert!(scene.act != Act::ScaleToZero || scene.lasts < hold / 4);
            }
        }
    }

    #[test]
    fn the_shares_of_a_cycle_add_up() {
        assert_eq!(CYCLE.iter().map(|(_, share)| share).sum::<u32>(), 1000);
    }

    #[test]
    fn ten_seconds_are_one_cycle_and_a_minute_is_six() {
        assert_eq!(scenes(Duration::from_secs(10)).len(), CYCLE.len());
        assert_eq!(scenes(Duration::from_secs(60)).len(), 6 * CYCLE.len());
    }
}
