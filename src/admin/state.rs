//! The JSON of `/state`: every endpoint, what it got, and why it does or does not get more.

use std::net::{IpAddr, SocketAddr};
use std::time::{Instant, SystemTime};

use jiff::Timestamp;
use serde::Serialize;

use super::{AdminState, TargetView};
use crate::snapshot::{Health, MEAN_WEIGHT, Member};
use crate::stats::Count;

#[derive(Serialize)]
struct State<'a> {
    version: &'static str,
    pid: u32,
    started: Option<String>,
    now: Option<String>,
    ready: bool,
    /// The pod this process runs in, as far as it was told.
    pod: Pod<'a>,
    /// Gates still closed.
    pending: Vec<String>,
    targets: Vec<Target<'a>>,
}

#[derive(Serialize)]
struct Pod<'a> {
    name: Option<&'a str>,
    namespace: Option<&'a str>,
    node: Option<&'a str>,
    zone: Option<&'a str>,
    ip: Option<IpAddr>,
}

#[derive(Serialize)]
struct Target<'a> {
    name: &'a str,
    listen: SocketAddr,
    /// With all its options.
    policy: String,
    /// Counts the lists and ejections applied; 0 is before the first list.
    version: u64,
    published: Option<String>,
    /// Pods are used that would be left out, as too few others are usable.
    panic: bool,
    watch: Watch,
    requests_in_flight: u64,
    /// Requests waiting for an endpoint.
    held: u64,
    /// Requests waiting for room, as every pod is full.
    pending: u64,
    /// How long a request is left to one pod before it goes to a second one too, where that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    hedge_after_ms: Option<f64>,
    /// Upgraded connections, those to pods that have left the list too.
    tunnels: u64,
    endpoints: Vec<Endpoint>,
}

#[derive(Serialize)]
struct Watch {
    phase: &'static str,
    since: Option<String>,
    fresh: Option<String>,
    error: Option<String>,
}

#[derive(Serialize)]
struct Endpoint {
    pod: Option<String>,
    address: SocketAddr,
    node: Option<String>,
    zone: Option<String>,
    state: &'static str,
    /// What ejected it, in one word.
    cause: Option<&'static str>,
    /// Why it is ejected or on trial, or fails its checks.
    reason: Option<String>,
    /// When its ejection ends.
    until: Option<String>,
    weight: u32,
    /// What `weighted:orca` makes of its reports, 1 being the mean; null while they do not count.
    #[serde(skip_serializing_if = "Option::is_none")]
    reported_weight: Option<Option<f64>>,
    /// What part of its share it gets, while slow start holds it back.
    #[serde(skip_serializing_if = "Option::is_none")]
    slow_start: Option<f64>,
    in_flight: u64,
    /// The most requests in flight there, where that is limited.
    #[serde(skip_serializing_if = "Option::is_none")]
    limit: Option<usize>,
    /// Connections to it and the most there may be, where that is limited.
    #[serde(skip_serializing_if = "Option::is_none")]
    connections: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    connection_limit: Option<usize>,
    tunnels: u64,
    /// What `peak-ewma` takes a request there to cost, in milliseconds; null before its first answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    cost_ms: Option<Option<f64>>,
    /// Sent to it, retries included, since its address became this pod.
    requests: u64,
    /// Its part, 0 to 1, of all that this target has sent since the process began.
    share: f64,
}

pub fn encode(state: &AdminState, now: SystemTime) -> serde_json::Result<Vec<u8>> {
    let pending = state.readiness.pending();
    let state = State {
        version: env!("CARGO_PKG_VERSION"),
        pid: std::process::id(),
        started: rfc3339(state.started),
        now: rfc3339(now),
        ready: pending.is_empty(),
        pod: Pod {
            name: state.pod.name.as_deref(),
            namespace: state.pod.namespace.as_deref(),
            node: state.pod.node.as_deref(),
            zone: state.pod.zone.as_deref(),
            ip: state.pod.ip,
        },
        pending,
        targets: state.targets.iter().map(target).collect(),
    };
    let mut json = serde_json::to_vec(&state)?;
    json.push(b'\n');
    Ok(json)
}

fn target(view: &TargetView) -> Target<'_> {
    let snapshot = view.snapshots.borrow().clone();
    let status = view.status.borrow().clone();
    let here: u64 = snapshot.members.iter().map(attempts).sum();
    // Workers count on while this is read: the sum of the parts may be ahead of the whole.
    let all = view.stats.count(Count::Attempt).max(here);
    let open = |started, ended| {
        let ended = view.stats.count(ended);
        view.stats.count(started).saturating_sub(ended)
    };
    Target {
        name: &view.name,
        listen: view.listen,
        policy: view.policy.to_string(),
        version: snapshot.version,
        published: rfc3339(snapshot.published),
        panic: snapshot.panics,
        watch: Watch {
            phase: status.phase.as_str(),
            since: rfc3339(status.since),
            fresh: status.fresh.and_then(rfc3339),
            error: status.error,
        },
        requests_in_flight: open(Count::RequestStarted, Count::RequestEnded),
        held: open(Count::HeldStarted, Count::HeldEnded),
        pending: open(Count::PendingStarted, Count::PendingEnded),
        hedge_after_ms: view
            .stats
            .hedge_after()
            .map(|after| millis(after.as_secs_f64())),
        tunnels: open(Count::TunnelOpened, Count::TunnelClosed),
        endpoints: snapshot
            .members
            .iter()
            .map(|member| endpoint(member, all))
            .collect(),
    }
}

fn attempts(member: &Member) -> u64 {
    member.stats.attempts()
}

fn endpoint(member: &Member, all: u64) -> Endpoint {
    let (reason, until) = held(&member.health);
    let requests = attempts(member);
    Endpoint {
        pod: member.endpoint.pod.clone(),
        address: member.address(),
        node: member.endpoint.node.clone(),
        zone: member.endpoint.zone.clone(),
        state: member.state(),
        cause: member.health.cause().map(|cause| cause.rule().as_str()),
        reason,
        until,
        weight: member.endpoint.weight,
        reported_weight: member.reported.map(|weight| weight.map(of_mean)),
        slow_start: member.ramp.map(|ramp| rounded(ramp.share(Instant::now()))),
        in_flight: member.stats.in_flight(),
        limit: member.stats.limit().map(|limit| limit.most()),
        connections: member.stats.connections().map(|bound| bound.used()),
        connection_limit: member.stats.connections().map(|bound| bound.most()),
        tunnels: member.stats.tunnels(),
        cost_ms: member.stats.latency().map(|latency| {
            let seconds = latency.cost(Instant::now())?;
            Some(millis(seconds))
        }),
        requests,
        share: share(requests, all),
    }
}

fn of_mean(weight: u32) -> f64 {
    f64::from(weight) / f64::from(MEAN_WEIGHT)
}

/// Why a pod would be left out, and until when.
fn held(health: &Health) -> (Option<String>, Option<String>) {
    match health {
        Health::Healthy => (None, None),
        Health::Unchecked => (Some("it waits for its first health check".to_owned()), None),
        Health::Unhealthy { reason } => (Some(reason.clone()), None),
        Health::Panic { held: otherwise } => held(otherwise),
        Health::Ejected { until, cause } => (Some(cause.to_string()), rfc3339(*until)),
        Health::Trial { cause } => (Some(cause.to_string()), None),
    }
}

/// With three digits after the point.
fn millis(seconds: f64) -> f64 {
    (seconds * 1e6).round() / 1e3
}

/// Rounded to four digits: readers want a percentage, not a fraction's tail.
fn share(requests: u64, all: u64) -> f64 {
    if all == 0 {
        return 0.0;
    }
    rounded(requests as f64 / all as f64)
}

fn rounded(share: f64) -> f64 {
    (share * 1e4).round() / 1e4
}

/// Milliseconds are enough for people; a moment beyond RFC 3339's years is left out.
fn rfc3339(moment: SystemTime) -> Option<String> {
    let moment = Timestamp::try_from(moment).ok()?;
    Some(format!("{moment:.3}"))
}
