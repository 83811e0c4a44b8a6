//! What a pod works on at a time: who comes while all of its places are taken waits in it, in order of arrival. Pure.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

use tokio::time::Instant;

/// When each place is free again.
#[derive(Clone, Debug, Default)]
pub struct Places(BinaryHeap<Reverse<Instant>>);

impl Places {
    /// Takes the place that is free first, one of `count`, for so long: when the work is done. It is done whether somebody
    /// still waits for it or not, as in most apps.
    pub fn take(&mut self, count: usize, work: Duration, now: Instant) -> Instant {
        let begins = match self.0.len() < count {
            true => now,
            false => self.0.pop().map_or(now, |Reverse(free)| free.max(now)),
        };
        let ends = begins + work;
        self.0.push(Reverse(ends));
        ends
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WORK: Duration = Duration::from_millis(10);

    #[test]
    fn what_comes_while_all_places_are_taken_waits_for_the_first_to_be_free() {
        let start = Instant::now();
        let at = |millis| start + Duration::from_millis(millis);
        let mut places = Places::default();
        let mut done = |millis| places.take(2, WORK, at(millis)) - start;
        for (comes, ends) in [(0, 10), (4, 14), (5, 20), (6, 24), (7, 30), (40, 50)] {
            assert_eq!(done(comes), Duration::from_millis(ends), "{comes}");
        }
    }
}
