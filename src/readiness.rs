//! Readiness: named gates that must all be open before this process says it is ready.

use std::sync::{Arc, Mutex, PoisonError};

/// The set of gates still closed. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Readiness {
    pending: Arc<Mutex<Vec<String>>>,
}

/// A gate that is closed until it is opened or dropped.
#[derive(Debug)]
#[must_use = "a gate that is dropped is open"]
pub struct Gate {
    name: String,
    readiness: Readiness,
}

impl Readiness {
    /// Adds a closed gate.
    pub fn gate(&self, name: impl Into<String>) -> Gate {
        let name = name.into();
        self.lock().push(name.clone());
        Gate {
            name,
            readiness: self.clone(),
        }
    }

    /// Names of the gates still closed; empty means ready.
    pub fn pending(&self) -> Vec<String> {
        self.lock().clone()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<String>> {
        // A list of names is whole even if a thread panicked while it held it.
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Gate {
    pub fn open(self) {}
}

impl Drop for Gate {
    fn drop(&mut self) {
        let mut pending = self.readiness.lock();
        if let Some(index) = pending.iter().position(|name| *name == self.name) {
            pending.remove(index);
        }
    }
}
