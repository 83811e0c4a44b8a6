use std::sync::atomic::AtomicUsize;

use proptest::prelude::*;

use super::*;
use crate::admission::tests::requests::{self, Places, Requests, block_on, seek, tasks};

#[test]
fn no_more_than_the_most_enter_and_a_dropped_permit_makes_room() {
    let limit = PodLimit::new(2, Pending::new(8));
    let first = limit.enter();
    let second = limit.enter();
    assert!(first.is_some() && second.is_some());
    assert!(limit.is_full() && limit.enter().is_none());
    assert_eq!(limit.used(), 2);
    drop(first);
    assert!(!limit.is_full() && limit.enter().is_some());
    // Less room sends nobody away, and holds from then on.
    let third = limit.enter();
    limit.set_most(1);
    drop(third);
    assert!(limit.enter().is_none());
    drop(second);
    assert!(limit.enter().is_some());
}

#[test]
fn the_queue_is_bounded_and_a_place_in_it_is_given_back() {
    let pending = Pending::new(2);
    let first = pending.join(0);
    let second = pending.join(0);
    assert!(first.is_some() && second.is_some());
    assert!(pending.join(0).is_none());
    drop(second);
    assert!(pending.join(0).is_some());
    drop(first);
    assert!(pending.is_empty());
}

#[derive(Clone)]
struct Pods {
    pending: Arc<Pending>,
    limits: Vec<Arc<PodLimit>>,
}

impl Pods {
    fn new(pods: usize, most: usize, queue: usize) -> Self {
        let pending = Pending::new(queue);
        let limit = |_| PodLimit::new(most, pending.clone());
        Self {
            limits: (0..pods).map(limit).collect(),
            pending,
        }
    }
}

impl Places for Pods {
    type Place = PodPermit;

    fn pending(&self) -> &Arc<Pending> {
        &self.pending
    }

    /// At any pod. What one worker may have, all may.
    fn look(&self, _: usize, _: bool) -> Option<PodPermit> {
        self.limits.iter().find_map(PodLimit::enter)
    }
}

#[derive(Clone, Copy, Debug)]
enum Event {
    Request(requests::Event),
    /// The bound of a pod is moved.
    Move(usize, usize),
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        requests::WEIGHT => requests::event().prop_map(Event::Request),
        1 => (any::<usize>(), 1_usize..4).prop_map(|(pod, most)| Event::Move(pod, most)),
    ]
}

proptest! {
    /// Whatever the order of events: no pod has more than it may, those who wait are served in order of arrival, and
    /// nobody sleeps while there is room.
    #[test]
    fn no_order_of_events_passes_a_bound_or_loses_a_wakeup(
        pods in 1_usize..4,
        most in 1_usize..4,
        queue in 0_usize..6,
        events in prop::collection::vec(event(), 1..120),
    ) {
        let scene = Pods::new(pods, most, queue);
        let limits = &scene.limits;
        let mut bounds = vec![most; pods];
        let mut requests = Requests::new(scene.clone(), 1, queue);
        for event in events {
            let used: Vec<_> = limits.iter().map(|limit| limit.used()).collect();
            match event {
                Event::Request(event) => drop(requests.on(event)?),
                Event::Move(pod, most) => {
                    limits[pod % pods].set_most(most);
                    bounds[pod % pods] = most;
                }
            }
            for ((limit, before), bound) in limits.iter().zip(&used).zip(&bounds) {
                prop_assert!(limit.used() <= *bound.max(before), "a bound is passed");
            }
        }
        for _ in 0..requests.len() {
            requests.come_round();
        }
        let waiting = requests.waiting().next().is_some();
        prop_assert!(!waiting || limits.iter().all(|limit| limit.is_full()), "asleep while there is room");
        drop(requests);
        prop_assert!(scene.pending.is_empty());
        prop_assert!(limits.iter().all(|limit| limit.used() == 0), "a place has leaked");
    }
}

#[test]
fn threads_that_come_wait_and_leave_pass_no_bound_and_leak_nothing() {
    const MOST: usize = 3;
    const ROUNDS: usize = 400;
    let scene = Pods::new(2, MOST, 64);
    let inside: [AtomicUsize; 2] = Default::default();
    let request = async |random: &mut fastrand::Rng| {
        let Some(permit) = seek(&scene, 0, random).await else {
            return;
        };
        let pod = usize::from(Arc::ptr_eq(&permit.0, &scene.limits[1]));
        assert!(
            inside[pod].fetch_add(1, SeqCst) < MOST,
            "the bound is passed"
        );
        if random.bool() {
            tokio::task::yield_now().await;
        }
        inside[pod].fetch_sub(1, SeqCst);
        drop(permit);
    };
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let request = &request;
            scope.spawn(move || block_on(tasks(thread, ROUNDS, request)));
        }
    });
    assert!(scene.pending.is_empty());
    assert!(scene.limits.iter().all(|limit| limit.used() == 0));
}
