//! gRPC as tonic speaks it, at both ends: every kind of call, and every kind of end, the same direct and through podrobin.

pub(crate) mod echo;

use std::time::Duration;

use futures::{StreamExt, stream};
use tonic::metadata::MetadataValue;
use tonic::{Code, Request};

use crate::support::{Sidecar, Slices, soon};
use echo::{Caller, EchoPod};

async fn in_front_of(pods: &[&EchoPod]) -> Sidecar {
    let plan = Sidecar::at(pods.iter().map(|pod| pod.address));
    plan.http2_to_pods().start().await
}

/// One caller of the pod itself and one through podrobin: what the first meets, the other does.
struct Ways {
    callers: [Caller; 2],
    _sidecar: Sidecar,
}

async fn ways_to(pod: &EchoPod) -> Ways {
    let sidecar = in_front_of(&[pod]).await;
    Ways {
        callers: [
            Caller::connect(pod.address).await,
            Caller::connect(sidecar.proxy).await,
        ],
        _sidecar: sidecar,
    }
}

#[tokio::test]
async fn every_kind_of_call_comes_through_whole() {
    let pod = EchoPod::start("a").await;
    let ways = ways_to(&pod).await;
    for caller in &ways.callers {
        assert_eq!(caller.unary("Echo", "hello").await.unwrap(), "a: hello");
        let long = "x".repeat(1_000_000);
        let echoed = caller.unary("Echo", &long).await.unwrap();
        assert_eq!(echoed.len(), long.len() + "a: ".len());

        let counted = caller.stream("Count", stream::iter(["1000".to_owned()]));
        let counted: Vec<_> = counted.await.unwrap().into_inner().collect().await;
        let counted: Result<Vec<String>, _> = counted.into_iter().collect();
        let wanted: Vec<String> = (0..1000).map(|number| number.to_string()).collect();
        assert_eq!(counted.unwrap(), wanted);

        let words = stream::iter((0..1000).map(|number| format!("{number} ")));
        let mut joined = caller.stream("Join", words).await.unwrap().into_inner();
        let joined = joined.message().await.unwrap().unwrap();
        assert_eq!(joined.split_whitespace().count(), 1000);
    }
}

#[tokio::test]
async fn a_conversation_goes_back_and_forth_before_either_side_has_ended() {
    let pod = EchoPod::start("a").await;
    let ways = ways_to(&pod).await;
    for caller in &ways.callers {
        let (mut said, hears) = futures::channel::mpsc::channel(1);
        let mut answers = caller.stream("Echo", hears).await.unwrap().into_inner();
        for number in 0..100 {
            said.try_send(number.to_string()).unwrap();
            let answer = soon("an answer", answers.message()).await.unwrap();
            assert_eq!(answer, Some(format!("a: {number}")));
        }
        drop(said);
        assert_eq!(soon("the end", answers.message()).await.unwrap(), None);
        assert!(answers.trailers().await.unwrap().is_some());
    }
}

#[tokio::test]
async fn metadata_passes_both_ways_in_text_and_in_bytes() {
    let pod = EchoPod::start("a").await;
    let ways = ways_to(&pod).await;
    for caller in &ways.callers {
        let mut request = Request::new(stream::iter(["x".to_owned()]));
        let bytes = MetadataValue::from_bytes(&[0, 255, 10, 13]);
        let metadata = request.metadata_mut();
        metadata.insert("x-echo", "a text".parse().unwrap());
        metadata.insert_bin("x-echo-bin", bytes.clone());
        let response = caller.ask("Echo", request).await.unwrap();
        assert_eq!(response.metadata().get("x-echo").unwrap(), "a text");
        assert_eq!(response.metadata().get_bin("x-echo-bin").unwrap(), bytes);
    }
}

#[tokio::test]
async fn a_status_passes_alone_or_after_messages_with_its_words() {
    let pod = EchoPod::start("a").await;
    let ways = ways_to(&pod).await;
    for caller in &ways.callers {
        let words = "no: 100 %, \t☺\n😈";
        let status = caller.unary("Fail", words).await.unwrap_err();
        assert_eq!(
            (status.code(), status.message()),
            (Code::FailedPrecondition, words)
        );
        assert_eq!(status.details(), b"\x00details\xff");

        let ask = stream::iter([words.to_owned()]);
        let mut answers = caller.stream("FailLate", ask).await.unwrap().into_inner();
        assert_eq!(
            answers.message().await.unwrap().as_deref(),
            Some("so far so good")
        );
        let status = answers.message().await.unwrap_err();
        assert_eq!((status.code(), status.message()), (Code::Aborted, words));
    }
}

#[tokio::test]
async fn a_client_that_gives_up_or_runs_out_of_time_ends_the_call_at_the_pod() {
    let pod = EchoPod::start("a").await;
    let ways = ways_to(&pod).await;
    for caller in &ways.callers {
        let mut call = Box::pin(caller.unary("Hang", "x"));
        tokio::select! {
            answer = &mut call => panic!("{answer:?}"),
            () = pod.until_open(1) => {}
        }
        drop(call);
        pod.until_open(0).await;

        let mut request = Request::new(stream::iter(["x".to_owned()]));
        request.set_timeout(Duration::from_millis(300));
        let status = soon("the deadline", caller.ask("Hang", request)).await;
        // tonic's own clock and podrobin's run out together.
        let code = status.unwrap_err().code();
        assert!(
            matches!(code, Code::DeadlineExceeded | Code::Cancelled),
            "{code:?}"
        );
        pod.until_open(0).await;

        // In the middle of the answers.
        let ask = stream::iter([u32::MAX.to_string()]);
        let mut answers = caller.stream("Count", ask).await.unwrap().into_inner();
        assert_eq!(answers.message().await.unwrap().unwrap(), "0");
        pod.until_open(1).await;
        drop(answers);
        pod.until_open(0).await;
    }
}

#[tokio::test]
async fn a_pod_that_has_heard_enough_ends_the_call_while_the_client_still_speaks() {
    let pod = EchoPod::start("a").await;
    let ways = ways_to(&pod).await;
    for caller in &ways.callers {
        let (mut said, hears) = futures::channel::mpsc::channel(1);
        said.try_send("enough".to_owned()).unwrap();
        let mut answers = soon("an answer", caller.stream("FailLate", hears))
            .await
            .unwrap()
            .into_inner();
        assert!(answers.message().await.unwrap().is_some());
        let status = soon("the status", answers.message()).await.unwrap_err();
        assert_eq!((status.code(), status.message()), (Code::Aborted, "enough"));
        // Nobody hears it any more.
        soon("the client's side to be ended", async {
            while !said.is_closed() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        })
        .await;
    }
}

#[tokio::test]
async fn calls_of_one_channel_take_turns_among_the_pods() {
    let pods = [
        EchoPod::start("a").await,
        EchoPod::start("b").await,
        EchoPod::start("c").await,
    ];
    let sidecar = in_front_of(&[&pods[0], &pods[1], &pods[2]]).await;
    let caller = Caller::connect(sidecar.proxy).await;
    let calls = (0..300).map(|_| caller.unary("Echo", "x"));
    let answers: Vec<_> = stream::iter(calls).buffer_unordered(20).collect().await;
    for pod in ["a", "b", "c"] {
        let of_pod = |answer: &&Result<String, _>| answer.as_ref().unwrap().starts_with(pod);
        assert_eq!(answers.iter().filter(of_pod).count(), 100, "{pod}");
    }
}

#[tokio::test]
async fn without_a_pod_a_call_is_unavailable_and_says_why() {
    let slices = Slices::none();
    let plan = Sidecar::watching(&slices).with("--hold", "0");
    let sidecar = plan.start_unready().await;
    let caller = Caller::connect(sidecar.proxy).await;
    let status = caller.unary("Echo", "x").await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
    assert!(status.message().contains("no ready pod"), "{status}");
}
