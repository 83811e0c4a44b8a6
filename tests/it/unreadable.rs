//! Requests that cannot be read, or not in time: answered, counted, and no pod's doing.

use crate::support::{Pod, Sidecar, eventually};

/// Waits until so many requests have ended with this class and the flag of a client's mistake.
async fn until_counted(sidecar: &Sidecar, class: &str, count: u32) {
    let class = format!("class=\"{class}\"");
    let labels = [class.as_str(), "flag=\"DPE\""];
    // The answer is out a moment before it is counted.
    eventually(&format!("{count} requests with {labels:?}"), async || {
        let counted = sidecar.metric("podrobin_requests_total", &labels).await;
        (counted == f64::from(count)).then_some(())
    })
    .await;
}

#[tokio::test]
async fn what_is_no_request_is_refused_and_counted() {
    let pod = Pod::start("a").await;
    let sidecar = Sidecar::over([&pod])
        .with("--max-header-bytes", "16KiB")
        .start()
        .await;
    let too_large = format!(
        "GET / HTTP/1.1\r\nHost: shop\r\nX-Big: {}\r\n\r\n",
        "a".repeat(17_000)
    );
    let cases = [
        ("no version", "GET /\r\n\r\n", Some(400)),
        ("no request at all", "\u{16}\u{3}\u{1}\r\n\r\n", Some(400)),
        // Of HTTP/2 an invalid preface, and of HTTP/1 nothing.
        ("no HTTP at all", "INVITE bob SIP/2.0\r\n\r\n", None),
        (
            "a field without a name",
            "GET / HTTP/1.1\r\n: shop\r\n\r\n",
            Some(400),
        ),
        ("a head too large", too_large.as_str(), Some(431)),
    ];
    for (count, (what, bytes, status)) in (1..).zip(cases) {
        let mut client = sidecar.client().await;
        client.send(bytes).await;
        if let Some(status) = status {
            let answer = client.response().await;
            assert_eq!(
                (answer.status(), answer.flag()),
                (status, Some("DPE")),
                "{what}"
            );
        }
        // What is not HTTP gets no answer of HTTP.
        client.closed().await;
        until_counted(&sidecar, "4xx", count).await;
    }
    let all = sidecar.metric("podrobin_requests_total", &[]).await;
    assert_eq!(all, 5.0);
    assert_eq!(pod.record().heads.len(), 0);
    let attempts = sidecar.metric("podrobin_attempts_total", &[]).await;
    assert_eq!(attempts, 0.0);
}

#[tokio::test]
async fn a_head_that_takes_too_long_is_told_so_and_counted() {
    let pod = Pod::start("a").await;
    let sidecar = Sidecar::over([&pod])
        .with("--header-timeout", "200ms")
        .start()
        .await;
    for count in 1..=2 {
        let mut client = sidecar.client().await;
        let answer = client.ask("GET / HTTP/1.1\r\nHost: sh").await;
        assert_eq!((answer.status(), answer.flag()), (408, Some("DPE")));
        assert_eq!(answer.field("connection"), Some("close"));
        client.closed().await;
        until_counted(&sidecar, "4xx", count).await;
    }
    assert_eq!(pod.record().heads.len(), 0);
}
