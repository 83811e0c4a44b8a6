use std::sync::atomic::AtomicUsize;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use proptest::prelude::*;

use super::*;
use crate::admission::Waiter;

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

/// A request of the model.
struct Request {
    number: usize,
    /// Waiting, it looks whenever it is its turn; the result is what it found.
    waits: Option<BoxFuture<'static, PodPermit>>,
    permit: Option<PodPermit>,
}

/// As a worker does it: room at any pod, else a place in the queue and a look at each turn.
fn look(limits: &[Arc<PodLimit>]) -> Option<PodPermit> {
    limits.iter().find_map(PodLimit::enter)
}

async fn wait(waiter: Waiter, limits: Vec<Arc<PodLimit>>) -> PodPermit {
    loop {
        waiter.turn().await;
        if let Some(permit) = look(&limits) {
            return permit;
        }
    }
}

#[derive(Clone, Copy, Debug)]
enum Event {
    Arrive,
    /// One that is served ends.
    End(usize),
    /// One that waits leaves.
    Leave(usize),
    /// A worker comes round to one that waits.
    Poll(usize),
    /// The bound of a pod is moved.
    Move(usize, usize),
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        4 => Just(Event::Arrive),
        3 => any::<usize>().prop_map(Event::End),
        1 => any::<usize>().prop_map(Event::Leave),
        3 => any::<usize>().prop_map(Event::Poll),
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
        let pending = Pending::new(queue);
        let limits: Vec<_> = (0..pods).map(|_| PodLimit::new(most, pending.clone())).collect();
        let mut bounds = vec![most; pods];
        let mut requests: Vec<Request> = Vec::new();
        let mut last_served = 0;
        let cx = &mut Context::from_waker(Waker::noop());
        for (number, event) in events.into_iter().enumerate() {
            let used: Vec<_> = limits.iter().map(|limit| limit.used()).collect();
            let (waiting, served): (Vec<_>, Vec<_>) = (0..requests.len())
                .partition(|index| requests[*index].waits.is_some());
            match event {
                Event::Arrive => {
                    let permit = pending.is_empty().then(|| look(&limits)).flatten();
                    let waits = match permit {
                        Some(_) => None,
                        None => pending
                            .join(0)
                            .map(|waiter| wait(waiter, limits.clone()).boxed()),
                    };
                    if permit.is_some() || waits.is_some() {
                        requests.push(Request { number, waits, permit });
                    } else {
                        prop_assert_eq!(waiting.len(), queue, "refused before the queue is full");
                    }
                }
                Event::End(which) if !served.is_empty() => {
                    requests.remove(served[which % served.len()]);
                }
                Event::Leave(which) if !waiting.is_empty() => {
                    requests.remove(waiting[which % waiting.len()]);
                }
                Event::Poll(which) if !waiting.is_empty() => {
                    let request = &mut requests[waiting[which % waiting.len()]];
                    if let Some(waits) = &mut request.waits
                        && let Poll::Ready(permit) = waits.poll_unpin(cx)
                    {
                        request.waits = None;
                        request.permit = Some(permit);
                        prop_assert!(request.number > last_served, "out of turn");
                        last_served = request.number;
                    }
                }
                Event::Move(pod, most) => {
                    limits[pod % pods].set_most(most);
                    bounds[pod % pods] = most;
                }
                _ => {}
            }
            for ((limit, before), bound) in limits.iter().zip(&used).zip(&bounds) {
                prop_assert!(limit.used() <= *bound.max(before), "a bound is passed");
            }
        }
        // Each worker comes round to all of its requests: as often as there are, as one may wake the next.
        for _ in 0..requests.len() {
            for request in &mut requests {
                if let Some(waits) = &mut request.waits
                    && let Poll::Ready(permit) = waits.poll_unpin(cx)
                {
                    request.waits = None;
                    request.permit = Some(permit);
                }
            }
        }
        let waiting = requests.iter().any(|request| request.waits.is_some());
        prop_assert!(!waiting || limits.iter().all(|limit| limit.is_full()), "asleep while there is room");
        requests.clear();
        prop_assert!(pending.is_empty());
        prop_assert!(limits.iter().all(|limit| limit.used() == 0), "a place has leaked");
    }
}

#[test]
fn threads_that_come_wait_and_leave_pass_no_bound_and_leak_nothing() {
    const MOST: usize = 3;
    const ROUNDS: usize = 3_000;
    let pending = Pending::new(64);
    let limits: Vec<_> = (0..2)
        .map(|_| PodLimit::new(MOST, pending.clone()))
        .collect();
    let inside: [AtomicUsize; 2] = Default::default();
    let serve = async |permit: PodPermit, random: &mut fastrand::Rng| {
        let pod = usize::from(Arc::ptr_eq(&permit.0, &limits[1]));
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
    let request = async |random: &mut fastrand::Rng| {
        let permit = pending.is_empty().then(|| look(&limits)).flatten();
        if let Some(permit) = permit {
            return serve(permit, random).await;
        }
        let Some(waiter) = pending.join(0) else {
            return;
        };
        let waits = wait(waiter, limits.clone());
        let patience = match random.u8(..4) {
            // Gone before it was its turn, or just then.
            0 => Duration::from_micros(random.u64(..50)),
            // If it is never woken, the test fails by this.
            _ => Duration::from_secs(60),
        };
        match tokio::time::timeout(patience, waits).await {
            Ok(permit) => serve(permit, random).await,
            Err(_) => assert!(patience < Duration::from_secs(60), "never woken"),
        }
    };
    std::thread::scope(|scope| {
        for seed in 0..4 {
            let request = &request;
            scope.spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread()
                    .enable_time()
                    .build()
                    .unwrap();
                let mut randoms: Vec<_> = (0..8)
                    .map(|task| fastrand::Rng::with_seed(seed * 8 + task))
                    .collect();
                runtime.block_on(async {
                    let tasks = randoms.iter_mut().map(|random| async move {
                        for _ in 0..ROUNDS / 8 {
                            request(random).await;
                        }
                    });
                    futures::future::join_all(tasks).await;
                });
            });
        }
    });
    assert!(pending.is_empty());
    assert!(limits.iter().all(|limit| limit.used() == 0));
}
