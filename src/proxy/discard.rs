//! The rest of a response that is not passed on: read, if that is soon done, so that its connection carries on.

use std::future::poll_fn;
use std::time::Duration;

use bytes::Bytes;
use futures::FutureExt;
use http_body::Body;

use super::attempt::Attempt;
use super::body::Upstreamed;
use super::replay::AttemptBody;
use crate::pool::{Carrier, Incoming};

/// What is read at most to keep a connection; a new one is cheaper than more.
const MOST_BYTES: u64 = 64 * 1024;

/// How long the rest is waited for at most.
const LONGEST: Duration = Duration::from_secs(1);

/// Reads a response to its end and gives its connection back, or closes it (over HTTP/2: resets the stream) where that
/// would take too much. Until then the attempt goes on.
pub(super) fn discard(incoming: Incoming, carrier: Carrier<AttemptBody>, attempt: Attempt) {
    let too_long = incoming.size_hint().lower() > MOST_BYTES;
    // A body that its client still sends belongs to the next attempt.
    if too_long || attempt.body().is_unread() {
        return;
    }
    let mut rest = Upstreamed {
        incoming,
        upload: None,
        carrier: Some(carrier),
        attempt,
    };
    let mut read = Box::pin(async move {
        let mut bytes = 0;
        while bytes <= MOST_BYTES
            && let Some(Ok(frame)) = poll_fn(|cx| rest.poll_frame(cx)).await
        {
            bytes += frame.data_ref().map_or(0, Bytes::len) as u64;
        }
        // What is left of it now closes with its drop.
    });
    // Most are there already.
    if read.as_mut().now_or_never().is_none() {
        tokio::task::spawn_local(tokio::time::timeout(LONGEST, read).map(drop));
    }
}
