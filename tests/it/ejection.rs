//! Pods that fail again and again are left out for a while.

mod bounds;
mod giving_up;
mod outliers;
mod panic;
mod returning;
mod settings;

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use serde_json::Value;

use crate::support::log::field;
use crate::support::pod::Session;
use crate::support::sidecar::Plan;
use crate::support::within::eventually;
use crate::support::{Pod, Sidecar, manners};

/// Budget enough that each failure is seen, and time-outs that a scene can wait for.
fn over<'a>(pods: impl IntoIterator<Item = &'a Pod>) -> Plan {
    Sidecar::over(pods)
        .with("--retry-budget-floor", "10000")
        .with("--connect-timeout", "200ms")
        // The good pod's answers have to come in time on a busy machine too.
        .with("--response-timeout", "1s")
}

/// Asks until the pod is left out; gives back how many requests it took.
async fn ask_until_ejected(sidecar: &Sidecar, pod: &Pod) -> usize {
    let mut client = sidecar.client().await;
    for count in 1..=40 {
        client.get("/").await;
        if sidecar.state_of(pod).await["state"] == "ejected" {
            return count;
        }
    }
    panic!("{} is not left out after 40 requests", pod.name);
}

async fn assert_left_out(broken: Pod, reason: &str) {
    let good = Pod::start("good").await;
    let sidecar = over([&broken, &good]).start().await;
    let asked = ask_until_ejected(&sidecar, &broken).await;
    // The fifth failure decides, and of two pods each gets at least every second request; the news of it may take as
    // long as another one or two.
    assert!((5..=12).contains(&asked), "{asked} requests");

    let state = sidecar.state_of(&broken).await;
    let said = state["reason"].as_str().unwrap_or_default();
    assert!(said.contains(reason), "{said:?}");
    assert_eq!(sidecar.state_of(&good).await["state"], "ready");
    let ejected = sidecar
        .metric("podrobin_endpoints", &["state=\"ejected\""])
        .await;
    assert_eq!(ejected, 1.0);
    let address = broken.address.to_string();
    let about_it = |line: &Value| {
        field(line, "message").contains("ejected") && line.to_string().contains(&address)
    };
    sidecar.log.until("the ejection", 1, about_it).await;

    assert_spared(&sidecar, &broken).await;
    // Said once each time.
    eventually("a line for each ejection", async || {
        let ejections = sidecar.metric("podrobin_ejections_total", &[]).await;
        let lines = sidecar.log.matching(about_it).len();
        (lines as f64 == ejections).then_some(())
    })
    .await;
}

/// Nothing is tried on a pod while it is left out, and no request meets its failures.
async fn assert_spared(sidecar: &Sidecar, broken: &Pod) {
    let mut client = sidecar.client().await;
    let address = format!("address=\"{}\"", broken.address);
    let attempts = async || {
        let name = "podrobin_pod_attempts_total";
        sidecar.metric(name, &[&address]).await
    };
    // The workers hear of it a moment later; and a slow machine may let its time pass meanwhile.
    eventually("requests that spare the pod", async || {
        let (left_out, before) = (sidecar.state_of(broken).await, attempts().await);
        assert!(before >= 5.0, "{left_out}");
        for _ in 0..8 {
            assert_eq!(client.get("/").await.pod(), "good");
        }
        let (after, still) = (attempts().await, sidecar.state_of(broken).await);
        let all_the_while = left_out["state"] == "ejected" && still["until"] == left_out["until"];
        (all_the_while && after == before).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_pod_that_refuses_is_left_out() {
    assert_left_out(Pod::refusing("broken"), "refused").await;
}

#[tokio::test]
async fn a_pod_whose_address_swallows_syns_is_left_out() {
    assert_left_out(Pod::swallowing("broken").await, "connect").await;
}

#[tokio::test]
async fn a_pod_that_resets_is_left_out() {
    let broken = Pod::scripted("broken", manners::reset_after_request).await;
    assert_left_out(broken, "reset").await;
}

#[tokio::test]
async fn a_pod_that_never_answers_in_time_is_left_out() {
    let broken = Pod::scripted("broken", manners::never_answer).await;
    assert_left_out(broken, "response").await;
}

#[tokio::test]
async fn one_good_answer_between_failures_keeps_a_pod_in() {
    // Four failures, an answer, four failures, an answer ...
    let shaky = Pod::scripted("shaky", |mut session: Session| async move {
        session.request().await?;
        if !session.number.is_multiple_of(5) {
            return session.wire.reset();
        }
        session.answer().await
    })
    .await;
    let good = Pod::start("good").await;
    let sidecar = over([&shaky, &good]).start().await;
    let mut client = sidecar.client().await;
    for _ in 0..40 {
        assert_eq!(client.get("/").await.status(), 200);
        assert_eq!(sidecar.state_of(&shaky).await["state"], "ready");
    }
    assert!(shaky.record().heads.len() > 20);
}

#[tokio::test]
async fn an_error_that_the_pod_answers_is_no_failure_of_its_connection() {
    let erring = manners::say("HTTP/1.1 500 Oops\r\nx-pod: erring\r\ncontent-length: 0\r\n\r\n");
    let pods = [
        Pod::scripted("erring", erring).await,
        Pod::start("good").await,
    ];
    let sidecar = over(&pods).start().await;
    let mut client = sidecar.client().await;
    for _ in 0..20 {
        client.get("/").await;
    }
    assert_eq!(pods[0].record().heads.len(), 10);
    assert_eq!(sidecar.state_of(&pods[0]).await["state"], "ready");
}

/// Resets until it is mended.
fn mendable(
    mended: Arc<AtomicBool>,
) -> impl Fn(Session) -> std::pin::Pin<Box<dyn Future<Output = io::Result<()>> + Send>> + Send + 'static
{
    move |session| {
        if mended.load(Relaxed) {
            Box::pin(manners::answer_all(session))
        } else {
            Box::pin(manners::reset_after_request(session))
        }
    }
}
