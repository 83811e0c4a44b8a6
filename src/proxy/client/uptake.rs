//! Whether a client takes its responses.

use std::cell::Cell;
use std::rc::Rc;
use std::time::{Duration, Instant};

use super::Client;

/// The responses under way on one connection, and whose turn it is. All on one thread.
#[derive(Debug, Default)]
pub struct Uptake {
    /// Responses whose last frame has not been handed over.
    under_way: Cell<usize>,
    /// Those of them whose next frame has been asked for and has not come: the pod's turn.
    asked: Cell<usize>,
    /// Since when it has been the client's turn in all of them. Set when somebody looks, so that responses that are
    /// taken at once cost no look at the clock.
    stalled: Cell<Option<Instant>>,
}

/// One response under way; over when dropped.
#[derive(Debug)]
pub struct Taking {
    client: Rc<Client>,
    asked: bool,
}

impl Uptake {
    /// When a client that does not take the next frame of any response will have had `patience`; `None` while a pod
    /// is waited for.
    pub fn deadline(&self, patience: Duration) -> Option<Instant> {
        if self.under_way.get() == 0 || self.asked.get() > 0 {
            return None;
        }
        let since = self.stalled.get().unwrap_or_else(Instant::now);
        self.stalled.set(Some(since));
        Some(since + patience)
    }
}

impl Taking {
    pub fn begin(client: Rc<Client>) -> Self {
        let uptake = &client.uptake;
        uptake.under_way.set(uptake.under_way.get() + 1);
        uptake.stalled.set(None);
        Self {
            client,
            asked: false,
        }
    }

    /// The next frame is asked for, so the ones before have been taken.
    pub fn ask(&mut self) {
        let uptake = &self.client.uptake;
        uptake.stalled.set(None);
        if !self.asked {
            self.asked = true;
            uptake.asked.set(uptake.asked.get() + 1);
        }
    }

    /// The frame that was asked for is there.
    pub fn hand_over(&mut self) {
        let uptake = &self.client.uptake;
        uptake.stalled.set(None);
        if std::mem::take(&mut self.asked) {
            uptake.asked.set(uptake.asked.get() - 1);
        }
    }

    pub fn client(&self) -> &Client {
        &self.client
    }
}

impl Drop for Taking {
    fn drop(&mut self) {
        self.hand_over();
        let under_way = &self.client.uptake.under_way;
        under_way.set(under_way.get() - 1);
    }
}
