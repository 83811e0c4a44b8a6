//! When a pod is silent while its peers are not.

use super::SILENCE;
use crate::stats::Silence;

/// The rest of a set in which pods are silent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Others {
    /// Pods that get traffic, those that are silent not counted.
    pub pods: u64,
    /// Requests that wait for them.
    pub waiting: u64,
}

/// So many times what waits for the others on average has to wait for a pod.
const PILE: u64 = 4;

/// Whether it is the pod that is silent, and not the Service that is slow. Of all that `limit`
/// requests or more sent there it has answered nothing for [`SILENCE`], the others answered meanwhile, `limit` times each
/// on average, and of what they are sent far less piles up.
pub fn is_silent(silence: Silence, others: Others, limit: u64) -> bool {
    silence.waiting >= limit
        && others_answer(silence, others, limit)
        && others.waiting.saturating_mul(PILE) <= silence.waiting.saturating_mul(others.pods)
}

/// The same of a pod that is on trial for its silence, of whose requests one is enough.
pub fn is_still_silent(silence: Silence, others: Others, limit: u64) -> bool {
    silence.waiting > 0 && others_answer(silence, others, limit)
}

fn others_answer(silence: Silence, others: Others, limit: u64) -> bool {
    silence.lasted >= SILENCE && each_answers(silence.others, others.pods, limit)
}

/// Whether the other pods have answered so much that it is `limit` times each on average. Else it is the Service that is
/// slow, as a long poll is.
pub(super) fn each_answers(answered: u64, others: u64, limit: u64) -> bool {
    others > 0 && answered >= limit.saturating_mul(others)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const LIMIT: u64 = 5;

    /// Waiting there, milliseconds, answers of the others, how many they are, waiting there.
    fn judged(waiting: u64, millis: u64, answers: u64, pods: u64, elsewhere: u64) -> (bool, bool) {
        let silence = Silence {
            waiting,
            lasted: Duration::from_millis(millis),
            others: answers,
        };
        let others = Others {
            pods,
            waiting: elsewhere,
        };
        (
            is_silent(silence, others, LIMIT),
            is_still_silent(silence, others, LIMIT),
        )
    }

    #[test]
    fn a_pod_that_answers_nothing_of_much_while_others_answer_is_silent() {
        assert_eq!(judged(5, 1_000, 10, 2, 2), (true, true));
        assert_eq!(judged(8, 1_000, 10, 2, 0), (true, true));
    }

    #[test]
    fn each_condition_counts() {
        assert_eq!(judged(4, 1_000, 10, 2, 0), (false, true), "few wait");
        assert_eq!(judged(5, 999, 10, 2, 0), (false, false), "not for long");
        assert_eq!(judged(5, 1_000, 9, 2, 0), (false, false), "nobody answers");
        assert_eq!(judged(5, 1_000, 10, 2, 3), (false, true), "all are slow");
        assert_eq!(judged(5, 1_000, 10, 0, 0), (false, false), "alone");
        assert_eq!(judged(0, 1_000, 10, 2, 0), (false, false), "none waits");
    }
}
