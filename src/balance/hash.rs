//! Hash: requests with one key go to one endpoint while it is there and has room.
//!
//! Where the key's endpoint has more in flight than 1.25 times the mean, the request goes to the next one of the table
//! (Mirrokni, Thorup and Zadimoghaddam, "Consistent Hashing with Bounded Loads"), and so does a retry. Requests without a
//! key go anywhere, at random.

use std::sync::Arc;

use super::least_request::Place;
use super::maglev::Table;
use super::sample::best_untried;
use super::{Ask, Candidate};
use crate::endpoint::Identity;
use crate::stats::TargetStats;

/// The table, for as long as the endpoints stay.
#[derive(Debug)]
pub(super) struct Hashing {
    identities: Vec<Identity>,
    table: Arc<Table>,
    totals: Arc<TargetStats>,
}

#[derive(Debug)]
pub(super) struct Hash {
    places: Box<[Place]>,
    table: Arc<Table>,
    totals: Arc<TargetStats>,
}

/// In flight at an endpoint, these are no load that a key should leave it for, whatever the mean is: with a handful of
/// requests in flight over all of them, two at one are more than 1.25 times the mean.
const ALWAYS_ROOM: u64 = 8;

impl Hashing {
    pub(super) fn new(totals: Arc<TargetStats>) -> Self {
        Self {
            identities: Vec::new(),
            table: Arc::new(Table::new(std::iter::empty())),
            totals,
        }
    }

    pub(super) fn next_picker(&mut self, candidates: &[&Candidate]) -> Hash {
        let identities = candidates.iter().map(|candidate| &candidate.identity);
        if !self.identities.iter().eq(identities.clone()) {
            self.table = Arc::new(Table::new(identities.clone()));
            self.identities = identities.cloned().collect();
        }
        Hash {
            places: Place::all(candidates),
            table: self.table.clone(),
            totals: self.totals.clone(),
        }
    }
}

impl Hash {
    pub(super) fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    pub(super) fn pick(&self, ask: &Ask<'_>, tried: impl Fn(usize) -> bool) -> Option<usize> {
        let tried = |place: usize| tried(self.places[place].member);
        let place = match ask.key {
            Some(key) => self.of_key(key, tried)?,
            None => best_untried(self.places.len(), 1, |_| (), tried)?,
        };
        Some(self.places[place].member)
    }

    fn of_key(&self, key: u64, tried: impl Fn(usize) -> bool) -> Option<usize> {
        let mut places = self.table.from(key);
        let own = places.next()?;
        if !tried(own) && self.has_room(own) {
            return Some(own);
        }
        // One in five has room at least, so that nearly always a few steps do; and with all but one tried, these do.
        let steps = 64 + 8 * self.places.len();
        let mut untried = (!tried(own)).then_some(own);
        for place in places.take(steps).filter(|place| !tried(*place)) {
            if self.has_room(place) {
                return Some(place);
            }
            untried = untried.or(Some(place));
        }
        let any = || (0..self.places.len()).find(|place| !tried(*place));
        untried.or_else(any).or(Some(own))
    }

    /// Whether with one more it would have no more than 1.25 times the mean, rounded up. The request that is to be sent is
    /// among the target's already.
    fn has_room(&self, place: usize) -> bool {
        let load = self.places[place].stats.load();
        load < ALWAYS_ROOM || {
            let endpoints = self.places.len() as u64;
            4 * endpoints * load < 5 * self.totals.load()
        }
    }
}
