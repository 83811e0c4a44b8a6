//! Every request's fate, and which failures could not be helped.
//!
//! A failed request is excused only in these cases; every other failure is podrobin's:
//!
//! 1. A pod took it and hung. Whether such a pod is at work cannot be seen, so it is answered 504 in time and not sent
//!    again. The pod itself has noted that it had the request.
//! 2. A pod broke its connections while the request was under way, and the request was not to be sent twice: its method
//!    is not idempotent, its body is too long to be kept, or it asks for an upgrade. The pod may have taken it, so the
//!    answer says that the connection was reset; a pod that could not be reached at all (flag UF) or a list without pods
//!    (UH) is no excuse, whatever the method.
//! 3. A pod broke its connections after its answer had begun: what has been sent to a client cannot be taken back.
//!
//! A pod breaks connections where it crashes, resets one, or ends while one is still in use; all of these are noted.
//! At most one pod of a Service does so at a time, apart from those that a rollout ends, so an idempotent request always
//! has a good pod to go to.

use std::collections::{BTreeMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// A break and its consequences may be seen in either order by threads of a busy machine.
const SLACK: Duration = Duration::from_millis(250);

/// Failures of a kind that are kept in words.
const KEPT: u64 = 5;

#[derive(Debug, Default)]
pub struct Ledger {
    entries: Mutex<Entries>,
}

#[derive(Debug, Default)]
struct Entries {
    /// When pods broke connections.
    breaks: Vec<Instant>,
    /// Requests that pods took and hung on.
    hung: HashSet<u64>,
    next: u64,
    kinds: BTreeMap<&'static str, Count>,
    failed: Vec<String>,
}

/// What became of the requests of one kind.
#[derive(Clone, Copy, Debug, Default)]
pub struct Count {
    pub answered: u64,
    pub excused: u64,
    pub failed: u64,
}

/// A request as its client knows it.
#[derive(Debug)]
pub struct Entry {
    pub id: u64,
    kind: &'static str,
    /// It may be sent to a second pod after a first one may have seen it.
    repeatable: bool,
    begun: Instant,
}

/// How a request ended badly.
#[derive(Debug, thiserror::Error)]
#[error("{what} (flag {flag:?}, begun {begun})")]
pub struct Failure {
    /// What the client saw.
    pub what: String,
    /// podrobin's flag, where it answered itself.
    pub flag: Option<String>,
    /// The answer's head had come.
    pub begun: bool,
}

impl Ledger {
    pub fn begin(&self, kind: &'static str, repeatable: bool) -> Entry {
        let mut entries = self.entries();
        entries.next += 1;
        Entry {
            id: entries.next,
            kind,
            repeatable,
            begun: Instant::now(),
        }
    }

    /// A pod is about to break connections, or just has.
    pub fn breaks(&self) {
        self.entries().breaks.push(Instant::now());
    }

    /// A pod took this request and hangs.
    pub fn hangs_on(&self, id: u64) {
        self.entries().hung.insert(id);
    }

    pub fn end(&self, entry: &Entry, outcome: Result<(), Failure>) {
        let mut entries = self.entries();
        let excused = outcome
            .as_ref()
            .is_err_and(|failure| entries.excuse(entry, failure));
        let count = entries.kinds.entry(entry.kind).or_default();
        match outcome {
            Ok(()) => count.answered += 1,
            Err(_) if excused => count.excused += 1,
            Err(failure) => {
                count.failed += 1;
                let failed = count.failed;
                if failed <= KEPT {
                    let kind = entry.kind;
                    let after = entry.begun.elapsed();
                    entries
                        .failed
                        .push(format!("{kind} {} after {after:?}: {failure}", entry.id));
                }
            }
        }
    }

    /// What became of each kind of request.
    pub fn counts(&self) -> BTreeMap<&'static str, Count> {
        self.entries().kinds.clone()
    }

    /// The first failures that are podrobin's, in words.
    pub fn failed(&self) -> Vec<String> {
        self.entries().failed.clone()
    }

    fn entries(&self) -> MutexGuard<'_, Entries> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Entries {
    fn excuse(&self, entry: &Entry, failure: &Failure) -> bool {
        let flag = failure.flag.as_deref();
        if self.hung.contains(&entry.id) && flag == Some("UT") {
            return true;
        }
        let since = entry.begun - SLACK;
        // They are noted in their order.
        let broken = self.breaks.last().is_some_and(|last| *last >= since);
        let lost = !entry.repeatable && flag == Some("UC");
        broken && (failure.begun || lost)
    }
}
