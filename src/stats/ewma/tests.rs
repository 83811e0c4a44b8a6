use proptest::prelude::*;

use super::*;

const DECAY: Duration = Duration::from_secs(10);

/// An average whose clock the test moves.
struct Scene {
    ewma: PeakEwma,
    now: Instant,
}

impl Scene {
    fn new() -> Self {
        let now = Instant::now();
        Self {
            ewma: PeakEwma::new(DECAY, now),
            now,
        }
    }

    fn pass(&mut self, time: Duration) {
        self.now += time;
    }

    fn see(&mut self, outcome: Outcome, millis: u64) {
        let took = Duration::from_millis(millis);
        self.ewma.observe(outcome, took, self.now);
    }

    /// In milliseconds, rounded.
    fn cost(&self) -> Option<f64> {
        let seconds = self.ewma.cost(self.now)?;
        Some((seconds * 1e3).round())
    }
}

#[test]
fn before_the_first_answer_there_is_no_cost() {
    let mut scene = Scene::new();
    assert_eq!(scene.cost(), None);
    scene.pass(DECAY);
    assert_eq!(scene.cost(), None);
    scene.see(Outcome::Answered, 20);
    assert_eq!(scene.cost(), Some(20.0));
}

#[test]
fn a_slower_answer_counts_at_once_and_a_faster_one_with_time() {
    let mut scene = Scene::new();
    scene.see(Outcome::Answered, 10);
    scene.see(Outcome::Answered, 500);
    assert_eq!(scene.cost(), Some(500.0));
    for _ in 0..50 {
        scene.see(Outcome::Answered, 10);
    }
    assert_eq!(scene.cost(), Some(500.0), "no time has passed");
    scene.pass(DECAY);
    scene.see(Outcome::Answered, 10);
    // 10 + 490 / e
    assert_eq!(scene.cost(), Some(190.0));
}

#[test]
fn a_pod_that_is_not_asked_costs_less_and_less() {
    let mut scene = Scene::new();
    scene.see(Outcome::Answered, 1000);
    scene.pass(DECAY);
    assert_eq!(scene.cost(), Some(368.0));
    scene.pass(DECAY);
    assert_eq!(scene.cost(), Some(135.0));
    // To look is no observation.
    assert_eq!(scene.cost(), Some(135.0));
    scene.see(Outcome::Answered, 1000);
    assert_eq!(scene.cost(), Some(1000.0));
}

#[test]
fn who_fails_fast_is_not_taken_for_fast() {
    let mut scene = Scene::new();
    scene.see(Outcome::Answered, 10);
    let mut last = scene.cost();
    for _ in 0..40 {
        scene.pass(Duration::from_millis(5));
        scene.see(Outcome::Failed, 0);
        let cost = scene.cost();
        assert!(cost > last, "{cost:?} after {last:?}");
        last = cost;
    }
    // Nearly all of it: 1 + 100 times 10 ms.
    assert!(last > Some(900.0), "{last:?}");
    for _ in 0..100 {
        scene.pass(Duration::from_millis(5));
        scene.see(Outcome::Answered, 10);
    }
    assert!(scene.cost() < Some(15.0), "{:?}", scene.cost());
}

#[test]
fn a_failure_that_is_told_later_counts_as_one_told_at_once() {
    let now = Instant::now();
    let late = PeakEwma::new(DECAY, now);
    let at_once = PeakEwma::new(DECAY, now);
    let (took, mut then) = (Duration::from_millis(10), now);
    for failed in [false, true, true, false, true] {
        then += Duration::from_millis(5);
        let outcome = match failed {
            true => Outcome::Failed,
            false => Outcome::Answered,
        };
        at_once.observe(outcome, took, then);
        let news = late.observe(Outcome::Begun, took, then);
        late.settle(failed, news);
        assert_eq!(late.cost(then), at_once.cost(then));
    }
}

#[test]
fn a_first_answer_that_is_a_failure_is_no_recommendation() {
    let mut scene = Scene::new();
    scene.see(Outcome::Failed, 0);
    assert!(scene.cost() > Some(1000.0));
}

#[test]
fn a_client_that_did_not_wait_says_how_long_it_would_have_been_at_least() {
    let mut scene = Scene::new();
    scene.see(Outcome::Answered, 100);
    scene.see(Outcome::GivenUp, 20);
    assert_eq!(scene.cost(), Some(100.0));
    scene.see(Outcome::GivenUp, 3000);
    assert_eq!(scene.cost(), Some(3000.0));
}

#[test]
fn many_threads_leave_it_whole() {
    let scene = Scene::new();
    std::thread::scope(|scope| {
        for worker in 0..4_u64 {
            let scene = &scene;
            scope.spawn(move || {
                for step in 0..5_000_u64 {
                    let now = scene.now + Duration::from_micros(step * 50);
                    let took = Duration::from_millis(1 + (step + worker) % 9);
                    scene.ewma.observe(Outcome::Answered, took, now);
                    let cost = scene.ewma.cost(now).unwrap();
                    assert!((0.0009..=0.0091).contains(&cost), "{cost}");
                }
            });
        }
    });
}

proptest! {
    /// Between what was seen at least and at most, whatever the order and the pauses, and never a number that is none.
    #[test]
    fn the_cost_stays_within_what_was_seen(
        seen in prop::collection::vec((1_u64..10_000, 0_u64..30_000), 1..60),
    ) {
        let mut scene = Scene::new();
        let most = seen.iter().map(|(took, _)| *took).max().unwrap_or(0);
        let least = seen.iter().map(|(took, _)| *took).min().unwrap_or(0);
        for (took, pause) in seen {
            scene.pass(Duration::from_millis(pause));
            scene.see(Outcome::Answered, took);
            let cost = scene.ewma.cost(scene.now).unwrap() * 1e3;
            prop_assert!(cost >= least as f64 * 0.999, "{cost}");
            prop_assert!(cost <= most as f64 * 1.001, "{cost}");
        }
    }
}
