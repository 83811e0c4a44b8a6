//! The table of metric families.

use prometheus_client::encoding::EncodeMetric;

use super::series::{
    age, by_class_and_flag, checks, connections, costs, count, each_pod, ejections, endpoints,
    hedges, latency, limits, open, overflows, phases, pod_requests, reported_weights, seconds,
    slow_starts,
};
use super::{Family, Kind, Number, Samples};
use crate::stats::Count;

const TARGET: &[&str] = &["target"];
const POD: &[&str] = &["target", "pod", "address"];

/// The families of the sidecar's `/metrics`, in the order shown, which ends with [`super::COMMON`].
pub const FAMILIES: &[Family] = &[
    Family {
        name: "podrobin_requests",
        kind: Kind::Counter,
        labels: &["target", "class", "flag"],
        help: "Requests that ended, by status class (2xx) and error flag (- for none)",
        samples: Samples::Series(|target| {
            by_class_and_flag(|class, flag| target.stats.finished(class, flag))
        }),
    },
    Family {
        name: "podrobin_request_duration_seconds",
        kind: Kind::Histogram,
        labels: TARGET,
        help: "From a request's head to the last byte of its response",
        samples: Samples::Histogram(latency),
    },
    Family {
        name: "podrobin_requests_in_flight",
        kind: Kind::Gauge,
        labels: TARGET,
        help: "Requests whose response has not ended, held ones included",
        samples: Samples::Target(|_, target| {
            open(target, Count::RequestStarted, Count::RequestEnded)
        }),
    },
    Family {
        name: "podrobin_requests_held",
        kind: Kind::Gauge,
        labels: TARGET,
        help: "Requests that wait for an endpoint now",
        samples: Samples::Target(|_, target| open(target, Count::HeldStarted, Count::HeldEnded)),
    },
    Family {
        name: "podrobin_holds",
        kind: Kind::Counter,
        labels: TARGET,
        help: "Requests that had to wait for an endpoint",
        samples: Samples::Target(|_, target| count(target, Count::HeldStarted)),
    },
    Family {
        name: "podrobin_requests_pending",
        kind: Kind::Gauge,
        labels: TARGET,
        help: "Requests that wait for room now, as every pod is full",
        samples: Samples::Target(|_, target| {
            open(target, Count::PendingStarted, Count::PendingEnded)
        }),
    },
    Family {
        name: "podrobin_queued",
        kind: Kind::Counter,
        labels: TARGET,
        help: "Requests that had to wait for room, as every pod was full",
        samples: Samples::Target(|_, target| count(target, Count::PendingStarted)),
    },
    Family {
        name: "podrobin_overflows",
        kind: Kind::Counter,
        labels: &["target", "cause"],
        help: "Requests answered 503 as every pod was full: timeout, waited in vain; queue, could not even wait",
        samples: Samples::Series(overflows),
    },
    Family {
        name: "podrobin_attempts",
        kind: Kind::Counter,
        labels: TARGET,
        help: "Times a request was sent to a pod, retries and second attempts of --hedge included",
        samples: Samples::Target(|_, target| count(target, Count::Attempt)),
    },
    Family {
        name: "podrobin_retries",
        kind: Kind::Counter,
        labels: TARGET,
        help: "Attempts after one that failed",
        samples: Samples::Target(|_, target| count(target, Count::Retry)),
    },
    Family {
        name: "podrobin_retries_refused",
        kind: Kind::Counter,
        labels: TARGET,
        help: "Retries that the retry budget did not allow",
        samples: Samples::Target(|_, target| count(target, Count::RetryRefused)),
    },
    Family {
        name: "podrobin_hedges",
        kind: Kind::Counter,
        labels: &["target", "result"],
        help: "Requests that ended and had been sent to a second pod while the first was silent: won, it answered first; lost, the other did or the client left; failed, it brought no answer that counts",
        samples: Samples::Series(hedges),
    },
    Family {
        name: "podrobin_hedges_refused",
        kind: Kind::Counter,
        labels: TARGET,
        help: "Second attempts beside a silent one that the retry budget did not allow",
        samples: Samples::Target(|_, target| count(target, Count::HedgeRefused)),
    },
    Family {
        name: "podrobin_hedge_after_seconds",
        kind: Kind::Gauge,
        labels: TARGET,
        help: "How long a request is left to one pod before it goes to a second one too (--hedge); absent while that is not known",
        samples: Samples::Target(|_, target| target.stats.hedge_after().map(seconds)),
    },
    Family {
        name: "podrobin_pod_requests",
        kind: Kind::Counter,
        labels: &["target", "pod", "address", "class", "flag"],
        help: "Requests that ended at this pod, by status class and error flag",
        samples: Samples::Series(pod_requests),
    },
    Family {
        name: "podrobin_pod_attempts",
        kind: Kind::Counter,
        labels: POD,
        help: "Times a request was sent to this pod",
        samples: Samples::Series(|target| each_pod(target, |member| member.stats.attempts())),
    },
    Family {
        name: "podrobin_pod_in_flight",
        kind: Kind::Gauge,
        labels: POD,
        help: "Requests sent to this pod that have not ended",
        samples: Samples::Series(|target| each_pod(target, |member| member.stats.in_flight())),
    },
    Family {
        name: "podrobin_pod_limit",
        kind: Kind::Gauge,
        labels: POD,
        help: "The most requests in flight at this pod that this sidecar allows itself, where it has a limit",
        samples: Samples::Series(limits),
    },
    Family {
        name: "podrobin_pod_connections",
        kind: Kind::Gauge,
        labels: POD,
        help: "Connections of this sidecar to this pod, tunnels among them, where --max-pod-connections limits them",
        samples: Samples::Series(connections),
    },
    Family {
        name: "podrobin_pod_weight",
        kind: Kind::Gauge,
        labels: POD,
        help: "The weight of this pod, which the policy weighted goes by; 0 drains it under any policy",
        samples: Samples::Series(|target| each_pod(target, |member| member.endpoint.weight.into())),
    },
    Family {
        name: "podrobin_pod_reported_weight",
        kind: Kind::Gauge,
        labels: POD,
        help: "What the policy weighted:orca makes of the reports of this pod, 1 being the mean; absent while they do not count",
        samples: Samples::Series(reported_weights),
    },
    Family {
        name: "podrobin_pod_slow_start",
        kind: Kind::Gauge,
        labels: POD,
        help: "What part of its share this pod gets while slow start holds it back, 0 to 1; absent once that is over",
        samples: Samples::Series(slow_starts),
    },
    Family {
        name: "podrobin_pod_cost_seconds",
        kind: Kind::Gauge,
        labels: POD,
        help: "What the policy peak-ewma takes a request to this pod to cost, once it has answered one",
        samples: Samples::Series(costs),
    },
    Family {
        name: "podrobin_policy",
        kind: Kind::Gauge,
        labels: &["target", "policy"],
        help: "1 for the policy that chooses the pods of this target",
        samples: Samples::Series(|target| vec![(vec![target.policy.clone()], Number::Whole(1))]),
    },
    Family {
        name: "podrobin_endpoints",
        kind: Kind::Gauge,
        labels: &["target", "state"],
        help: "Endpoints of the list, by state; ready, fallback, trial and panic get traffic",
        samples: Samples::Series(endpoints),
    },
    Family {
        name: "podrobin_panic",
        kind: Kind::Gauge,
        labels: TARGET,
        help: "1 while pods are used that would be left out (state panic), as too few others are usable",
        samples: Samples::Target(|_, target| Some(Number::Whole(target.snapshot.panics.into()))),
    },
    Family {
        name: "podrobin_ejections",
        kind: Kind::Counter,
        labels: &["target", "cause", "flag"],
        help: "Pods taken out of the rotation, by what found them (failures, status, grpc or silence in a row; success_rate, failure_percentage or latency in an interval) and the flag of the last failure (- where that was an answer, or the pod stood out from the others)",
        samples: Samples::Series(ejections),
    },
    Family {
        name: "podrobin_health_checks",
        kind: Kind::Counter,
        labels: &["target", "result"],
        help: "Active checks of pods (--health-check), passed and failed",
        samples: Samples::Series(checks),
    },
    Family {
        name: "podrobin_watch_phase",
        kind: Kind::Gauge,
        labels: &["target", "phase"],
        help: "1 for the phase the source of endpoints is in: starting, live, relisting or stale",
        samples: Samples::Series(phases),
    },
    Family {
        name: "podrobin_watch_failing",
        kind: Kind::Gauge,
        labels: TARGET,
        help: "1 while something is wrong with the source of endpoints; /state and the log say what",
        samples: Samples::Target(|_, target| {
            Some(Number::Whole(target.status.error.is_some().into()))
        }),
    },
    Family {
        name: "podrobin_list_confirmed_seconds",
        kind: Kind::Gauge,
        labels: TARGET,
        help: "Seconds since the list was last known to be right",
        samples: Samples::Target(|scrape, target| Some(age(target.status.fresh?, scrape.now))),
    },
    Family {
        name: "podrobin_snapshot_age_seconds",
        kind: Kind::Gauge,
        labels: TARGET,
        help: "Seconds since the list in use last changed",
        samples: Samples::Target(|scrape, target| {
            (target.snapshot.version > 0).then(|| age(target.snapshot.published, scrape.now))
        }),
    },
    Family {
        name: "podrobin_list_updates",
        kind: Kind::Counter,
        labels: TARGET,
        help: "Lists taken into use",
        samples: Samples::Target(|_, target| Some(Number::Whole(target.metrics.updates.get()))),
    },
    Family {
        name: "podrobin_propagation_seconds",
        kind: Kind::Histogram,
        labels: TARGET,
        help: "From a change in the cluster (its last-change-trigger-time) to its use here",
        samples: Samples::Histogram(|target, encoder| target.metrics.propagation.encode(encoder)),
    },
    Family {
        name: "podrobin_apply_seconds",
        kind: Kind::Histogram,
        labels: TARGET,
        help: "From the last byte of a watch event to its use here",
        samples: Samples::Histogram(|target, encoder| target.metrics.apply.encode(encoder)),
    },
    Family {
        name: "podrobin_facts_dropped",
        kind: Kind::Counter,
        labels: TARGET,
        help: "Outcomes of requests that were not weighed for ejection because too many came at once",
        samples: Samples::Target(|_, target| count(target, Count::FactDropped)),
    },
    Family {
        name: "podrobin_client_connections",
        kind: Kind::Counter,
        labels: TARGET,
        help: "Client connections accepted",
        samples: Samples::Target(|_, target| count(target, Count::ConnectionOpened)),
    },
    Family {
        name: "podrobin_client_connections_open",
        kind: Kind::Gauge,
        labels: TARGET,
        help: "Client connections open now",
        samples: Samples::Target(|_, target| {
            open(target, Count::ConnectionOpened, Count::ConnectionClosed)
        }),
    },
    Family {
        name: "podrobin_client_connections_refused",
        kind: Kind::Counter,
        labels: TARGET,
        help: "Client connections past --max-connections",
        samples: Samples::Target(|_, target| count(target, Count::ConnectionRefused)),
    },
    Family {
        name: "podrobin_upstream_connections",
        kind: Kind::Counter,
        labels: TARGET,
        help: "Connections to pods opened",
        samples: Samples::Target(|_, target| count(target, Count::UpstreamOpened)),
    },
    Family {
        name: "podrobin_upstream_connections_open",
        kind: Kind::Gauge,
        labels: TARGET,
        help: "Connections to pods open now, idle ones included",
        samples: Samples::Target(|_, target| {
            open(target, Count::UpstreamOpened, Count::UpstreamClosed)
        }),
    },
    Family {
        name: "podrobin_tunnels",
        kind: Kind::Counter,
        labels: TARGET,
        help: "Upgraded connections (WebSocket and others) opened",
        samples: Samples::Target(|_, target| count(target, Count::TunnelOpened)),
    },
    Family {
        name: "podrobin_tunnels_open",
        kind: Kind::Gauge,
        labels: TARGET,
        help: "Upgraded connections open now",
        samples: Samples::Target(|_, target| {
            open(target, Count::TunnelOpened, Count::TunnelClosed)
        }),
    },
];
