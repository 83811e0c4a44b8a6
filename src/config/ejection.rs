//! How many failures eject a pod, for how long, and how many pods at most.

use std::time::Duration;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ejection {
    /// Failures in a row; nobody is ejected for them where there is none.
    pub consecutive: Option<u32>,
    /// The first time. It doubles each time that the pod is ejected again.
    pub first: Duration,
    pub longest: Duration,
    /// Percent of the pods.
    pub most: usize,
}

impl Ejection {
    /// How many of so many pods may be left out: the percentage rounded down, and never all.
    pub fn room(&self, pods: usize) -> usize {
        let most = pods.saturating_mul(self.most) / 100;
        most.min(pods.saturating_sub(1))
    }

    /// How long a pod is out that has been so often before, if `first` is the first time.
    pub fn time(&self, first: Duration, before: u32) -> Duration {
        let times = 1_u32.checked_shl(before).unwrap_or(u32::MAX);
        first.saturating_mul(times).min(self.longest)
    }
}

impl Default for Ejection {
    fn default() -> Self {
        Self {
            consecutive: Some(5),
            first: Duration::from_secs(1),
            longest: Duration::from_secs(30),
            most: 50,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_room_is_the_percentage_and_never_all(pods in 0_usize..2000, most in 1_usize..=100) {
            let room = Ejection { most, ..Ejection::default() }.room(pods);
            prop_assert!(room * 100 <= pods * most);
            prop_assert!(room < pods.max(1));
            // One more would be too many.
            prop_assert!((room + 1) * 100 > pods * most || room + 1 >= pods);
        }

        #[test]
        fn the_time_doubles_until_it_is_the_longest_and_stays_so(
            first in 1_u64..100_000,
            longest in 1_u64..10_000_000,
        ) {
            let (first, longest) = (Duration::from_millis(first), Duration::from_millis(longest));
            let ejection = Ejection { longest, ..Ejection::default() };
            prop_assert_eq!(ejection.time(first, 0), first.min(longest));
            let mut last = ejection.time(first, 0);
            for before in 1..100 {
                let time = ejection.time(first, before);
                prop_assert_eq!(time, (last * 2).min(longest));
                last = time;
            }
            prop_assert_eq!(last, longest);
            prop_assert_eq!(ejection.time(first, u32::MAX), longest);
        }
    }
}
