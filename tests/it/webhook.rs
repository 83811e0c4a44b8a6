//! `podrobin webhook` between an API server and its certificate's files.

mod certificate;
mod ending;

use podrobin::inject::{Installation, inject_pod};
use rustix::process::Signal;

use crate::support::certificates::Authority;
use crate::support::log::field;
use crate::support::webhook::{patched, pod, review};
use crate::support::{Client, Webhook, soon};

const ASKING: [(&str, &str); 1] = [("podrobin.io/service", "cart:http")];

#[tokio::test]
async fn a_pod_that_asks_gets_what_the_injector_makes_of_it() {
    let authority = Authority::new("ca");
    let webhook = Webhook::simple(&authority).await;
    let mut caller = webhook.caller(&authority).await;
    let asking = pod(&ASKING);
    let response = caller.review(&asking).await;
    let mut injected = asking.clone();
    inject_pod(&mut injected, Some("shop"), &Installation::default()).unwrap();
    assert_eq!(patched(&asking, &response), injected);
    assert_eq!(
        injected["spec"]["initContainers"][0]["name"], "podrobin",
        "{injected}"
    );

    // Asked again about what it made, and about a pod that does not ask.
    for pod in [injected, pod(&[])] {
        let response = caller.review(&pod).await;
        assert_eq!(response["allowed"], true);
        assert!(response.get("patch").is_none(), "{response}");
    }
    for outcome in ["injected", "unchanged", "not_asked"] {
        assert_eq!(webhook.reviews(outcome).await, 1.0, "{outcome}");
    }
    let lines = webhook.process.log.until("the injection", 1, |line| {
        field(line, "message") == "sidecar injected"
    });
    let line = &lines.await[0];
    assert_eq!(
        (field(line, "namespace"), field(line, "pod")),
        ("shop", "web-7d9f-*")
    );
}

#[tokio::test]
async fn a_pod_that_asks_for_something_wrong_is_made_with_a_warning_or_refused_where_that_is_wanted()
 {
    let authority = Authority::new("ca");
    let mount = Webhook::mount(&authority);
    let wrong = pod(&[ASKING[0], ("podrobin.io/policy", "fairest")]);

    let webhook = Webhook::start(Webhook::plan(&mount)).await;
    let response = webhook.caller(&authority).await.review(&wrong).await;
    assert_eq!(response["allowed"], true);
    assert!(response.get("patch").is_none(), "{response}");
    let warning = response["warnings"][0].as_str().unwrap();
    assert!(warning.contains("podrobin.io/policy"), "{warning}");
    assert!(warning.len() <= 256, "{warning}");

    let strict = Webhook::start(Webhook::plan(&mount).with_flag("--strict")).await;
    let response = strict.caller(&authority).await.review(&wrong).await;
    assert_eq!(response["allowed"], false);
    assert_eq!(response["status"]["code"], 422);
    let message = response["status"]["message"].as_str().unwrap();
    assert!(message.contains("podrobin.io/policy"), "{message}");

    for webhook in [webhook, strict] {
        assert_eq!(webhook.reviews("refused").await, 1.0);
        let lines = webhook.process.log.until("the refusal", 1, |line| {
            field(line, "message") == "sidecar not injected"
        });
        assert!(field(&lines.await[0], "reason").contains("podrobin.io/policy"));
    }
}

#[tokio::test]
async fn what_the_installer_chose_is_in_every_sidecar() {
    let authority = Authority::new("ca");
    let mount = Webhook::mount(&authority);
    let plan = Webhook::plan(&mount)
        .with("--image", "registry.test/podrobin:9")
        .with_variable("PODROBIN_INJECT_SIDECAR", "plain");
    let webhook = Webhook::start(plan).await;
    let asking = pod(&ASKING);
    let response = webhook.caller(&authority).await.review(&asking).await;
    let sidecar = &patched(&asking, &response)["spec"]["containers"][0];
    assert_eq!(sidecar["name"], "podrobin");
    assert_eq!(sidecar["image"], "registry.test/podrobin:9");
}

#[tokio::test]
async fn a_hundred_reviews_at_once_are_all_answered() {
    let authority = Authority::new("ca");
    let webhook = Webhook::simple(&authority).await;
    let asking = pod(&ASKING);
    let mut injected = asking.clone();
    inject_pod(&mut injected, Some("shop"), &Installation::default()).unwrap();
    let calls = (0..100).map(async |_| {
        let mut caller = webhook.caller(&authority).await;
        for _ in 0..3 {
            let response = caller.review(&asking).await;
            assert_eq!(patched(&asking, &response), injected);
        }
    });
    soon("a hundred answers", futures::future::join_all(calls)).await;
    assert_eq!(webhook.reviews("injected").await, 300.0);
    assert_eq!(webhook.metric("podrobin_webhook_reviews_open").await, 0.0);
}

#[tokio::test]
async fn garbage_is_answered_and_shown_to_nobody() {
    let authority = Authority::new("ca");
    let mount = Webhook::mount(&authority);
    let plan = Webhook::plan(&mount).with("--log-level", "trace");
    let mut webhook = Webhook::start(plan).await;
    let mut caller = webhook.caller(&authority).await;
    let good = review(&pod(&ASKING)).to_string().into_bytes();
    let mut random = fastrand::Rng::with_seed(5);
    for _ in 0..300 {
        let mut bytes = good.clone();
        match random.u8(0..3) {
            0 => bytes.truncate(random.usize(..bytes.len())),
            1 => {
                let at = random.usize(..bytes.len());
                bytes[at] = random.u8(..);
            }
            _ => bytes = (0..random.usize(..200)).map(|_| random.u8(..)).collect(),
        }
        let (status, _) = caller.post(bytes).await;
        assert!(
            matches!(status.as_u16(), 200 | 400),
            "{status} by a kept connection"
        );
    }
    // No TLS at all.
    for bytes in [
        "GET /mutate HTTP/1.1\r\nHost: x\r\n\r\n",
        "\u{16}\u{3}\u{1}rest",
    ] {
        let mut client = Client::connect(webhook.process.proxy).await;
        client.send(bytes).await;
        soon("an end", client.wire.gone()).await;
    }
    caller.review(&pod(&ASKING)).await;
    assert!(webhook.reviews("invalid").await > 100.0);
    webhook.process.signal(Signal::TERM);
    drop(caller);
    webhook.process.exit_code().await;
    let log = webhook.process.log.whole().await.join("\n");
    assert!(!log.contains("s3cret"), "{log}");
}
