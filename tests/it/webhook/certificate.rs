//! The certificate's files: changed, broken, and trusted by nobody.

use std::process::Command;

use crate::support::certificates::{Authority, Mount};
use crate::support::log::field;
use crate::support::webhook::{NAME, pod, secret};
use crate::support::{Webhook, eventually};

#[tokio::test]
async fn a_new_certificate_is_shown_to_new_connections_and_old_ones_live_on() {
    let authority = Authority::new("ca");
    let (old, new) = (authority.issue(NAME), authority.issue(NAME));
    let mount = Mount::of(&secret(&old));
    let webhook = Webhook::start(Webhook::plan(&mount)).await;
    let mut kept = webhook.caller(&authority).await;
    assert_eq!(kept.certificate, old.certificate.to_vec());
    kept.review(&pod(&[])).await;

    mount.set(&secret(&new));
    let mut fresh = eventually("the new certificate", async || {
        let caller = webhook.caller(&authority).await;
        (caller.certificate == new.certificate.to_vec()).then_some(caller)
    })
    .await;
    fresh.review(&pod(&[])).await;
    kept.review(&pod(&[])).await;
}

#[tokio::test]
async fn a_bad_new_file_is_warned_of_once_and_the_old_certificate_kept() {
    let authority = Authority::new("ca");
    let (old, new) = (authority.issue(NAME), authority.issue(NAME));
    let mount = Mount::of(&secret(&old));
    let webhook = Webhook::start(Webhook::plan(&mount)).await;
    // The key is still the old one's.
    mount.set(&[("tls.crt", new.pem()), ("tls.key", old.key_pem())]);
    let warned =
        |line: &serde_json::Value| field(line, "message").contains("goes on with what was read");
    let lines = webhook.process.log.until("the warning", 1, warned).await;
    let said = field(&lines[0], "message");
    assert!(
        said.contains("--tls-key") && said.contains("--tls-cert"),
        "{said}"
    );
    let mut caller = webhook.caller(&authority).await;
    assert_eq!(caller.certificate, old.certificate.to_vec());
    caller.review(&pod(&[])).await;
    let failures = "podrobin_webhook_certificate_reload_failures_total";
    assert_eq!(webhook.metric(failures).await, 1.0);

    mount.set(&secret(&new));
    eventually("the new certificate", async || {
        let caller = webhook.caller(&authority).await;
        (caller.certificate == new.certificate.to_vec()).then_some(())
    })
    .await;
    assert_eq!(webhook.process.log.matching(warned).len(), 1);
    assert_eq!(webhook.metric(failures).await, 1.0);
}

#[tokio::test]
async fn when_it_runs_out_is_a_metric_and_that_it_has_is_said() {
    let authority = Authority::new("ca");
    let mount = Mount::of(&secret(&authority.issue_expired(NAME)));
    let webhook = Webhook::start(Webhook::plan(&mount)).await;
    let expiry = "podrobin_webhook_certificate_expiry_timestamp_seconds";
    assert_eq!(webhook.metric(expiry).await, 1_577_836_800.0);
    webhook
        .process
        .log
        .until("the warning", 1, |line| {
            field(line, "message").contains("has run out")
        })
        .await;
    assert!(webhook.try_tls(&authority).await.is_err());
}

#[tokio::test]
async fn an_api_server_that_does_not_trust_it_is_named_once_with_the_mend() {
    let authority = Authority::new("ca");
    let webhook = Webhook::simple(&authority).await;
    // As unknown, and as known by another key.
    for name in ["other", "ca", "other"] {
        let refused = webhook.try_tls(&Authority::new(name)).await;
        assert!(refused.is_err());
    }
    let warned = |line: &serde_json::Value| field(line, "message").contains("caBundle");
    webhook.process.log.until("the warning", 1, warned).await;
    eventually("three failures", async || {
        let failures = webhook
            .metric("podrobin_webhook_handshake_failures_total")
            .await;
        (failures == 3.0).then_some(())
    })
    .await;
    assert_eq!(webhook.process.log.matching(warned).len(), 1);
    webhook.caller(&authority).await.review(&pod(&[])).await;
}

/// What `podrobin webhook` with these flags says before it ends, and its exit code.
fn refused(flags: &[&str]) -> (Option<i32>, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_podrobin"))
        .env_clear()
        .args([
            "webhook",
            "--listen",
            "127.0.0.1:0",
            "--admin",
            "127.0.0.1:0",
        ])
        .args(flags)
        .output()
        .unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    (output.status.code(), said)
}

#[tokio::test]
async fn what_is_wrong_at_start_ends_the_program_with_the_mend() {
    let authority = Authority::new("ca");
    let leaf = authority.issue(NAME);
    let other = authority.issue(NAME);
    let mount = Mount::of(&[
        ("tls.crt", leaf.pem()),
        ("tls.key", leaf.key_pem()),
        ("other.key", other.key_pem()),
        ("empty", String::new()),
    ]);
    let path = |name: &str| mount.path(name).display().to_string();
    let [certificate, key, other, empty, missing] =
        ["tls.crt", "tls.key", "other.key", "empty", "missing"].map(path);
    for (flags, code, said_of) in [
        (vec![], 2, "--tls-cert"),
        (vec!["--tls-cert", &certificate], 2, "--tls-key"),
        (
            vec!["--tls-cert", &missing, "--tls-key", &key],
            1,
            "cannot be read",
        ),
        (
            vec!["--tls-cert", &empty, "--tls-key", &key],
            1,
            "no certificate in PEM",
        ),
        (
            vec!["--tls-cert", &certificate, "--tls-key", &other],
            1,
            "is not that of --tls-cert",
        ),
    ] {
        let (ended, said) = refused(&flags);
        assert_eq!(ended, Some(code), "{said}");
        assert_eq!(said.lines().count(), 1, "{said}");
        assert!(said.contains(said_of), "{said}");
    }
}
