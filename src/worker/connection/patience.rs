//! The deadlines of a connection.

use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use tokio::time::{Instant, Sleep};

use crate::proxy::client::{Client, Expired};

/// Watches a connection's deadlines with one timer, set anew only when a deadline comes nearer: not for each request.
pub(super) struct Watch {
    client: Rc<Client>,
    timer: Pin<Box<Sleep>>,
}

impl Watch {
    pub(super) fn new(client: Rc<Client>) -> Self {
        let deadline = client
            .deadline()
            .map_or_else(Instant::now, |(deadline, _)| deadline.into());
        Self {
            client,
            timer: Box::pin(tokio::time::sleep_until(deadline)),
        }
    }

    /// Ready when a deadline has been missed.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Expired> {
        let Some((deadline, expired)) = self.client.deadline() else {
            return Poll::Pending;
        };
        let deadline = Instant::from(deadline);
        if deadline < self.timer.deadline() {
            self.timer.as_mut().reset(deadline);
        }
        while self.timer.as_mut().poll(cx).is_ready() {
            if deadline <= Instant::now() {
                return Poll::Ready(expired);
            }
            self.timer.as_mut().reset(deadline);
        }
        Poll::Pending
    }
}
