//! Requests that wait for room at a pod while all are full: a bounded queue, in order of arrival.
//!
//! Only whoever is first in it looks for room, so that room made wakes one and not all. Where connections are limited
//! it is whoever is the first of each worker: room on a connection is its own worker's, and only a place that all may
//! have is for the first of all. Whoever leaves the queue, with room or without, wakes the next: none is lost with a
//! request whose client has left.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

/// The queue of one target, all workers together.
#[derive(Debug)]
pub struct Pending {
    most: usize,
    /// The queue's length, to be read without the lock: mostly nobody waits.
    waiting: AtomicUsize,
    queue: Mutex<Queue>,
    /// Where connections are limited.
    workers: Box<[Lender]>,
    /// When it was last said that every pod is full.
    said: Mutex<Option<Instant>>,
}

#[derive(Debug, Default)]
struct Queue {
    requests: VecDeque<Request>,
    /// How many of them are each worker's, where connections are limited.
    of: Box<[usize]>,
}

#[derive(Debug)]
struct Request {
    turn: Arc<Notify>,
    worker: usize,
}

/// A worker that may have connections which others are in want of.
#[derive(Debug, Default)]
struct Lender {
    has_idle: AtomicBool,
    wanted: Notify,
}

/// How often it is said while it lasts.
const SAY_EVERY: Duration = Duration::from_secs(10);

/// A request's place in the queue, until dropped.
#[derive(Debug)]
pub struct Waiter {
    pending: Arc<Pending>,
    turn: Arc<Notify>,
    worker: usize,
}

impl Pending {
    /// `most`: so many may wait at a time.
    pub fn new(most: usize) -> Arc<Self> {
        Self::of_workers(most, 0)
    }

    /// One for requests that wait for connections too, each of one of so many workers.
    pub fn of_workers(most: usize, workers: usize) -> Arc<Self> {
        Arc::new(Self {
            most,
            waiting: AtomicUsize::new(0),
            queue: Mutex::new(Queue {
                requests: VecDeque::new(),
                of: (0..workers).map(|_| 0).collect(),
            }),
            workers: (0..workers).map(|_| Lender::default()).collect(),
            said: Mutex::default(),
        })
    }

    /// The last place in the queue, or `None` where it has grown as long as it may.
    pub fn join(self: &Arc<Self>, worker: usize) -> Option<Waiter> {
        let mut queue = self.lock();
        if queue.requests.len() >= self.most {
            return None;
        }
        let turn = Arc::new(Notify::new());
        queue.requests.push_back(Request {
            turn: turn.clone(),
            worker,
        });
        if let Some(of) = queue.of.get_mut(worker) {
            *of += 1;
        }
        self.waiting.store(queue.requests.len(), SeqCst);
        // What was full a moment ago need not be: it is for the first to look again, now that it can be woken.
        if queue.requests.len() == 1 || !self.workers.is_empty() {
            self.stir(&queue);
        }
        Some(Waiter {
            pending: self.clone(),
            turn,
            worker,
        })
    }

    /// Whether nobody waits. Otherwise whoever comes now joins, and does not take what others wait for.
    pub fn is_empty(&self) -> bool {
        self.waiting.load(SeqCst) == 0
    }

    /// There may be room: whoever is first looks.
    pub fn wake(&self) {
        if !self.is_empty() {
            self.stir(&self.lock());
        }
    }

    /// A connection of that worker's can take a request. `lendable`: it lies idle, in a place that all may have.
    pub fn freed(&self, worker: usize, lendable: bool) {
        if lendable && let Some(lender) = self.workers.get(worker) {
            // Before the look whether anybody waits, as who joins looks afterwards: one of the two sees the other.
            lender.has_idle.store(true, SeqCst);
        }
        self.wake();
    }

    /// Until a request of another worker waits for what may lie idle here. For ever where connections are not limited.
    pub async fn wanted(&self, worker: usize) {
        match self.workers.get(worker) {
            Some(lender) => lender.wanted.notified().await,
            None => std::future::pending().await,
        }
    }

    /// Has that worker close idle connections in places that all may have: as many as wait, if the first is another's.
    /// `close` is told how many more, and whether it left any.
    pub fn lend(&self, worker: usize, mut close: impl FnMut(usize) -> bool) {
        let Some(lender) = self.workers.get(worker) else {
            return;
        };
        let mut before = 0;
        loop {
            lender.has_idle.store(false, SeqCst);
            let waiting = self.waiting_for_others(worker);
            if close(waiting.saturating_sub(before)) {
                lender.has_idle.store(true, SeqCst);
            }
            // Who joined meanwhile may have missed it.
            if self.waiting_for_others(worker) <= waiting.max(before) {
                return;
            }
            before = waiting.max(before);
        }
    }

    /// How many wait, if the first of them is not this worker's.
    pub(super) fn waiting_for_others(&self, worker: usize) -> usize {
        let queue = self.lock();
        match queue.requests.front() {
            Some(first) if first.worker != worker => queue.requests.len(),
            _ => 0,
        }
    }

    /// Wakes whoever may find room.
    fn stir(&self, queue: &Queue) {
        let Some(first) = queue.requests.front() else {
            return;
        };
        first.turn.notify_one();
        for (worker, (lender, of)) in self.workers.iter().zip(&queue.of).enumerate() {
            if worker == first.worker {
                continue;
            }
            let mut requests = queue.requests.iter();
            if *of > 0
                && let Some(first) = requests.find(|request| request.worker == worker)
            {
                first.turn.notify_one();
            }
            if lender.has_idle.load(SeqCst) {
                lender.wanted.notify_one();
            }
        }
    }

    /// Whether it is time to say again that every pod is full; who asks says it.
    pub fn is_news(&self, now: Instant) -> bool {
        let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        let is_news = said.is_none_or(|said| now.duration_since(said) >= SAY_EVERY);
        if is_news {
            *said = Some(now);
        }
        is_news
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Waiter {
    /// Until it is the first in the queue, or the first of its worker, and there may be room.
    pub async fn turn(&self) {
        self.turn.notified().await;
    }

    /// Whether nobody has waited for longer.
    pub fn is_first(&self) -> bool {
        let queue = self.pending.lock();
        let first = queue.requests.front();
        first.is_some_and(|first| Arc::ptr_eq(&first.turn, &self.turn))
    }
}

impl Drop for Waiter {
    fn drop(&mut self) {
        let mut queue = self.pending.lock();
        // Mostly from the front: it is they who find room, and whose time is up.
        let mut requests = queue.requests.iter();
        let place = requests.position(|request| Arc::ptr_eq(&request.turn, &self.turn));
        if let Some(place) = place {
            queue.requests.remove(place);
        }
        if let Some(of) = queue.of.get_mut(self.worker) {
            *of -= 1;
        }
        self.pending.waiting.store(queue.requests.len(), SeqCst);
        if place == Some(0) || !self.pending.workers.is_empty() {
            self.pending.stir(&queue);
        }
    }
}
