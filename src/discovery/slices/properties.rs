//! [`fold`] against the [`oracle`](super::oracle), over generated sequences of events.

mod generate;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::SocketAddr;

use proptest::prelude::*;

use super::oracle::{Expected, expected};
use super::{Fold, Slice, SliceObject, Slices, fold};
use crate::endpoint::{Endpoint, Standing};

use generate::{Event, Objects, apply, events, selection};

fn list(events: &[Event]) -> Objects {
    let mut objects = Objects::new();
    for event in events {
        apply(&mut objects, event);
    }
    objects
}

fn read(objects: &Objects) -> Slices {
    objects
        .iter()
        .map(|(name, object)| (name.clone(), Slice::from(object.clone())))
        .collect()
}

/// The same events with those of different slices interleaved in another way; each slice keeps its own order.
fn interleave(events: &[Event], seed: u64) -> Vec<Event> {
    let mut rng = fastrand::Rng::with_seed(seed);
    let mut queues: BTreeMap<&str, VecDeque<&Event>> = BTreeMap::new();
    for event in events {
        queues.entry(&event.0).or_default().push_back(event);
    }
    let mut mixed = Vec::new();
    while let Some(name) = rng.choice(queues.keys().copied().collect::<Vec<_>>()) {
        match queues.get_mut(name).and_then(VecDeque::pop_front) {
            Some(event) => mixed.push(event.clone()),
            None => drop(queues.remove(name)),
        }
    }
    mixed
}

fn shuffle_endpoints(objects: &mut Objects, seed: u64) {
    let mut rng = fastrand::Rng::with_seed(seed);
    for object in objects.values_mut() {
        rng.shuffle(object.endpoints.get_or_insert_default());
        rng.shuffle(object.ports.get_or_insert_default());
    }
}

fn addresses(fold: &Fold, standing: Standing) -> BTreeSet<SocketAddr> {
    fold.endpoints
        .iter()
        .filter(|endpoint| endpoint.standing == standing)
        .map(Endpoint::address)
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn the_outcome_is_that_of_the_oracle(events in events(), selection in selection()) {
        let objects = list(&events);
        let fold = fold(&read(&objects), &selection);
        let outcome = Expected {
            known: fold
                .endpoints
                .iter()
                .map(|endpoint| (endpoint.address(), endpoint.identity.uid.clone()))
                .collect(),
            ready: addresses(&fold, Standing::Ready),
            fallback: addresses(&fold, Standing::Fallback),
        };
        prop_assert_eq!(outcome, expected(&objects, &selection));
    }

    /// A slice from the API server is read by a reader of its own.
    #[test]
    fn json_reads_as_the_object_it_is(events in events()) {
        for (name, mut object) in list(&events) {
            object.metadata.name = Some(name.clone());
            let json = serde_json::to_vec(&object).unwrap();
            let read: SliceObject = serde_json::from_slice(&json).unwrap();
            prop_assert_eq!(read.into_parts(), (name, Slice::from(object)));
        }
    }

    #[test]
    fn the_order_of_events_does_not_matter(
        events in events(),
        selection in selection(),
        seed: u64,
    ) {
        // Slice by slice as a watch applies them, against a list of what there is at the end.
        let mut slices = Slices::new();
        for (name, object) in interleave(&events, seed) {
            match object {
                Some(object) => slices.insert(name, object.into()),
                None => slices.remove(&name),
            };
        }
        let listed = read(&list(&events));
        prop_assert_eq!(fold(&slices, &selection), fold(&listed, &selection));
    }

    #[test]
    fn the_order_within_a_slice_does_not_matter(
        events in events(),
        selection in selection(),
        seed: u64,
    ) {
        let mut objects = list(&events);
        let before = fold(&read(&objects), &selection);
        shuffle_endpoints(&mut objects, seed);
        prop_assert_eq!(fold(&read(&objects), &selection), before);
    }

    #[test]
    fn the_names_of_slices_do_not_matter(events in events(), selection in selection()) {
        let objects = list(&events);
        let renamed = objects
            .iter()
            .zip(('a'..='z').rev())
            .map(|((_, object), name)| (name.to_string(), object.clone()))
            .collect();
        let before = fold(&read(&objects), &selection).endpoints;
        prop_assert_eq!(fold(&read(&renamed), &selection).endpoints, before);
    }

    #[test]
    fn the_list_is_sorted_and_names_no_address_twice(
        events in events(),
        selection in selection(),
    ) {
        let endpoints = fold(&read(&list(&events)), &selection).endpoints;
        for pair in endpoints.windows(2) {
            prop_assert!(pair[0].identity < pair[1].identity);
            prop_assert!(pair[0].address() < pair[1].address());
        }
    }
}
