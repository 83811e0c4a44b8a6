//! How well the watch goes, as a state machine: what happened goes in, phase and trouble come out.

use crate::discovery::Phase;
use crate::discovery::trouble::{Kind, Trouble};

/// Watches that end early, or versions that are gone, in a row: one is an accident, two are news.
const NEWS: u32 = 2;

#[derive(Debug, Default)]
pub(super) struct Health {
    trouble: Option<String>,
    relisting: bool,
    /// Versions that were gone, in a row.
    gone: u32,
}

impl Health {
    pub(super) fn failed(&mut self, trouble: Trouble) {
        if trouble.kind == Kind::Gone {
            self.gone = self.gone.saturating_add(1);
            if self.gone < NEWS {
                self.relisting = true;
                return;
            }
        }
        self.trouble = Some(trouble.line);
    }

    /// A list begins.
    pub(super) fn list_began(&mut self) {
        self.relisting = true;
    }

    /// A watch ended, the last of `short` in a row that ended early.
    pub(super) fn watch_ended(&mut self, short: u32) {
        if short >= NEWS && self.trouble.is_none() {
            self.trouble = Some(
                "the API server, or a proxy before it, ends each watch as soon as it has begun"
                    .to_owned(),
            );
        }
    }

    /// The list is whole, and the watch stands or has brought news.
    pub(super) fn well(&mut self) {
        *self = Self::default();
    }

    /// Whether there is something to recover from.
    pub(super) fn is_well(&self) -> bool {
        self.trouble.is_none() && !self.relisting && self.gone == 0
    }

    pub(super) fn trouble(&self) -> Option<&str> {
        self.trouble.as_deref()
    }

    pub(super) fn phase(&self, published: bool) -> Phase {
        if !published {
            Phase::Starting
        } else if self.trouble.is_some() {
            Phase::Stale
        } else if self.relisting {
            Phase::Relisting
        } else {
            Phase::Live
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trouble(kind: Kind) -> Trouble {
        Trouble {
            kind,
            line: format!("{kind:?}"),
        }
    }

    #[test]
    fn a_version_that_is_gone_once_is_no_trouble() {
        let mut health = Health::default();
        health.failed(trouble(Kind::Gone));
        assert_eq!(
            (health.phase(true), health.trouble()),
            (Phase::Relisting, None)
        );
        health.failed(trouble(Kind::Gone));
        assert_eq!(
            (health.phase(true), health.trouble()),
            (Phase::Stale, Some("Gone"))
        );
        health.well();
        assert_eq!((health.phase(true), health.trouble()), (Phase::Live, None));
    }

    #[test]
    fn a_list_that_begins_anew_does_not_end_the_trouble() {
        let mut health = Health::default();
        health.failed(trouble(Kind::Denied));
        health.list_began();
        assert_eq!(health.phase(true), Phase::Stale);
        assert!(!health.is_well());
    }

    #[test]
    fn one_short_watch_is_an_accident_and_two_are_trouble() {
        let mut health = Health::default();
        health.watch_ended(1);
        assert!(health.is_well());
        health.watch_ended(2);
        assert_eq!(health.phase(true), Phase::Stale);
    }

    #[test]
    fn before_the_first_list_it_is_starting_whatever_happens() {
        let mut health = Health::default();
        assert_eq!(health.phase(false), Phase::Starting);
        health.failed(trouble(Kind::Other));
        assert_eq!(
            (health.phase(false), health.trouble()),
            (Phase::Starting, Some("Other"))
        );
    }
}
