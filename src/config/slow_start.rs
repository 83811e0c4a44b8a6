//! How a pod that is new, or back, is brought to its share.

use std::time::Duration;

/// From `floor` to the whole share over `window`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SlowStart {
    pub window: Duration,
    /// The share at the beginning, 0 to 1.
    pub floor: f64,
    /// 1 grows evenly; more holds back longer, less hurries at first.
    pub curve: f64,
}

impl SlowStart {
    /// What part of its share a pod has that began so long ago: 1 once the window is over.
    pub fn share(&self, since: Duration) -> f64 {
        if since >= self.window {
            return 1.0;
        }
        let part = since.as_secs_f64() / self.window.as_secs_f64();
        self.floor + (1.0 - self.floor) * part.powf(self.curve)
    }
}

impl Default for SlowStart {
    fn default() -> Self {
        Self {
            window: Duration::from_secs(30),
            floor: 0.1,
            curve: 1.0,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_curve_bends_what_lies_between_floor_and_whole() {
        let at = |curve, seconds| {
            let slow = SlowStart {
                window: Duration::from_secs(10),
                floor: 0.2,
                curve,
            };
            slow.share(Duration::from_secs(seconds))
        };
        for (curve, half) in [(1.0, 0.6), (2.0, 0.4), (0.5, 0.2 + 0.8 * 0.5_f64.sqrt())] {
            assert!((at(curve, 0) - 0.2).abs() < 1e-9);
            assert!((at(curve, 5) - half).abs() < 1e-9, "{curve}");
            assert_eq!(at(curve, 10), 1.0);
        }
    }

    proptest! {
        #[test]
        fn a_share_grows_from_the_floor_to_the_whole_and_never_shrinks(
            window in 1_u64..100_000,
            floor in 0.0_f64..=1.0,
            curve in 0.1_f64..=10.0,
            moments in (0_u64..120_000, 0_u64..120_000),
        ) {
            let slow = SlowStart { window: Duration::from_millis(window), floor, curve };
            let earlier = slow.share(Duration::from_millis(moments.0.min(moments.1)));
            let later = slow.share(Duration::from_millis(moments.0.max(moments.1)));
            prop_assert!((floor..=1.0).contains(&earlier) && earlier <= later && later <= 1.0);
            prop_assert_eq!(slow.share(slow.window), 1.0);
        }
    }
}
