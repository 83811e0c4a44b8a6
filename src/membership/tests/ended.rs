//! Terminating pods, used because nobody is ready, that refuse a connection.

use super::*;

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
