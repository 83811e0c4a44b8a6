//! Requests that come, wait for a place at a pod, have it and go: in any order, and on threads.

use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use futures::FutureExt;
use futures::future::LocalBoxFuture;
use proptest::prelude::*;
use proptest::test_runner::TestCaseError;

use crate::admission::{Pending, Waiter};

/// What requests wait for.
pub trait Places: Clone + 'static {
    type Place;

    fn pending(&self) -> &Arc<Pending>;

    /// As that worker looks for a place. `may_share`: nobody has waited for longer.
    fn look(&self, worker: usize, may_share: bool) -> Option<Self::Place>;
}

async fn wait<P: Places>(places: P, waiter: Waiter, worker: usize) -> P::Place {
    loop {
        waiter.turn().await;
        if let Some(found) = places.look(worker, waiter.is_first()) {
            return found;
        }
    }
}

/// In the order in which they came.
pub struct Requests<P: Places> {
    places: P,
    /// How many may wait.
    queue: usize,
    there: Vec<Request<P::Place>>,
    come: usize,
    /// The last one of each worker that had waited and got a place.
    last_served: Vec<usize>,
}

struct Request<T> {
    worker: usize,
    number: usize,
    state: State<T>,
}

enum State<T> {
    Waits(LocalBoxFuture<'static, T>),
    Served(T),
}

#[derive(Clone, Copy, Debug)]
pub enum Event {
    /// One comes to that worker.
    Arrive(usize),
    /// One that is served ends.
    End(usize),
    /// One that waits leaves.
    Leave(usize),
    /// Its worker comes round to one that waits.
    Poll(usize),
}

/// The weight of [`event`] among a test's own events.
pub const WEIGHT: u32 = 11;

pub fn event() -> impl Strategy<Value = Event> {
    let which = any::<usize>;
    prop_oneof![
        4 => which().prop_map(Event::Arrive),
        3 => which().prop_map(Event::End),
        1 => which().prop_map(Event::Leave),
        3 => which().prop_map(Event::Poll),
    ]
}

impl<P: Places> Requests<P> {
    pub fn new(places: P, workers: usize, queue: usize) -> Self {
        Self {
            places,
            queue,
            there: Vec::new(),
            come: 0,
            last_served: vec![0; workers],
        }
    }

    /// Gives back what one that has ended had, and its worker.
    pub fn on(&mut self, event: Event) -> Result<Option<(usize, P::Place)>, TestCaseError> {
        match event {
            Event::Arrive(worker) => self.arrive(worker % self.last_served.len())?,
            Event::End(which) => return Ok(self.end(which)),
            Event::Leave(which) => {
                if let Some(index) = self.one(which, true) {
                    self.there.remove(index);
                }
            }
            Event::Poll(which) => {
                if let Some(index) = self.one(which, true)
                    && let request = &mut self.there[index]
                    && request.poll()
                {
                    let last = &mut self.last_served[request.worker];
                    prop_assert!(request.number > *last, "out of turn");
                    *last = request.number;
                }
            }
        }
        Ok(None)
    }

    pub fn end(&mut self, which: usize) -> Option<(usize, P::Place)> {
        let request = self.there.remove(self.one(which, false)?);
        match request.state {
            State::Served(place) => Some((request.worker, place)),
            State::Waits(_) => None,
        }
    }

    fn arrive(&mut self, worker: usize) -> Result<(), TestCaseError> {
        let pending = self.places.pending();
        let found = pending.is_empty().then(|| self.places.look(worker, true));
        let state = match found.flatten() {
            Some(place) => State::Served(place),
            None => match pending.join(worker) {
                Some(waiter) => {
                    State::Waits(wait(self.places.clone(), waiter, worker).boxed_local())
                }
                None => {
                    let waiting = self.waiting().count();
                    prop_assert_eq!(waiting, self.queue, "refused before the queue is full");
                    return Ok(());
                }
            },
        };
        self.come += 1;
        self.there.push(Request {
            worker,
            number: self.come,
            state,
        });
        Ok(())
    }

    /// One of those that wait, or of those that are served.
    fn one(&self, which: usize, waits: bool) -> Option<usize> {
        let all = self.there.iter().enumerate();
        let suiting = all.filter(|(_, request)| matches!(request.state, State::Waits(_)) == waits);
        let suiting: Vec<usize> = suiting.map(|(index, _)| index).collect();
        (!suiting.is_empty()).then(|| suiting[which % suiting.len()])
    }

    /// All workers come round to all that wait. One may wake the next: they are settled after as many rounds as there
    /// are requests.
    pub fn come_round(&mut self) {
        for request in &mut self.there {
            request.poll();
        }
    }

    pub fn len(&self) -> usize {
        self.there.len()
    }

    /// The workers of those that wait.
    pub fn waiting(&self) -> impl Iterator<Item = usize> {
        let waiting = self.there.iter();
        let waiting = waiting.filter(|request| matches!(request.state, State::Waits(_)));
        waiting.map(|request| request.worker)
    }

    pub fn served(&self) -> impl Iterator<Item = &P::Place> {
        self.there
            .iter()
            .filter_map(|request| match &request.state {
                State::Served(place) => Some(place),
                State::Waits(_) => None,
            })
    }
}

impl<T> Request<T> {
    /// Whether it waited and has got a place now.
    fn poll(&mut self) -> bool {
        let State::Waits(waits) = &mut self.state else {
            return false;
        };
        let Poll::Ready(place) = waits.poll_unpin(&mut Context::from_waker(Waker::noop())) else {
            return false;
        };
        self.state = State::Served(place);
        true
    }
}

/// If a request is not woken for so long, it never is.
const LONGEST: Duration = Duration::from_secs(60);

/// A place for a request on a thread; `None` where it was turned away, or had no patience.
pub async fn seek<P: Places>(
    places: &P,
    worker: usize,
    random: &mut fastrand::Rng,
) -> Option<P::Place> {
    let pending = places.pending();
    let found = pending.is_empty().then(|| places.look(worker, true));
    if let Some(found) = found.flatten() {
        return Some(found);
    }
    let waiter = pending.join(worker)?;
    let patience = match random.u8(..4) {
        // Gone before it was its turn, or just then.
        0 => Duration::from_micros(random.u64(..50)),
        _ => LONGEST,
    };
    let waits = wait(places.clone(), waiter, worker);
    let found = tokio::time::timeout(patience, waits).await.ok();
    assert!(found.is_some() || patience < LONGEST, "never woken");
    found
}

/// Runs a thread's tasks, on a runtime of its own.
pub fn block_on(tasks: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap();
    runtime.block_on(tasks);
}

/// As many tasks at once with as many requests each, one after the other.
pub async fn tasks(thread: usize, rounds: usize, request: impl AsyncFn(&mut fastrand::Rng)) {
    const TASKS: usize = 8;
    let task = async |task: usize| {
        let mut random = fastrand::Rng::with_seed((thread * TASKS + task) as u64);
        for _ in 0..rounds {
            request(&mut random).await;
        }
    };
    futures::future::join_all((0..TASKS).map(task)).await;
}
