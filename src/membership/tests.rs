mod checked;
mod panic;
mod ramping;
mod reports;

use super::*;
use crate::balance::Ask;
use crate::endpoint::AppProtocol;
use crate::endpoint::Standing;
use crate::error::{Flag, Kind};
use crate::outlier::{Cause, Outcome, Rule};
use crate::snapshot::{Health, Member};
use crate::stats::Count;

/// Failures in a row that eject, where nothing else is set.
const THRESHOLD: u32 = 5;

fn round_robin() -> Choice {
    Choice {
        policy: Policy::RoundRobin,
        subset: None,
        slow_start: None,
        health_check: None,
        ejection: Ejection::default(),
        outliers: None,
        panic_threshold: None,
        rooms: None,
    }
}

fn endpoint(n: u8, uid: &str, standing: Standing) -> Endpoint {
    Endpoint {
        identity: Identity {
            address: ([10, 0, 0, n], 80).into(),
            uid: Some(uid.to_owned()),
        },
        pod: Some(format!("pod-{n}")),
        node: None,
        zone: None,
        protocol: AppProtocol::Http1,
        weight: 1,
        standing,
    }
}

fn ready(numbers: &[u8]) -> Vec<Endpoint> {
    numbers
        .iter()
        .map(|n| endpoint(*n, "first", Standing::Ready))
        .collect()
}

struct Scene {
    membership: Membership,
    snapshots: watch::Receiver<Arc<Snapshot>>,
    totals: Arc<TargetStats>,
    metrics: Arc<TargetMetrics>,
}

impl Scene {
    fn of(endpoints: Vec<Endpoint>) -> Self {
        Self::with(round_robin(), endpoints)
    }

    fn with(choice: Choice, endpoints: Vec<Endpoint>) -> Self {
        let totals = Arc::new(TargetStats::new(2));
        let metrics = Arc::new(TargetMetrics::default());
        let (membership, snapshots) = Membership::new(
            "test".to_owned(),
            choice,
            2,
            totals.clone(),
            metrics.clone(),
            Instant::now(),
        );
        let mut scene = Self {
            membership,
            snapshots,
            totals,
            metrics,
        };
        scene.list(endpoints);
        scene
    }

    /// Where nobody looks for silent pods, so that only what the scene is about is due.
    fn without_looks(mut self) -> Self {
        self.membership.listening = None;
        self
    }

    fn list(&mut self, endpoints: Vec<Endpoint>) {
        let update = Update {
            endpoints,
            received: Instant::now(),
            triggered: None,
        };
        self.membership.apply(update, Instant::now());
    }

    fn now(&self) -> Arc<Snapshot> {
        self.snapshots.borrow().clone()
    }

    fn fact(&self, member: usize, outcome: Outcome, started: Instant) -> Fact {
        Fact {
            endpoint: self.now().members[member].endpoint.clone(),
            outcome,
            started,
            refused: false,
        }
    }

    fn fail(&mut self, member: usize, times: u32, now: Instant) {
        let fact = self.fact(member, Outcome::Failed(Kind::ConnectFailed), now);
        for _ in 0..times {
            self.membership.observe(std::slice::from_ref(&fact), now);
        }
    }

    fn refuse(&mut self, member: usize, now: Instant) {
        let fact = Fact {
            refused: true,
            ..self.fact(member, Outcome::Failed(Kind::ConnectFailed), now)
        };
        self.membership.observe(&[fact], now);
    }

    fn answer(&self, member: usize, times: u32) {
        for _ in 0..times {
            self.now().members[member].stats.shard(0).answer();
            self.totals.shard(0).add(Count::Answered);
        }
    }

    /// Which members three rounds of picks go to, in order of their index.
    fn picked(&self) -> Vec<usize> {
        let snapshot = self.now();
        let mut picked: Vec<usize> = (0..3 * snapshot.members.len())
            .filter_map(|_| snapshot.picker.pick(&Ask::now(None), |_| false))
            .map(|pick| pick.member)
            .collect();
        picked.sort_unstable();
        picked.dedup();
        picked
    }
}

#[test]
fn a_list_replaces_the_one_before_and_only_used_endpoints_get_picks() {
    let mut scene = Scene::of(ready(&[1, 2]));
    assert_eq!(scene.picked(), [0, 1]);
    scene.list(vec![
        endpoint(2, "first", Standing::NotReady),
        endpoint(3, "first", Standing::Ready),
        endpoint(4, "first", Standing::Terminating),
    ]);
    assert_eq!(scene.now().members.len(), 3);
    assert_eq!(scene.picked(), [1]);
    scene.list(Vec::new());
    assert!(scene.now().picker.is_empty());
    assert_eq!(scene.metrics.updates.get(), 3);
}

#[test]
fn a_terminating_pod_that_refuses_has_ended_whatever_the_list_still_says() {
    let fallback = |n| endpoint(n, "first", Standing::Fallback);
    let mut scene = Scene::of(vec![fallback(1), fallback(2)]);
    scene.refuse(0, Instant::now());
    assert_eq!(scene.picked(), [1]);
    assert_eq!(scene.now().members[0].state(), "terminating");

    // All of them may go, unlike ready pods: nothing is left to wait for there.
    scene.refuse(1, Instant::now());
    assert!(scene.now().picker.is_empty());
    scene.list(vec![fallback(1), fallback(2), fallback(3)]);
    assert_eq!(scene.picked(), [2]);

    // Another pod on its address starts clean.
    scene.list(vec![endpoint(1, "second", Standing::Fallback), fallback(2)]);
    assert_eq!(scene.picked(), [0]);
}

#[test]
fn a_terminating_pod_that_cannot_be_reached_has_not_ended() {
    let mut scene = Scene::of(vec![endpoint(1, "first", Standing::Fallback)]);
    scene.fail(0, THRESHOLD, Instant::now());
    assert_eq!(scene.picked(), [0]);
    assert_eq!(scene.now().members[0].state(), "fallback");
}

#[test]
fn pods_that_fail_together_leave_with_one_snapshot() {
    let now = Instant::now();
    let mut scene = Scene::of(ready(&[1, 2, 3, 4]));
    let version = scene.now().version;
    let facts: Vec<Fact> = [0, 2, 3]
        .repeat(THRESHOLD as usize)
        .into_iter()
        .map(|member| scene.fact(member, Outcome::Failed(Kind::Reset), now))
        .collect();
    scene.membership.observe(&facts, now);
    assert_eq!(scene.now().version, version + 1);
    // No more than half of them.
    assert_eq!(scene.picked(), [1, 3]);
}

#[test]
fn terminating_pods_that_refuse_together_leave_with_one_snapshot() {
    let now = Instant::now();
    let fallback = |n| endpoint(n, "first", Standing::Fallback);
    let mut scene = Scene::of(vec![fallback(1), fallback(2), fallback(3)]);
    scene.fail(2, THRESHOLD, now);
    assert_eq!(scene.now().members[2].state(), "ejected");
    let version = scene.now().version;
    let facts = [0, 1].map(|member| Fact {
        refused: true,
        ..scene.fact(member, Outcome::Failed(Kind::ConnectFailed), now)
    });
    scene.membership.observe(&facts, now);
    assert_eq!(scene.now().version, version + 1);
    // The one that is left is taken back.
    assert_eq!(scene.picked(), [2]);
}

#[test]
fn a_silent_pod_is_judged_by_the_answers_of_pods_that_have_gone_since_too() {
    let now = Instant::now();
    let mut scene = Scene::of(ready(&[1, 2, 3]));
    scene.answer(1, 1000);
    let silent = scene.fact(0, Outcome::GaveUp { others: 0 }, now);
    scene.membership.observe(&vec![silent.clone(); 4], now);
    scene.answer(0, 100);
    scene.answer(2, 9);
    // With 1000 answers of its own, before the silence.
    scene.list(ready(&[1, 3, 4]));
    scene.membership.observe(std::slice::from_ref(&silent), now);
    assert_eq!(scene.picked(), [0, 1, 2]);
    scene.answer(1, 1);
    scene.membership.observe(&[silent], now);
    assert_eq!(scene.picked(), [1, 2]);
}

/// Looks at the pods so many seconds after the first look, which was after `start`.
fn look(scene: &mut Scene, start: Instant, seconds: u64) {
    scene
        .membership
        .expire(start + std::time::Duration::from_secs(seconds + 1));
}

#[test]
fn a_pod_that_answers_nobody_is_left_out_while_its_requests_wait() {
    let start = Instant::now();
    let mut scene = Scene::of(ready(&[1, 2, 3]));
    let silent = scene.now().members[0].stats.clone();
    look(&mut scene, start, 0);
    for worker in [0, 0, 0, 1, 1] {
        silent.wait(worker, start + std::time::Duration::from_secs(1), 0);
    }
    scene.answer(1, 10);
    look(&mut scene, start, 1);
    assert_eq!(scene.picked(), [1, 2]);
    assert!(scene.now().members[0].health.is_silent());
    assert_eq!(scene.metrics.ejections(Rule::Silence, Flag::Ut), 1);
}

#[test]
fn a_pod_that_has_answered_another_worker_since_the_last_look_is_not_silent() {
    let start = Instant::now();
    let mut scene = Scene::of(ready(&[1, 2, 3]));
    let silent = scene.now().members[0].stats.clone();
    look(&mut scene, start, 0);
    for _ in 0..5 {
        silent.wait(1, start + std::time::Duration::from_secs(1), 0);
    }
    for _ in 0..10 {
        scene.totals.shard(1).add(Count::Answered);
    }
    scene.answer(0, 1);
    look(&mut scene, start, 2);
    assert_eq!(scene.picked(), [0, 1, 2]);
    look(&mut scene, start, 3);
    assert_eq!(scene.picked(), [1, 2]);
}

#[test]
fn an_endpoint_that_stays_keeps_its_counters_and_a_new_pod_on_its_address_does_not() {
    let mut scene = Scene::of(ready(&[1]));
    scene.now().members[0].stats.shard(0).start();
    let before = scene.now().members[0].clone();
    scene.list(ready(&[1, 2]));
    let after = scene.now().members[0].clone();
    assert_eq!(after.stats.attempts(), 1);
    assert!(Arc::ptr_eq(&before.endpoint, &after.endpoint));
    scene.list(vec![endpoint(1, "second", Standing::Ready)]);
    assert_eq!(scene.now().members[0].stats.attempts(), 0);
}

#[test]
fn five_failures_take_an_endpoint_out_of_the_picks_with_a_reason() {
    let now = Instant::now();
    let mut scene = Scene::of(ready(&[1, 2, 3]));
    scene.fail(1, THRESHOLD - 1, now);
    assert_eq!(scene.picked(), [0, 1, 2]);
    assert!(scene.now().members[1].stats.suspect());
    scene.fail(1, 1, now);
    assert_eq!(scene.picked(), [0, 2]);
    let member = scene.now().members[1].clone();
    assert_eq!(member.state(), "ejected");
    let reason = member.health.cause().unwrap().to_string();
    assert!(reason.contains("connect refused"), "{reason}");
    let ejections = scene.metrics.ejections(Rule::Failures, Flag::Uf);
    assert_eq!(ejections, 1);
}

#[test]
fn after_its_time_one_request_at_a_time_tries_it_and_its_outcome_decides() {
    let now = Instant::now();
    let mut scene = Scene::of(ready(&[1, 2, 3]));
    scene.fail(1, THRESHOLD, now);
    scene
        .membership
        .expire(now + std::time::Duration::from_secs(1));
    let snapshot = scene.now();
    assert_eq!(snapshot.members[1].state(), "trial");
    let trial = snapshot.picker.pick(&Ask::now(None), |_| false).unwrap();
    assert_eq!(trial.member, 1);
    assert!(trial.trial.is_some());
    for _ in 0..6 {
        assert_ne!(
            snapshot
                .picker
                .pick(&Ask::now(None), |_| false)
                .unwrap()
                .member,
            1
        );
    }
    let answered = scene.fact(
        1,
        Outcome::Answered,
        now + std::time::Duration::from_secs(1),
    );
    scene.membership.observe(&[answered], now);
    assert_eq!(scene.now().members[1].state(), "ready");
    assert!(!scene.now().members[1].stats.suspect());
    assert_eq!(scene.picked(), [0, 1, 2]);
}

#[test]
fn a_request_holds_a_trial_for_as_long_as_the_longest_ejection() {
    let seconds = std::time::Duration::from_secs;
    let now = Instant::now();
    let ejection = Ejection {
        longest: seconds(4),
        ..Ejection::default()
    };
    let choice = Choice {
        ejection,
        ..round_robin()
    };
    let mut scene = Scene::with(choice, ready(&[1, 2, 3]));
    scene.fail(1, THRESHOLD, now);
    scene.membership.expire(now + seconds(1));
    let snapshot = scene.now();
    let start = Instant::now();
    let tried = |after| {
        let now = || start + seconds(after);
        let ask = Ask {
            key: None,
            now: &now,
        };
        snapshot.picker.pick(&ask, |_| false).unwrap().trial
    };
    let first = tried(0);
    assert!(first.is_some());
    assert!(tried(3).is_none());
    assert!(tried(5).is_some());
}

#[test]
fn facts_about_who_has_gone_or_is_not_used_change_nothing() {
    let mut scene = Scene::of(ready(&[1, 2, 3]));
    let gone = scene.now().members[0].endpoint.clone();
    scene.list(vec![
        endpoint(2, "first", Standing::Ready),
        endpoint(3, "first", Standing::NotReady),
    ]);
    let version = scene.now().version;
    for endpoint in [gone, scene.now().members[1].endpoint.clone()] {
        for _ in 0..2 * THRESHOLD {
            let fact = Fact {
                endpoint: endpoint.clone(),
                outcome: Outcome::Failed(Kind::Reset),
                started: Instant::now(),
                refused: false,
            };
            scene.membership.observe(&[fact], Instant::now());
        }
    }
    assert_eq!(scene.now().version, version);
}

#[test]
fn a_set_that_shrinks_takes_an_ejected_pod_back_rather_than_lose_more_than_half() {
    let now = Instant::now();
    let mut scene = Scene::of(ready(&[1, 2]));
    scene.fail(0, THRESHOLD, now);
    assert_eq!(scene.picked(), [1]);
    scene.list(ready(&[1]));
    assert_eq!(scene.picked(), [0]);
    assert_eq!(scene.now().members[0].state(), "ready");
}

#[tokio::test]
async fn the_gate_of_the_first_list_opens_with_an_empty_list_too() {
    let readiness = crate::readiness::Readiness::default();
    let gate = readiness.gate("first list");
    let (membership, mut snapshots) = Membership::new(
        "test".to_owned(),
        round_robin(),
        1,
        Arc::new(TargetStats::new(1)),
        Arc::default(),
        Instant::now(),
    );
    let (updates_in, updates) = mpsc::channel(1);
    let (_facts_in, facts) = mpsc::channel(1);
    let (_, reports) = mpsc::channel(1);
    let inlets = Inlets {
        updates,
        facts,
        reports,
    };
    let running = tokio::spawn(membership.run(inlets, gate));
    assert_eq!(readiness.pending(), ["first list"]);
    updates_in
        .send(Update {
            endpoints: Vec::new(),
            received: Instant::now(),
            triggered: None,
        })
        .await
        .unwrap();
    snapshots
        .wait_for(|snapshot| snapshot.version == 1)
        .await
        .unwrap();
    drop(updates_in);
    running.await.unwrap();
    assert!(readiness.pending().is_empty());
}
