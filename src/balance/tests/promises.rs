//! What every policy promises, whatever the endpoints, their weights and trials, and the order of events.

use std::collections::HashMap;

use proptest::prelude::*;

use super::*;
use crate::stats::{Count, Outcome};

/// An endpoint as a set may hold it.
#[derive(Clone, Copy, Debug)]
struct Given {
    weight: u32,
    trial: bool,
}

fn given() -> impl Strategy<Value = Given> {
    let weight = prop_oneof![1 => Just(0), 3 => 1_u32..5];
    (weight, prop::bool::weighted(0.2)).prop_map(|(weight, trial)| Given { weight, trial })
}

#[derive(Clone, Debug)]
enum Step {
    /// A request with this key, that has been to some endpoints already, and how long it will take.
    Pick(u64, Vec<bool>, u64),
    /// The oldest request in flight ends so.
    End(Outcome),
    /// Another set.
    Update(Vec<Given>),
}

fn set() -> impl Strategy<Value = Vec<Given>> {
    prop::collection::vec(given(), 0..8)
}

fn step() -> impl Strategy<Value = Step> {
    let outcome = prop_oneof![
        4 => Just(Outcome::Answered),
        1 => Just(Outcome::Failed),
        1 => Just(Outcome::GivenUp),
    ];
    let tried = prop_oneof![
        3 => Just(Vec::new()),
        1 => prop::collection::vec(any::<bool>(), 0..8),
    ];
    prop_oneof![
        8 => (any::<u64>(), tried, 0_u64..5_000).prop_map(|(key, tried, took)| Step::Pick(key, tried, took)),
        6 => outcome.prop_map(Step::End),
        1 => set().prop_map(Step::Update),
    ]
}

/// A target whose requests the test begins and ends.
struct Scene {
    balancer: Balancer,
    totals: Arc<TargetStats>,
    known: HashMap<usize, Arc<EndpointStats>>,
    now: Instant,
    in_flight: Vec<(Arc<EndpointStats>, u64, Option<TrialPass>)>,
}

impl Scene {
    fn new(policy: &str) -> Self {
        let totals = Arc::new(TargetStats::new(1));
        Self {
            balancer: Balancer::new(&policy.parse().unwrap(), &totals),
            totals,
            known: HashMap::new(),
            now: Instant::now(),
            in_flight: Vec::new(),
        }
    }

    fn picker(&mut self, set: &[Given]) -> Picker {
        let mut candidates = Vec::new();
        for (member, given) in set.iter().enumerate() {
            let stats = self.known.entry(member);
            let stats = stats.or_insert_with(|| self.balancer.stats(1, self.now).into());
            candidates.push(Candidate {
                weight: given.weight,
                stats: stats.clone(),
                ..candidate(member, given.trial)
            });
        }
        self.balancer.picker(&candidates)
    }

    fn begin(&mut self, pick: Pick, took: u64) {
        let stats = self.known[&pick.member].clone();
        stats.shard(0).start();
        self.totals.shard(0).add(Count::RequestStarted);
        self.in_flight.push((stats, took, pick.trial));
    }

    fn end(&mut self, outcome: Outcome) {
        if self.in_flight.is_empty() {
            return;
        }
        let (stats, took, pass) = self.in_flight.remove(0);
        let took = Duration::from_millis(took);
        self.now += took;
        stats.shard(0).end();
        self.totals.shard(0).add(Count::RequestEnded);
        if let Some(latency) = stats.latency() {
            latency.observe(outcome, took, self.now);
        }
        drop(pass);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn nobody_is_picked_while_another_has_the_better_right(
        policy in prop::sample::select(&POLICIES[..]),
        first in set(),
        steps in prop::collection::vec(step(), 1..60),
    ) {
        let mut scene = Scene::new(policy);
        let mut set = first;
        let mut picker = scene.picker(&set);
        for step in steps {
            match step {
                Step::End(outcome) => scene.end(outcome),
                Step::Update(next) => {
                    set = next;
                    picker = scene.picker(&set);
                }
                Step::Pick(key, tried, took) => {
                    let now = scene.now;
                    let tried = |member: usize| tried.get(member).copied().unwrap_or_default();
                    let ask = Ask { key: Some(key), now: &|| now };
                    let picked = picker.pick(&ask, tried);
                    prop_assert_eq!(picked.is_none(), set.is_empty());
                    let Some(picked) = picked else { continue };
                    let is = |wanted: &dyn Fn(usize, &Given) -> bool| {
                        set.iter().enumerate().any(|(member, given)| wanted(member, given))
                    };
                    let chosen = set[picked.member];
                    // Drained: only where nobody else is, or all others are on trial.
                    if chosen.weight == 0 {
                        prop_assert!(!is(&|_, given| given.weight > 0 && !given.trial));
                    }
                    // On trial without the pass: only where nobody is who is not.
                    if chosen.trial && picked.trial.is_none() {
                        prop_assert!(!is(&|_, given| !given.trial));
                    }
                    prop_assert!(chosen.trial || picked.trial.is_none());
                    // Tried before: only where of those in its place nobody was not.
                    if tried(picked.member) {
                        let equal = |member: usize, given: &Given| {
                            given.trial == chosen.trial
                                && (given.weight == 0) == (chosen.weight == 0)
                                && !tried(member)
                        };
                        prop_assert!(!is(&equal));
                    }
                    scene.begin(picked, took);
                }
            }
        }
    }

    /// Requests that last, all of one key: nobody has more than a quarter more than the mean, beyond a handful.
    #[test]
    fn the_load_of_one_key_is_bounded(
        endpoints in 1_usize..30,
        requests in 1_u64..400,
        key in any::<u64>(),
    ) {
        let mut scene = Scene::new("hash:path");
        let picker = scene.picker(&vec![Given { weight: 1, trial: false }; endpoints]);
        for request in 1..=requests {
            // As a proxy does: it counts the request, and then picks.
            scene.totals.shard(0).add(Count::TunnelOpened);
            let ask = Ask::now(Some(key));
            let picked = picker.pick(&ask, |_| false).unwrap();
            let stats = &scene.known[&picked.member];
            stats.shard(0).start();
            let bound = (5 * request).div_ceil(4 * endpoints as u64).max(8);
            prop_assert!(stats.load() <= bound, "{} of {request}", stats.load());
        }
    }
}

fn counts(picker: &Picker, picks: usize, key: impl Fn(usize) -> Option<u64>) -> Vec<usize> {
    let mut counts = vec![0; 8];
    for number in 0..picks {
        let pick = picker.pick(&Ask::now(key(number)), |_| false).unwrap();
        counts[pick.member] += 1;
    }
    counts
}

fn set_of(stats: &[Arc<EndpointStats>]) -> Vec<Candidate> {
    let stats = stats.iter().enumerate();
    stats
        .map(|(member, stats)| Candidate {
            stats: stats.clone(),
            ..candidate(member, false)
        })
        .collect()
}

fn pods(count: usize, workers: usize) -> Vec<Arc<EndpointStats>> {
    let one = |_| Arc::new(EndpointStats::new(workers, Instant::now()));
    (0..count).map(one).collect()
}

#[test]
fn the_fewest_requests_of_all_workers_win() {
    let stats = pods(2, 4);
    for worker in 0..4 {
        stats[0].shard(worker).start();
    }
    stats[1].shard(3).start();
    let picker = balancer("least-request").picker(&set_of(&stats));
    assert_eq!(counts(&picker, 100, |_| None)[..2], [0, 100]);
    // Tunnels are load like any other.
    for _ in 0..9 {
        stats[1].shard(0).open_tunnel();
    }
    assert_eq!(counts(&picker, 100, |_| None)[..2], [100, 0]);
    for worker in 0..4 {
        stats[0].shard(worker).end();
    }
    assert_eq!(counts(&picker, 100, |_| None)[..2], [100, 0]);
}

#[test]
fn equals_share_evenly_under_least_request() {
    let stats = pods(4, 1);
    let picker = balancer("least-request").picker(&set_of(&stats));
    for count in &counts(&picker, 4000, |_| None)[..4] {
        // Six standard deviations of 27.
        assert!((835..1165).contains(count), "{count}");
    }
}

#[test]
fn the_faster_pod_is_taken_until_it_has_more_in_hand() {
    let balancer_ = balancer("peak-ewma");
    let start = Instant::now();
    let stats: Vec<Arc<EndpointStats>> = (0..2).map(|_| balancer_.stats(1, start).into()).collect();
    for (stats, millis) in stats.iter().zip([10, 35]) {
        let took = Duration::from_millis(millis);
        stats
            .latency()
            .unwrap()
            .observe(Outcome::Answered, took, start);
    }
    let mut balancer = balancer_;
    let picker = balancer.picker(&set_of(&stats));
    let ask = Ask {
        key: None,
        now: &|| start,
    };
    let mut order = Vec::new();
    for _ in 0..5 {
        let member = picker.pick(&ask, |_| false).unwrap().member;
        stats[member].shard(0).start();
        order.push(member);
    }
    // 10, 20, 30 ms in the first one's hands, then 35 in the other's, then 40 before 70.
    assert_eq!(order, [0, 0, 0, 1, 0]);
}

#[test]
fn a_new_pod_gets_one_request_and_no_more_before_its_answer() {
    let mut balancer = balancer("peak-ewma");
    let now = Instant::now();
    let stats: Vec<Arc<EndpointStats>> = (0..2).map(|_| balancer.stats(1, now).into()).collect();
    let observe = |member: usize| {
        let took = Duration::from_millis(10);
        stats[member]
            .latency()
            .unwrap()
            .observe(Outcome::Answered, took, now);
    };
    observe(0);
    let picker = balancer.picker(&set_of(&stats));
    let ask = Ask {
        key: None,
        now: &|| now,
    };
    assert_eq!(picker.pick(&ask, |_| false).unwrap().member, 1);
    stats[1].shard(0).start();
    for _ in 0..50 {
        assert_eq!(picker.pick(&ask, |_| false).unwrap().member, 0);
    }
    stats[1].shard(0).end();
    observe(1);
    let both: BTreeSet<usize> = (0..50)
        .map(|_| picker.pick(&ask, |_| false).unwrap().member)
        .collect();
    assert_eq!(both.len(), 2);
}

#[test]
fn a_key_keeps_its_pod_and_requests_without_one_go_anywhere() {
    let stats = pods(4, 1);
    let mut balancer = balancer("hash:path");
    let picker = balancer.picker(&set_of(&stats));
    for key in 0..100 {
        let key = crate::stable_hash::stable_hash(b"key", key);
        let counts = counts(&picker, 10, |_| Some(key));
        assert!(counts.contains(&10), "{counts:?}");
    }
    for count in &counts(&picker, 4000, |_| None)[..4] {
        assert!((835..1165).contains(count), "{count}");
    }
    // A retry goes to the same second pod each time.
    let second = |_| pick(&picker, &[pick(&picker, &[]).0]).0;
    let second: BTreeSet<usize> = (0..20).map(second).collect();
    assert_eq!(second.len(), 1);
}
