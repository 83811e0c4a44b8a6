//! What takes too long or is too much.

use super::*;

#[tokio::test]
async fn a_body_beyond_its_limit_is_refused_and_the_client_reads_so() {
    let stage = start(PATIENT);
    let large = " ".repeat(PATIENT.body_bytes - review().len()) + &review();
    let answer = stage.exchange(post("/mutate", CLOSE, &large)).await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");

    let announced = post("/mutate", "", &format!(" {large}"));
    let answer = stage.exchange(&announced).await;
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
    assert!(answer.contains("4194304 bytes"), "{answer}");

    // Without a length it shows only as it comes.
    let head = "POST /mutate HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n";
    let chunks = format!("{head}{:x}\r\n {large}\r\n0\r\n\r\n", large.len() + 1);
    let answer = stage.exchange(&chunks).await;
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
}

#[tokio::test]
async fn a_handshake_that_does_not_come_is_given_up() {
    let stage = start(Bounds {
        handshake: SHORT,
        connections: 1,
        ..PATIENT
    });
    let _silent = TcpStream::connect(stage.address).await.unwrap();
    let answer = stage.exchange(post("/mutate", CLOSE, &review())).await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    assert_eq!(stage.metrics.handshakes_failed.get(), 1);
}

#[tokio::test]
async fn a_head_that_does_not_end_is_given_up_however_often_a_byte_comes() {
    let stage = start(Bounds {
        head: SHORT,
        ..PATIENT
    });
    let mut stream = stage.connect().await;
    let begun = Instant::now();
    let drip = async {
        loop {
            tokio::time::sleep(Duration::from_millis(20)).await;
            if stream.write_all(b"x").await.is_err() || stream.flush().await.is_err() {
                return;
            }
        }
    };
    soon(drip).await;
    assert!(begun.elapsed() >= SHORT);
}

#[tokio::test]
async fn the_next_head_has_a_time_of_its_own() {
    let stage = start(Bounds {
        head: SHORT,
        ..PATIENT
    });
    let mut stream = stage.connect().await;
    let request = post("/mutate", "", &review());
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = vec![0; 4096];
    soon(stream.read(&mut answer)).await.unwrap();
    // Idle for longer than a head may take.
    tokio::time::sleep(2 * SHORT).await;
    stream.write_all(request.as_bytes()).await.unwrap();
    assert!(soon(stream.read(&mut answer)).await.unwrap() > 0);
    stream.write_all(b"POST /mut").await.unwrap();
    assert_eq!(end(&mut stream).await, "");
}

#[tokio::test]
async fn a_body_that_does_not_end_is_answered_in_time() {
    let stage = start(Bounds {
        request: SHORT,
        ..PATIENT
    });
    let request = post("/mutate", "", &review());
    let answer = stage.exchange(&request[..request.len() - 1]).await;
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
}

#[tokio::test]
async fn a_connection_without_a_request_is_closed_after_a_while() {
    let stage = start(Bounds {
        idle: SHORT,
        ..PATIENT
    });
    let mut stream = stage.connect().await;
    let request = post("/mutate", "", &review());
    stream.write_all(request.as_bytes()).await.unwrap();
    let answer = end(&mut stream).await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
}

#[tokio::test]
async fn a_client_that_does_not_take_its_answers_is_cut_off() {
    let stage = start(Bounds {
        answer: SHORT,
        ..PATIENT
    });
    let mut stream = stage.connect().await;
    // The uid comes back: of large answers few fill what lies between the two.
    let review = review().replace("u-1", &"u".repeat(100_000));
    let request = post("/mutate", "", &review);
    // Until neither side takes anything any more.
    let flood = async { while stream.write_all(request.as_bytes()).await.is_ok() {} };
    soon(flood).await;
}

#[tokio::test]
async fn connections_beyond_the_limit_wait() {
    let stage = start(Bounds {
        connections: 2,
        idle: SHORT,
        ..PATIENT
    });
    let mut kept = Vec::new();
    for _ in 0..2 {
        let mut stream = stage.connect().await;
        let request = post("/mutate", "", &review());
        stream.write_all(request.as_bytes()).await.unwrap();
        kept.push(stream);
    }
    let answer = stage.exchange(post("/mutate", CLOSE, &review())).await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
}

#[tokio::test]
async fn few_large_bodies_are_read_at_a_time_and_small_ones_pass_them() {
    let stage = start(Bounds {
        large_bodies: 1,
        request: 5 * SHORT,
        ..PATIENT
    });
    let large = post("/mutate", CLOSE, &(" ".repeat(500_000) + &review()));
    let mut holder = stage.connect().await;
    holder
        .write_all(&large.as_bytes()[..200_000])
        .await
        .unwrap();
    holder.flush().await.unwrap();
    let small = stage.exchange(post("/mutate", CLOSE, &review())).await;
    assert!(small.starts_with("HTTP/1.1 200 "), "{small}");
    // This one waits until the place is free, which it is once the other has used up its time.
    let (waiting, held) = tokio::join!(stage.exchange(&large), end(&mut holder));
    assert!(held.starts_with("HTTP/1.1 408 "), "{held}");
    let served = waiting.starts_with("HTTP/1.1 200 ") || waiting.starts_with("HTTP/1.1 408 ");
    assert!(served, "{waiting}");
    let after = stage.exchange(&large).await;
    assert!(after.starts_with("HTTP/1.1 200 "), "{after}");
}
