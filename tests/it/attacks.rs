//! Clients that mean to use up what the sidecar has: memory, descriptors, places. Each scene measures both (run with
//! `--nocapture` to see the figures), holds them to a bound, and sees that nothing stays behind.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::pod::Session;
use crate::support::resources::{A_WHILE, KIB, OTHER_FILES, allow_files, calm, crowd};
use crate::support::{Client, Pod, Sidecar, eventually, soon, within};

/// Attackers in most scenes.
const MANY: usize = 1_000;

/// Waits until so many connections have been accepted: the kernel answers for itself.
async fn until_open(sidecar: &Sidecar, count: usize) {
    eventually("all of them to be accepted", async || {
        let open = sidecar.metric("podrobin_client_connections_open", &[]);
        (open.await >= count as f64).then_some(())
    })
    .await;
}

async fn send_all(crowd: &mut [TcpStream], bytes: &[u8]) {
    for stream in crowd {
        soon("room to write", stream.write_all(bytes))
            .await
            .unwrap();
    }
}

/// Waits until each connection has ended, and gives what came on them.
async fn last_words(crowd: Vec<TcpStream>) -> Vec<Vec<u8>> {
    let mut words = Vec::new();
    for mut stream in crowd {
        let mut said = Vec::new();
        // A reset is an end too.
        let _ = within(A_WHILE, "an end", stream.read_to_end(&mut said)).await;
        words.push(said);
    }
    words
}

#[tokio::test]
async fn silent_connections_are_closed_in_time() {
    let pod = Pod::start("a").await;
    let plan = Sidecar::over([&pod]).with("--header-timeout", "5s");
    let (mut sidecar, calm) = calm(plan).await;
    let crowd = crowd(sidecar.proxy, MANY).await;
    until_open(&sidecar, MANY).await;
    assert_eq!(sidecar.get("/meanwhile").await.pod(), "a");
    calm.bound("silent connections", &sidecar, MANY, 16 * KIB, 1);
    let words = last_words(crowd).await;
    assert!(words.iter().all(Vec::is_empty));
    calm.returns("silent connections", &mut sidecar).await;
}

#[tokio::test]
async fn slow_heads_are_given_up() {
    let pod = Pod::start("a").await;
    let plan = Sidecar::over([&pod])
        .with("--header-timeout", "5s")
        .with("--max-header-bytes", "16KiB");
    let (mut sidecar, calm) = calm(plan).await;
    let mut crowd = crowd(sidecar.proxy, MANY).await;
    // As much as a head may have, and never its end.
    let head = format!(
        "GET / HTTP/1.1\r\nHost: shop\r\nX-Slow: {}",
        "a".repeat(15_000)
    );
    send_all(&mut crowd, head.as_bytes()).await;
    assert_eq!(sidecar.get("/meanwhile").await.pod(), "a");
    // hyper's buffer doubles as it fills, and the head is kept as it came.
    calm.bound("slow heads", &sidecar, MANY, 64 * KIB, 1);
    let words = last_words(crowd).await;
    assert!(words.iter().all(|said| said.starts_with(b"HTTP/1.1 408 ")));
    calm.returns("slow heads", &mut sidecar).await;
    assert_eq!(pod.count("GET"), 3, "none of them reached the pod");
}

#[tokio::test]
async fn slow_bodies_are_given_up() {
    let pod = Pod::start("a").await;
    let plan = Sidecar::over([&pod])
        .with("--client-stall", "5s")
        .with("--max-replay-bytes", "16KiB");
    let (mut sidecar, calm) = calm(plan).await;
    let mut crowd = crowd(sidecar.proxy, MANY).await;
    // A body that is kept, as it could be sent again.
    let head = "PUT / HTTP/1.1\r\nHost: shop\r\nContent-Length: 1000000\r\n\r\n";
    let begun = format!("{head}{}", "a".repeat(15_000));
    send_all(&mut crowd, begun.as_bytes()).await;
    assert_eq!(sidecar.get("/meanwhile").await.pod(), "a");
    // A connection to the pod each, with buffers of its own.
    calm.bound("slow bodies", &sidecar, MANY, 160 * KIB, 2);
    let words = last_words(crowd).await;
    assert!(words.iter().all(|said| said.starts_with(b"HTTP/1.1 408 ")));
    calm.returns("slow bodies", &mut sidecar).await;
    assert_eq!(pod.record().requests.len(), 3, "none reached the pod whole");
}

#[tokio::test]
async fn slow_readers_are_cut_off() {
    const READERS: usize = 200;
    const LENGTH: usize = 16 << 20;
    let pod = Pod::scripted("a", |mut session: Session| async move {
        let piece = vec![b'x'; 64 << 10];
        while let Some(request) = session.request().await? {
            if request.head.target() != "/large" {
                session.answer().await?;
                continue;
            }
            let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {LENGTH}\r\n\r\n");
            session.wire.send(head).await?;
            for _ in 0..LENGTH / piece.len() {
                session.wire.send(&piece).await?;
            }
        }
        Ok(())
    })
    .await;
    let plan = Sidecar::over([&pod]).with("--client-stall", "5s");
    let (mut sidecar, calm) = calm(plan).await;
    let mut crowd = crowd(sidecar.proxy, READERS).await;
    send_all(&mut crowd, b"GET /large HTTP/1.1\r\nHost: shop\r\n\r\n").await;
    pod.until("all of them", |record| record.heads.len() > READERS)
        .await;
    assert_eq!(sidecar.get("/meanwhile").await.pod(), "a");
    pod.until("their end", |record| record.open < OTHER_FILES)
        .await;
    // What hyper reads ahead of one side, and has not written to the other.
    calm.bound("slow readers", &sidecar, READERS, 320 * KIB, 2);
    drop(crowd);
    calm.returns("slow readers", &mut sidecar).await;
}

#[tokio::test]
async fn beyond_ten_thousand_connections_each_is_told_so_and_those_within_are_served() {
    const MOST: usize = 10_000;
    const BEYOND: usize = 100;
    // Both ends of each are counted: ours here, theirs there.
    allow_files(MOST + 1_500);
    let pod = Pod::start("a").await;
    let (mut sidecar, calm) = calm(Sidecar::over([&pod])).await;
    let mut inside = within(A_WHILE, "the crowd", crowd(sidecar.proxy, MOST)).await;
    until_open(&sidecar, MOST).await;

    let outside = crowd(sidecar.proxy, BEYOND).await;
    for said in last_words(outside).await {
        let said = String::from_utf8(said).unwrap();
        assert!(said.starts_with("HTTP/1.1 503 "), "{said:?}");
        assert!(said.contains("x-podrobin-error: UO\r\n"), "{said:?}");
    }

    calm.bound("10,000 connections", &sidecar, MOST, 20 * KIB, 1);
    for stream in inside.iter_mut().step_by(MOST / 200) {
        let request = b"GET /inside HTTP/1.1\r\nHost: shop\r\n\r\n";
        soon("room to write", stream.write_all(request))
            .await
            .unwrap();
        let mut answer = [0; 12];
        soon("an answer", stream.read_exact(&mut answer))
            .await
            .unwrap();
        assert_eq!(&answer, b"HTTP/1.1 200");
    }
    drop(inside);
    calm.returns("10,000 connections", &mut sidecar).await;
}

#[tokio::test]
async fn running_out_of_descriptors_passes_by_itself() {
    const SPARE: usize = 60;
    let pod = Pod::start("a").await;
    let (mut sidecar, calm) = calm(Sidecar::over([&pod]).on_one_worker()).await;
    let mut kept = sidecar.client().await;
    assert_eq!(kept.get("/").await.pod(), "a");
    sidecar.limit_files(calm.files + SPARE);

    // The kernel takes their connections, and the process can't.
    let crowd = crowd(sidecar.proxy, 3 * SPARE).await;
    let starved = |line: &serde_json::Value| {
        line["message"]
            .as_str()
            .is_some_and(|message| message.starts_with("cannot accept connections"))
    };
    sidecar.log.until("a warning", 1, starved).await;
    // Those inside are served as before.
    for _ in 0..3 {
        assert_eq!(kept.get("/meanwhile").await.pod(), "a");
    }
    let open = sidecar.files();
    println!("descriptors: {open} open, {} before", calm.files);
    // The limit is on numbers, and one that the process began with may be beyond it.
    assert!(open <= calm.files + SPARE + OTHER_FILES, "{open} open");

    drop(crowd);
    eventually("a new client to be served", async || {
        let mut client = Client::connect(sidecar.proxy).await;
        (client.get("/").await.status() == 200).then_some(())
    })
    .await;
    let again = |line: &serde_json::Value| line["message"] == "accepts connections again";
    sidecar.log.until("its end", 1, again).await;
    calm.returns("descriptors", &mut sidecar).await;
    // A second of it is one line, not a thousand.
    assert!(sidecar.log.matching(starved).len() < 5);
}
