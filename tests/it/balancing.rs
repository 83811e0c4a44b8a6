//! Who gets the next request.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use tokio::sync::Semaphore;

use crate::policies::spread;
use crate::support::client::get;
use crate::support::pod::Session;
use crate::support::{Pod, Sidecar, Slices, manners};

async fn three() -> [Pod; 3] {
    [
        Pod::start("a").await,
        Pod::start("b").await,
        Pod::start("c").await,
    ]
}

#[tokio::test]
async fn each_pod_gets_exactly_its_share_whoever_asks_on_whatever_connection() {
    let pods = three().await;
    let sidecar = Sidecar::over(&pods).start().await;
    // 6 connections over 2 workers, 300 requests.
    let counts = spread(&sidecar, 6, 50).await;
    assert_eq!(counts.into_values().collect::<Vec<_>>(), [100, 100, 100]);
}

#[tokio::test]
async fn one_connection_is_spread_like_many() {
    let pods = three().await;
    let sidecar = Sidecar::over(&pods).start().await;
    let mut client = sidecar.client().await;
    let mut names = Vec::new();
    for _ in 0..9 {
        names.push(client.get("/").await.pod().to_owned());
    }
    // In turn: the same three in the same order, wherever it began.
    assert_eq!(names[..3], names[3..6]);
    assert_eq!(names[..3], names[6..]);
    names.truncate(3);
    names.sort();
    assert_eq!(names, ["a", "b", "c"]);
}

#[tokio::test]
async fn a_retry_takes_a_turn_of_its_own() {
    let resets_left = Arc::new(AtomicUsize::new(2));
    let left = resets_left.clone();
    let unsteady = Pod::scripted("a", move |session: Session| {
        let left = left.clone();
        async move {
            let resets = left.fetch_update(Relaxed, Relaxed, |left| left.checked_sub(1));
            match resets {
                Ok(_) => manners::reset_after_request(session).await,
                Err(_) => manners::answer_all(session).await,
            }
        }
    })
    .await;
    let pods = [unsteady, Pod::start("b").await, Pod::start("c").await];
    let sidecar = Sidecar::over(&pods).start().await;
    let mut client = sidecar.client().await;
    // 28 requests and 2 retries: 30 picks.
    for _ in 0..28 {
        assert_eq!(client.get("/").await.status(), 200);
    }
    for pod in &pods {
        assert_eq!(pod.record().heads.len(), 10, "{}", pod.name);
    }
}

#[tokio::test]
async fn sidecars_begin_at_different_pods() {
    let pods = three().await;
    let mut first = Vec::new();
    // All at the same pod by chance: once in 177,147 runs.
    for _ in 0..12 {
        let sidecar = Sidecar::over(&pods).start().await;
        first.push(sidecar.get("/").await.pod().to_owned());
    }
    assert!(first.iter().any(|pod| *pod != first[0]), "{first:?}");
}

#[tokio::test]
async fn the_random_policy_is_fair_in_the_long_run() {
    let pods = three().await;
    let sidecar = Sidecar::over(&pods)
        .with("--policy", "random")
        .start()
        .await;
    let counts = spread(&sidecar, 6, 100).await;
    // 200 each, give or take five standard deviations of 11.5.
    for (pod, count) in counts {
        assert!((142..=258).contains(&count), "{pod} got {count} of 600");
    }
}

#[tokio::test]
async fn a_removed_pod_finishes_what_it_has_and_gets_nothing_new() {
    let finish = Arc::new(Semaphore::new(0));
    let gate = finish.clone();
    let leaving = Pod::scripted("a", move |mut session: Session| {
        let gate = gate.clone();
        async move {
            while let Some(request) = session.request().await? {
                if request.head.target() == "/slow" {
                    gate.acquire().await.unwrap().forget();
                }
                session.answer().await?;
            }
            Ok(())
        }
    })
    .await;
    let staying = Pod::start("b").await;
    let slices = Slices::of([&leaving, &staying]);
    let sidecar = Sidecar::watching(&slices).on_one_worker().start().await;

    // Two requests each at the same time: an idle connection more than the slow request needs.
    spread(&sidecar, 4, 4).await;
    let mut slow = [sidecar.client().await, sidecar.client().await];
    slow[0].send(get("/slow")).await;
    slow[1].send(get("/slow")).await;
    leaving
        .until("the slow request", |record| {
            record.heads.iter().any(|head| head.target() == "/slow")
        })
        .await;
    assert!(leaving.record().open > 1, "{:?}", leaving.record());

    slices.set([&staying]);
    leaving
        .until("its idle connections to be closed", |record| {
            record.open == 1
        })
        .await;
    let heads = leaving.record().heads.len();
    assert_eq!(spread(&sidecar, 4, 10).await, [("b".to_owned(), 40)].into());
    assert_eq!(leaving.record().heads.len(), heads);

    finish.add_permits(1);
    let answers = [slow[0].response().await, slow[1].response().await];
    assert!(answers.iter().any(|answer| answer.pod() == "a"));
    leaving
        .until("the end of its last connection", |record| record.open == 0)
        .await;
}
