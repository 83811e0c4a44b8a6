//! What a tunnel carries.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::{ASK, SWITCH, assert_echoes, echo, echoing, switching, tunnel};
use crate::support::pod::Session;
use crate::support::within::SOON;
use crate::support::{Pod, Sidecar, Slices, eventually, soon, within};

#[tokio::test]
async fn what_is_sent_right_behind_the_heads_arrives() {
    let pod = Pod::scripted("a", |mut session: Session| async move {
        session.head().await?;
        session.wire.send([SWITCH, "down first, "].concat()).await?;
        let up = session.wire.exact(12).await?;
        session.wire.send("down second").await?;
        session.wire.send(up).await
    })
    .await;
    let sidecar = Sidecar::over([&pod]).start().await;
    let mut client = sidecar.client().await;
    client.send([ASK, "up first, "].concat()).await;
    assert_eq!(client.head().await.status(), 101);
    assert_eq!(
        soon("bytes", client.wire.exact(12)).await.unwrap(),
        b"down first, "
    );
    client.send("up").await;
    let rest = soon("the rest", client.wire.exact(23)).await.unwrap();
    assert_eq!(rest, b"down secondup first, up");
}

#[tokio::test]
async fn a_client_that_has_said_all_still_hears_the_answer() {
    let pod = switching("a", |mut session: Session| async move {
        // Told of the end, it answers.
        let mut said = String::new();
        session.wire.stream().read_to_string(&mut said).await?;
        session.wire.send(format!("heard {said}")).await
    })
    .await;
    let sidecar = Sidecar::over([&pod]).start().await;
    let (mut client, _) = tunnel(&sidecar).await;
    client.send("all").await;
    client.wire.finish().await.unwrap();
    assert_eq!(
        soon("the answer", client.wire.exact(9)).await.unwrap(),
        b"heard all"
    );
    client.closed().await;
}

#[tokio::test]
async fn a_pod_that_has_said_all_still_hears_the_client() {
    let pod = switching("a", |mut session: Session| async move {
        session.wire.send("all").await?;
        session.wire.finish().await?;
        // The head of the record is what was said after its end.
        session.head().await.map(|_| ())
    })
    .await;
    let sidecar = Sidecar::over([&pod]).start().await;
    let (mut client, _) = tunnel(&sidecar).await;
    assert_eq!(soon("bytes", client.wire.exact(3)).await.unwrap(), b"all");
    client.closed().await;
    client.send("late words\r\n\r\n").await;
    pod.until("what came late", |record| {
        record.heads.len() == 2 && record.heads[1].line == "late words"
    })
    .await;
    client.wire.finish().await.unwrap();
    pod.until("the end", |record| record.open == 0).await;
}

#[tokio::test]
async fn much_goes_both_ways_at_once_and_nothing_is_kept() {
    const BYTES: usize = 64 * 1024 * 1024;
    let pod = echoing("a").await;
    let sidecar = Sidecar::over([&pod]).start().await;
    let (mut client, _) = echo(&sidecar).await;
    assert_echoes(&mut client, "warm").await;
    let before = sidecar.resident();
    let pattern: Vec<u8> = (0..=250).cycle().take(251 * 256).collect();
    let (mut from, mut to) = client.wire.stream().split();
    let up = async {
        let mut left = BYTES;
        while left > 0 {
            let part = left.min(pattern.len());
            to.write_all(&pattern[..part]).await.unwrap();
            left -= part;
        }
        to.shutdown().await.unwrap();
    };
    let down = async {
        let mut buffer = vec![0; 64 * 1024];
        let (mut heard, mut most) = (0, 0);
        loop {
            let read = from.read(&mut buffer).await.unwrap();
            if read == 0 {
                return (heard, most);
            }
            for byte in &buffer[..read] {
                assert_eq!(usize::from(*byte), heard % 251);
                heard += 1;
            }
            if heard % (1 << 20) < read {
                most = most.max(sidecar.resident());
            }
        }
    };
    let ((), (heard, most)) = within(6 * SOON, "64 MiB and back", async {
        tokio::join!(up, down)
    })
    .await;
    assert_eq!(heard, BYTES);
    let grown = most.saturating_sub(before);
    assert!(grown < 4 * 1024 * 1024, "{grown} bytes more");
}

#[tokio::test]
async fn a_pod_that_reads_nothing_holds_its_client_back() {
    let pod = switching("a", |session: Session| async move {
        let _open = session;
        std::future::pending().await
    })
    .await;
    let sidecar = Sidecar::over([&pod]).start().await;
    let (mut client, _) = tunnel(&sidecar).await;
    let before = sidecar.resident();
    let part = vec![7; 64 * 1024];
    let mut sent = 0;
    // The kernel's buffers on both sides take some megabytes.
    while let Ok(written) = tokio::time::timeout(
        Duration::from_millis(500),
        client.wire.stream().write(&part),
    )
    .await
    {
        sent += written.unwrap();
        assert!(sent < 64 * 1024 * 1024, "nobody holds the client back");
    }
    let grown = sidecar.resident().saturating_sub(before);
    assert!(grown < 2 * 1024 * 1024, "{grown} bytes more");
}

#[tokio::test]
async fn a_tunnel_outlives_its_pods_place_on_the_list() {
    let (pod, other) = (echoing("a").await, Pod::start("b").await);
    let slices = Slices::of([&pod]);
    let sidecar = Sidecar::watching(&slices).start().await;
    let (mut client, _) = echo(&sidecar).await;
    slices.set([&other]);
    eventually("requests at the other pod", async || {
        (sidecar.get("/").await.field("x-pod") == Some("b")).then_some(())
    })
    .await;
    assert_echoes(&mut client, "still there").await;
    assert_eq!(sidecar.state().await["tunnels"], 1);
}
