//! Answers that are set to count as failures of their pod.

use futures::{StreamExt, stream};
use tonic::Code;

use crate::grpc::echo::{Caller, EchoPod};
use crate::support::sidecar::Plan;
use crate::support::within::eventually;
use crate::support::{Pod, Sidecar, manners};

async fn unavailable(name: &'static str) -> Pod {
    let answer = "HTTP/1.1 503 No\r\nx-pod: erring\r\ncontent-length: 0\r\n\r\n";
    Pod::scripted(name, manners::say(answer)).await
}

#[tokio::test]
async fn five_answers_in_a_row_with_a_status_that_counts_eject_and_one_fails_a_trial() {
    let (erring, good) = (unavailable("erring").await, Pod::start("good").await);
    let sidecar = Sidecar::over([&erring, &good])
        .with("--failure-statuses", "429,5xx")
        .start()
        .await;
    let mut client = sidecar.client().await;
    let mut errors = 0;
    eventually("a failed trial", async || {
        // The client is told what the pod says.
        errors += usize::from(client.get("/").await.status() == 503);
        let ejections = sidecar.metric("podrobin_ejections_total", &["cause=\"status\""]);
        (ejections.await >= 2.0).then_some(())
    })
    .await;
    assert_eq!(errors, erring.record().heads.len());
    assert!(errors >= 6, "{errors}");
    let state = sidecar.state_of(&erring).await;
    let said = state["reason"].as_str().unwrap_or_default();
    assert!(said.contains("answered 503"), "{state}");
    assert_eq!(sidecar.state_of(&good).await["state"], "ready");
}

#[tokio::test]
async fn without_the_status_among_those_that_count_nobody_is_ejected() {
    let (erring, good) = (unavailable("erring").await, Pod::start("good").await);
    let sidecar = Sidecar::over([&erring, &good])
        .with("--failure-statuses", "500,502")
        .start()
        .await;
    let mut client = sidecar.client().await;
    for _ in 0..20 {
        client.get("/").await;
    }
    assert_eq!(erring.record().heads.len(), 10);
    assert_eq!(sidecar.state_of(&erring).await["state"], "ready");
}

struct Calls {
    sidecar: Sidecar,
    caller: Caller,
    /// Of `bad`.
    address: String,
    _pods: [EchoPod; 2],
}

impl Calls {
    async fn start(plan: impl FnOnce(Plan) -> Plan) -> Self {
        let pods = [EchoPod::start("bad").await, EchoPod::start("good").await];
        let over = Sidecar::at(pods.iter().map(|pod| pod.address)).http2_to_pods();
        let sidecar = plan(over).start().await;
        Self {
            caller: Caller::connect(sidecar.proxy).await,
            sidecar,
            address: pods[0].address.to_string(),
            _pods: pods,
        }
    }

    /// A call that `bad` ends with UNAVAILABLE in its trailers, after an answer. Whether it did.
    async fn fails(&self) -> bool {
        let ask = stream::iter(["bad".to_owned()]);
        let answers = self.caller.stream("FailAt", ask).await.unwrap();
        let answers: Vec<_> = answers.into_inner().collect().await;
        assert!(answers[0].is_ok());
        match answers.get(1) {
            Some(end) => {
                assert_eq!(end.as_ref().unwrap_err().code(), Code::Unavailable);
                true
            }
            None => false,
        }
    }

    async fn state(&self) -> serde_json::Value {
        let state = self.sidecar.state().await;
        let endpoints = state["endpoints"].as_array().unwrap();
        let mut bad = endpoints
            .iter()
            .filter(|endpoint| endpoint["address"] == self.address.as_str());
        bad.next().cloned().unwrap()
    }
}

#[tokio::test]
async fn a_code_in_the_trailers_that_counts_ejects_and_a_call_that_goes_on_ends_the_trial() {
    let calls = Calls::start(|plan| plan.with("--failure-grpc", "internal,unavailable")).await;
    let state = eventually("the ejection", async || {
        calls.fails().await;
        let state = calls.state().await;
        (state["state"] == "ejected").then_some(state)
    })
    .await;
    let said = state["reason"].as_str().unwrap_or_default();
    assert!(said.contains("answered unavailable"), "{state}");

    let mut open = Vec::new();
    eventually("the end of the trial", async || {
        let state = calls.state().await;
        if state["state"] == "trial" && open.len() < 50 {
            let call = calls.caller.stream("Echo", stream::pending());
            open.push(call.await.unwrap());
        }
        (state["state"] == "ready").then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_code_in_the_trailers_that_does_not_count_ejects_nobody() {
    let calls = Calls::start(|plan| plan.with("--failure-grpc", "internal")).await;
    let mut failed = 0;
    for _ in 0..20 {
        failed += usize::from(calls.fails().await);
    }
    assert_eq!(failed, 10);
    assert_eq!(calls.state().await["state"], "ready");
}

#[tokio::test]
async fn peak_ewma_hears_what_the_trailers_say() {
    let calls = Calls::start(|plan| plan.with("--policy", "peak-ewma")).await;
    let mut failed = 0;
    for _ in 0..100 {
        failed += usize::from(calls.fails().await);
    }
    // Else it would be as good as the other.
    assert!(failed < 25, "{failed} of 100");
}

#[tokio::test]
async fn pods_are_compared_by_what_the_trailers_say() {
    let calls = Calls::start(|plan| {
        plan.with("--eject-failure-percentage", "50")
            .with("--eject-interval", "1s")
            .with("--eject-min-requests", "5")
            .with("--eject-min-pods", "2")
    })
    .await;
    eventually("the ejection", async || {
        calls.fails().await;
        let state = calls.state().await;
        let said = state["reason"].as_str().unwrap_or_default();
        said.contains("100 % of its requests failed").then_some(())
    })
    .await;
}
