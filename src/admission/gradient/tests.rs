use std::collections::{BinaryHeap, VecDeque};

use proptest::prelude::*;

use super::*;

/// How a simulated pod works.
#[derive(Clone, Copy, Debug)]
struct Pod {
    /// Requests it works on at a time; others wait.
    at_a_time: usize,
    /// The mean, in seconds.
    work: f64,
    /// How much single requests differ: none (0) to exponentially (1).
    spread: f64,
    /// Nothing goes on there for the second of these, in seconds, after each first: a garbage collector, or a machine
    /// that others use too.
    pauses: Option<(f64, f64)>,
}

/// A pod behind its limit, whose clients send whatever the limit lets through, or so many a second.
struct Scene {
    gradient: Gradient,
    random: fastrand::Rng,
    start: Instant,
    now: f64,
    pod: Pod,
    at_work: usize,
    waiting: VecDeque<f64>,
    in_flight: usize,
    /// Ends of work, in microseconds, negative as the heap gives its greatest; and the request's beginning.
    ends: BinaryHeap<(i64, u64)>,
    /// A second; as many as the limit allows where there is none.
    rate: Option<f64>,
    next_arrival: f64,
    refused: usize,
    /// Seconds of work that the pod has done.
    busy: f64,
    /// The limit over time.
    area: f64,
}

/// How often each is played.
const SEEDS: u64 = 3;

const RANGE: Range = Range { min: 3, max: 1_000 };

impl Scene {
    fn new(pod: Pod, seed: u64) -> Self {
        let start = Instant::now();
        Self {
            gradient: Gradient::new(RANGE, start, 0.0),
            random: fastrand::Rng::with_seed(seed),
            start,
            now: 0.0,
            pod,
            at_work: 0,
            waiting: VecDeque::new(),
            in_flight: 0,
            ends: BinaryHeap::new(),
            rate: None,
            next_arrival: 0.0,
            busy: 0.0,
            refused: 0,
            area: 0.0,
        }
    }

    fn at_rate(self, rate: f64) -> Self {
        Self {
            rate: Some(rate),
            ..self
        }
    }

    fn exponential(&mut self) -> f64 {
        -(1.0 - self.random.f64()).ln()
    }

    fn arrive(&mut self) {
        if self.in_flight >= self.gradient.limit() {
            self.refused += 1;
            return;
        }
        self.in_flight += 1;
        self.waiting.push_back(self.now);
        self.work();
    }

    fn work(&mut self) {
        while self.at_work < self.pod.at_a_time
            && let Some(began) = self.waiting.pop_front()
        {
            self.at_work += 1;
            let spread = self.pod.spread;
            let took = self.pod.work * (1.0 - spread + spread * self.exponential());
            let end = self.pod.end(self.now, took);
            let end = Duration::from_secs_f64(end).as_micros();
            let end = i64::try_from(end).unwrap();
            self.ends.push((-end, began.to_bits()));
        }
    }

    /// Goes on for so many seconds; the mean limit meanwhile.
    fn run(&mut self, seconds: f64) -> f64 {
        let until = self.now + seconds;
        self.area = 0.0;
        let began = self.now;
        loop {
            if self.rate.is_none() {
                while self.in_flight < self.gradient.limit() {
                    self.arrive();
                }
            }
            let end = self
                .ends
                .peek()
                .map_or(f64::INFINITY, |(end, _)| -*end as f64 / 1e6);
            let arrival = self.rate.map_or(f64::INFINITY, |_| self.next_arrival);
            let next = end.min(arrival).min(until).max(self.now);
            self.busy += (next - self.now) * self.at_work as f64;
            self.area += (next - self.now) * self.gradient.limit() as f64;
            self.now = next;
            if next >= until {
                return self.area / (until - began);
            }
            if arrival < end {
                self.arrive();
                let rate = self.rate.unwrap();
                self.next_arrival += self.exponential() / rate;
                continue;
            }
            let (_, began) = self.ends.pop().unwrap();
            let took = Duration::from_secs_f64((self.now - f64::from_bits(began)).max(0.0));
            let now = self.start + Duration::from_secs_f64(self.now);
            self.gradient.observe(took, true, self.in_flight, now);
            let limit = self.gradient.limit();
            assert!((RANGE.min..=RANGE.max).contains(&limit));
            self.at_work -= 1;
            self.in_flight -= 1;
            self.work();
        }
    }
}

impl Pod {
    /// When work that takes so long comes to its end.
    fn end(self, began: f64, took: f64) -> f64 {
        let Some((every, pause)) = self.pauses else {
            return began + took;
        };
        let (mut now, mut left) = (began, took);
        loop {
            let round = (now / every).floor() * every;
            now = now.max(round + pause);
            if now + left <= round + every {
                return now + left;
            }
            left -= round + every - now;
            // Past the edge for certain, whatever the rounding.
            now = round + every * (1.0 + 1e-9);
        }
    }

    /// Answers a second.
    fn able(self) -> f64 {
        let works = self
            .pauses
            .map_or(1.0, |(every, pause)| 1.0 - pause / every);
        self.at_a_time as f64 / self.work * works
    }
}

fn pod(at_a_time: usize, work: f64, spread: f64) -> Pod {
    Pod {
        at_a_time,
        work,
        spread,
        pauses: None,
    }
}

#[test]
fn it_finds_what_a_pod_can_do_at_a_time_and_leaves_a_little_room() {
    let pods = [
        pod(8, 0.01, 0.0),
        pod(8, 0.01, 0.5),
        pod(8, 0.01, 1.0),
        pod(16, 0.02, 0.5),
        pod(16, 0.02, 1.0),
        pod(64, 0.1, 0.5),
        pod(64, 0.1, 1.0),
    ];
    for pod in pods {
        for seed in 0..SEEDS {
            let mut scene = Scene::new(pod, seed);
            // Slow answers that differ much take a second measuring.
            scene.run(15.0 + 450.0 * pod.work);
            // The baseline is measured again meanwhile.
            let found = scene.run(45.0);
            let able = pod.at_a_time as f64;
            let (least, most) = (0.9 * able, 1.3 * able + 2.0);
            assert!((least..=most).contains(&found), "{found}: {pod:?}");
        }
    }
}

/// The share of what the pod can do that it does in so many seconds: of its places that are at work.
fn share(scene: &mut Scene, seconds: f64) -> f64 {
    scene.busy = 0.0;
    scene.run(seconds);
    scene.busy / seconds / scene.pod.at_a_time as f64
}

/// Pods of all kinds: how many at a time, for how long, and how much that differs.
fn kinds() -> impl Iterator<Item = Pod> {
    let kinds = [
        (1, 0.1),
        (2, 0.05),
        (4, 0.01),
        (4, 0.1),
        (8, 0.01),
        (16, 0.02),
        (32, 0.05),
        (64, 0.1),
    ];
    let spreads = [0.0, 0.5, 1.0];
    let kinds = kinds
        .into_iter()
        .flat_map(move |kind| spreads.map(|spread| (kind, spread)));
    kinds.map(|((at_a_time, work), spread)| pod(at_a_time, work, spread))
}

#[test]
fn under_three_times_as_much_a_pod_does_nine_tenths_of_what_it_can() {
    for pod in kinds() {
        asked_three_times_as_much(pod);
    }
}

/// Three times as much as the pod can do, and no queue but its own: less than nine tenths of it is never done.
fn asked_three_times_as_much(pod: Pod) {
    for seed in 0..SEEDS {
        let mut scene = Scene::new(pod, seed).at_rate(3.0 * pod.able());
        scene.run(10.0);
        // Long enough for the baseline to be measured again, and for chance to even out.
        let share = share(&mut scene, 35.0);
        assert!(share >= 0.9, "{share} of what it can: {pod:?}");
    }
}

#[test]
fn a_pod_that_pauses_does_nine_tenths_of_what_it_can_all_the_same() {
    // A garbage collector, and a machine with other things to do.
    for pauses in [(5.0, 0.2), (0.5, 0.03)] {
        for mut pod in kinds().filter(|pod| matches!(pod.at_a_time, 4 | 32)) {
            pod.pauses = Some(pauses);
            asked_three_times_as_much(pod);
        }
    }
}

#[test]
fn a_pod_has_what_it_can_do_within_seconds() {
    for (spread, least) in [(0.0, 0.99), (0.5, 0.9)] {
        for seed in 0..SEEDS {
            // Ten answers a second at each place: there is little to go by.
            let mut scene = Scene::new(pod(4, 0.1, spread), seed);
            scene.run(3.0);
            let share = share(&mut scene, 2.0);
            assert!(share >= least, "{share} with a spread of {spread}");
        }
    }
}

#[test]
fn a_pod_that_can_do_less_is_given_less_and_gets_it_back() {
    for seed in 0..SEEDS {
        let mut scene = Scene::new(pod(32, 0.02, 0.5), seed);
        scene.run(10.0);
        scene.pod.at_a_time = 8;
        scene.run(3.0);
        let less = scene.run(10.0);
        assert!(less <= 8.0 * 2.0, "{less}");
        scene.pod.at_a_time = 32;
        scene.run(5.0);
        let again = scene.run(10.0);
        assert!(again >= 32.0 * 0.75, "{again}");
    }
}

#[test]
fn a_pod_that_is_slower_but_can_do_as_many_keeps_its_limit() {
    for seed in 0..SEEDS {
        let mut scene = Scene::new(pod(16, 0.01, 0.5), seed);
        scene.run(10.0);
        scene.pod.work = 0.03;
        scene.run(10.0);
        let later = scene.run(10.0);
        assert!((later - 16.0).abs() <= 16.0 * 0.3, "{later}");
    }
}

#[test]
fn what_is_not_asked_for_is_not_allowed_either() {
    let mut scene = Scene::new(pod(64, 0.01, 0.5), 1).at_rate(500.0);
    scene.run(10.0);
    let refused = scene.refused;
    let limit = scene.run(60.0);
    // Five are in flight on average, and the limit is some multiple of the most at a time.
    assert!((10.0..=64.0).contains(&limit), "{limit}");
    let share = (scene.refused - refused) as f64 / (60.0 * 500.0);
    assert!(share < 0.01, "{share} refused");
}

#[test]
fn those_who_leave_early_say_nothing_and_those_who_waited_long_do() {
    let start = Instant::now();
    let range = Range { min: 4, max: 100 };
    let mut gradient = Gradient::new(range, start, 0.0);
    let mut now = start;
    let mut observe = |took: u64, answered, windows| {
        for _ in 0..windows * 101 {
            now += Duration::from_millis(1);
            let in_flight = gradient.limit();
            gradient.observe(Duration::from_millis(took), answered, in_flight, now);
        }
        gradient.limit()
    };
    observe(10, true, 5);
    let before = observe(10, true, 5);
    assert!(before > 20);
    // Gone after a millisecond: it is not that the pod were faster, nor slower.
    assert_eq!(observe(1, false, 5), before);
    assert!(observe(80, false, 3) < before);
}

proptest! {
    /// Whatever comes, in whatever order.
    #[test]
    fn it_stays_between_min_and_max(
        min in 1_usize..20,
        more in 0_usize..50,
        jitter in 0.0..1.0_f64,
        ends in prop::collection::vec((0_u64..5_000, any::<bool>(), 0_usize..200, 0_u64..500), 0..800),
    ) {
        let range = Range { min, max: min + more };
        let mut now = Instant::now();
        let mut gradient = Gradient::new(range, now, jitter);
        prop_assert_eq!(gradient.limit(), min);
        for (took, answered, in_flight, later) in ends {
            now += Duration::from_millis(later);
            gradient.observe(Duration::from_millis(took), answered, in_flight, now);
            prop_assert!((min..=min + more).contains(&gradient.limit()));
        }
    }
}

#[test]
fn with_little_to_do_slow_answers_take_nothing_away() {
    for seed in 0..SEEDS {
        let mut scene = Scene::new(pod(32, 0.02, 1.0), seed);
        scene.run(30.0);
        // As in a quiet night, after which the day begins.
        scene.rate = Some(0.5);
        scene.next_arrival = scene.now;
        scene.run(5.0);
        let before = scene.gradient.limit() as f64;
        let later = scene.run(600.0);
        assert!(later > 0.8 * before, "{before} became {later}");
    }
}
