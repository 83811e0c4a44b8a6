//! The list of slices as the watch tells it: events change it, a re-list replaces it whole at its end.

use std::time::SystemTime;

use super::slices::{Slice, Slices};

/// All slices of the Service, and the ones of a list that is still coming in.
#[derive(Debug, Default)]
pub(super) struct List {
    known: Slices,
    /// Present while a list is being read. Never published: half a list is no list.
    incoming: Option<Slices>,
    complete: bool,
    changes: Option<Changes>,
}

/// What has happened since it was last asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Changes {
    /// The latest trigger time among the slices that changed. Only times not seen before count: anything else would
    /// pass for a change that took long to arrive.
    pub triggered: Option<SystemTime>,
}

impl List {
    /// A list begins, perhaps again after one that was cut off.
    pub(super) fn begin(&mut self) {
        self.incoming = Some(Slices::new());
    }

    pub(super) fn add(&mut self, name: String, slice: Slice) {
        if let Some(incoming) = &mut self.incoming {
            incoming.insert(name, slice);
        }
    }

    /// The list that began is whole.
    pub(super) fn finish(&mut self) {
        let Some(incoming) = self.incoming.take() else {
            return;
        };
        let first = !std::mem::replace(&mut self.complete, true);
        if incoming != self.known {
            let triggered = incoming
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
    pub(super) fn apply(&mut self, name: String, slice: Slice) -> bool {
        if self.known.get(&name) == Some(&slice) {
            return false;
        }
        let triggered = self.news(&name, &slice);
        self.note(triggered);
        self.known.insert(name, slice);
        true
    }

    /// A slice was deleted; whether there was one. The object that comes with it bears the time of an older change.
    pub(super) fn delete(&mut self, name: &str) -> bool {
        let known = self.known.remove(name).is_some();
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
        self.complete.then_some(&self.known)
    }

    fn news(&self, name: &str, slice: &Slice) -> Option<SystemTime> {
        let known = self.known.get(name).and_then(|known| known.triggered);
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
        let mut list = List::default();
        relist(&mut list, slices);
        list.take_changes();
        list
    }

    fn relist(list: &mut List, slices: &[(&str, u64)]) {
        list.begin();
        for (name, triggered) in slices {
            list.add((*name).to_owned(), slice(*triggered));
        }
        list.finish();
    }

    fn names(list: &List) -> Vec<&str> {
        list.slices().unwrap().keys().map(String::as_str).collect()
    }

    #[test]
    fn nothing_is_known_before_the_first_list_is_whole() {
        let mut list = List::default();
        list.begin();
        list.add("a".to_owned(), slice(1));
        assert_eq!(list.take_changes(), None);
        assert_eq!(list.slices(), None);
        list.finish();
        assert_eq!(names(&list), ["a"]);
    }

    #[test]
    fn an_empty_first_list_is_a_change() {
        let mut list = List::default();
        relist(&mut list, &[]);
        assert_eq!(list.take_changes(), Some(Changes::default()));
        assert_eq!(names(&list), [""; 0]);
    }

    #[test]
    fn the_first_list_tells_no_lag() {
        let mut list = List::default();
        relist(&mut list, &[("a", 5)]);
        assert_eq!(list.take_changes(), Some(Changes { triggered: None }));
    }

    #[test]
    fn a_list_that_is_cut_off_changes_nothing() {
        let mut list = listed(&[("a", 1), ("b", 2)]);
        list.begin();
        list.add("c".to_owned(), slice(9));
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
        assert!(list.apply("a".to_owned(), slice(4)));
        assert!(list.apply("b".to_owned(), slice(3)));
        assert!(list.delete("c"));
        assert_eq!(list.take_changes(), Some(Changes { triggered: at(4) }));
        assert_eq!(list.take_changes(), None);
        assert_eq!(names(&list), ["a", "b"]);
    }

    #[test]
    fn what_is_known_already_is_no_news() {
        let mut list = listed(&[("a", 1)]);
        assert!(!list.apply("a".to_owned(), slice(1)));
        assert!(!list.delete("b"));
        assert_eq!(list.take_changes(), None);
    }
}
