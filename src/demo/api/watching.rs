//! A watch: what happens in a scope, told line by line until its time is up.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::fmt::Write as _;
use std::time::Duration;

use bytes::Bytes;
use futures::{Stream, stream};
use http_body::Frame;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::Api;
use super::answer::{Failure, chunks, frame, with_kind};
use super::request::Params;
use super::store::Scope;

/// How long a watch lives that does not say; a real API server draws 30 to 60 minutes.
const DEFAULT_TIME: Duration = Duration::from_secs(1_800);

/// How long before a watch's end its last bookmark comes.
const LAST_BOOKMARK: Duration = Duration::from_secs(2);

struct Watching {
    api: Api,
    scope: Scope,
    /// Everything up to this version has been told.
    version: u64,
    newest: tokio::sync::watch::Receiver<u64>,
    /// When bookmarks are due, where they were asked for.
    bookmark: Option<Instant>,
    last_bookmark: Option<Instant>,
    end: Instant,
    /// Told and not yet taken.
    chunks: VecDeque<Bytes>,
    over: bool,
}

/// The body of a watch's answer.
pub(super) fn events(
    api: &Api,
    scope: Scope,
    params: &Params,
) -> Result<impl Stream<Item = Result<Frame<Bytes>, Infallible>> + use<>, Failure> {
    let now = Instant::now();
    let end = now
        .checked_add(params.timeout.unwrap_or(DEFAULT_TIME))
        .ok_or_else(|| Failure::bad_request("timeoutSeconds is too long".to_owned()))?;
    let mut watching = Watching {
        api: api.clone(),
        scope,
        version: params.version.unwrap_or(0),
        newest: api.version.subscribe(),
        bookmark: params.bookmarks.then(|| now + api.bookmark_interval),
        last_bookmark: params.bookmarks.then(|| (end - LAST_BOOKMARK).max(now)),
        end,
        chunks: VecDeque::new(),
        over: false,
    };
    if watching.version == 0 {
        watching.tell_all(params.bookmarks);
    }
    Ok(stream::unfold(watching, |mut watching| async move {
        let chunk = watching.next_chunk().await?;
        Some((frame(chunk), watching))
    }))
}

impl Watching {
    async fn next_chunk(&mut self) -> Option<Bytes> {
        loop {
            if let Some(chunk) = self.chunks.pop_front() {
                return Some(chunk);
            }
            if self.over {
                return None;
            }
            self.newest.borrow_and_update();
            self.tell_changes();
            if self.chunks.is_empty() && !self.tell_bookmark() && !self.over {
                self.wait().await;
            }
        }
    }

    /// All objects as they are, for one who names no version.
    fn tell_all(&mut self, bookmark: bool) {
        let store = self.api.store();
        self.version = store.version();
        let (objects, _) = store.page(&self.scope, None, usize::MAX);
        drop(store);
        let mut lines = String::new();
        for object in objects {
            line(&mut lines, "ADDED", &with_kind(&object, self.scope.kind));
        }
        if bookmark {
            let mut object = self.bookmark_object();
            object["metadata"]["annotations"] = json!({"k8s.io/initial-events-end": "true"});
            line(&mut lines, "BOOKMARK", &object);
        }
        self.chunks = chunks(lines.as_bytes());
    }

    fn tell_changes(&mut self) {
        let store = self.api.store();
        let newest = store.version();
        let events = store.events(&self.scope, self.version);
        drop(store);
        let mut lines = String::new();
        match events {
            Ok(events) => {
                // A version from the future stays ahead: nothing is told until it comes.
                self.version = self.version.max(newest);
                for (kind, object) in events {
                    line(&mut lines, kind, &with_kind(&object, self.scope.kind));
                }
            }
            Err(gone) => {
                // Refused within the stream, as kube-apiserver does, not by a status.
                let failure = Failure::version_expired(&gone, self.version);
                line(&mut lines, "ERROR", &failure.status());
                self.over = true;
            }
        }
        self.chunks = chunks(lines.as_bytes());
    }

    /// Whether a bookmark was due.
    fn tell_bookmark(&mut self) -> bool {
        let now = Instant::now();
        let due = |at: Option<Instant>| at.is_some_and(|at| at <= now);
        if due(self.last_bookmark) {
            self.last_bookmark = None;
            self.bookmark = None;
        } else if due(self.bookmark) {
            self.bookmark = Some(now + self.api.bookmark_interval);
        } else {
            self.over |= now >= self.end;
            return false;
        }
        let mut lines = String::new();
        line(&mut lines, "BOOKMARK", &self.bookmark_object());
        self.chunks = chunks(lines.as_bytes());
        true
    }

    async fn wait(&mut self) {
        let wake = [self.bookmark, self.last_bookmark]
            .into_iter()
            .flatten()
            .fold(self.end, Instant::min);
        tokio::select! {
            changed = self.newest.changed() => self.over |= changed.is_err(),
            () = tokio::time::sleep_until(wake) => {}
        }
    }

    fn bookmark_object(&self) -> Value {
        json!({
            "kind": self.scope.kind.name(),
            "apiVersion": self.scope.kind.api_version(),
            "metadata": {"resourceVersion": self.version.to_string()},
        })
    }
}

fn line(lines: &mut String, kind: &str, object: &Value) {
    // Writing to a String cannot fail.
    let _ = writeln!(lines, "{}", json!({"type": kind, "object": object}));
}
