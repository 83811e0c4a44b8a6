//! Counters that workers write and admin reads at scrape time.
//!
//! Each worker has a shard of its own, so a count is one uncontended add; a reader sums the shards.

mod endpoint;
mod ewma;
mod finished;
mod histogram;
mod reported;
mod tally;
mod target;

pub use endpoint::{EndpointShard, EndpointStats, Silence};
pub use ewma::{Outcome, PeakEwma};
pub use finished::CLASSES;
pub use histogram::LATENCY_BOUNDS;
pub use reported::Reported;
pub use tally::{Tally, TallyShard};
pub use target::{Count, TargetShard, TargetStats};
