//! Readiness: named gates that must all be open before this process says it is ready.

use std::sync::Arc;

use tokio::sync::watch;

/// The set of gates still closed. Clones share it.
#[derive(Clone, Debug)]
pub struct Readiness {
    pending: Arc<watch::Sender<Vec<String>>>,
}

/// A gate that is closed until it is opened or dropped.
#[derive(Debug)]
#[must_use = "a gate that is dropped is open"]
pub struct Gate {
    name: String,
    readiness: Readiness,
}

impl Default for Readiness {
    fn default() -> Self {
        Self {
            pending: Arc::new(watch::Sender::new(Vec::new())),
        }
    }
}

impl Readiness {
    /// Adds a closed gate.
    pub fn gate(&self, name: impl Into<String>) -> Gate {
        let name = name.into();
        self.pending
            .send_modify(|pending| pending.push(name.clone()));
        Gate {
            name,
            readiness: self.clone(),
        }
    }

    /// Names of the gates still closed; empty means ready.
    pub fn pending(&self) -> Vec<String> {
        self.pending.borrow().clone()
    }

    /// Waits until no gate is closed.
    pub async fn ready(&self) {
        // An error is a sender that is gone, and this is one.
        let _ = self.pending.subscribe().wait_for(Vec::is_empty).await;
    }
}

impl Gate {
    pub fn open(self) {}
}

impl Drop for Gate {
    fn drop(&mut self) {
        self.readiness.pending.send_modify(|pending| {
            if let Some(index) = pending.iter().position(|name| *name == self.name) {
                pending.remove(index);
            }
        });
    }
}
