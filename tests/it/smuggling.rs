//! Request smuggling and response splitting: tables of what a client or a pod may send to make two sides disagree on
//! where a message ends, on raw sockets. Each row says what the other side saw, not only what was answered.
//!
//! Where a row is decided by hyper's parser, it pins that decision down: an update that changes it fails here.

mod chunks;
mod framing;
mod heads;
mod hosts;
mod responses;
mod trailers;

use std::fmt::Write;

use crate::support::head::{Head, Message, latin1};
use crate::support::within::SOON;
use crate::support::{Client, Pod, Sidecar};

/// Stands behind every row on the same connection. Whether it is answered, and what the pod saw of it, tells where the
/// row ended for either side.
const AFTER: &str = "GET /after HTTP/1.1\r\nHost: shop\r\nConnection: close\r\n\r\n";

/// A request for the body of a row to hide: a pod must never see it as one.
const SMUGGLED: &str = "GET /smuggled HTTP/1.1\r\nHost: shop\r\n\r\n";

/// What a client sends (`{after}` is put behind it), the statuses it gets until the connection ends, and the requests
/// that the pod saw whole, as [`told`] tells them.
struct Row<'a> {
    what: &'a str,
    sent: &'a [u8],
    answers: &'a [u16],
    saw: &'a [&'a str],
}

const fn row<'a>(what: &'a str, sent: &'a [u8], answers: &'a [u16], saw: &'a [&'a str]) -> Row<'a> {
    Row {
        what,
        sent,
        answers,
        saw,
    }
}

/// Refused with that status, connection closed, nothing seen.
const fn refused<'a>(what: &'a str, status: &'a [u16; 1], sent: &'a [u8]) -> Row<'a> {
    row(what, sent, status, &[])
}

/// A request as the pod saw it: method, target, how its length was told, body, trailers.
fn told(request: &Message) -> String {
    let head = &request.head;
    let mut told = format!("{} {}", head.method(), head.target());
    for length in head.all("content-length") {
        write!(told, " length={length}").unwrap();
    }
    for coding in head.all("transfer-encoding") {
        write!(told, " coding={coding}").unwrap();
    }
    if !request.body.is_empty() {
        write!(told, " {}", latin1(&request.body)).unwrap();
    }
    for (name, value) in &request.trailers {
        write!(told, " trailer {name}={value}").unwrap();
    }
    told
}

/// One pod behind one worker, so that every request that may use a kept connection does: what a row leaves there would
/// be read as the next request, or taken for the next response.
struct Scene {
    pod: Pod,
    sidecar: Sidecar,
    failed: Vec<String>,
}

impl Scene {
    async fn start() -> Self {
        let pod = Pod::start("a").await;
        let sidecar = Sidecar::over([&pod]).on_one_worker().start().await;
        Self {
            pod,
            sidecar,
            failed: Vec::new(),
        }
    }

    /// Holds every row against what happens, then fails with all that differed.
    async fn hold(rows: &[Row<'_>]) {
        let mut scene = Self::start().await;
        for row in rows {
            scene.check(row).await;
        }
        assert!(scene.failed.is_empty(), "\n{}", scene.failed.join("\n"));
    }

    async fn check(&mut self, row: &Row<'_>) {
        let what = row.what;
        let (heads, requests) = self.seen();
        let mut client = self.sidecar.client().await;
        let sent = [row.sent, AFTER.as_bytes()].concat();
        // It may be refused before it has sent everything.
        let _ = client.wire.send(sent).await;
        let answers = answers(&mut client).await;
        if answers != row.answers {
            self.failed.push(format!(
                "{what}: answered {answers:?}, not {:?}",
                row.answers
            ));
        }
        // The next request to that pod tells what was left on its connection.
        if self.sidecar.get("/sentinel").await.pod() != "a" {
            self.failed.push(format!("{what}: the next one failed"));
        }
        let record = self.pod.record();
        let mut saw: Vec<String> = record.requests[requests..].iter().map(told).collect();
        let sentinel = saw.pop();
        if sentinel.as_deref() != Some("GET /sentinel") {
            self.failed
                .push(format!("{what}: the next one was {sentinel:?}"));
        }
        if saw != row.saw {
            self.failed
                .push(format!("{what}: the pod saw {saw:?}, not {:?}", row.saw));
        }
        for head in &record.heads[heads..] {
            if let Err(why) = is_sound(head) {
                self.failed
                    .push(format!("{what}: {why} in {:?}", head.text));
            }
        }
    }

    fn seen(&self) -> (usize, usize) {
        let record = self.pod.record();
        (record.heads.len(), record.requests.len())
    }
}

/// Whether a head, of a whole request or of one that broke off, is one that a pod can read in one way alone.
fn is_sound(head: &Head) -> Result<(), &'static str> {
    if head.target().contains("smuggled") {
        return Err("a request that was hidden in another");
    }
    let lines = head.text.strip_suffix("\r\n\r\n").ok_or("no end")?;
    if lines.replace("\r\n", "").contains(['\r', '\n', '\0']) {
        return Err("a control character");
    }
    if lines.split("\r\n").skip(1).any(|line| {
        let name = line.split(':').next().unwrap_or_default();
        name.is_empty() || name.contains([' ', '\t'])
    }) {
        return Err("a name that is none, or a folded line");
    }
    if head.all("host").len() != 1 {
        return Err("not one Host");
    }
    let lengths = head.all("content-length");
    let codings = head.all("transfer-encoding");
    if lengths.len() + codings.len() > 1 {
        return Err("two lengths");
    }
    if codings.iter().any(|coding| *coding != "chunked") {
        return Err("a coding");
    }
    if lengths
        .iter()
        .any(|length| !length.bytes().all(|byte| byte.is_ascii_digit()))
    {
        return Err("a length that is no number");
    }
    Ok(())
}

/// The statuses until the connection ends, in whichever way; 0 where it does not.
async fn answers(client: &mut Client) -> Vec<u16> {
    let mut statuses = Vec::new();
    let ended = tokio::time::timeout(SOON, async {
        while let Ok(Some(head)) = client.wire.head().await {
            statuses.push(head.status());
            let framing = head.response_framing();
            if client.wire.rest(head, framing).await.is_err() {
                return;
            }
        }
    });
    if ended.await.is_err() {
        statuses.push(0);
    }
    statuses
}
