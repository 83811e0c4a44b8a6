//! Times and sizes of the dealings with the API server.

use std::ops::RangeInclusive;
use std::time::Duration;

use crate::backoff::Backoff;

/// Times and sizes of the dealings with the API server. The defaults are what the binary uses; tests shorten them.
#[derive(Clone, Debug)]
pub struct Tuning {
    /// From a request to its response's head, connecting included.
    pub head: Duration,
    /// From a response's head to the end of its body, watches excepted.
    pub body: Duration,
    /// Bytes of one list, all its pages together.
    pub list_bytes: usize,
    /// Bytes of one page of a list. It is in memory twice while it is read.
    pub page_bytes: usize,
    /// Bytes of one watch event, or of one object. An API server takes no object beyond about 3 MiB.
    pub object_bytes: usize,
    /// Bytes that a Service's slices may take in memory, as kept: 100,000 endpoints take about half.
    pub slice_bytes: usize,
    /// Slices asked for at once.
    pub page_size: u32,
    /// How long a watch asks to live, in seconds; drawn for each. Cloud load balancers drop flows idle for 240 s.
    pub watch_seconds: RangeInclusive<u32>,
    /// Waits after errors.
    pub error_delays: Backoff,
    /// Waits after watches that ended early.
    pub short_watch_delays: Backoff,
    /// A watch that lived this long was a good one.
    pub healthy: Duration,
    /// After trouble, a watch that stands for this long is believed.
    pub settle: Duration,
    /// The least time between two reads of a Service that is there.
    pub service_interval: Duration,
}

impl Default for Tuning {
    fn default() -> Self {
        let floor = Duration::from_millis(500);
        let ceiling = Duration::from_secs(15);
        Self {
            head: Duration::from_secs(10),
            body: Duration::from_secs(30),
            list_bytes: 128 << 20,
            page_bytes: 32 << 20,
            object_bytes: 4 << 20,
            slice_bytes: 64 << 20,
            // Of the largest slices there are, 1,000 endpoints of some 500 bytes, a page has 25 MB.
            page_size: 50,
            watch_seconds: 120..=200,
            error_delays: Backoff::new(floor, ceiling, 2),
            // One early end is soon forgiven; a server that does it again and again is asked rarely.
            short_watch_delays: Backoff::new(floor, ceiling, 10),
            healthy: Duration::from_secs(10),
            settle: Duration::from_secs(1),
            service_interval: Duration::from_secs(30),
        }
    }
}
