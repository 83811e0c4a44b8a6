//! [`List`] against a plain map, over what a watch may bring: lists that are cut off, whole ones, and events.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use k8s_openapi::api::discovery::v1::{Endpoint, EndpointSlice};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;

use super::{Changes, List};
use crate::discovery::slices::{Slice, Slices};

/// Few, so that they meet.
const NAMES: [&str; 3] = ["cart-a", "cart-b", "cart-c"];

type Entry = (&'static str, Slice);

/// What one call is about. [`steps`] puts them in the order that a watch keeps: no event comes within a list.
#[derive(Clone, Debug)]
enum Step {
    Begin,
    /// One item of a page; where the pages end is not seen.
    Add(Entry),
    Finish,
    Apply(Entry),
    Delete(&'static str),
}

fn entry() -> impl Strategy<Value = Entry> {
    let seconds = option::weighted(0.8, 0u64..4);
    (select(&NAMES[..]), 0u8..3, seconds).prop_map(|(name, host, seconds)| {
        let mut slice = Slice::from(EndpointSlice {
            address_type: "IPv4".to_owned(),
            endpoints: Some(vec![Endpoint {
                addresses: vec![format!("10.0.0.{host}")],
                ..Endpoint::default()
            }]),
            ..EndpointSlice::default()
        });
        slice.triggered =
            seconds.map(|seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds));
        (name, slice)
    })
}

/// A list without its end. Names may come twice, as where an object is recreated while the pages are read.
fn cut_list() -> impl Strategy<Value = Vec<Step>> {
    vec(entry(), 0..5).prop_map(|entries| {
        std::iter::once(Step::Begin)
            .chain(entries.into_iter().map(Step::Add))
            .collect()
    })
}

fn event() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => entry().prop_map(Step::Apply),
        1 => select(&NAMES[..]).prop_map(Step::Delete),
    ]
}

/// Lists that are cut off, one that is not, and what happens until the watch is lost; again and again. The last list
/// is never whole.
fn steps() -> impl Strategy<Value = Vec<Step>> {
    let round = (vec(cut_list(), 0..3), cut_list(), vec(event(), 0..6)).prop_map(
        |(cuts, mut whole, events)| {
            whole.push(Step::Finish);
            let mut steps = cuts.concat();
            steps.extend(whole);
            steps.extend(events);
            steps
        },
    );
    (vec(round, 0..5), cut_list()).prop_map(|(rounds, cut)| [rounds.concat(), cut].concat())
}

/// The rules, said as plainly as can be.
#[derive(Debug, Default)]
struct Model {
    incoming: Slices,
    whole: Option<Slices>,
    changes: Option<Changes>,
}

impl Model {
    fn step(&mut self, step: &Step) {
        let mut next = self.whole.clone().unwrap_or_default();
        match step {
            Step::Begin => self.incoming = Slices::new(),
            Step::Add((name, slice)) => {
                self.incoming.insert((*name).to_owned(), slice.clone());
            }
            Step::Finish => next = std::mem::take(&mut self.incoming),
            Step::Apply((name, slice)) => {
                next.insert((*name).to_owned(), slice.clone());
            }
            Step::Delete(name) => {
                next.remove(*name);
            }
        }
        let Some(whole) = &self.whole else {
            if matches!(step, Step::Finish) {
                self.whole = Some(next);
                self.changes = Some(Changes::default());
            }
            return;
        };
        if next != *whole {
            let seen = triggers(whole);
            let news = triggers(&next)
                .into_iter()
                .filter(|(name, at)| seen.get(name) != Some(at))
                .map(|(_, at)| at)
                .max();
            let changes = self.changes.get_or_insert_default();
            changes.triggered = changes.triggered.max(news);
        }
        self.whole = Some(next);
    }
}

fn triggers(slices: &Slices) -> BTreeMap<&String, SystemTime> {
    slices
        .iter()
        .filter_map(|(name, slice)| Some((name, slice.triggered?)))
        .collect()
}

fn run(list: &mut List, step: Step) {
    match step {
        Step::Begin => list.begin(),
        Step::Add((name, slice)) => list.add(name.to_owned(), slice).unwrap(),
        Step::Finish => list.finish(),
        Step::Apply((name, slice)) => {
            list.apply(name.to_owned(), slice).unwrap();
        }
        Step::Delete(name) => {
            list.delete(name);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn the_list_is_that_of_the_model_after_every_step(
        steps in steps(),
        // Whether changes are taken after a step: a burst is folded once.
        takes in vec(any::<bool>(), 1..20),
    ) {
        let (mut list, mut model) = (List::new(usize::MAX), Model::default());
        for (step, take) in steps.into_iter().zip(takes.into_iter().cycle()) {
            model.step(&step);
            run(&mut list, step);
            prop_assert_eq!(list.slices(), model.whole.as_ref());
            if take {
                prop_assert_eq!(list.take_changes(), model.changes.take());
            }
        }
    }

    #[test]
    fn a_list_is_seen_whole_at_its_end_and_is_one_change(
        steps in steps(),
        cuts in vec(cut_list(), 0..3),
        whole in cut_list(),
    ) {
        let mut list = List::new(usize::MAX);
        for step in steps {
            run(&mut list, step);
        }
        list.take_changes();
        let before = list.slices().cloned();
        for step in cuts.concat().into_iter().chain(whole.clone()) {
            run(&mut list, step);
            prop_assert_eq!(list.take_changes(), None);
            prop_assert_eq!(list.slices(), before.as_ref());
        }
        list.finish();
        let listed: Slices = whole
            .into_iter()
            .filter_map(|step| match step {
                Step::Add((name, slice)) => Some((name.to_owned(), slice)),
                _ => None,
            })
            .collect();
        prop_assert_eq!(list.take_changes().is_some(), before.as_ref() != Some(&listed));
        prop_assert_eq!(list.slices(), Some(&listed));
        prop_assert_eq!(list.take_changes(), None);
    }
}
