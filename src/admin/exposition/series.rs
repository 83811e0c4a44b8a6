//! How the samples of families are read.

use std::fmt;
use std::time::{Duration, Instant, SystemTime};

use prometheus_client::encoding::{MetricEncoder, NoLabelSet};

use super::{Number, Series, Target};
use crate::discovery::Phase;
use crate::error::Flag;
use crate::outlier::Rule;
use crate::snapshot::{MEAN_WEIGHT, Member};
use crate::stats::{CLASSES, Count, LATENCY_BOUNDS};

pub(super) fn count(target: &Target, count: Count) -> Option<Number> {
    Some(Number::Whole(target.stats.count(count)))
}

/// How many have begun and not ended. Ends are read first, so that none is counted without its beginning.
pub(super) fn open(target: &Target, started: Count, ended: Count) -> Option<Number> {
    let ended = target.stats.count(ended);
    let open = target.stats.count(started).saturating_sub(ended);
    Some(Number::Whole(open))
}

/// Seconds; a clock that was set back makes no age.
pub(super) fn age(since: SystemTime, now: SystemTime) -> Number {
    let age = now.duration_since(since).unwrap_or(Duration::ZERO);
    seconds(age)
}

pub(super) fn seconds(time: Duration) -> Number {
    Number::Real(time.as_secs_f64())
}

/// The counts that are not zero: most classes and flags never occur together.
pub(super) fn by_class_and_flag(count: impl Fn(usize, Flag) -> u64) -> Series {
    let mut series = Vec::new();
    for class in 1..=CLASSES {
        for flag in Flag::ALL {
            let number = count(class, flag);
            if number > 0 {
                let labels = vec![format!("{class}xx"), flag.as_str().to_owned()];
                series.push((labels, Number::Whole(number)));
            }
        }
    }
    series
}

pub(super) fn hedges(target: &Target) -> Series {
    let count = |count| target.stats.count(count);
    labelled([
        ("failed", count(Count::HedgeFailed)),
        ("lost", count(Count::HedgeLost)),
        ("won", count(Count::HedgeWon)),
    ])
}

pub(super) fn overflows(target: &Target) -> Series {
    let count = |count| target.stats.count(count);
    labelled([
        ("queue", count(Count::PendingRefused)),
        ("timeout", count(Count::PendingTimedOut)),
    ])
}

/// A count for each value of the one label beside the target.
fn labelled<'a>(counts: impl IntoIterator<Item = (&'a str, u64)>) -> Series {
    let counts = counts.into_iter();
    counts
        .map(|(label, count)| (vec![label.to_owned()], Number::Whole(count)))
        .collect()
}

pub(super) fn limits(target: &Target) -> Series {
    pods_with(target, |member| {
        let most = member.stats.limit()?.most();
        Some(Number::Whole(most as u64))
    })
}

pub(super) fn connections(target: &Target) -> Series {
    pods_with(target, |member| {
        let used = member.stats.connections()?.used();
        Some(Number::Whole(used as u64))
    })
}

pub(super) fn pod_requests(target: &Target) -> Series {
    let mut series = Vec::new();
    for member in &target.snapshot.members {
        let counts = by_class_and_flag(|class, flag| member.stats.finished(class, flag));
        for (class_and_flag, number) in counts {
            let mut labels = pod_labels(member);
            labels.extend(class_and_flag);
            series.push((labels, number));
        }
    }
    series
}

pub(super) fn each_pod(target: &Target, read: fn(&Member) -> u64) -> Series {
    pods_with(target, |member| Some(Number::Whole(read(member))))
}

/// Those pods of which there is such a number.
fn pods_with(target: &Target, read: impl Fn(&Member) -> Option<Number>) -> Series {
    let members = target.snapshot.members.iter();
    members
        .filter_map(|member| Some((pod_labels(member), read(member)?)))
        .collect()
}

pub(super) fn costs(target: &Target) -> Series {
    let now = Instant::now();
    pods_with(target, |member| {
        Some(Number::Real(member.stats.latency()?.cost(now)?))
    })
}

pub(super) fn reported_weights(target: &Target) -> Series {
    pods_with(target, |member| {
        let weight = f64::from(member.reported??) / f64::from(MEAN_WEIGHT);
        Some(Number::Real(weight))
    })
}

pub(super) fn slow_starts(target: &Target) -> Series {
    let now = Instant::now();
    pods_with(target, |member| Some(Number::Real(member.ramp?.share(now))))
}

/// The address tells apart two pods of one name: a StatefulSet's new pod may come before the old one has gone.
fn pod_labels(member: &Member) -> Vec<String> {
    vec![
        member.endpoint.pod.clone().unwrap_or_default(),
        member.address().to_string(),
    ]
}

pub(super) fn endpoints(target: &Target) -> Series {
    let count = |state: &str| {
        let members = target.snapshot.members.iter();
        members.filter(|member| member.state() == state).count() as u64
    };
    labelled(Member::STATES.iter().map(|state| (*state, count(state))))
}

pub(super) fn ejections(target: &Target) -> Series {
    let pairs = Rule::ALL
        .into_iter()
        .flat_map(|rule| Flag::ALL.map(|flag| (rule, flag)));
    pairs
        .map(|(rule, flag)| (rule, flag, target.metrics.ejections(rule, flag)))
        .filter(|(_, _, count)| *count > 0)
        .map(|(rule, flag, count)| {
            let labels = [rule.as_str(), flag.as_str()].map(str::to_owned);
            (labels.to_vec(), Number::Whole(count))
        })
        .collect()
}

pub(super) fn checks(target: &Target) -> Series {
    labelled([
        ("passed", target.metrics.checks_passed.get()),
        ("failed", target.metrics.checks_failed.get()),
    ])
}

pub(super) fn phases(target: &Target) -> Series {
    let here = |phase: Phase| u64::from(phase == target.status.phase);
    labelled(Phase::ALL.map(|phase| (phase.as_str(), here(phase))))
}

pub(super) fn latency(target: &Target, mut encoder: MetricEncoder<'_>) -> fmt::Result {
    let (counts, sum) = target.stats.latency();
    let bounds = LATENCY_BOUNDS.into_iter().chain([f64::INFINITY]);
    let buckets: Vec<(f64, u64)> = bounds.zip(counts).collect();
    encoder.encode_histogram::<NoLabelSet>(sum, counts.iter().sum(), &buckets, None)
}
