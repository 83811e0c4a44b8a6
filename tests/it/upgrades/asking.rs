//! Which upgrades reach a pod, and which switches reach a client.

use super::{ASK, SWITCH, assert_echoes, echo, echoing};
use crate::support::client::get;
use crate::support::head::Head;
use crate::support::pod::Session;
use crate::support::{Pod, Sidecar, manners, soon};

/// What a pod that stays with HTTP sees of such a request.
async fn seen(request: &str) -> Head {
    let pod = Pod::start("a").await;
    let sidecar = Sidecar::over([&pod]).start().await;
    let answer = sidecar.client().await.ask(request).await;
    assert_eq!(answer.pod(), "a");
    pod.only_request().head
}

#[tokio::test]
async fn a_pod_sees_what_is_asked_and_a_client_what_it_switches_to() {
    let pod = echoing("a").await;
    let sidecar = Sidecar::over([&pod]).start().await;
    let (_client, head) = super::tunnel(&sidecar).await;
    let asked = pod.record().heads[0].clone();
    assert_eq!(asked.all("connection"), ["upgrade"]);
    assert_eq!(asked.all("upgrade"), ["websocket"]);
    assert_eq!(
        asked.field("sec-websocket-key"),
        Some("dGhlIHNhbXBsZSBub25jZQ==")
    );
    assert_eq!(asked.field("x-forwarded-for"), Some("127.0.0.1"));
    assert_eq!(head.line, "HTTP/1.1 101 Switching Protocols");
    assert_eq!(head.all("connection"), ["upgrade"]);
    assert_eq!(head.all("upgrade"), ["websocket"]);
    assert_eq!(
        head.field("sec-websocket-accept"),
        Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")
    );
    // These would give it a body.
    assert_eq!(head.field("content-length"), None);
    assert_eq!(head.field("transfer-encoding"), None);
}

#[tokio::test]
async fn other_fields_of_the_clients_hop_stay_there() {
    let asked = seen(
        "GET / HTTP/1.1\r\nHost: shop\r\nConnection: Upgrade, X-Named\r\nUpgrade: foo/2, bar\r\n\
         X-Named: 1\r\nKeep-Alive: 5\r\nTE: trailers\r\n\r\n",
    )
    .await;
    assert_eq!(asked.all("connection"), ["te, upgrade"]);
    assert_eq!(asked.all("upgrade"), ["foo/2, bar"]);
    assert_eq!(
        (asked.field("x-named"), asked.field("keep-alive")),
        (None, None)
    );
}

#[tokio::test]
async fn what_does_not_ask_in_full_is_a_plain_request() {
    for request in [
        "GET / HTTP/1.1\r\nHost: shop\r\nUpgrade: websocket\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: shop\r\nConnection: upgrade\r\n\r\n",
        "GET / HTTP/1.0\r\nHost: shop\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: shop\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\
         Content-Length: 2\r\n\r\nok",
        "POST / HTTP/1.1\r\nHost: shop\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\
         Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
    ] {
        let asked = seen(request).await;
        assert_eq!(asked.field("upgrade"), None, "{request}");
        let connection = asked.field("connection").unwrap_or_default();
        assert!(!connection.contains("upgrade"), "{request}");
    }
}

/// By h2c, an attacker would get a connection whose requests nobody looks at.
#[tokio::test]
async fn a_switch_to_http_itself_is_not_asked_of_a_pod() {
    for fields in [
        "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n",
        "Connection: Upgrade\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n",
        "Connection: upgrade\r\nUpgrade: H2C\r\n",
        "Connection: upgrade\r\nUpgrade: ,h2c ,\r\n",
        "Connection: upgrade\r\nUpgrade: HTTP/2.0\r\n",
        "Connection: upgrade\r\nUpgrade: TLS/1.2, h2\r\n",
    ] {
        let asked = seen(&format!("GET / HTTP/1.1\r\nHost: shop\r\n{fields}\r\n")).await;
        for name in ["connection", "upgrade", "http2-settings"] {
            assert_eq!(asked.field(name), None, "{fields}");
        }
    }
    let both = "GET / HTTP/1.1\r\nHost: shop\r\nConnection: upgrade, http2-settings\r\n\
                Upgrade: h2c, websocket\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n\r\n";
    let asked = seen(both).await;
    assert_eq!(asked.all("upgrade"), ["websocket"]);
    assert_eq!(asked.field("http2-settings"), None);
}

#[tokio::test]
async fn a_switch_to_what_was_not_offered_is_not_passed_on() {
    let offer = |protocol: &str| {
        format!(
            "GET / HTTP/1.1\r\nHost: shop\r\nConnection: upgrade\r\nUpgrade: {protocol}\r\n\r\n"
        )
    };
    for (asked, switched) in [
        (
            offer("websocket"),
            "connection: upgrade\r\nupgrade: other\r\n",
        ),
        (
            offer("websocket"),
            "connection: upgrade\r\nupgrade: websocket, other\r\n",
        ),
        (offer("websocket"), "connection: upgrade\r\n"),
        (
            offer("websocket"),
            "connection: upgrade\r\nupgrade: h2c\r\n",
        ),
        (offer("h2c"), "connection: upgrade\r\nupgrade: h2c\r\n"),
        (
            offer("h2c, websocket"),
            "connection: upgrade\r\nupgrade: h2c\r\n",
        ),
        (get("/"), "connection: upgrade\r\nupgrade: websocket\r\n"),
    ] {
        let head = format!("HTTP/1.1 101 Switching Protocols\r\n{switched}\r\nbytes of it");
        let pods = [
            Pod::scripted("a", manners::say(head.clone())).await,
            Pod::scripted("b", manners::say(head)).await,
        ];
        let sidecar = Sidecar::over(&pods).start().await;
        let mut client = sidecar.client().await;
        let answer = client.ask(&asked).await;
        assert_eq!(
            (answer.status(), answer.flag()),
            (502, Some("UPE")),
            "{asked} {switched}"
        );
        let sent: usize = pods.iter().map(|pod| pod.record().heads.len()).sum();
        assert_eq!(sent, 1, "{asked} {switched}");
    }
}

#[tokio::test]
async fn a_refusal_passes_as_the_answer_and_what_follows_is_a_request() {
    let pod = Pod::scripted("a", |mut session: Session| async move {
        session.request().await?;
        let refusal = "HTTP/1.1 426 Upgrade Required\r\nx-pod: a\r\nconnection: upgrade\r\n\
                       upgrade: websocket, h2c\r\ncontent-length: 2\r\n\r\nno";
        session.wire.send(refusal).await?;
        manners::answer_all(session).await
    })
    .await;
    let sidecar = Sidecar::over([&pod]).start().await;
    let mut client = sidecar.client().await;
    // Were the connection taken for a tunnel, the second request would reach the pod as it is.
    client.send([ASK, &get("/next")].concat()).await;
    let refused = client.response().await;
    assert_eq!((refused.status(), refused.text().as_str()), (426, "no"));
    assert_eq!(refused.head.all("upgrade"), ["websocket"]);
    assert_eq!(refused.head.all("connection"), ["upgrade"]);
    assert_eq!(client.response().await.pod(), "a");
    let next = pod.record().requests[1].head.clone();
    assert_eq!(next.target(), "/next");
    assert_eq!(next.field("x-forwarded-for"), Some("127.0.0.1"));
    assert_eq!(client.get("/third").await.pod(), "a");
}

#[tokio::test]
async fn an_upgrade_that_a_pod_may_have_seen_is_not_sent_again() {
    let resetting = Pod::scripted("a", manners::reset_after_request).await;
    let other = Pod::scripted("b", manners::reset_after_request).await;
    let sidecar = Sidecar::over([&resetting, &other]).start().await;
    let answer = sidecar.client().await.ask(ASK).await;
    assert_eq!((answer.status(), answer.flag()), (502, Some("UC")));
    assert_eq!(
        resetting.record().heads.len() + other.record().heads.len(),
        1
    );
}

#[tokio::test]
async fn an_upgrade_that_no_pod_has_seen_goes_to_another() {
    let (refusing, pod) = (Pod::refusing("a"), echoing("b").await);
    let sidecar = Sidecar::over([&refusing, &pod]).start().await;
    for _ in 0..4 {
        let (mut client, name) = echo(&sidecar).await;
        assert_eq!(name, "b");
        assert_echoes(&mut client, "there").await;
    }
}

#[tokio::test]
async fn each_upgrade_takes_its_turn() {
    let pods = [echoing("a").await, echoing("b").await, echoing("c").await];
    let sidecar = Sidecar::over(&pods).start().await;
    let mut open = Vec::new();
    for _ in 0..9 {
        open.push(echo(&sidecar).await);
    }
    for pod in &pods {
        assert_eq!(pod.record().connections, 3, "{}", pod.name);
    }
    for (client, _) in &mut open {
        assert_echoes(client, "still there").await;
    }
}

#[tokio::test]
async fn a_switch_in_older_words_is_one_too() {
    // Some servers write a length, which a 101 must not have.
    let head = SWITCH.replace("\r\n\r\n", "\r\nContent-Length: 0\r\n\r\nfirst words");
    let pod = Pod::scripted("a", manners::say(head)).await;
    let sidecar = Sidecar::over([&pod]).start().await;
    let (mut client, head) = super::tunnel(&sidecar).await;
    assert_eq!(head.field("content-length"), None);
    assert_eq!(
        soon("bytes", client.wire.exact(11)).await.unwrap(),
        b"first words"
    );
}
