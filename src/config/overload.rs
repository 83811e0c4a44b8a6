//! What one pod is given at most, and how long requests wait while all have as much.

use std::time::Duration;

/// Limits per pod, of this process alone: other sidecars have their own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Overload {
    /// Requests in flight at one pod; `None` for no limit.
    pub pod_requests: Option<usize>,
    /// Requests waiting for room at a pod, per listener.
    pub pending: usize,
    /// How long each of them waits.
    pub pending_timeout: Duration,
}

impl Overload {
    /// Whether a pod can be full.
    pub fn is_on(&self) -> bool {
        self.pod_requests.is_some()
    }
}

impl Default for Overload {
    fn default() -> Self {
        Self {
            pod_requests: None,
            // As Envoy.
            pending: 1_024,
            // Long enough for a burst to pass, and a small part of what clients' patience is: under lasting overload
            // each request that is answered has waited for as long.
            pending_timeout: Duration::from_millis(100),
        }
    }
}
