//! The OpenMetrics text of `/metrics`: one table of families, their samples read at scrape time.
//!
//! What a pod did is counted in series of its own (`podrobin_pod_...`), which end when the pod leaves the list. The
//! totals of a target are counted apart from its pods, so they never go back.

mod common;
mod families;
mod series;

use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, MetricEncoder, text};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Registry;

use super::AdminState;
use crate::discovery::Status;
use crate::metrics::TargetMetrics;
use crate::snapshot::Snapshot;
use crate::stats::TargetStats;

pub use common::{COMMON, Common};
pub use families::FAMILIES;

/// A metric family; the tables of docs/metrics.md are made of these.
#[derive(Debug)]
pub struct Family<S = Samples> {
    /// Without the suffix that OpenMetrics gives its samples: see [`Family::sample_name`].
    pub name: &'static str,
    pub kind: Kind,
    pub labels: &'static [&'static str],
    /// One sentence without its full stop.
    pub help: &'static str,
    pub samples: S,
}

/// Writes the samples of a family.
pub type Write<T> = fn(&T, MetricEncoder<'_>) -> fmt::Result;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Counter,
    Gauge,
    Histogram,
    Info,
}

/// Where a family's samples come from.
#[derive(Debug)]
pub enum Samples {
    /// Each target has one, or none while there is nothing to tell.
    Target(fn(&Scrape, &Target) -> Option<Number>),
    /// Each target has some.
    Series(fn(&Target) -> Series),
    Histogram(Write<Target>),
}

/// Numbers, each with the values of its labels after `target`.
type Series = Vec<(Vec<String>, Number)>;

#[derive(Clone, Copy, Debug)]
pub enum Number {
    Whole(u64),
    Real(f64),
}

/// All that one scrape reads, so that its families agree with each other.
#[derive(Debug)]
pub struct Scrape {
    now: SystemTime,
    common: Common,
    targets: Vec<Target>,
}

#[derive(Debug)]
pub struct Target {
    name: String,
    policy: String,
    snapshot: Arc<Snapshot>,
    status: Status,
    stats: Arc<TargetStats>,
    metrics: Arc<TargetMetrics>,
}

pub fn encode(state: &AdminState, now: SystemTime) -> String {
    let targets = state.targets.iter().map(|view| Target {
        name: view.name.clone(),
        policy: view.policy.to_string(),
        snapshot: view.snapshots.borrow().clone(),
        status: view.status.borrow().clone(),
        stats: view.stats.clone(),
        metrics: view.metrics.clone(),
    });
    text_of(Scrape {
        now,
        common: Common::read(state.started, &state.readiness, &state.runtimes),
        targets: targets.collect(),
    })
}

/// What a collector tells, as OpenMetrics text.
pub fn text_of(collector: impl Collector + 'static) -> String {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(collector));
    let mut out = String::new();
    // Writing to a String cannot fail.
    let _ = text::encode(&mut out, &registry);
    out
}

impl<S> Family<S> {
    /// What it is, wherever its samples come from.
    pub fn head(&self) -> Family<()> {
        Family {
            name: self.name,
            kind: self.kind,
            labels: self.labels,
            help: self.help,
            samples: (),
        }
    }

    /// Writes what the family is; its samples are to follow.
    pub fn describe<'a>(
        &self,
        encoder: &'a mut DescriptorEncoder<'_>,
    ) -> Result<MetricEncoder<'a>, fmt::Error> {
        let help = format!("{}.", self.help);
        encoder.encode_descriptor(self.name, &help, None, self.kind.metric_type())
    }

    /// The name of its samples: counters end in `_total`, an info in `_info`.
    pub fn sample_name(&self) -> String {
        match self.kind {
            Kind::Counter => format!("{}_total", self.name),
            Kind::Info => format!("{}_info", self.name),
            Kind::Gauge | Kind::Histogram => self.name.to_owned(),
        }
    }
}

impl Kind {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
            Self::Info => "info",
        }
    }

    fn metric_type(self) -> MetricType {
        match self {
            Self::Counter => MetricType::Counter,
            Self::Gauge => MetricType::Gauge,
            Self::Histogram => MetricType::Histogram,
            Self::Info => MetricType::Info,
        }
    }
}

impl Collector for Scrape {
    fn encode(&self, mut encoder: DescriptorEncoder) -> fmt::Result {
        for family in FAMILIES {
            let encoder = family.describe(&mut encoder)?;
            self.encode_family(family, encoder)?;
        }
        self.common.encode(&mut encoder)
    }
}

impl Scrape {
    fn encode_family(&self, family: &Family, mut encoder: MetricEncoder<'_>) -> fmt::Result {
        match family.samples {
            Samples::Target(read) => {
                for target in &self.targets {
                    if let Some(number) = read(self, target) {
                        let labels = [("target", target.name.as_str())];
                        number.encode(family.kind, &mut encoder.encode_family(&labels)?)?;
                    }
                }
                Ok(())
            }
            Samples::Histogram(write) => {
                for target in &self.targets {
                    let labels = [("target", target.name.as_str())];
                    write(target, encoder.encode_family(&labels)?)?;
                }
                Ok(())
            }
            Samples::Series(read) => {
                for target in &self.targets {
                    for (values, number) in read(target) {
                        let values = std::iter::once(target.name.as_str())
                            .chain(values.iter().map(String::as_str));
                        let labels: Vec<(&str, &str)> =
                            family.labels.iter().copied().zip(values).collect();
                        number.encode(family.kind, &mut encoder.encode_family(&labels)?)?;
                    }
                }
                Ok(())
            }
        }
    }
}

impl Number {
    fn encode(self, kind: Kind, encoder: &mut MetricEncoder<'_>) -> fmt::Result {
        use prometheus_client::encoding::NoLabelSet;
        match (kind, self) {
            (Kind::Counter, Self::Whole(number)) => {
                encoder.encode_counter::<NoLabelSet, _, u64>(&number, None)
            }
            (Kind::Counter, Self::Real(number)) => {
                encoder.encode_counter::<NoLabelSet, _, f64>(&number, None)
            }
            (_, Self::Whole(number)) => encoder.encode_gauge(&number),
            (_, Self::Real(number)) => encoder.encode_gauge(&number),
        }
    }
}
