//! The list of slices as the watch tells it: events change it, a re-list replaces it whole at its end.

use std::time::SystemTime;

use super::slices::{Slice, Slices};

/// All slices of the Service, and the ones of a list that is still coming in.
#[derive(Debug)]
pub(super) struct List {
    known: Weighed,
    /// Present while a list is being read. Never published: half a list is no list.
    incoming: Option<Weighed>,
    /// Bytes that the slices of a list may take in memory.
    most: usize,
    complete: bool,
    changes: Option<Changes>,
}

/// Slices, and the bytes they take in memory.
#[derive(Debug, Default)]
struct Weighed {
    slices: Slices,
    weight: usize,
}

/// The slices take more memory than they may, and only a new list can tell what there is. What is known stays.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("its EndpointSlices take more than {0} bytes of memory")]
pub(super) struct TooMuch(pub usize);

/// What has happened since it was last asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Changes {
    /// The latest trigger time among the slices that changed. Only times not seen before count: anything else would
    /// pass for a change that took long to arrive.
    pub triggered: Option<SystemTime>,
}

impl Weighed {
    /// Refuses a slice with which they would weigh more than `most`.
    fn insert(&mut self, name: String, slice: Slice, most: usize) -> Result<(), TooMuch> {
        let weigh = |slice: &Slice| name.len() + slice.weight();
        let before = self.slices.get(&name).map_or(0, weigh);
        let weight = self.weight - before + weigh(&slice);
        if weight > most {
            return Err(TooMuch(most));
        }
        self.weight = weight;
        self.slices.insert(name, slice);
        Ok(())
    }

    fn remove(&mut self, name: &str) -> bool {
        let Some(slice) = self.slices.remove(name) else {
            return false;
        };
        self.weight -= name.len() + slice.weight();
        true
    }
}

impl List {
    pub(super) fn new(most: usize) -> Self {
        Self {
            known: Weighed::default(),
            incoming: None,
            most,
            complete: false,
            changes: None,
        }
    }

    /// A list begins, perhaps again after one that was cut off.
    pub(super) fn begin(&mut self) {
        self.incoming = Some(Weighed::default());
    }

    /// An item of the list that began. One that is refused ends the list.
    pub(super) fn add(&mut self, name: String, slice: Slice) -> Result<(), TooMuch> {
        let Some(incoming) = &mut self.incoming else {
            return Ok(());
        };
        let added = incoming.insert(name, slice, self.most);
        if added.is_err() {
            self.incoming = None;
        }
        added
    }

    /// The list that began is whole.
    pub(super) fn finish(&mut self) {
        let Some(incoming) = self.incoming.take() else {
            return;
        };
        let first = !std::mem::replace(&mut self.complete, true);
        if incoming.slices != self.known.slices {
            let triggered = incoming
                .slices
                .iter()
                .filter_map(|(name, slice)| self.news(name, slice))
                .max()
                .filter(|_| !first);
            self.note(triggered);
            self.known = incoming;
        } else if first {
            self.note(None);
        }
    }

    /// A slice was added or changed; whether that was news.
    pub(super) fn apply(&mut self, name: String, slice: Slice) -> Result<bool, TooMuch> {
        if self.known.slices.get(&name) == Some(&slice) {
            return Ok(false);
        }
        let triggered = self.news(&name, &slice);
        self.known.insert(name, slice, self.most)?;
        self.note(triggered);
        Ok(true)
    }

    /// A slice was deleted; whether there was one. The object that comes with it bears the time of an older change.
    pub(super) fn delete(&mut self, name: &str) -> bool {
        let known = self.known.remove(name);
        if known {
            self.note(None);
        }
        known
    }

    /// What has changed since the last call; `None` before the first whole list.
    pub(super) fn take_changes(&mut self) -> Option<Changes> {
        self.changes.take()
    }

    /// The last whole list with all events since; `None` before the first.
    pub(super) fn slices(&self) -> Option<&Slices> {
        self.complete.then_some(&self.known.slices)
    }

    fn news(&self, name: &str, slice: &Slice) -> Option<SystemTime> {
        let known = self
            .known
            .slices
            .get(name)
            .and_then(|known| known.triggered);
        slice.triggered.filter(|_| slice.triggered != known)
    }

    fn note(&mut self, triggered: Option<SystemTime>) {
        let changes = self.changes.get_or_insert_default();
        changes.triggered = changes.triggered.max(triggered);
    }
}

#[cfg(test)]
mod properties;

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn slice(triggered: u64) -> Slice {
        let mut slice = Slice::default();
        slice.triggered = at(triggered);
        slice
    }

    fn at(seconds: u64) -> Option<SystemTime> {
        Some(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds))
    }

    fn listed(slices: &[(&str, u64)]) -> List {
        let mut list = List::new(usize::MAX);
        relist(&mut list, slices);
        list.take_changes();
        list
    }

    fn relist(list: &mut List, slices: &[(&str, u64)]) {
        list.begin();
        for (name, triggered) in slices {
            list.add((*name).to_owned(), slice(*triggered)).unwrap();
        }
        list.finish();
    }

    fn names(list: &List) -> Vec<&str> {
        list.slices().unwrap().keys().map(String::as_str).collect()
    }

    #[test]
    fn nothing_is_known_before_the_first_list_is_whole() {
        let mut list = List::new(usize::MAX);
        list.begin();
        list.add("a".to_owned(), slice(1)).unwrap();
        assert_eq!(list.take_changes(), None);
        assert_eq!(list.slices(), None);
        list.finish();
        assert_eq!(names(&list), ["a"]);
    }

    #[test]
    fn an_empty_first_list_is_a_change() {
        let mut list = List::new(usize::MAX);
        relist(&mut list, &[]);
        assert_eq!(list.take_changes(), Some(Changes::default()));
        assert_eq!(names(&list), [""; 0]);
    }

    #[test]
    fn the_first_list_tells_no_lag() {
        let mut list = List::new(usize::MAX);
        relist(&mut list, &[("a", 5)]);
        assert_eq!(list.take_changes(), Some(Changes { triggered: None }));
    }

    #[test]
    fn a_list_that_is_cut_off_changes_nothing() {
        let mut list = listed(&[("a", 1), ("b", 2)]);
        list.begin();
        list.add("c".to_owned(), slice(9)).unwrap();
        assert_eq!(names(&list), ["a", "b"]);
        relist(&mut list, &[("a", 1), ("b", 2)]);
        assert_eq!(list.take_changes(), None);
        assert_eq!(names(&list), ["a", "b"]);
    }

    #[test]
    fn a_relist_tells_the_lag_of_what_is_new_alone() {
        let mut list = listed(&[("a", 9), ("b", 2)]);
        relist(&mut list, &[("a", 9), ("b", 3)]);
        assert_eq!(list.take_changes(), Some(Changes { triggered: at(3) }));
        relist(&mut list, &[("a", 9)]);
        assert_eq!(list.take_changes(), Some(Changes { triggered: None }));
    }

    #[test]
    fn events_of_a_burst_add_up() {
        let mut list = listed(&[("a", 1), ("b", 1), ("c", 9)]);
        assert_eq!(list.apply("a".to_owned(), slice(4)), Ok(true));
        assert_eq!(list.apply("b".to_owned(), slice(3)), Ok(true));
        assert!(list.delete("c"));
        assert_eq!(list.take_changes(), Some(Changes { triggered: at(4) }));
        assert_eq!(list.take_changes(), None);
        assert_eq!(names(&list), ["a", "b"]);
    }

    #[test]
    fn what_is_known_already_is_no_news() {
        let mut list = listed(&[("a", 1)]);
        assert_eq!(list.apply("a".to_owned(), slice(1)), Ok(false));
        assert!(!list.delete("b"));
        assert_eq!(list.take_changes(), None);
    }

    #[test]
    fn slices_that_weigh_too_much_change_nothing() {
        let one = 1 + slice(1).weight();
        let mut list = List::new(2 * one);
        relist(&mut list, &[("a", 1), ("b", 1)]);
        list.take_changes();
        let refused = Err(TooMuch(2 * one));
        assert_eq!(list.apply("c".to_owned(), slice(2)), refused);
        list.begin();
        for name in ["c", "d"] {
            list.add(name.to_owned(), slice(2)).unwrap();
        }
        assert_eq!(list.add("e".to_owned(), slice(2)), refused.map(drop));
        list.finish();
        assert_eq!(list.take_changes(), None);
        assert_eq!(names(&list), ["a", "b"]);
    }

    #[test]
    fn what_is_replaced_or_deleted_weighs_nothing() {
        let mut list = List::new(1 + slice(1).weight());
        relist(&mut list, &[("a", 1)]);
        relist(&mut list, &[("b", 1)]);
        for seconds in 2..9 {
            assert_eq!(list.apply("b".to_owned(), slice(seconds)), Ok(true));
        }
        assert!(list.delete("b"));
        assert_eq!(list.apply("c".to_owned(), slice(1)), Ok(true));
        assert_eq!(names(&list), ["c"]);
    }
}
