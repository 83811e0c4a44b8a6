//! Pods that fail again and again are left out for a while.

mod panic;
mod settings;

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use serde_json::Value;

use crate::support::client::{Client, get};
use crate::support::log::field;
use crate::support::pod::Session;
use crate::support::sidecar::Plan;
use crate::support::slices::Entry;
use crate::support::within::eventually;
use crate::support::{Pod, Sidecar, Slices, manners};

/// Longer than the second of silence after which a client that gives up counts against the pod.
const PATIENCE: Duration = Duration::from_millis(1_300);

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

/// Sends so many requests at once and gives up on those that are not answered; how many were not.
async fn give_up_on(sidecar: &Sidecar, requests: usize) -> usize {
    let mut clients = Vec::new();
    for _ in 0..requests {
        let mut client = sidecar.client().await;
        client.send(get("/")).await;
        clients.push(client);
    }
    let given_up = tokio::time::Instant::now() + PATIENCE;
    let mut unanswered = 0;
    for client in &mut clients {
        let answer = tokio::time::timeout_at(given_up, client.response()).await;
        unanswered += usize::from(answer.is_err());
    }
    unanswered
}

#[tokio::test]
async fn a_pod_whose_clients_all_give_up_while_others_answer_is_left_out() {
    let silent = Pod::scripted("silent", manners::never_answer).await;
    let good = Pod::start("good").await;
    // No response timeout: the clients' own patience is all there is.
    let sidecar = Sidecar::over([&silent, &good]).start().await;
    // The good pod's answers count from when the silent requests began: one round decides.
    assert_eq!(give_up_on(&sidecar, 24).await, 12);
    sidecar.until_state(&silent, "ejected").await;
    assert_eq!(give_up_on(&sidecar, 1).await, 0);
}

#[tokio::test]
async fn where_all_clients_give_up_no_pod_is_to_blame() {
    let polled = [
        Pod::scripted("a", manners::never_answer).await,
        Pod::scripted("b", manners::never_answer).await,
    ];
    let sidecar = Sidecar::over(&polled).start().await;
    assert_eq!(give_up_on(&sidecar, 16).await, 16);
    for pod in &polled {
        pod.until("the end of its connections", |record| record.open == 0)
            .await;
    }
    // A further round proves that what the first one left behind has been weighed.
    assert_eq!(give_up_on(&sidecar, 2).await, 2);
    for pod in &polled {
        assert_eq!(sidecar.state_of(pod).await["state"], "ready");
        assert_eq!(pod.record().heads.len(), 9);
    }
}

/// Begins an upload and asks for an answer, so often: in turn, so that one pod gets the uploads, the other the rest.
async fn alternate(sidecar: &Sidecar, pods: [&Pod; 2], rounds: usize) -> Vec<Client> {
    let heads = || {
        pods.iter()
            .map(|pod| pod.record().heads.len())
            .sum::<usize>()
    };
    let mut uploads = Vec::new();
    for _ in 0..rounds {
        let begun = heads();
        let mut upload = sidecar.client().await;
        upload
            .send("PUT / HTTP/1.1\r\nHost: shop\r\nContent-Length: 4\r\n\r\nha")
            .await;
        eventually("the upload's head", async || {
            (heads() > begun).then_some(())
        })
        .await;
        uploads.push(upload);
        sidecar.get("/").await;
    }
    uploads
}

#[tokio::test]
async fn clients_that_leave_in_the_middle_of_a_slow_upload_blame_nobody() {
    let (a, b) = (Pod::start("a").await, Pod::start("b").await);
    let sidecar = Sidecar::over([&a, &b]).start().await;
    let mut old = alternate(&sidecar, [&a, &b], 6).await;
    tokio::time::sleep(PATIENCE).await;
    drop(old.pop());
    // The other pod's answers since the first client left would now be proof enough.
    let young = alternate(&sidecar, [&a, &b], 6).await;
    drop(old);
    let uploaded = if a.count("GET") == 0 { &a } else { &b };
    uploaded
        .until("the end of the old uploads", |record| {
            record.open == young.len()
        })
        .await;
    assert_eq!(uploaded.count("GET"), 0);
    for pod in [&a, &b] {
        assert_eq!(sidecar.state_of(pod).await["state"], "ready");
    }
}

#[tokio::test]
async fn two_of_three_pods_whose_addresses_are_dead_are_both_left_out() {
    let good = Pod::start("good").await;
    let dead = [Pod::swallowing("a").await, Pod::refusing("b")];
    let sidecar = over([&good, &dead[0], &dead[1]]).start().await;
    let mut client = sidecar.client().await;
    // Others are tried only once their time has passed, one request each.
    eventually("both left out at once", async || {
        assert_eq!(client.get("/").await.pod(), "good");
        let left_out = sidecar
            .metric("podrobin_endpoints", &["state=\"ejected\""])
            .await;
        (left_out == 2.0).then_some(())
    })
    .await;
    assert_eq!(sidecar.state_of(&good).await["state"], "ready");
}

#[tokio::test]
async fn when_the_last_one_fails_too_the_log_says_that_ejections_are_lifted() {
    let mut good = Pod::start("good").await;
    let dead = [Pod::refusing("a"), Pod::refusing("b")];
    let sidecar = over([&good, &dead[0], &dead[1]]).start().await;
    let mut client = sidecar.client().await;
    eventually("both left out at once", async || {
        client.get("/").await;
        let left_out = sidecar
            .metric("podrobin_endpoints", &["state=\"ejected\""])
            .await;
        (left_out == 2.0).then_some(())
    })
    .await;
    good.kill().await;
    let address = good.address.to_string();
    let about_it = |line: &Value| {
        line.to_string().contains(&address) && !field(line, "message").contains("endpoints changed")
    };
    eventually("the good one to have failed often enough", async || {
        client.get("/").await;
        (!sidecar.log.matching(about_it).is_empty()).then_some(())
    })
    .await;
    let said = sidecar.log.matching(about_it);
    assert!(field(&said[0], "message").contains("lifted"), "{said:?}");
}

#[tokio::test]
async fn never_more_than_half_of_those_that_take_requests_are_left_out() {
    let mut pods = vec![Pod::start("good").await];
    for name in ["a", "b", "c"] {
        pods.push(Pod::scripted(name, manners::reset_after_request).await);
    }
    let sidecar = over(&pods).start().await;
    let mut client = sidecar.client().await;
    // Until the third has failed often enough to be left out too.
    eventually("two pods left out, and failures of the third", async || {
        client.get("/").await;
        let state = sidecar.state().await;
        let endpoints = state["endpoints"].as_array().unwrap();
        let (ready, left_out): (Vec<&Value>, Vec<&Value>) = endpoints
            .iter()
            .partition(|endpoint| endpoint["state"] == "ready");
        assert!(left_out.len() <= 2, "{state}");
        let third = ready
            .iter()
            .find(|endpoint| endpoint["address"] != pods[0].address.to_string().as_str());
        let failures = third.unwrap()["requests"].as_u64().unwrap();
        (left_out.len() == 2 && failures >= 20).then_some(())
    })
    .await;
}

#[tokio::test]
async fn the_only_pod_is_never_left_out() {
    let pod = Pod::refusing("a");
    let sidecar = over([&pod]).start().await;
    for _ in 0..10 {
        assert_eq!(sidecar.get("/").await.flag(), Some("UF"));
    }
    assert_ne!(sidecar.state_of(&pod).await["state"], "ejected");
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

/// Asks until the pod is left out for such a reason.
async fn ask_until_it_stands_out(odd: Pod, flag: &str, threshold: &str, cause: &str, reason: &str) {
    let good = [Pod::start("a").await, Pod::start("b").await];
    let sidecar = Sidecar::over([&good[0], &good[1], &odd])
        .with(flag, threshold)
        .with("--eject-interval", "1s")
        .with("--eject-min-requests", "5")
        .with("--eject-min-pods", "3")
        .start()
        .await;
    let mut client = sidecar.client().await;
    eventually("the odd pod left out", async || {
        client.get("/").await;
        let state = sidecar.state_of(&odd).await;
        let said = state["reason"].as_str().unwrap_or_default();
        said.contains(reason).then_some(())
    })
    .await;
    for pod in &good {
        assert_eq!(sidecar.state_of(pod).await["state"], "ready");
    }
    assert_eq!(sidecar.state_of(&odd).await["cause"], cause);
    let cause = format!("cause=\"{cause}\"");
    let labels = [cause.as_str(), "flag=\"-\""];
    let ejections = sidecar.metric("podrobin_ejections_total", &labels).await;
    assert!(ejections >= 1.0);
}

#[tokio::test]
async fn a_pod_that_fails_a_part_of_its_requests_stands_out_by_its_success_rate() {
    let shaky = Pod::scripted("shaky", |mut session: Session| async move {
        let mut count = 0_u32;
        while session.request().await?.is_some() {
            count += 1;
            let head = match count % 5 {
                0 => "500 Oops",
                _ => "200 OK",
            };
            let answer = format!("HTTP/1.1 {head}\r\nx-pod: shaky\r\ncontent-length: 0\r\n\r\n");
            session.wire.send(&answer).await?;
        }
        Ok(())
    })
    .await;
    ask_until_it_stands_out(
        shaky,
        "--eject-success-rate",
        "1.2",
        "success_rate",
        "requests succeeded",
    )
    .await;
}

#[tokio::test]
async fn a_pod_that_fails_too_much_stands_out() {
    let erring = manners::say("HTTP/1.1 500 Oops\r\nx-pod: erring\r\ncontent-length: 0\r\n\r\n");
    let erring = Pod::scripted("erring", erring).await;
    ask_until_it_stands_out(
        erring,
        "--eject-failure-percentage",
        "50",
        "failure_percentage",
        "100 %",
    )
    .await;
}

#[tokio::test]
async fn a_pod_that_is_far_slower_than_the_others_stands_out() {
    let slow = Pod::scripted("slow", |mut session: Session| async move {
        while session.request().await?.is_some() {
            tokio::time::sleep(Duration::from_millis(100)).await;
            let answer = "HTTP/1.1 200 OK\r\nx-pod: slow\r\ncontent-length: 0\r\n\r\n";
            session.wire.send(answer).await?;
        }
        Ok(())
    })
    .await;
    ask_until_it_stands_out(slow, "--eject-latency", "5", "latency", "on average").await;
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

#[tokio::test]
async fn a_mended_pod_comes_back_by_a_trial_after_a_second() {
    let mended = Arc::<AtomicBool>::default();
    let broken = Pod::scripted("broken", mendable(mended.clone())).await;
    let good = Pod::start("good").await;
    let sidecar = over([&broken, &good]).start().await;
    ask_until_ejected(&sidecar, &broken).await;
    mended.store(true, Relaxed);
    sidecar.until_state(&broken, "trial").await;
    let before = broken.record().heads.len();
    let mut client = sidecar.client().await;
    // The workers hear of it a moment later.
    eventually("the trial", async || {
        (client.get("/").await.pod() == "broken").then_some(())
    })
    .await;
    sidecar.until_state(&broken, "ready").await;
    eventually("its share again", async || {
        assert_eq!(client.get("/").await.status(), 200);
        (broken.record().heads.len() > before + 2).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_pod_that_fails_its_trial_stays_out_for_longer_and_costs_one_request() {
    let broken = Pod::scripted("broken", manners::reset_after_request).await;
    let good = Pod::start("good").await;
    let sidecar = over([&broken, &good]).start().await;
    ask_until_ejected(&sidecar, &broken).await;
    sidecar.until_state(&broken, "trial").await;
    let before = broken.record().heads.len();
    let mut client = sidecar.client().await;
    eventually("the trial", async || {
        assert_eq!(client.get("/").await.pod(), "good");
        (broken.record().heads.len() > before).then_some(())
    })
    .await;
    sidecar.until_state(&broken, "ejected").await;
    let again = tokio::time::Instant::now();
    assert_eq!(client.get("/").await.pod(), "good");
    assert_eq!(broken.record().heads.len(), before + 1);
    sidecar.until_state(&broken, "trial").await;
    let took = again.elapsed();
    assert!(took > Duration::from_millis(1_400), "out for only {took:?}");
}

#[tokio::test]
async fn another_pod_on_the_same_address_starts_clean() {
    let mended = Arc::<AtomicBool>::default();
    let broken = Pod::scripted("broken", mendable(mended.clone())).await;
    let good = Pod::start("good").await;
    let slices = Slices::of([&broken, &good]);
    let sidecar = Sidecar::watching(&slices)
        .with("--retry-budget-floor", "10000")
        .start()
        .await;
    ask_until_ejected(&sidecar, &broken).await;
    mended.store(true, Relaxed);
    slices.set([Entry::with_uid(&broken, "another"), Entry::from(&good)]);
    let state = sidecar.until_state(&broken, "ready").await;
    assert_eq!(state["requests"], 0, "{state}");
    let before = broken.record().heads.len();
    let mut client = sidecar.client().await;
    for _ in 0..4 {
        client.get("/").await;
    }
    assert!(broken.record().heads.len() > before);
}
