//! Since when a pod has answered nothing of what it was sent.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use super::super::{Count, TargetStats};
use super::{EndpointShard, EndpointStats};

/// What one worker notes of it with each attempt; nobody else writes here.
#[derive(Debug, Default)]
pub(super) struct SilenceShard {
    /// Attempts with nothing left to send that wait, or have waited, for a response's head.
    begun: AtomicU64,
    ended: AtomicU64,
    /// When the first of them began after which no answer came, in milliseconds of the pod's time on the list.
    since: AtomicU64,
    /// What this worker had had answered by then, by this pod and by all.
    own: AtomicU64,
    all: AtomicU64,
}

/// A pod that has requests in hand and has answered nothing since the first of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Silence {
    /// Requests without an answer's head, of workers to which the pod is silent.
    pub waiting: u64,
    /// How long it has lasted.
    pub lasted: Duration,
    /// What the others have answered meanwhile.
    pub others: u64,
}

impl EndpointStats {
    /// An attempt with nothing left to send begins: how long a client takes to send is not the pod's matter. `all` is
    /// what this worker has had answered by all pods.
    pub fn wait(&self, worker: usize, now: Instant, all: u64) {
        let shard = self.shard(worker);
        let own = shard.answered();
        if shard.waiting() == 0 || shard.silence.own.load(Relaxed) != own {
            let since = now.saturating_duration_since(self.born).as_millis();
            let since = u64::try_from(since).unwrap_or(u64::MAX);
            shard.silence.since.store(since, Relaxed);
            shard.silence.own.store(own, Relaxed);
            shard.silence.all.store(all, Relaxed);
        }
        shard.silence.begun.fetch_add(1, Relaxed);
    }

    /// Attempts that wait for a response's head and nothing else.
    pub fn waiting(&self) -> u64 {
        self.shards.iter().map(|shard| shard.waiting()).sum()
    }

    /// Its silence towards those workers that wait for it in vain, if there are any.
    pub fn silence(&self, totals: &TargetStats, now: Instant) -> Option<Silence> {
        let age = now.saturating_duration_since(self.born);
        let mut sum: Option<Silence> = None;
        for (worker, shard) in self.shards.iter().enumerate() {
            let waiting = shard.waiting();
            if waiting == 0 || shard.silence.own.load(Relaxed) != shard.answered() {
                continue;
            }
            let all = totals.shard(worker).count(Count::Answered);
            let sum = sum.get_or_insert(Silence {
                waiting: 0,
                lasted: Duration::ZERO,
                others: 0,
            });
            sum.waiting += waiting;
            sum.others += all.saturating_sub(shard.silence.all.load(Relaxed));
            let since = Duration::from_millis(shard.silence.since.load(Relaxed));
            sum.lasted = sum.lasted.max(age.saturating_sub(since));
        }
        sum
    }
}

impl EndpointShard {
    /// The head has come, or nobody waits for it any more.
    pub fn wait_no_longer(&self) {
        self.silence.ended.fetch_add(1, Relaxed);
    }

    fn waiting(&self) -> u64 {
        // What ends them is read first: one that begins in between then counts as waiting.
        let ended = self.silence.ended.load(Relaxed);
        self.silence.begun.load(Relaxed).saturating_sub(ended)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: u64 = 100;

    struct Scene {
        pod: EndpointStats,
        totals: TargetStats,
        start: Instant,
    }

    impl Scene {
        fn new() -> Self {
            let start = Instant::now();
            let scene = Self {
                pod: EndpointStats::new(2, start),
                totals: TargetStats::new(2),
                start,
            };
            scene.others(0, ALL);
            scene
        }

        fn at(&self, seconds: u64) -> Instant {
            self.start + Duration::from_secs(seconds)
        }

        fn begin(&self, worker: usize, seconds: u64) {
            let all = self.totals.shard(worker).count(Count::Answered);
            self.pod.wait(worker, self.at(seconds), all);
        }

        fn answer(&self, worker: usize) {
            self.pod.shard(worker).wait_no_longer();
            self.pod.shard(worker).answer();
            self.totals.shard(worker).add(Count::Answered);
        }

        fn others(&self, worker: usize, answers: u64) {
            for _ in 0..answers {
                self.totals.shard(worker).add(Count::Answered);
            }
        }

        /// Waiting, seconds, others' answers.
        fn silence(&self, seconds: u64) -> Option<(u64, u64, u64)> {
            let silence = self.pod.silence(&self.totals, self.at(seconds))?;
            Some((silence.waiting, silence.lasted.as_secs(), silence.others))
        }
    }

    #[test]
    fn silence_begins_with_the_first_request_that_nothing_was_answered_after() {
        let scene = Scene::new();
        assert_eq!(scene.silence(0), None);
        scene.begin(0, 1);
        scene.others(0, 4);
        scene.begin(0, 3);
        assert_eq!(scene.silence(5), Some((2, 4, 4)));
        assert_eq!(scene.pod.waiting(), 2);
    }

    #[test]
    fn an_answer_ends_it_though_another_request_waits() {
        let scene = Scene::new();
        scene.begin(0, 1);
        scene.begin(0, 1);
        scene.answer(0);
        assert_eq!(scene.silence(5), None);
        assert_eq!(scene.pod.waiting(), 1);
        scene.begin(0, 5);
        assert_eq!(scene.silence(7), Some((2, 2, 0)));
    }

    #[test]
    fn whoever_leaves_waits_no_longer() {
        let scene = Scene::new();
        scene.begin(0, 1);
        scene.begin(0, 2);
        scene.pod.shard(0).wait_no_longer();
        assert_eq!(scene.silence(5), Some((1, 4, 0)));
        scene.pod.shard(0).wait_no_longer();
        assert_eq!(scene.silence(5), None);
        scene.begin(0, 6);
        assert_eq!(scene.silence(7), Some((1, 1, 0)));
    }

    #[test]
    fn the_workers_that_wait_in_vain_are_added_up() {
        let scene = Scene::new();
        scene.begin(0, 1);
        scene.begin(1, 2);
        scene.others(0, 3);
        scene.others(1, 4);
        assert_eq!(scene.silence(4), Some((2, 3, 7)));
        scene.answer(1);
        assert_eq!(scene.silence(4), Some((1, 3, 3)));
    }
}
