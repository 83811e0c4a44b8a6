//! What holds a request's body back while its client waits for `100 Continue`.

use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::task::{Context, Poll, ready};

use futures::task::AtomicWaker;
use tokio::time::Sleep;

/// Closed until the pod asks for the body.
#[derive(Debug, Default)]
pub struct ContinueGate {
    open: AtomicBool,
    waker: AtomicWaker,
}

impl ContinueGate {
    pub fn open(&self) {
        self.open.store(true, Relaxed);
        self.waker.wake();
    }

    pub(super) fn is_open(&self) -> bool {
        self.open.load(Relaxed)
    }

    pub(super) fn poll_open(&self, timeout: Pin<&mut Sleep>, cx: &mut Context<'_>) -> Poll<()> {
        self.waker.register(cx.waker());
        if self.open.load(Relaxed) {
            return Poll::Ready(());
        }
        ready!(timeout.poll(cx));
        self.open.store(true, Relaxed);
        Poll::Ready(())
    }
}
