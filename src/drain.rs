//! Drain: one signal that everything hears, and guards that tell when everything has ended.

use tokio::sync::{mpsc, watch};

/// Tells everyone to finish.
#[derive(Debug)]
pub struct Trigger(watch::Sender<bool>);

/// Hears that it is time to finish. Clones hear the same.
#[derive(Clone, Debug)]
pub struct Signal(watch::Receiver<bool>);

/// Held by whatever must end before a drain is complete.
#[derive(Clone, Debug)]
pub struct Guard {
    // Nothing is ever sent: the channel closes when the last guard is dropped.
    _alive: mpsc::Sender<()>,
}

/// Waits for all guards.
#[derive(Debug)]
pub struct Waiter(mpsc::Receiver<()>);

pub fn channel() -> (Trigger, Signal) {
    let (sender, receiver) = watch::channel(false);
    (Trigger(sender), Signal(receiver))
}

pub fn guards() -> (Guard, Waiter) {
    let (sender, receiver) = mpsc::channel(1);
    (Guard { _alive: sender }, Waiter(receiver))
}

impl Trigger {
    pub fn drain(&self) {
        self.0.send_replace(true);
    }
}

impl Signal {
    pub fn is_draining(&self) -> bool {
        *self.0.borrow()
    }

    /// Returns when the drain begins, or when nobody is left to begin one.
    pub async fn draining(&mut self) {
        let _ = self.0.wait_for(|draining| *draining).await;
    }
}

impl Waiter {
    /// Returns when every guard has been dropped.
    pub async fn all_gone(mut self) {
        while self.0.recv().await.is_some() {}
    }
}
