use std::cell::RefCell;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use futures::FutureExt;
use futures::future::LocalBoxFuture;
use proptest::prelude::*;

use super::*;
use crate::admission::Waiter;

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
        let worker = |_| {
            let idle = (0..pods).map(|_| Vec::new()).collect();
            Rc::new(RefCell::new(Worker { idle }))
        };
        Self {
            pods: (0..pods).map(bound).collect(),
            workers: (0..workers).map(worker).collect(),
            pending,
        }
    }

    /// As a worker does it: an idle connection or a new one, at any pod.
    fn look(&self, worker: usize, may_share: bool) -> Option<Busy> {
        let mut own = self.workers[worker].borrow_mut();
        (0..self.pods.len()).find_map(|pod| {
            let kept = own.idle[pod].pop();
            let found = kept.or_else(|| self.pods[pod].enter(worker, may_share));
            Some((pod, found?))
        })
    }

    async fn wait(self, waiter: Waiter, worker: usize) -> Busy {
        loop {
            waiter.turn().await;
            if let Some(found) = self.look(worker, waiter.is_first()) {
                return found;
            }
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

struct Request {
    worker: usize,
    number: usize,
    waits: Option<LocalBoxFuture<'static, Busy>>,
    busy: Option<Busy>,
}

#[derive(Clone, Copy, Debug)]
enum Event {
    Arrive(usize),
    /// One that is served ends, and leaves an idle connection.
    End(usize),
    /// Its connection breaks.
    Break(usize),
    /// One that waits leaves.
    Leave(usize),
    /// Its worker comes round to it.
    Poll(usize),
    /// A worker closes what others wait for.
    Lend(usize),
    /// A worker closes what has lain idle for long.
    Expire(usize),
}

fn event() -> impl Strategy<Value = Event> {
    let which = any::<usize>;
    prop_oneof![
        4 => which().prop_map(Event::Arrive),
        3 => which().prop_map(Event::End),
        1 => which().prop_map(Event::Break),
        1 => which().prop_map(Event::Leave),
        3 => which().prop_map(Event::Poll),
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
        let mut requests: Vec<Request> = Vec::new();
        let mut last_served = vec![0; workers];
        let cx = &mut Context::from_waker(Waker::noop());
        for (number, event) in events.into_iter().enumerate() {
            let (waiting, served): (Vec<_>, Vec<_>) = (0..requests.len())
                .partition(|index| requests[*index].waits.is_some());
            match event {
                Event::Arrive(worker) => {
                    let worker = worker % workers;
                    let is_empty = scene.pending.is_empty();
                    let busy = is_empty.then(|| scene.look(worker, true)).flatten();
                    let waits = match busy {
                        Some(_) => None,
                        None => scene.pending.join(worker).map(|waiter| {
                            scene.clone().wait(waiter, worker).boxed_local()
                        }),
                    };
                    if busy.is_some() || waits.is_some() {
                        requests.push(Request { worker, number, waits, busy });
                    } else {
                        prop_assert_eq!(waiting.len(), queue, "refused before the queue is full");
                    }
                }
                Event::End(which) if !served.is_empty() => {
                    let request = requests.remove(served[which % served.len()]);
                    scene.release(request.worker, request.busy.unwrap());
                }
                Event::Break(which) if !served.is_empty() => {
                    requests.remove(served[which % served.len()]);
                }
                Event::Leave(which) if !waiting.is_empty() => {
                    requests.remove(waiting[which % waiting.len()]);
                }
                Event::Poll(which) if !waiting.is_empty() => {
                    let request = &mut requests[waiting[which % waiting.len()]];
                    if let Some(waits) = &mut request.waits
                        && let Poll::Ready(busy) = waits.poll_unpin(cx)
                    {
                        request.waits = None;
                        request.busy = Some(busy);
                        let last = &mut last_served[request.worker];
                        prop_assert!(request.number > *last, "out of turn");
                        *last = request.number;
                    }
                }
                Event::Lend(worker) => scene.lend_if_wanted(worker % workers),
                Event::Expire(worker) => {
                    let mut worker = scene.workers[worker % workers].borrow_mut();
                    worker.idle.iter_mut().for_each(Vec::clear);
                }
                _ => {}
            }
            for (pod, bound) in scene.pods.iter().enumerate() {
                let busy = requests.iter().filter_map(|request| request.busy.as_ref());
                let busy = busy.filter(|(at, _)| *at == pod).count();
                let there = busy + scene.idle(pod);
                prop_assert_eq!(there, bound.used());
                prop_assert!(there <= most, "{} connections of {}", there, most);
            }
        }
        // Each worker comes round to all that it has been woken for: as often as there are, as one may wake the next.
        for _ in 0..=requests.len() {
            for worker in 0..workers {
                scene.lend_if_wanted(worker);
            }
            for request in &mut requests {
                if let Some(waits) = &mut request.waits
                    && let Poll::Ready(busy) = waits.poll_unpin(cx)
                {
                    request.waits = None;
                    request.busy = Some(busy);
                }
            }
        }
        let waiting = requests.iter().filter(|request| request.waits.is_some());
        for (place, request) in waiting.enumerate() {
            let worker = request.worker;
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
        requests.clear();
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
    std::thread::scope(|scope| {
        for worker in 0..WORKERS {
            let (pending, bound) = (pending.clone(), bound.clone());
            scope.spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread()
                    .enable_time()
                    .build()
                    .unwrap();
                let scene = Scene {
                    pending,
                    pods: vec![bound],
                    workers: (0..WORKERS)
                        .map(|_| {
                            let idle = vec![Vec::new()];
                            Rc::new(RefCell::new(Worker { idle }))
                        })
                        .collect(),
                };
                let request = async |random: &mut fastrand::Rng| {
                    let is_empty = scene.pending.is_empty();
                    let found = is_empty.then(|| scene.look(worker, true)).flatten();
                    let busy = match found {
                        Some(busy) => busy,
                        None => {
                            let Some(waiter) = scene.pending.join(worker) else {
                                return;
                            };
                            let waits = scene.clone().wait(waiter, worker);
                            let patience = match random.u8(..4) {
                                // Gone before it was its turn, or just then.
                                0 => Duration::from_micros(random.u64(..50)),
                                // If it is never woken, the test fails by this.
                                _ => Duration::from_secs(60),
                            };
                            match tokio::time::timeout(patience, waits).await {
                                Ok(busy) => busy,
                                Err(_) => {
                                    assert!(patience < Duration::from_secs(60), "never woken");
                                    return;
                                }
                            }
                        }
                    };
                    assert!(scene.pods[0].used() <= MOST, "one too many");
                    if random.bool() {
                        tokio::task::yield_now().await;
                    }
                    if random.u8(..8) > 0 {
                        scene.release(worker, busy);
                    }
                };
                let mut randoms: Vec<_> = (0..8)
                    .map(|task| fastrand::Rng::with_seed((worker * 8 + task) as u64))
                    .collect();
                runtime.block_on(async {
                    let tasks = randoms.iter_mut().map(|random| async {
                        for _ in 0..ROUNDS {
                            request(random).await;
                        }
                    });
                    let lending = async {
                        loop {
                            scene.pending.wanted(worker).await;
                            scene.lend(worker);
                        }
                    };
                    tokio::select! {
                        _ = futures::future::join_all(tasks) => {}
                        () = lending => {}
                    }
                    // Nobody comes round to these any more.
                    scene.workers[worker].borrow_mut().idle[0].clear();
                });
            });
        }
    });
    assert!(pending.is_empty());
    assert_eq!(bound.used(), 0);
}
