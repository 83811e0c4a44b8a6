//! A connection as it counts: among those that are open, and in its place at the pod.

use std::rc::Rc;

use super::Shared;
use crate::admission::ConnectionPermit;
use crate::stats::Count;

/// A connection to a pod, counted as open until dropped, with its place there, where places are limited. To be dropped
/// after the connection: the pod never sees one too many.
#[derive(Debug)]
pub struct Opened {
    shared: Rc<Shared>,
    permit: Option<ConnectionPermit>,
}

impl Shared {
    pub(super) fn open(self: &Rc<Self>, permit: Option<ConnectionPermit>) -> Opened {
        self.counters().add(Count::UpstreamOpened);
        Opened {
            shared: self.clone(),
            permit,
        }
    }
}

impl Opened {
    /// The connection can take a request. `idle`: it has none.
    pub(super) fn freed(&self, idle: bool) {
        if let Some(permit) = &self.permit {
            permit.freed(idle);
        }
    }

    pub(super) fn is_wanted_elsewhere(&self) -> bool {
        self.permit
            .as_ref()
            .is_some_and(ConnectionPermit::is_wanted)
    }

    /// Whether it lies where another worker's could be instead.
    pub(super) fn is_lendable(&self) -> bool {
        self.permit
            .as_ref()
            .is_some_and(ConnectionPermit::is_shared)
    }
}

impl Drop for Opened {
    fn drop(&mut self) {
        self.shared.counters().add(Count::UpstreamClosed);
    }
}

/// Drops up to `most` of the connections that may be lent, and counts them off. Whether it left any.
pub(super) fn close_lendable<T>(
    connections: &mut Vec<T>,
    most: &mut usize,
    is_lendable: impl Fn(&T) -> bool,
) -> bool {
    connections.retain(|connection| {
        let closes = *most > 0 && is_lendable(connection);
        *most -= usize::from(closes);
        !closes
    });
    connections.iter().any(is_lendable)
}
