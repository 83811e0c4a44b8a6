use std::cell::RefCell;
use std::rc::Rc;

use futures::FutureExt;
use proptest::prelude::*;

use super::*;
use crate::admission::tests::requests::{self, Places, Requests, block_on, seek, tasks};

#[test]
fn each_worker_has_a_place_of_its_own_and_the_rest_is_for_whoever_comes_first() {
    let bound = PodConnections::new(3, 2, Pending::of_workers(8, 2));
    assert_eq!((bound.most(), bound.used()), (3, 0));
    let first = bound.enter(0, true).unwrap();
    let second = bound.enter(0, true).unwrap();
    assert!(!first.is_shared() && second.is_shared());
    // The last one is the other worker's.
    assert!(!bound.has_room(0, true) && bound.enter(0, true).is_none());
    assert!(bound.has_room(1, false));
    let other = bound.enter(1, false).unwrap();
    assert_eq!(bound.used(), 3);
    assert!(!bound.has_room(1, true));
    drop(second);
    // Others have waited longer for what all may have.
    assert!(!bound.has_room(1, false) && bound.enter(1, false).is_none());
    assert!(bound.enter(1, true).is_some());
    drop(first);
    assert!(!bound.has_room(1, false) && bound.has_room(0, false));
    drop(other);
    assert_eq!(bound.used(), 0);
}

/// One worker's connections, idle ones of each pod, as the pool keeps them.
#[derive(Debug, Default)]
struct Worker {
    idle: Vec<Vec<ConnectionPermit>>,
}

/// All of them.
#[derive(Clone)]
struct Scene {
    pending: Arc<Pending>,
    pods: Vec<Arc<PodConnections>>,
    workers: Vec<Rc<RefCell<Worker>>>,
}

/// A connection in use, and its pod.
type Busy = (usize, ConnectionPermit);

impl Scene {
    fn new(workers: usize, pods: usize, most: usize, queue: usize) -> Self {
        let pending = Pending::of_workers(queue, workers);
        let bound = |_| PodConnections::new(most, workers, pending.clone());
        Self::over((0..pods).map(bound).collect(), workers, pending.clone())
    }

    fn over(pods: Vec<Arc<PodConnections>>, workers: usize, pending: Arc<Pending>) -> Self {
        let worker = |_| {
            let idle = pods.iter().map(|_| Vec::new()).collect();
            Rc::new(RefCell::new(Worker { idle }))
        };
        Self {
            workers: (0..workers).map(worker).collect(),
            pods,
            pending,
        }
    }

    fn release(&self, worker: usize, (pod, permit): Busy) {
        if permit.is_wanted() {
            return;
        }
        let mut own = self.workers[worker].borrow_mut();
        own.idle[pod].push(permit);
        own.idle[pod].last().unwrap().freed(true);
    }

    fn lend(&self, worker: usize) {
        self.pending.lend(worker, |mut most| {
            let mut left = false;
            for idle in &mut self.workers[worker].borrow_mut().idle {
                idle.retain(|permit| {
                    let closes = permit.is_shared() && most > 0;
                    most -= usize::from(closes);
                    left |= permit.is_shared() && !closes;
                    !closes
                });
            }
            left
        });
    }

    fn lend_if_wanted(&self, worker: usize) {
        if self.pending.wanted(worker).now_or_never().is_some() {
            self.lend(worker);
        }
    }

    fn idle(&self, pod: usize) -> usize {
        let workers = self.workers.iter();
        workers.map(|worker| worker.borrow().idle[pod].len()).sum()
    }
}

impl Places for Scene {
    type Place = Busy;

    fn pending(&self) -> &Arc<Pending> {
        &self.pending
    }

    /// An idle connection or a new one, at any pod.
    fn look(&self, worker: usize, may_share: bool) -> Option<Busy> {
        let mut own = self.workers[worker].borrow_mut();
        (0..self.pods.len()).find_map(|pod| {
            let kept = own.idle[pod].pop();
            let found = kept.or_else(|| self.pods[pod].enter(worker, may_share));
            Some((pod, found?))
        })
    }
}

#[test]
fn what_is_given_back_goes_to_whoever_has_waited_longest() {
    let scene = Scene::new(2, 1, 3, 8);
    let own = scene.look(0, true).unwrap();
    let shared = scene.look(0, true).unwrap();
    let _others = scene.look(1, true).unwrap();
    let first = scene.pending.join(1).unwrap();
    let second = scene.pending.join(0).unwrap();
    // Not kept for the second, whose worker has it.
    scene.release(0, shared);
    assert!(scene.look(0, second.is_first()).is_none());
    let shared = scene.look(1, first.is_first()).unwrap();
    drop(first);
    // One that is of no use to the first stays.
    let _third = scene.pending.join(1).unwrap();
    scene.release(0, own);
    assert_eq!(scene.idle(0), 1);
    drop(shared);
}

#[test]
fn a_worker_lends_as_many_as_wait_and_is_asked_again() {
    let scene = Scene::new(2, 1, 4, 8);
    let busy: Vec<_> = (0..3).map(|_| scene.look(0, true).unwrap()).collect();
    for busy in busy {
        scene.release(0, busy);
    }
    let _others = scene.look(1, true).unwrap();
    assert!(scene.pending.wanted(0).now_or_never().is_none());
    for left in [2, 1] {
        let waiter = scene.pending.join(1).unwrap();
        scene.lend_if_wanted(0);
        assert_eq!(scene.idle(0), left);
        std::mem::forget(scene.look(1, waiter.is_first()).unwrap());
    }
    // Its own place is nobody else's.
    let _waiter = scene.pending.join(1).unwrap();
    scene.lend_if_wanted(0);
    assert_eq!(scene.idle(0), 1);
}

#[test]
fn one_that_leaves_when_it_was_its_workers_turn_wakes_the_next() {
    let scene = Scene::new(2, 1, 2, 8);
    let _first = scene.look(0, true).unwrap();
    let own = scene.look(1, true).unwrap();
    let _longest = scene.pending.join(0).unwrap();
    let leaves = scene.pending.join(1).unwrap();
    let next = scene.pending.join(1).unwrap();
    assert!(leaves.turn().now_or_never().is_some());
    assert!(next.turn().now_or_never().is_none());
    scene.release(1, own);
    drop(leaves);
    assert!(next.turn().now_or_never().is_some());
    assert!(scene.look(1, next.is_first()).is_some());
}

#[derive(Clone, Copy, Debug)]
enum Event {
    /// One that ends leaves an idle connection.
    Request(requests::Event),
    /// The connection of one that is served breaks.
    Break(usize),
    /// A worker closes what others wait for.
    Lend(usize),
    /// A worker closes what has lain idle for long.
    Expire(usize),
}

fn event() -> impl Strategy<Value = Event> {
    let which = any::<usize>;
    prop_oneof![
        requests::WEIGHT => requests::event().prop_map(Event::Request),
        1 => which().prop_map(Event::Break),
        2 => which().prop_map(Event::Lend),
        1 => which().prop_map(Event::Expire),
    ]
}

proptest! {
    /// Whatever the order of events: no pod has a connection too many, those of one worker are served in order of
    /// arrival, and nobody sleeps while there is a connection for it or a place for one.
    #[test]
    fn no_order_of_events_makes_one_connection_too_many_or_loses_a_wakeup(
        workers in 1_usize..4,
        pods in 1_usize..3,
        more in 0_usize..4,
        queue in 0_usize..8,
        events in prop::collection::vec(event(), 1..150),
    ) {
        let most = workers + more;
        let scene = Scene::new(workers, pods, most, queue);
        let mut requests = Requests::new(scene.clone(), workers, queue);
        for event in events {
            match event {
                Event::Request(event) => {
                    if let Some((worker, busy)) = requests.on(event)? {
                        scene.release(worker, busy);
                    }
                }
                Event::Break(which) => drop(requests.end(which)),
                Event::Lend(worker) => scene.lend_if_wanted(worker % workers),
                Event::Expire(worker) => {
                    let mut worker = scene.workers[worker % workers].borrow_mut();
                    worker.idle.iter_mut().for_each(Vec::clear);
                }
            }
            for (pod, bound) in scene.pods.iter().enumerate() {
                let busy = requests.served().filter(|(at, _)| *at == pod).count();
                let there = busy + scene.idle(pod);
                prop_assert_eq!(there, bound.used());
                prop_assert!(there <= most, "{} connections of {}", there, most);
            }
        }
        for _ in 0..=requests.len() {
            for worker in 0..workers {
                scene.lend_if_wanted(worker);
            }
            requests.come_round();
        }
        for (place, worker) in requests.waiting().enumerate() {
            for (pod, bound) in scene.pods.iter().enumerate() {
                prop_assert!(scene.workers[worker].borrow().idle[pod].is_empty(), "asleep beside an idle one");
                prop_assert!(!bound.has_room(worker, place == 0), "asleep while there is room");
                if place == 0 {
                    let workers = scene.workers.iter().map(|worker| worker.borrow());
                    let mut idle = workers.flat_map(|worker| {
                        worker.idle[pod].iter().map(ConnectionPermit::is_shared).collect::<Vec<_>>()
                    });
                    prop_assert!(!idle.any(|is_shared| is_shared), "asleep for what lies idle elsewhere");
                }
            }
        }
        drop(requests);
        for worker in &scene.workers {
            worker.borrow_mut().idle.clear();
        }
        prop_assert!(scene.pending.is_empty());
        prop_assert!(scene.pods.iter().all(|bound| bound.used() == 0), "a place has leaked");
    }
}

#[test]
fn threads_that_connect_keep_lend_and_leave_make_none_too_many_and_none_sleeps() {
    const WORKERS: usize = 3;
    const MOST: usize = 5;
    const ROUNDS: usize = 400;
    let pending = Pending::of_workers(64, WORKERS);
    let bound = PodConnections::new(MOST, WORKERS, pending.clone());
    let serve = async |worker: usize, scene: Scene| {
        let request = async |random: &mut fastrand::Rng| {
            let Some(busy) = seek(&scene, worker, random).await else {
                return;
            };
            assert!(scene.pods[0].used() <= MOST, "one too many");
            if random.bool() {
                tokio::task::yield_now().await;
            }
            if random.u8(..8) > 0 {
                scene.release(worker, busy);
            }
        };
        let lending = async {
            loop {
                scene.pending.wanted(worker).await;
                scene.lend(worker);
            }
        };
        tokio::select! {
            () = tasks(worker, ROUNDS, request) => {}
            () = lending => {}
        }
        // Nobody comes round to these any more.
        scene.workers[worker].borrow_mut().idle[0].clear();
    };
    std::thread::scope(|scope| {
        for worker in 0..WORKERS {
            let (pending, bound, serve) = (pending.clone(), bound.clone(), &serve);
            scope.spawn(move || {
                block_on(serve(worker, Scene::over(vec![bound], WORKERS, pending)));
            });
        }
    });
    assert!(pending.is_empty());
    assert_eq!(bound.used(), 0);
}
