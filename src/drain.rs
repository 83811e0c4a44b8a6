//! Drain: one signal that everything hears, and guards that tell when everything has ended.

use tokio::sync::{mpsc, watch};

/// How far the end has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Phase {
    Serving,
    /// What was begun is finished, and nothing new is taken on.
    Draining,
    /// What may go on without end is ended.
    Closing,
}

/// Tells everyone to finish.
#[derive(Debug)]
pub struct Trigger(watch::Sender<Phase>);

/// Hears that it is time to finish. Clones hear the same.
#[derive(Clone, Debug)]
pub struct Signal(watch::Receiver<Phase>);

/// Held by whatever must end before a drain is complete.
#[derive(Clone, Debug)]
pub struct Guard {
    // Nothing is ever sent: the channel closes when the last guard is dropped.
    _alive: mpsc::Sender<()>,
}

/// Waits for all guards.
#[derive(Debug)]
pub struct Waiter(mpsc::Receiver<()>);

/// Held by whatever must run until the drain. Dropped before that, whatever held it has broken, and the other end of
/// `broken` hears of it.
#[derive(Clone, Debug)]
pub struct Vital {
    pub drain: Signal,
    pub broken: mpsc::Sender<()>,
}

pub fn channel() -> (Trigger, Signal) {
    let (sender, receiver) = watch::channel(Phase::Serving);
    (Trigger(sender), Signal(receiver))
}

pub fn guards() -> (Guard, Waiter) {
    let (sender, receiver) = mpsc::channel(1);
    (Guard { _alive: sender }, Waiter(receiver))
}

impl Trigger {
    pub fn drain(&self) {
        self.0.send_replace(Phase::Draining);
    }

    /// Has everyone end what would not end by itself.
    pub fn close(&self) {
        self.0.send_replace(Phase::Closing);
    }
}

impl Signal {
    pub fn is_draining(&self) -> bool {
        *self.0.borrow() >= Phase::Draining
    }

    /// Returns when the drain begins, or when nobody is left to begin one.
    pub async fn draining(&mut self) {
        let _ = self.0.wait_for(|phase| *phase >= Phase::Draining).await;
    }

    /// Returns when what would not end by itself must, or when nobody is left to say so.
    pub async fn closing(&mut self) {
        let _ = self.0.wait_for(|phase| *phase == Phase::Closing).await;
    }
}

impl Drop for Vital {
    fn drop(&mut self) {
        if !self.drain.is_draining() {
            // A full channel has news of this kind already.
            let _ = self.broken.try_send(());
        }
    }
}

impl Waiter {
    /// Returns when every guard has been dropped.
    pub async fn all_gone(mut self) {
        while self.0.recv().await.is_some() {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_vital_is_missed_before_the_drain_and_not_after() {
        let (trigger, drain) = channel();
        let (broken, mut heard) = mpsc::channel(1);
        let vital = Vital { drain, broken };
        drop(vital.clone());
        assert_eq!(heard.try_recv(), Ok(()));
        trigger.drain();
        drop(vital);
        assert!(heard.try_recv().is_err());
    }

    #[tokio::test]
    async fn a_drain_leaves_to_the_close_what_would_not_end_by_itself() {
        let (trigger, mut drain) = channel();
        trigger.drain();
        drain.draining().await;
        let mut closing = drain.clone();
        let mut closing = Box::pin(closing.closing());
        assert!(futures::poll!(&mut closing).is_pending());
        trigger.close();
        closing.await;
        assert!(drain.is_draining());
        drain.draining().await;
    }

    #[tokio::test]
    async fn a_waiter_waits_for_the_last_guard() {
        let (guard, waiter) = guards();
        let mut all_gone = Box::pin(waiter.all_gone());
        let last = guard.clone();
        drop(guard);
        assert!(futures::poll!(&mut all_gone).is_pending());
        drop(last);
        all_gone.await;
    }
}
