//! The families that every command's `/metrics` ends with: what runs, and what Linux says of the process.

use std::fmt;
use std::time::{Duration, SystemTime};

use prometheus_client::encoding::{DescriptorEncoder, MetricEncoder};
use tokio::runtime::RuntimeMetrics;

use super::{Family, Kind, Number, Write};
use crate::admin::process::Process;
use crate::readiness::Readiness;

/// What they are read from.
#[derive(Debug)]
pub struct Common {
    started: SystemTime,
    ready: bool,
    process: Process,
    /// Alive, over all threads.
    tasks: u64,
}

impl Common {
    pub fn read(started: SystemTime, readiness: &Readiness, runtimes: &[RuntimeMetrics]) -> Self {
        let alive = |runtime: &RuntimeMetrics| runtime.num_alive_tasks() as u64;
        Self {
            started,
            ready: readiness.pending().is_empty(),
            process: Process::read(),
            tasks: runtimes.iter().map(alive).sum(),
        }
    }

    pub fn encode(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        for family in COMMON {
            (family.samples)(self, family.describe(encoder)?)?;
        }
        Ok(())
    }
}

/// In the order shown.
pub const COMMON: &[Family<Write<Common>>] = &[
    Family {
        name: "podrobin_build",
        kind: Kind::Info,
        labels: &["version"],
        help: "What is running",
        samples: |_, mut encoder| encoder.encode_info(&[("version", env!("CARGO_PKG_VERSION"))]),
    },
    Family {
        name: "podrobin_ready",
        kind: Kind::Gauge,
        labels: &[],
        help: "1 where /readyz answers 200",
        samples: |common, encoder| whole(Some(common.ready.into()), encoder),
    },
    Family {
        name: "podrobin_tasks",
        kind: Kind::Gauge,
        labels: &[],
        help: "Tasks that have not ended, over all threads: some for each connection, and a few that stay",
        samples: |common, encoder| whole(Some(common.tasks), encoder),
    },
    Family {
        name: "process_start_time_seconds",
        kind: Kind::Gauge,
        labels: &[],
        help: "When the process began, in seconds since 1970",
        samples: |common, mut encoder| encoder.encode_gauge(&since_1970(common.started)),
    },
    Family {
        name: "process_cpu_seconds",
        kind: Kind::Counter,
        labels: &[],
        help: "CPU time used, user and system",
        samples: |common, mut encoder| match common.process.cpu_seconds {
            Some(seconds) => Number::Real(seconds).encode(Kind::Counter, &mut encoder),
            None => Ok(()),
        },
    },
    Family {
        name: "process_resident_memory_bytes",
        kind: Kind::Gauge,
        labels: &[],
        help: "Memory resident now",
        samples: |common, encoder| whole(common.process.resident_bytes, encoder),
    },
    Family {
        name: "process_open_fds",
        kind: Kind::Gauge,
        labels: &[],
        help: "File descriptors open now",
        samples: |common, encoder| whole(common.process.open_fds, encoder),
    },
    Family {
        name: "process_max_fds",
        kind: Kind::Gauge,
        labels: &[],
        help: "File descriptors allowed",
        samples: |common, encoder| whole(common.process.max_fds, encoder),
    },
    Family {
        name: "process_threads",
        kind: Kind::Gauge,
        labels: &[],
        help: "Threads now",
        samples: |common, encoder| whole(common.process.threads, encoder),
    },
];

/// A gauge, or none where it cannot be read.
fn whole(number: Option<u64>, mut encoder: MetricEncoder<'_>) -> fmt::Result {
    number.map_or(Ok(()), |number| encoder.encode_gauge(&number))
}

/// A clock before 1970 tells nothing.
fn since_1970(time: SystemTime) -> f64 {
    time.duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or(Duration::ZERO)
        .as_secs_f64()
}
