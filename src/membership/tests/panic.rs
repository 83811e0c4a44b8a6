//! The panic guard, over ejections and checks.

use proptest::prelude::*;

use super::*;

fn choice(threshold: usize, consecutive: Option<u32>) -> Choice {
    Choice {
        ejection: Ejection {
            consecutive,
            ..Ejection::default()
        },
        panic_threshold: Some(threshold),
        ..round_robin()
    }
}

fn states(scene: &Scene) -> Vec<&'static str> {
    let snapshot = scene.now();
    snapshot.members.iter().map(Member::state).collect()
}

#[test]
fn where_too_few_are_left_the_ejected_are_used_until_enough_are_back() {
    let now = Instant::now();
    let mut scene = Scene::with(choice(60, Some(5)), ready(&[1, 2, 3, 4]));
    scene.fail(0, 5, now);
    assert_eq!(states(&scene), ["ejected", "ready", "ready", "ready"]);
    assert!(!scene.now().panics);
    let version = scene.now().version;
    scene.fail(1, 5, now);
    assert_eq!(scene.now().version, version + 1);
    assert_eq!(states(&scene), ["panic", "panic", "ready", "ready"]);
    assert!(scene.now().panics);
    assert_eq!(scene.picked(), [0, 1, 2, 3]);
    let health = scene.now().members[1].health.clone();
    assert_eq!(health.cause(), Some(Cause::Failed(Kind::ConnectFailed)));

    // After its time any answer ends it, not just that of one request at a time.
    let later = now + std::time::Duration::from_secs(1);
    scene.membership.expire(later);
    assert_eq!(states(&scene), ["panic", "panic", "ready", "ready"]);
    let snapshot = scene.now();
    let trials = (0..8).filter_map(|_| snapshot.picker.pick(&Ask::now(None), |_| false)?.trial);
    assert_eq!(trials.count(), 0);
    let answered = scene.fact(1, Outcome::Answered, later);
    scene.membership.observe(&[answered], later);
    assert_eq!(states(&scene), ["trial", "ready", "ready", "ready"]);
    assert!(!scene.now().panics);
}

#[test]
fn without_a_threshold_nobody_panics() {
    let mut scene = Scene::of(ready(&[1, 2]));
    scene.fail(0, THRESHOLD, Instant::now());
    assert_eq!(states(&scene), ["ejected", "ready"]);
    assert!(!scene.now().panics);
}

#[test]
fn a_list_that_shrinks_may_begin_a_panic_and_one_that_grows_ends_it() {
    let now = Instant::now();
    let mut scene = Scene::with(choice(60, Some(5)), ready(&[1, 2, 3]));
    scene.fail(0, 5, now);
    assert_eq!(states(&scene), ["ejected", "ready", "ready"]);
    scene.list(ready(&[1, 2]));
    assert_eq!(states(&scene), ["panic", "ready"]);
    scene.list(ready(&[1, 2, 3]));
    assert_eq!(states(&scene), ["ejected", "ready", "ready"]);
    scene.list(vec![endpoint(1, "first", Standing::NotReady)]);
    assert_eq!(states(&scene), ["not_ready"]);
    assert!(!scene.now().panics);
}

#[test]
fn pods_that_are_drained_do_not_count() {
    let mut pods = ready(&[1, 2, 3, 4]);
    for drained in &mut pods[2..] {
        drained.weight = 0;
    }
    let mut scene = Scene::with(choice(60, Some(5)), pods);
    scene.fail(0, 5, Instant::now());
    assert_eq!(states(&scene), ["panic", "ready", "ready", "ready"]);
}

#[derive(Clone, Debug)]
enum Step {
    Fail(usize),
    Answer(usize),
    Check(usize, bool),
    Wait(u64),
}

fn step() -> impl Strategy<Value = Step> {
    let pod = 0_usize..6;
    prop_oneof![
        6 => pod.clone().prop_map(Step::Fail),
        2 => pod.clone().prop_map(Step::Answer),
        4 => (pod, prop::bool::weighted(0.3)).prop_map(|(pod, passed)| Step::Check(pod, passed)),
        2 => (0_u64..20).prop_map(Step::Wait),
    ]
}

proptest! {
    /// Whatever ejections and checks say: below the threshold everybody gets traffic, else nobody that is out does.
    #[test]
    fn all_are_used_below_the_threshold_and_only_there(
        threshold in 1_usize..=99,
        checks in any::<bool>(),
        steps in prop::collection::vec(step(), 1..60),
    ) {
        let check = checks.then(|| checked::tcp(crate::config::NewPods::Use));
        let choice = Choice { health_check: check, ..choice(threshold, Some(1)) };
        let mut scene = Scene::with(choice, ready(&[1, 2, 3, 4, 5, 6]));
        let mut now = Instant::now();
        for step in steps {
            match step {
                Step::Fail(pod) => scene.fail(pod, 1, now),
                Step::Answer(pod) => {
                    let fact = scene.fact(pod, Outcome::Answered, now);
                    scene.membership.observe(&[fact], now);
                }
                Step::Check(pod, passed) => checked::check(&mut scene, pod, passed, 2),
                Step::Wait(seconds) => {
                    now += std::time::Duration::from_secs(seconds);
                    scene.membership.expire(now);
                }
            }
            let snapshot = scene.now();
            let well = |member: &&Member| member.health == Health::Healthy;
            let usable = snapshot.members.iter().filter(well).count();
            prop_assert_eq!(snapshot.panics, usable * 100 < 6 * threshold);
            for member in &snapshot.members {
                let used = match member.health {
                    Health::Healthy => true,
                    Health::Trial { .. } => !snapshot.panics,
                    Health::Panic { .. } => snapshot.panics,
                    _ => false,
                };
                prop_assert!(used == member.gets_traffic(), "{:?}", member.health);
                prop_assert!(used || !snapshot.panics, "{:?}", member.health);
            }
        }
    }
}
