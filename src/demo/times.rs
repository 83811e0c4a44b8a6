//! How long requests took: a sample of them all that stays small however long the run, and its quantiles.

use std::time::Duration;

/// Times kept; of more, each has the same chance to be among them (Vitter's algorithm R).
const KEPT: usize = 50_000;

#[derive(Clone, Debug, Default)]
pub struct Times {
    kept: Vec<Duration>,
    /// All that were noted.
    noted: usize,
    random: fastrand::Rng,
}

impl Times {
    pub fn note(&mut self, time: Duration) {
        self.noted += 1;
        if self.kept.len() < KEPT {
            self.kept.push(time);
        } else if let Some(kept) = self.kept.get_mut(self.random.usize(..self.noted)) {
            *kept = time;
        }
    }

    /// The time within which so many of a hundred were over.
    pub fn percentile(&self, percent: usize) -> Duration {
        let mut sorted = self.kept.clone();
        sorted.sort_unstable();
        let place = (sorted.len() * percent).div_ceil(100).saturating_sub(1);
        sorted.get(place).copied().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn times(millis: impl IntoIterator<Item = u64>) -> Times {
        let mut times = Times::default();
        for millis in millis {
            times.note(Duration::from_millis(millis));
        }
        times
    }

    #[test]
    fn a_percentile_is_the_time_within_which_so_many_were_over() {
        let times = times((1..=200).rev());
        for (percent, millis) in [(50, 100), (95, 190), (99, 198), (100, 200)] {
            assert_eq!(times.percentile(percent), Duration::from_millis(millis));
        }
    }

    #[test]
    fn of_one_time_and_of_none_there_are_percentiles_too() {
        assert_eq!(times([7]).percentile(50), Duration::from_millis(7));
        assert_eq!(times([7]).percentile(99), Duration::from_millis(7));
        assert_eq!(times([]).percentile(99), Duration::ZERO);
    }

    #[test]
    fn of_many_a_fair_sample_is_kept() {
        let most = KEPT as u64 * 4;
        let times = times(0..most);
        assert_eq!(times.kept.len(), KEPT);
        let median = times.percentile(50);
        let middle = Duration::from_millis(most / 2);
        assert!(median.abs_diff(middle) < middle / 10, "{median:?}");
    }
}
