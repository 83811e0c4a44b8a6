//! Pods that are replaced or die while requests come without pause.

use crate::support::slices::Entry;
use crate::support::{Load, Pod, Sidecar, Slices};

#[tokio::test]
async fn pods_that_come_and_go_lose_nothing() {
    let a = Pod::start("a").await;
    let b = Pod::start("b").await;
    let c = Pod::start("c").await;
    let slices = Slices::of([&a, &b, &c]);
    let sidecar = Sidecar::watching(&slices).start().await;
    let load = Load::start(sidecar.proxy, 8);
    for list in [vec![&b, &c], vec![&a], vec![&a, &b, &c], vec![&c, &b]] {
        load.more(50).await;
        slices.set(list.iter().copied());
        sidecar.until_listed(list.len()).await;
    }
    load.more(50).await;
    let tally = load.stop().await;
    tally.assert_nothing_lost();
    assert_eq!(tally.turned_away, 0);
    assert_eq!(tally.by_pod.len(), 3, "{tally:?}");
}

#[tokio::test]
async fn a_rolling_update_whose_pods_exit_at_once_loses_nothing() {
    let mut old = [
        Pod::start("a").await,
        Pod::start("b").await,
        Pod::start("c").await,
    ];
    let mut new = Vec::new();
    let slices = Slices::of(&old);
    let sidecar = Sidecar::watching(&slices).start().await;
    let load = Load::start(sidecar.proxy, 8);
    for (replaced, name) in ["d", "e", "f"].into_iter().enumerate() {
        load.more(50).await;
        new.push(Pod::start(name).await);
        let entries = |leaving: Option<usize>| {
            let old = old.iter().enumerate().skip(replaced);
            let old = old.map(|(index, pod)| match leaving == Some(index) {
                true => Entry::terminating(pod),
                false => Entry::from(pod),
            });
            new.iter().map(Entry::from).chain(old).collect::<Vec<_>>()
        };
        slices.set(entries(None));
        sidecar.until_state(&new[replaced], "ready").await;
        let leaving = entries(Some(replaced));
        // It exits on SIGTERM, before the list knows.
        old[replaced].kill().await;
        load.more(50).await;
        slices.set(leaving);
        load.more(50).await;
    }
    slices.set(&new);
    sidecar.until_listed(3).await;
    load.more(50).await;
    let tally = load.stop().await;
    tally.assert_nothing_lost();
    assert_eq!(tally.turned_away, 0);
}

#[tokio::test]
async fn a_pod_that_is_killed_costs_no_request_that_may_be_repeated() {
    let mut doomed = Pod::start("doomed").await;
    let others = [Pod::start("a").await, Pod::start("b").await];
    let sidecar = Sidecar::over([&doomed, &others[0], &others[1]])
        .start()
        .await;
    let load = Load::start(sidecar.proxy, 8);
    load.more(200).await;
    doomed.kill().await;
    load.more(200).await;
    sidecar.until_state(&doomed, "ejected").await;
    load.more(200).await;
    load.stop().await.assert_nothing_lost();
}
