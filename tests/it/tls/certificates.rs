//! Certificates that fail, the pod's and ours: an error of its own kind, another pod, and never clear text.

use http::Method;

use super::{NAME, ask_http2, ca, over, trusting};
use crate::support::certificates::{Authority, Mount};
use crate::support::client::post;
use crate::support::pod::Session;
use crate::support::slices::Entry;
use crate::support::tls::{Setup, Tls, VERSIONS};
use crate::support::{Cluster, Pod, Sidecar, Slices};

#[tokio::test]
async fn a_certificate_that_fails_is_an_error_that_says_why_and_nothing_is_sent() {
    let authority = Authority::new("ca");
    let mount = ca(&[&authority]);
    for (what, leaf, said) in [
        (
            "of another CA",
            Authority::new("other").issue(NAME),
            "none of the CAs in --upstream-ca",
        ),
        (
            "of another CA of the same name",
            Authority::new("ca").issue(NAME),
            "none of the CAs in --upstream-ca",
        ),
        (
            "for another name",
            authority.issue("pay.shop.svc"),
            "not for cart.shop.svc",
        ),
        ("expired", authority.issue_expired(NAME), "has expired"),
        ("too early", authority.issue_early(NAME), "not valid yet"),
    ] {
        let tls = Tls::new(&leaf);
        let pod = Pod::scripted("a", tls.serve()).await;
        let slices = Slices::of([Entry::from(&pod).speaking("https")]);
        let sidecar = trusting(Sidecar::watching(&slices), &mount)
            .with("--upstream-server-name", NAME)
            .start()
            .await;
        let answer = sidecar.client().await.ask(post("/", b"secret")).await;
        assert_eq!(
            (answer.status(), answer.flag()),
            (502, Some("UF")),
            "{what}"
        );
        let text = answer.text();
        assert!(
            text.contains("pod a: ") && text.contains(said),
            "{what}: {text}"
        );
        assert!(!text.contains("127.0.0.1"), "{what}: {text}");
        let seen = tls.seen();
        assert_eq!((seen.handshakes, seen.requests.len()), (0, 0), "{what}");
    }
}

#[tokio::test]
async fn a_pod_with_a_certificate_that_fails_costs_no_request() {
    let authority = Authority::new("ca");
    let good = Tls::new(&authority.issue(NAME));
    let bad = Tls::new(&authority.issue_expired(NAME));
    let pods = [
        Pod::scripted("good", good.serve()).await,
        Pod::scripted("bad", bad.serve()).await,
    ];
    let sidecar = over(&pods, &ca(&[&authority])).start().await;
    let mut client = sidecar.client().await;
    for _ in 0..20 {
        let answer = client.ask(post("/", b"body")).await;
        assert_eq!(answer.pod(), "good");
        assert_eq!(answer.text(), "body");
    }
    sidecar.until_state(&pods[1], "ejected").await;
    assert_eq!(bad.seen().requests.len(), 0);
}

#[tokio::test]
async fn what_podrobin_lacks_for_tls_is_not_held_against_the_pod() {
    let pods = [Pod::start("secured").await, Pod::start("plain").await];
    let slices = Slices::of([
        Entry::from(&pods[0]).speaking("https"),
        Entry::from(&pods[1]),
    ]);
    let sidecar = Sidecar::watching(&slices).start().await;
    let mut client = sidecar.client().await;
    // More turns than the failures in a row that eject a pod.
    for _ in 0..20 {
        assert_eq!(client.ask(post("/", b"body")).await.pod(), "plain");
    }
    let labels = ["pod=\"secured\""];
    let picked = sidecar.metric("podrobin_pod_attempts_total", &labels).await;
    assert!(picked >= 10.0, "{picked} attempts");
    assert_eq!(sidecar.state_of(&pods[0]).await["state"], "ready");
    assert_eq!(pods[0].record().connections, 0);
}

#[tokio::test]
async fn a_pod_that_does_not_speak_tls_sees_nothing_of_a_request() {
    let authority = Authority::new("ca");
    let (heard_in, mut heard) = tokio::sync::mpsc::unbounded_channel();
    let pod = Pod::scripted("a", move |mut session: Session| {
        let heard = heard_in.clone();
        async move {
            let mut bytes = session.wire.exact(5).await?;
            session
                .wire
                .send("HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n")
                .await?;
            // Everything up to the end.
            while let Ok(more) = session.wire.exact(1).await {
                bytes.extend(more);
            }
            heard.send(bytes).unwrap();
            Ok(())
        }
    })
    .await;
    let sidecar = over([&pod], &ca(&[&authority])).start().await;
    for _ in 0..3 {
        let answer = sidecar.client().await.ask(post("/secret", b"secret")).await;
        assert_eq!((answer.status(), answer.flag()), (502, Some("UF")));
        assert!(answer.text().contains("does not speak TLS"));
        let bytes = heard.recv().await.unwrap();
        // A handshake record of TLS.
        assert_eq!(bytes[0], 0x16);
        assert!(!bytes.windows(6).any(|part| part == b"secret"));
    }
}

/// A Secret with a CA and a client certificate.
fn with_client(authority: &Authority, client: &Authority) -> Mount {
    let leaf = client.issue("client");
    Mount::of(&[
        ("ca.crt", authority.pem()),
        ("tls.crt", leaf.pem()),
        ("tls.key", leaf.key_pem()),
    ])
}

#[tokio::test]
async fn a_pod_that_wants_a_client_certificate_is_shown_it() {
    let (authority, clients) = (Authority::new("ca"), Authority::new("clients"));
    let mount = with_client(&authority, &clients);
    for versions in VERSIONS {
        let setup = Setup {
            clients: Some(&clients),
            versions,
            ..Setup::default()
        };
        let tls = Tls::with(&authority.issue(NAME), &setup);
        let pod = Pod::scripted("a", tls.serve()).await;
        let path = |name: &str| mount.path(name).display().to_string();
        let sidecar = over([&pod], &mount)
            .with("--upstream-client-cert", &path("tls.crt"))
            .with("--upstream-client-key", &path("tls.key"))
            .start()
            .await;
        let answer = sidecar.get("/").await;
        assert_eq!(answer.status(), 200, "{}", answer.text());
        assert!(tls.seen().client.is_some());
    }
}

/// TLS 1.3 lets a pod refuse only after a request may have been sent: that is the same error, and costs no request.
#[tokio::test]
async fn a_client_certificate_that_is_missing_or_wrong_is_an_error_and_another_pod_is_asked() {
    let (authority, clients) = (Authority::new("ca"), Authority::new("clients"));
    let none = ca(&[&authority]);
    let wrong = with_client(&authority, &Authority::new("other"));
    for versions in VERSIONS {
        for alpn in [&["h2"][..], &["http/1.1"]] {
            for (mount, said) in [
                (&none, "it wants a client certificate"),
                (&wrong, "does not accept the certificate"),
            ] {
                let setup = Setup {
                    clients: Some(&clients),
                    versions,
                    alpn,
                };
                let strict = Tls::with(&authority.issue(NAME), &setup);
                let open = Tls::new(&authority.issue(NAME));
                let pods = [
                    Pod::scripted("strict", strict.serve()).await,
                    Pod::scripted("open", open.serve()).await,
                ];
                let plan = |pods: &[Pod]| {
                    let plan = over(pods, mount);
                    let path = |name: &str| mount.path(name).display().to_string();
                    match mount.path("tls.crt").exists() {
                        true => plan
                            .with("--upstream-client-cert", &path("tls.crt"))
                            .with("--upstream-client-key", &path("tls.key")),
                        false => plan,
                    }
                };
                let alone = plan(&pods[..1]).start().await;
                for request in [post("/", b"body"), post("/", b"")] {
                    let answer = alone.client().await.ask(request).await;
                    let what = format!("{alpn:?}: {}", answer.text());
                    assert_eq!(
                        (answer.status(), answer.flag()),
                        (502, Some("UF")),
                        "{what}"
                    );
                    assert!(answer.text().contains(said), "{what}");
                }
                let both = plan(&pods).start().await;
                for _ in 0..4 {
                    let answer = both.client().await.ask(post("/", b"body")).await;
                    assert_eq!(answer.pod(), "open");
                    assert_eq!(answer.text(), "body");
                }
                let (headers, body) = ask_http2(both.proxy, Method::POST, "body").await;
                assert_eq!(
                    (&headers["x-pod"], body.as_str()),
                    (&"open".parse().unwrap(), "body")
                );
                assert_eq!(strict.seen().requests.len(), 0);
            }
        }
    }
}

#[tokio::test]
async fn a_services_pods_must_prove_its_name() {
    let authority = Authority::new("ca");
    let mount = ca(&[&authority]);
    let cluster = Cluster::start().await;
    cluster.add_service("cart");
    let tls = Tls::new(&authority.issue(NAME));
    let pod = Pod::scripted("a", tls.serve()).await;
    cluster.add(Entry::from(&pod).speaking("https"));
    let sidecar = trusting(Sidecar::of_services(&cluster, "shop/cart"), &mount)
        .start()
        .await;
    let answer = sidecar.get("/").await;
    assert_eq!(answer.status(), 200, "{}", answer.text());

    let tls = Tls::new(&authority.issue("pay.shop.svc"));
    let other = Pod::scripted("b", tls.serve()).await;
    cluster.add(Entry::from(&other).speaking("https"));
    cluster.remove(Entry::from(&pod));
    sidecar.until_listed(1).await;
    let answer = crate::support::eventually("the other pod to be asked", async || {
        let answer = sidecar.get("/").await;
        (answer.status() != 200).then_some(answer)
    })
    .await;
    assert!(answer.text().contains("pod b: "), "{}", answer.text());
    assert!(answer.text().contains("not for cart.shop.svc"));
}
