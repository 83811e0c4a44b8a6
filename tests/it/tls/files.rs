//! The files of TLS to pods: wrong ones, and ones that change.

use std::process::Command;

use super::{NAME, ca, over};
use crate::support::certificates::{Authority, Leaf, Mount};
use crate::support::log::field;
use crate::support::tls::{Setup, Tls};
use crate::support::{Load, Pod, Sidecar, eventually};

fn secret(authority: String, client: &Leaf) -> [(&'static str, String); 3] {
    [
        ("ca.crt", authority),
        ("tls.crt", client.pem()),
        ("tls.key", client.key_pem()),
    ]
}

/// Waits until the sidecar has taken so many changes.
async fn until_changed(sidecar: &Sidecar, times: usize) {
    let log = sidecar.log.until("the files' change", times, |line| {
        field(line, "message").starts_with("the files of TLS to pods have changed")
    });
    log.await;
}

#[tokio::test]
async fn files_are_rotated_while_requests_go_on_and_none_fails() {
    let servers = [Authority::new("ca"), Authority::new("ca of next year")];
    let clients = [Authority::new("clients"), Authority::new("next clients")];
    let leaves = [clients[0].issue("client"), clients[1].issue("client")];
    let mount = Mount::of(&secret(servers[0].pem(), &leaves[0]));
    let wanting = |clients| Setup {
        clients: Some(clients),
        alpn: &["http/1.1"],
        ..Setup::default()
    };
    let tls = Tls::with(&servers[0].issue(NAME), &wanting(&clients[0]));
    let pod = Pod::scripted("a", tls.serve()).await;
    let path = |name: &str| mount.path(name).display().to_string();
    let sidecar = over([&pod], &mount)
        .with("--upstream-client-cert", &path("tls.crt"))
        .with("--upstream-client-key", &path("tls.key"))
        // Each request makes a connection of its own.
        .with("--max-idle-per-pod", "0")
        .start()
        .await;
    let load = Load::start(sidecar.proxy, 4);
    load.more(20).await;
    assert_eq!(tls.seen().client.as_deref(), Some(&*leaves[0].certificate));

    // As it is done: trust both, change the servers, trust the new one alone.
    mount.set(&secret(servers[0].pem() + &servers[1].pem(), &leaves[0]));
    until_changed(&sidecar, 1).await;
    tls.change(&servers[1].issue(NAME), &wanting(&clients[0]));
    load.more(20).await;
    mount.set(&secret(servers[1].pem(), &leaves[0]));
    until_changed(&sidecar, 2).await;
    load.more(20).await;
    assert!(tls.seen().handshakes >= 20);

    // The same for our own certificate. It is another CA's, which the pod is told to trust beforehand.
    let (old, new) = (&leaves[0].certificate, &leaves[1].certificate);
    assert_eq!(tls.seen().client.as_deref(), Some(&**old));
    tls.change(
        &servers[1].issue(NAME),
        &Setup {
            clients: None,
            ..wanting(&clients[0])
        },
    );
    mount.set(&secret(servers[1].pem(), &leaves[1]));
    until_changed(&sidecar, 3).await;
    tls.change(&servers[1].issue(NAME), &wanting(&clients[1]));
    load.more(20).await;
    eventually("the new certificate to be shown", async || {
        (tls.seen().client.as_deref() == Some(&**new)).then_some(())
    })
    .await;

    let tally = load.stop().await;
    tally.assert_nothing_lost();
    assert!(tally.answered() >= 80);

    // What is no longer trusted is not.
    tls.change(&servers[0].issue(NAME), &wanting(&clients[1]));
    let answer = sidecar.get("/").await;
    assert_eq!(answer.flag(), Some("UF"), "{}", answer.text());
}

#[tokio::test]
async fn a_bad_new_file_is_warned_of_once_and_the_old_one_kept() {
    let authority = Authority::new("ca");
    let mount = ca(&[&authority]);
    let tls = Tls::new(&authority.issue(NAME));
    let pod = Pod::scripted("a", tls.serve()).await;
    let sidecar = over([&pod], &mount).start().await;
    mount.set(&[("ca.crt", "half a certificate".to_owned())]);
    let warned = |line: &serde_json::Value| {
        field(line, "message").contains("goes on with what was read before")
    };
    let lines = sidecar.log.until("the warning", 1, warned).await;
    assert!(field(&lines[0], "message").contains("--upstream-ca"));
    assert_eq!(sidecar.get("/").await.status(), 200);

    // A look later, and a good one: it was said once.
    mount.set(&[("ca.crt", authority.pem() + "\n")]);
    until_changed(&sidecar, 1).await;
    assert_eq!(sidecar.log.matching(warned).len(), 1);
}

/// What `podrobin run` with these flags says before it ends, and its exit code.
fn refused(flags: &[&str]) -> (Option<i32>, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_podrobin"))
        .env_clear()
        .args(["run", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"])
        .args(["--endpoint", "127.0.0.1:9"])
        .args(flags)
        .output()
        .unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    (output.status.code(), said)
}

#[tokio::test]
async fn a_bad_file_at_start_ends_the_program_with_its_name_and_the_mend() {
    let authority = Authority::new("ca");
    let (one, other) = (authority.issue("client"), authority.issue("client"));
    let mount = Mount::of(&[
        ("ca.crt", authority.pem()),
        ("tls.crt", one.pem()),
        ("other.key", other.key_pem()),
        ("empty", String::new()),
    ]);
    let path = |name: &str| mount.path(name).display().to_string();
    let [ca, certificate, other, empty, missing] =
        ["ca.crt", "tls.crt", "other.key", "empty", "missing"].map(path);
    for (flags, named, why) in [
        (vec!["--upstream-ca", &missing], &missing, "cannot be read"),
        (
            vec!["--upstream-ca", &empty],
            &empty,
            "no certificate in PEM",
        ),
        (
            vec![
                "--upstream-ca",
                &ca,
                "--upstream-client-cert",
                &certificate,
                "--upstream-client-key",
                &other,
            ],
            &other,
            "not that of --upstream-client-cert",
        ),
    ] {
        let (code, said) = refused(&flags);
        assert_eq!(code, Some(1), "{said}");
        assert_eq!(said.lines().count(), 1, "{said}");
        assert!(said.contains(named) && said.contains(why), "{said}");
    }
}

#[tokio::test]
async fn flags_that_do_not_go_together_are_refused_with_the_mend() {
    for (flags, mend) in [
        (&["--upstream-tls", "on"][..], "--upstream-ca FILE"),
        (&["--upstream-server-name", "a.test"], "--upstream-ca FILE"),
        (
            &["--upstream-client-cert", "a"],
            "--upstream-client-key FILE",
        ),
        (
            &["--upstream-client-key", "a"],
            "--upstream-client-cert FILE",
        ),
        (
            &["--upstream-client-cert", "a", "--upstream-client-key", "b"],
            "--upstream-ca FILE",
        ),
        (
            &["--upstream-tls", "on", "--upstream-ca", "a"],
            "--upstream-server-name NAME",
        ),
        (&["--upstream-server-name", "a b"], "cart.shop.svc"),
    ] {
        let (code, said) = refused(flags);
        assert_eq!(code, Some(2), "{flags:?}: {said}");
        assert_eq!(said.lines().count(), 1, "{said}");
        assert!(said.contains(flags[0]) && said.contains(mend), "{said}");
    }
}
