//! Backoff: how long to wait before the next try.

use std::time::Duration;

/// A delay that grows by a factor with each failure, up to a ceiling, and is jittered so that processes that failed
/// together do not come back together.
///
/// Pure: randomness is handed in, and the caller does the waiting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Backoff {
    floor: Duration,
    ceiling: Duration,
    factor: u32,
    /// The upper end of the next delay.
    next: Duration,
}

impl Backoff {
    /// The first delay is between `floor` and twice that; each later one is up to `factor` times longer; none is
    /// longer than `ceiling`.
    pub fn new(floor: Duration, ceiling: Duration, factor: u32) -> Self {
        Self {
            floor,
            ceiling,
            factor,
            next: first(floor, ceiling),
        }
    }

    /// The next delay, drawn evenly from the upper half of what this step allows. `random` is within 0 and 1.
    pub fn delay(&mut self, random: f64) -> Duration {
        let most = self.next;
        self.next = most.saturating_mul(self.factor).min(self.ceiling);
        most.mul_f64(0.5 + 0.5 * random.clamp(0.0, 1.0))
    }

    /// All is well again: the next delay is a first one.
    pub fn reset(&mut self) {
        self.next = first(self.floor, self.ceiling);
    }
}

fn first(floor: Duration, ceiling: Duration) -> Duration {
    floor.saturating_mul(2).min(ceiling)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const FLOOR: Duration = Duration::from_millis(500);
    const CEILING: Duration = Duration::from_secs(15);

    #[test]
    fn doubles_up_to_the_ceiling() {
        let mut backoff = Backoff::new(FLOOR, CEILING, 2);
        let seconds: Vec<f64> = (0..7).map(|_| backoff.delay(1.0).as_secs_f64()).collect();
        assert_eq!(seconds, [1.0, 2.0, 4.0, 8.0, 15.0, 15.0, 15.0]);
    }

    #[test]
    fn starts_over_after_a_reset() {
        let mut backoff = Backoff::new(FLOOR, CEILING, 2);
        backoff.delay(0.3);
        backoff.delay(0.3);
        backoff.reset();
        assert_eq!(backoff, Backoff::new(FLOOR, CEILING, 2));
    }

    #[test]
    fn a_ceiling_below_the_floor_wins() {
        let mut backoff = Backoff::new(FLOOR, FLOOR / 5, 2);
        assert_eq!(backoff.delay(1.0), FLOOR / 5);
    }

    proptest! {
        #[test]
        fn stays_within_floor_and_ceiling(draws in prop::collection::vec(0.0..=1.0f64, 1..100), factor in 1u32..20) {
            let mut backoff = Backoff::new(FLOOR, CEILING, factor);
            for draw in draws {
                let delay = backoff.delay(draw);
                prop_assert!((FLOOR..=CEILING).contains(&delay), "{delay:?}");
            }
        }

        #[test]
        fn never_overflows(floor in any::<u64>(), ceiling in 0u64..1_000_000, factor in any::<u32>(), random in -1e9..1e9f64) {
            let ceiling = Duration::from_secs(ceiling);
            let mut backoff = Backoff::new(Duration::from_secs(floor), ceiling, factor);
            for _ in 0..3 {
                prop_assert!(backoff.delay(random) <= ceiling);
            }
        }

        #[test]
        fn the_same_draw_never_shortens_the_wait(draw in 0.0..=1.0f64) {
            let mut backoff = Backoff::new(FLOOR, CEILING, 3);
            let delays: Vec<Duration> = (0..10).map(|_| backoff.delay(draw)).collect();
            prop_assert!(delays.is_sorted());
        }
    }
}
