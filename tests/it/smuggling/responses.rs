//! Responses that a client and the sidecar, or the sidecar and its next request, could read differently.

mod ends;
mod heads;
mod lengths;

use std::io;

use crate::support::head::{Framing, Message};
use crate::support::pod::Session;
use crate::support::{Client, Pod, Sidecar, soon};

/// What becomes of a pod's answer.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Fate {
    /// Passed on: status and body.
    Passed(u16, &'static str),
    /// Not passed on: 502, and the pod is to blame.
    Refused,
    /// Broken off, before its head reached the client or after.
    Cut,
}

use Fate::{Cut, Passed, Refused};

type Row = (&'static str, &'static [u8], Fate);

/// What a pod does after its answer.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Then {
    Stay,
    Close,
}

/// Answers `/row` with `bytes`, and everything else with its target.
async fn serve(mut session: Session, bytes: &[u8], then: Then) -> io::Result<()> {
    while let Some(request) = session.request().await? {
        if request.head.target() == "/row" {
            session.wire.send(bytes).await?;
            if then == Then::Close {
                return Ok(());
            }
        } else {
            let body = request.head.target();
            let length = body.len();
            let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n");
            session.wire.send(format!("{head}{body}")).await?;
        }
    }
    Ok(())
}

/// Reads the answer to a request of that method, which must have one reading alone.
async fn read(client: &mut Client, method: &str) -> Result<(Fate, String), String> {
    let head = soon("a head", client.wire.head()).await;
    let Ok(Some(head)) = head else {
        return Ok((Cut, String::new()));
    };
    let status = head.status();
    let framing = match method {
        "HEAD" => Framing::Length(0),
        _ => head.response_framing(),
    };
    if head.text.replace("\r\n", "").contains(['\r', '\n', '\0']) {
        return Err(format!("a control character in {:?}", head.text));
    }
    let lengths = head.all("content-length").len() + head.all("transfer-encoding").len();
    if lengths > 1 || (status == 204 && lengths > 0) {
        return Err(format!("too many lengths in {:?}", head.text));
    }
    let rest = soon("the body", client.wire.rest(head, framing)).await;
    Ok(match rest {
        Ok(message) if message.flag() == Some("UPE") => (Refused, String::new()),
        Ok(message) => (Passed(status, ""), message.text()),
        Err(_) => (Cut, String::new()),
    })
}

/// Holds every row against what the client sees, and what comes after it: on the same connection, and on others, which
/// would be the first to use the pod's connection again.
async fn hold(method: &str, then: Then, rows: &[Row]) {
    let mut failed = Vec::new();
    for (what, bytes, expected) in rows {
        let bytes = *bytes;
        let pod = Pod::scripted("a", move |session: Session| serve(session, bytes, then)).await;
        let sidecar = Sidecar::over([&pod]).on_one_worker().start().await;
        let mut client = sidecar.client().await;
        client
            .send(format!("{method} /row HTTP/1.1\r\nHost: shop\r\n\r\n"))
            .await;
        let found = read(&mut client, method).await;
        let wanted = match *expected {
            Passed(status, body) => (Passed(status, ""), body.to_owned()),
            fate => (fate, String::new()),
        };
        if found.as_ref() != Ok(&wanted) {
            failed.push(format!("{what}: {found:?}, not {wanted:?}"));
        }
        for target in ["/other", "/another"] {
            let other = sidecar.get(target).await;
            if other.text() != target {
                failed.push(format!("{what}: the next one got {other:?}"));
            }
        }
        let after = after(&mut client).await;
        let is_right = match (expected, &after) {
            (Cut, after) => after.is_err(),
            (_, Ok(after)) => after.text() == "/after",
            (_, Err(_)) => false,
        };
        if !is_right {
            failed.push(format!("{what}: the client's next got {after:?}"));
        }
        let asked = pod.record().heads.len();
        let expected = 3 + usize::from(after.is_ok());
        if asked != expected {
            failed.push(format!(
                "{what}: the pod was asked {asked} times, not {expected}"
            ));
        }
    }
    assert!(failed.is_empty(), "\n{}", failed.join("\n"));
}

async fn after(client: &mut Client) -> io::Result<Message> {
    client
        .wire
        .send("GET /after HTTP/1.1\r\nHost: shop\r\n\r\n")
        .await?;
    client.try_response().await
}
