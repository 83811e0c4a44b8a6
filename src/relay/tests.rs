use std::io;

use proptest::prelude::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

use super::*;

/// Waits that end.
async fn soon<T>(scene: impl Future<Output = T>) -> T {
    let ended = tokio::time::timeout(Duration::from_secs(10), scene).await;
    ended.unwrap_or_else(|_| panic!("waited 10 s"))
}

/// A relay between two pipes of so many bytes, with the far ends.
fn joined(
    room: usize,
) -> (
    Relay<DuplexStream, DuplexStream>,
    DuplexStream,
    DuplexStream,
) {
    joined_after(room, b"", b"")
}

fn joined_after(
    room: usize,
    of_client: &'static [u8],
    of_pod: &'static [u8],
) -> (
    Relay<DuplexStream, DuplexStream>,
    DuplexStream,
    DuplexStream,
) {
    let (client, near_client) = duplex(room);
    let (pod, near_pod) = duplex(room);
    let relay = Relay::new(
        (near_client, Bytes::from_static(of_client)),
        (near_pod, Bytes::from_static(of_pod)),
        Scratch::default(),
    );
    (relay, client, pod)
}

#[tokio::test]
async fn what_was_read_ahead_comes_first_on_both_sides() {
    let (mut relay, mut client, mut pod) = joined_after(64, b"early up, ", b"early down, ");
    client.write_all(b"later").await.unwrap();
    pod.write_all(b"later").await.unwrap();
    client.shutdown().await.unwrap();
    pod.shutdown().await.unwrap();
    assert_eq!(relay.run(None).await, Ending::Whole);
    assert_eq!(relay.passed(), (15, 17));
    drop(relay);
    let (mut up, mut down) = (String::new(), String::new());
    pod.read_to_string(&mut up).await.unwrap();
    client.read_to_string(&mut down).await.unwrap();
    assert_eq!(
        (up.as_str(), down.as_str()),
        ("early up, later", "early down, later")
    );
}

#[tokio::test]
async fn one_sides_end_is_passed_on_and_the_other_goes_on() {
    let (mut relay, mut client, mut pod) = joined(64);
    let scene = async {
        client.write_all(b"question").await.unwrap();
        client.shutdown().await.unwrap();
        let mut question = String::new();
        pod.read_to_string(&mut question).await.unwrap();
        pod.write_all(b"answer").await.unwrap();
        let mut answer = [0; 6];
        client.read_exact(&mut answer).await.unwrap();
        pod.shutdown().await.unwrap();
        (question, answer)
    };
    let both = async { tokio::join!(relay.run(None), scene) };
    let (ending, (question, answer)) = soon(both).await;
    assert_eq!(ending, Ending::Whole);
    assert_eq!((question.as_str(), &answer), ("question", b"answer"));
}

#[tokio::test]
async fn a_reader_that_waits_holds_its_source_back() {
    let (mut relay, mut client, _pod) = joined(1024);
    let mut taken = 0;
    {
        let mut running = Box::pin(relay.run(None));
        // Until a whole round moves nothing.
        loop {
            assert!(futures::poll!(&mut running).is_pending());
            let mut writing = Box::pin(client.write(&[7; 1024]));
            match futures::poll!(&mut writing) {
                Poll::Ready(written) => taken += written.unwrap(),
                Poll::Pending => break,
            }
        }
    }
    // Both pipes, and what the relay keeps for the pod.
    assert!(taken <= 2 * 1024 + SCRATCH, "{taken}");
    assert_eq!(relay.passed(), (1024, 0));
}

#[tokio::test(start_paused = true)]
async fn a_relay_is_idle_once_nothing_has_been_passed_on_for_the_limit() {
    let limit = Duration::from_secs(10);
    let begun = Instant::now();
    let (mut relay, mut client, mut pod) = joined(64);
    let scene = async {
        tokio::time::sleep(Duration::from_secs(7)).await;
        client.write_all(b"x").await.unwrap();
        assert_eq!(pod.read_u8().await.unwrap(), b'x');
        // The last byte; the pod's side stays open.
        (client, pod)
    };
    let (ending, _open) = tokio::join!(relay.run(Some(limit)), scene);
    assert_eq!(ending, Ending::Idle);
    assert_eq!(begun.elapsed().as_secs(), 17);
}

#[tokio::test]
async fn parting_passes_on_what_was_read_and_tells_both_the_end() {
    let (mut relay, mut client, mut pod) = joined(4);
    client.write_all(b"abcd").await.unwrap();
    // Read of the client, and half of it not taken.
    assert!(futures::poll!(Box::pin(relay.run(None))).is_pending());
    client.write_all(b"efgh").await.unwrap();
    assert!(futures::poll!(Box::pin(relay.run(None))).is_pending());
    assert_eq!(relay.passed(), (4, 0));
    let scene = async {
        let mut up = String::new();
        pod.read_to_string(&mut up).await.unwrap();
        pod.write_all(b"too late, and more than fits")
            .await
            .unwrap();
        drop(pod);
        let mut down = String::new();
        client.read_to_string(&mut down).await.unwrap();
        drop(client);
        (up, down)
    };
    let ((), (up, down)) = tokio::join!(relay.part(), scene);
    assert_eq!((up.as_str(), down.as_str()), ("abcdefgh", ""));
}

#[tokio::test]
async fn parting_does_not_listen_for_ever() {
    let (mut relay, mut client, mut pod) = joined(64 * 1024);
    let babble = async {
        let mut said = 0;
        // Its end of the pipe is never closed.
        while said <= LAST_WORDS {
            said += client.write(&[7; 16 * 1024]).await.unwrap();
        }
        pod.shutdown().await.unwrap();
    };
    tokio::join!(relay.part(), babble);
}

/// A stream that fails as a socket does whose other end has gone: what came before is read, what is written is refused.
struct Gone {
    said: &'static [u8],
    then: Option<io::ErrorKind>,
}

impl AsyncRead for Gone {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if let (true, Some(kind)) = (self.said.is_empty(), self.then) {
            return Poll::Ready(Err(kind.into()));
        }
        buf.put_slice(self.said);
        self.said = b"";
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Gone {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, _: &[u8]) -> Poll<io::Result<usize>> {
        Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[tokio::test]
async fn the_last_words_of_a_side_that_has_gone_arrive_before_its_end() {
    for (then, of_pod) in [
        (None, "end"),
        (Some(io::ErrorKind::ConnectionReset), "reset"),
    ] {
        let (mut client, near) = duplex(64);
        client.write_all(b"for nobody").await.unwrap();
        let pod = Gone { said: b"bye", then };
        let mut relay = Relay::new(
            (near, Bytes::new()),
            (pod, Bytes::new()),
            Scratch::default(),
        );
        assert_eq!(relay.run(None).await, Ending::Cut(Side::Pod), "{of_pod}");
        assert_eq!(relay.passed(), (0, 3), "{of_pod}");
    }
}

#[tokio::test]
async fn a_client_that_has_gone_is_told_from_a_pod_that_has() {
    let (mut pod, near) = duplex(64);
    pod.write_all(b"for nobody").await.unwrap();
    let client = Gone {
        said: b"bye",
        then: Some(io::ErrorKind::ConnectionReset),
    };
    let mut relay = Relay::new(
        (client, Bytes::new()),
        (near, Bytes::new()),
        Scratch::default(),
    );
    assert_eq!(relay.run(None).await, Ending::Cut(Side::Client));
    assert_eq!(relay.passed(), (3, 0));
}

proptest! {
    /// Whatever the pipes hold and however the bytes come, they arrive, in order and whole.
    #[test]
    fn every_byte_arrives_in_order(
        room in 1_usize..40_000,
        up in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..5_000), 0..12),
        down in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..5_000), 0..12),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let (ending, at_pod, at_client) = runtime.block_on(async {
            let (mut relay, client, pod) = joined(room);
            let (mut from_client, mut to_client) = tokio::io::split(client);
            let (mut from_pod, mut to_pod) = tokio::io::split(pod);
            let write_up = async {
                for part in &up {
                    to_client.write_all(part).await.unwrap();
                }
                to_client.shutdown().await.unwrap();
            };
            let write_down = async {
                for part in &down {
                    to_pod.write_all(part).await.unwrap();
                }
                to_pod.shutdown().await.unwrap();
            };
            let (mut at_pod, mut at_client) = (Vec::new(), Vec::new());
            let whole = async {
                tokio::join!(
                    relay.run(None),
                    write_up,
                    write_down,
                    from_pod.read_to_end(&mut at_pod),
                    from_client.read_to_end(&mut at_client),
                )
            };
            let (ending, (), (), _, _) = soon(whole).await;
            (ending, at_pod, at_client)
        });
        prop_assert_eq!(ending, Ending::Whole);
        prop_assert_eq!(at_pod, up.concat());
        prop_assert_eq!(at_client, down.concat());
    }
}
