//! The bulletin: what a source says of itself, and one log line for each change of it.

use std::time::SystemTime;

use tokio::sync::watch;

use super::{Phase, Status};

/// Keeps a [`Status`] and says each change of it once.
#[derive(Debug)]
pub(super) struct Bulletin {
    service: String,
    status: watch::Sender<Status>,
}

impl Bulletin {
    pub(super) fn new(service: String, status: watch::Sender<Status>) -> Self {
        Self { service, status }
    }

    pub(super) fn set(&self, phase: Phase, error: Option<String>) {
        let changed = self.status.send_if_modified(|status| {
            if status.phase == phase && status.error == error {
                return false;
            }
            if status.phase != phase {
                status.phase = phase;
                status.since = SystemTime::now();
            }
            status.error.clone_from(&error);
            true
        });
        if !changed {
            return;
        }
        let (service, phase) = (&self.service, phase.as_str());
        match error {
            Some(error) => tracing::warn!(%service, phase, "{error}"),
            None => tracing::info!(%service, phase, "the list of endpoints is {phase}"),
        }
    }

    /// The list was right at that moment. Nobody is woken for it: whoever wants to know asks.
    pub(super) fn fresh(&self, at: SystemTime) {
        self.status.send_if_modified(|status| {
            status.fresh = status.fresh.max(Some(at));
            false
        });
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn bulletin() -> (Bulletin, watch::Receiver<Status>) {
        let (status, reader) = watch::channel(Status {
            phase: Phase::Starting,
            since: SystemTime::UNIX_EPOCH,
            fresh: None,
            error: None,
        });
        (Bulletin::new("shop/cart".to_owned(), status), reader)
    }

    #[test]
    fn a_change_is_told_once() {
        let (bulletin, mut reader) = bulletin();
        let error = || Some("cut".to_owned());
        bulletin.set(Phase::Stale, error());
        assert!(reader.has_changed().unwrap());
        reader.mark_unchanged();
        bulletin.set(Phase::Stale, error());
        assert!(!reader.has_changed().unwrap());
        bulletin.set(Phase::Stale, None);
        assert!(reader.has_changed().unwrap());
    }

    #[test]
    fn a_phase_keeps_its_beginning_while_its_error_changes() {
        let (bulletin, reader) = bulletin();
        bulletin.set(Phase::Starting, Some("cut".to_owned()));
        assert_eq!(reader.borrow().since, SystemTime::UNIX_EPOCH);
        bulletin.set(Phase::Live, None);
        assert!(reader.borrow().since > SystemTime::UNIX_EPOCH);
    }

    #[test]
    fn freshness_wakes_nobody_and_never_goes_back() {
        let (bulletin, reader) = bulletin();
        let at = |seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        bulletin.fresh(at(7));
        bulletin.fresh(at(3));
        assert_eq!(reader.borrow().fresh, Some(at(7)));
        assert!(!reader.has_changed().unwrap());
    }
}
