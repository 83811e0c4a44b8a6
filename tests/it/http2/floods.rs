//! Clients that do what HTTP/2 allows, without end: resets, frames that mean nothing, heads that unpack to a multiple, and
//! slowness.

use super::framing::{ENHANCE_YOUR_CALM, connect, farewell, fields, is_answer};
use crate::support::frames::{
    CONTINUATION, DATA, END_HEADERS, END_STREAM, Frame, GOAWAY, HEADERS, PING, PRIORITY,
    RST_STREAM, SETTINGS, WINDOW_UPDATE, block,
};
use crate::support::resources::{A_WHILE, KIB, MIB, calm};
use crate::support::wire::Wire;
use crate::support::{Pod, Sidecar, soon, within};

/// CVE-2023-44487: streams opened and reset at once, as fast as possible.
#[tokio::test]
async fn rapid_resets_end_the_connection_and_cost_the_pods_little() {
    let pod = Pod::start("a").await;
    let (mut sidecar, calm) = calm(Sidecar::over([&pod])).await;
    let mut wire = connect(&sidecar).await;
    let mut burst = Vec::new();
    for number in 0..10_000 {
        let stream = number * 2 + 1;
        burst.extend(Frame::get(stream, "/").bytes());
        burst.extend(Frame::reset(stream, 8).bytes());
    }
    // It may be cut off in the middle.
    let _ = wire.send(&burst).await;
    let code = farewell(&mut wire).await;
    assert!(matches!(code, None | Some(ENHANCE_YOUR_CALM)), "{code:?}");
    let heads = pod.record().heads.len();
    assert!(heads < 1_000, "{heads} of 10000 requests reached the pod");
    calm.bound("rapid resets", &sidecar, 1, MIB, 200);
    calm.returns("rapid resets", &mut sidecar).await;
}

/// Each makes us reset a stream, which costs us more than the client.
#[tokio::test]
async fn a_client_that_has_its_streams_reset_without_end_is_let_go() {
    let pod = Pod::start("a").await;
    let sidecar = Sidecar::over([&pod]).start().await;
    let mut wire = connect(&sidecar).await;
    let malformed = block(&fields(&[("connection", "close")]));
    let mut burst = Vec::new();
    for number in 0..2_000 {
        let head = Frame::new(
            HEADERS,
            END_HEADERS | END_STREAM,
            number * 2 + 1,
            &*malformed,
        );
        burst.extend(head.bytes());
    }
    let _ = wire.send(&burst).await;
    let code = farewell(&mut wire).await;
    assert!(matches!(code, None | Some(ENHANCE_YOUR_CALM)), "{code:?}");
    assert_eq!(pod.record().heads.len(), 0);
    assert_eq!(sidecar.get("/").await.pod(), "a");
}

#[tokio::test]
async fn floods_are_ended_or_cost_nothing() {
    let pod = Pod::start("a").await;
    let (mut sidecar, calm) = calm(Sidecar::over([&pod])).await;
    // A head that never ends, in frames that hold something and in frames that hold nothing.
    let open = Frame::new(HEADERS, 0, 1, block(&fields(&[])));
    let full = Frame::new(CONTINUATION, 0, 1, block(&[("x", &"y".repeat(16_000))]));
    let empty = Frame::new(CONTINUATION, 0, 1, []);
    let floods: [(&str, Vec<Frame>, Frame); 7] = [
        ("continuation", vec![open.clone()], full),
        ("empty continuation", vec![open], empty),
        ("settings", vec![], Frame::settings(&[(4, 65_535)])),
        ("ping", vec![], Frame::new(PING, 0, 0, [0; 8])),
        (
            "priority",
            vec![],
            Frame::new(PRIORITY, 0, 1, [0, 0, 0, 3, 1]),
        ),
        (
            "empty data",
            vec![Frame::new(HEADERS, END_HEADERS, 1, block(&fields(&[])))],
            Frame::new(DATA, 0, 1, []),
        ),
        (
            "window update",
            vec![],
            Frame::new(WINDOW_UPDATE, 0, 0, [0, 0, 0, 1]),
        ),
    ];
    for (name, opening, frame) in floods {
        let mut wire = connect(&sidecar).await;
        for frame in opening {
            wire.send_frame(&frame).await.unwrap();
        }
        let burst = frame.bytes().repeat((1 << 20) / frame.bytes().len());
        // Never reading, as who floods does not. It may be cut off or held back.
        let flood = async {
            for _ in 0..32 {
                wire.send(&burst).await?;
            }
            Ok::<_, std::io::Error>(())
        };
        let outcome = tokio::time::timeout(std::time::Duration::from_secs(3), flood).await;
        println!("{name}: {outcome:?}");
        calm.bound(name, &sidecar, 1, MIB, 2);
        assert_eq!(
            sidecar.http2().await.get("/").await.status,
            200,
            "after {name}"
        );
    }
    calm.returns("floods", &mut sidecar).await;
}

/// A small block that unpacks to a large head: one long field, by its index again and again.
#[tokio::test]
async fn a_header_bomb_is_refused_and_cheap() {
    let pod = Pod::start("a").await;
    let (mut sidecar, calm) = calm(Sidecar::over([&pod])).await;
    let seen = pod.record().heads.len();
    for _ in 0..20 {
        let mut wire = connect(&sidecar).await;
        let mut bomb = block(&fields(&[]));
        // A literal with incremental indexing, then 12,000 times its index: 48 MB.
        bomb.extend([0x40, 1, b'x', 127, 0xa1, 0x1e]);
        bomb.extend([b'y'; 4000]);
        bomb.extend([0xbe; 12_000]);
        let head = Frame::new(HEADERS, END_HEADERS | END_STREAM, 1, bomb);
        wire.send_frame(&head).await.unwrap();
        let frame = soon("an answer", async {
            loop {
                let frame = wire.frame().await.unwrap();
                if matches!(frame.kind, HEADERS | RST_STREAM | GOAWAY) {
                    return frame;
                }
            }
        })
        .await;
        assert!(
            frame.is(GOAWAY) && frame.code() == ENHANCE_YOUR_CALM,
            "{frame:?}"
        );
    }
    assert_eq!(pod.record().heads.len(), seen);
    calm.bound("header bombs", &sidecar, 20, 100 * KIB, 2);
    calm.returns("header bombs", &mut sidecar).await;
}

#[tokio::test]
async fn settings_of_a_tiny_window_make_a_response_slow_and_nothing_worse() {
    let pod = Pod::scripted(
        "a",
        crate::support::manners::say(format!(
            "HTTP/1.1 200 OK\r\nx-pod: a\r\ncontent-length: 100000\r\n\r\n{}",
            "x".repeat(100_000)
        )),
    )
    .await;
    let (mut sidecar, calm) = calm(Sidecar::over([&pod])).await;
    let mut wires = Vec::new();
    for _ in 0..5 {
        let mut wire = Wire::connect(sidecar.proxy).await.unwrap();
        wire.begin_as_client(&[(4, 1)]).await.unwrap();
        for number in 0..100 {
            wire.send_frame(&Frame::get(number * 2 + 1, "/"))
                .await
                .unwrap();
        }
        wires.push(wire);
    }
    pod.until("all requests", |record| record.requests.len() > 500)
        .await;
    // What waits: a read buffer of the pod's connection and a chunk on its way for each.
    calm.bound("tiny windows", &sidecar, 500, 200 * KIB, 1);
    let settings = soon("settings", wires[0].frame_of(SETTINGS)).await;
    assert!(settings.is_ok());
    drop(wires);
    calm.returns("tiny windows", &mut sidecar).await;
}

/// Heads that do not end, and bodies that do not, on connections over HTTP/2.
#[tokio::test]
async fn slow_clients_are_let_go_and_cost_little() {
    const MANY: usize = 300;
    let pod = Pod::start("a").await;
    let plan = Sidecar::over([&pod])
        .with("--client-idle-timeout", "10s")
        .with("--client-stall", "10s");
    let (mut sidecar, calm) = calm(plan).await;
    let head = Frame::get(1, "/").bytes();
    let mut fields = fields(&[]);
    fields[0] = (":method", "POST");
    let body = Frame::new(HEADERS, END_HEADERS, 1, block(&fields)).bytes();
    let mut wires = Vec::new();
    for number in 0..MANY {
        let mut wire = connect(&sidecar).await;
        let slow = if number % 2 == 0 {
            &head[..head.len() - 1]
        } else {
            &body
        };
        wire.send(slow).await.unwrap();
        wires.push(wire);
    }
    pod.until("half of them", |record| record.heads.len() > MANY / 2)
        .await;
    calm.bound("slow clients over HTTP/2", &sidecar, MANY, 100 * KIB, 2);
    for wire in &mut wires {
        within(A_WHILE, "the end", async {
            while wire.frame().await.is_ok_and(|frame| !is_answer(&frame)) {}
        })
        .await;
    }
    drop(wires);
    calm.returns("slow clients over HTTP/2", &mut sidecar).await;
}
