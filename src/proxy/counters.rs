//! The target's counts as one worker writes them.

use std::ops::Deref;
use std::rc::Rc;
use std::sync::Arc;

use crate::stats::{TargetShard, TargetStats};

/// This worker's shard. All that counts on its thread shares this one, so that no request counts references that other
/// threads count too.
#[derive(Debug)]
pub struct Counters {
    stats: Arc<TargetStats>,
    worker: usize,
}

impl Counters {
    pub fn new(stats: Arc<TargetStats>, worker: usize) -> Rc<Self> {
        Rc::new(Self { stats, worker })
    }

    /// Of all workers.
    pub fn all(&self) -> &TargetStats {
        &self.stats
    }
}

impl Deref for Counters {
    type Target = TargetShard;

    fn deref(&self) -> &TargetShard {
        self.stats.shard(self.worker)
    }
}
