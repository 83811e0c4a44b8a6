//! What the webhook counts, and the families of its `/metrics`.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, NoLabelSet};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::histogram::Histogram;

use super::decision::Outcome;
use crate::admin::{Common, Family, Kind, Write};

/// Upper bounds in seconds: a review takes about a millisecond, and API servers wait ten seconds at most by default.
const DURATION_BOUNDS: [f64; 10] = [
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.05, 0.25, 1.0, 5.0, 10.0,
];

#[derive(Debug)]
pub struct Metrics {
    reviews: [Counter; Outcome::ALL.len()],
    duration: Histogram,
    pub connections: Counter,
    pub connections_closed: Counter,
    /// TLS handshakes that failed.
    pub handshakes_failed: Counter,
    /// Reviews that have begun and not ended.
    open: AtomicU64,
}

/// A review that is being answered, until dropped.
#[derive(Debug)]
pub struct Open<'a>(&'a Metrics);

impl Default for Metrics {
    fn default() -> Self {
        Self {
            reviews: Default::default(),
            duration: Histogram::new(DURATION_BOUNDS),
            connections: Counter::default(),
            connections_closed: Counter::default(),
            handshakes_failed: Counter::default(),
            open: AtomicU64::new(0),
        }
    }
}

impl Metrics {
    pub fn begin(&self) -> Open<'_> {
        self.open.fetch_add(1, Relaxed);
        Open(self)
    }

    pub fn open(&self) -> u64 {
        self.open.load(Relaxed)
    }

    pub fn count(&self, outcome: Outcome, took: Duration) {
        self.reviews[outcome as usize].inc();
        self.duration.observe(took.as_secs_f64());
    }
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Relaxed);
    }
}

/// All that one scrape reads.
#[derive(Debug)]
pub struct Scrape {
    pub metrics: std::sync::Arc<Metrics>,
    /// When the certificate runs out, in seconds since 1970.
    pub not_after: Option<u64>,
    /// Changed files that could not be used.
    pub files_refused: Counter,
    pub common: Common,
}

impl Collector for Scrape {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        for family in FAMILIES {
            (family.samples)(self, family.describe(&mut encoder)?)?;
        }
        self.common.encode(&mut encoder)
    }
}

/// The families of the webhook's `/metrics`, in the order shown, which ends with [`crate::admin::COMMON`].
pub const FAMILIES: &[Family<Write<Scrape>>] = &[
    Family {
        name: "podrobin_webhook_reviews",
        kind: Kind::Counter,
        labels: &["outcome"],
        help: "Reviews answered: injected, unchanged (the sidecar was there), not_asked (no annotation), refused (the pod asks for something wrong), other (no new pod), invalid (no review)",
        samples: |scrape, mut encoder| {
            for outcome in Outcome::ALL {
                let counter = &scrape.metrics.reviews[outcome as usize];
                let labels = [("outcome", outcome.as_str())];
                counter.encode(encoder.encode_family(&labels)?)?;
            }
            Ok(())
        },
    },
    Family {
        name: "podrobin_webhook_review_duration_seconds",
        kind: Kind::Histogram,
        labels: &[],
        help: "From a request's head to its answer",
        samples: |scrape, encoder| scrape.metrics.duration.encode(encoder),
    },
    Family {
        name: "podrobin_webhook_reviews_open",
        kind: Kind::Gauge,
        labels: &[],
        help: "Reviews that are being answered",
        samples: |scrape, mut encoder| encoder.encode_gauge(&scrape.metrics.open()),
    },
    Family {
        name: "podrobin_webhook_connections",
        kind: Kind::Counter,
        labels: &[],
        help: "Connections accepted",
        samples: |scrape, encoder| scrape.metrics.connections.encode(encoder),
    },
    Family {
        name: "podrobin_webhook_connections_open",
        kind: Kind::Gauge,
        labels: &[],
        help: "Connections open now",
        samples: |scrape, mut encoder| {
            // Ends first, so that none is counted without its beginning.
            let closed = scrape.metrics.connections_closed.get();
            encoder.encode_gauge(&scrape.metrics.connections.get().saturating_sub(closed))
        },
    },
    Family {
        name: "podrobin_webhook_handshake_failures",
        kind: Kind::Counter,
        labels: &[],
        help: "TLS handshakes that failed, as they do where the caBundle is not that of the certificate",
        samples: |scrape, encoder| scrape.metrics.handshakes_failed.encode(encoder),
    },
    Family {
        name: "podrobin_webhook_certificate_expiry_timestamp_seconds",
        kind: Kind::Gauge,
        labels: &[],
        help: "When the certificate in use runs out, in seconds since 1970",
        samples: |scrape, mut encoder| match scrape.not_after {
            Some(seconds) => encoder.encode_gauge(&seconds),
            None => Ok(()),
        },
    },
    Family {
        name: "podrobin_webhook_certificate_reload_failures",
        kind: Kind::Counter,
        labels: &[],
        help: "Changed certificate files that could not be used",
        samples: |scrape, mut encoder| {
            encoder.encode_counter::<NoLabelSet, _, u64>(&scrape.files_refused.get(), None)
        },
    },
];
