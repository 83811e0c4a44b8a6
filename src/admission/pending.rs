//! Requests that wait for room at a pod while all are full: a bounded queue, in order of arrival.
//!
//! Only whoever is first in it looks for room, so that room made wakes one and not all. Whoever leaves it, with room or
//! without, wakes the next: none is lost with a request whose client has left.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

/// The queue of one target, all workers together.
#[derive(Debug)]
pub struct Pending {
    most: usize,
    /// The queue's length, to be read without the lock: mostly nobody waits.
    waiting: AtomicUsize,
    queue: Mutex<VecDeque<Arc<Notify>>>,
    /// When it was last said that every pod is full.
    said: Mutex<Option<Instant>>,
}

/// How often it is said while it lasts.
const SAY_EVERY: Duration = Duration::from_secs(10);

/// A request's place in the queue, until dropped.
#[derive(Debug)]
pub struct Waiter {
    pending: Arc<Pending>,
    turn: Arc<Notify>,
}

impl Pending {
    /// `most`: so many may wait at a time.
    pub fn new(most: usize) -> Arc<Self> {
        Arc::new(Self {
            most,
            waiting: AtomicUsize::new(0),
            queue: Mutex::default(),
            said: Mutex::default(),
        })
    }

    /// The last place in the queue, or `None` where it has grown as long as it may.
    pub fn join(self: &Arc<Self>) -> Option<Waiter> {
        let mut queue = self.lock();
        if queue.len() >= self.most {
            return None;
        }
        let turn = Arc::new(Notify::new());
        if queue.is_empty() {
            // What was full a moment ago need not be: it is for the first to look again, now that it can be woken.
            turn.notify_one();
        }
        queue.push_back(turn.clone());
        self.waiting.store(queue.len(), SeqCst);
        Some(Waiter {
            pending: self.clone(),
            turn,
        })
    }

    /// Whether nobody waits. Otherwise whoever comes now joins, and does not take what others wait for.
    pub fn is_empty(&self) -> bool {
        self.waiting.load(SeqCst) == 0
    }

    /// There may be room: whoever is first looks.
    pub fn wake(&self) {
        if !self.is_empty()
            && let Some(first) = self.lock().front()
        {
            first.notify_one();
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

    fn lock(&self) -> MutexGuard<'_, VecDeque<Arc<Notify>>> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Waiter {
    /// Until it is the first in the queue and there may be room.
    pub async fn turn(&self) {
        self.turn.notified().await;
    }
}

impl Drop for Waiter {
    fn drop(&mut self) {
        let mut queue = self.pending.lock();
        // Mostly from the front: it is they who find room, and whose time is up.
        let place = queue.iter().position(|turn| Arc::ptr_eq(turn, &self.turn));
        if let Some(place) = place {
            queue.remove(place);
        }
        self.pending.waiting.store(queue.len(), SeqCst);
        if place == Some(0)
            && let Some(first) = queue.front()
        {
            first.notify_one();
        }
    }
}
