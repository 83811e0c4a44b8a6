//! What becomes of the flags.

mod contradictions;
mod targets;

use clap::FromArgMatches;
use rustls::pki_types::ServerName;

use super::*;
use crate::config::{
    ClientFiles, Ejection, FailureCodes, FailureStatuses, Failures, FamilyChoice, FileSelector,
    HealthCheck, LogFormat, NewPods, Outliers, Overload, PodRequests, Policy, PortRef,
    RetrySettings, SlowStart, Statuses, Thresholds, TlsFiles, TlsWhen, UpstreamTls,
};

fn surroundings(namespace: Option<&str>) -> Surroundings {
    Surroundings {
        namespace: namespace.map(str::to_owned),
        workers: NonZeroUsize::new(3).unwrap(),
    }
}

fn resolve_in(namespace: Option<&str>, flags: &[&str]) -> Result<Config, String> {
    let args = [&["podrobin", "run"], flags].concat();
    let matches = crate::cli::command().get_matches_from(args);
    let run = matches.subcommand_matches("run").unwrap();
    let raw = RunArgs::from_arg_matches(run).unwrap();
    config(raw, Some(run), &surroundings(namespace)).map_err(|refusal| format!("{refusal:?}"))
}

fn resolve(flags: &[&str]) -> Result<Config, String> {
    resolve_in(Some("shop"), flags)
}

#[test]
fn one_service_is_all_it_takes() {
    let config = resolve(&["--service", "cart"]).unwrap();
    assert_eq!(config.targets.len(), 1);
    assert_eq!(config.targets[0].name(), "shop/cart");
    assert_eq!(config.targets[0].listen.to_string(), "127.0.0.1:8000");
    assert_eq!(config.targets[0].policy, Policy::RoundRobin);
    assert_eq!(config.admin.to_string(), "0.0.0.0:9800");
    assert_eq!(config.workers.get(), 3);
    assert_eq!(config.limits, Limits::default());
    assert_eq!(config.timeouts, Timeouts::default());
    assert_eq!(config.retry, RetrySettings::default());
    assert_eq!(config.ejection, Ejection::default());
    assert_eq!(config.access_log, None);
    assert_eq!(config.pod.namespace.as_deref(), Some("shop"));
}

#[test]
fn every_flag_reaches_its_setting() {
    let flags = "--service 127.0.0.1:1=a/b:http --admin 127.0.0.1:2 --workers 5 --policy random --max-endpoints 22 \
        --connect-timeout 1ms --header-timeout 2ms --client-idle-timeout 3ms --client-stall 17ms \
        --upstream-idle-timeout 4ms --response-timeout 5ms --request-timeout 6ms --hold 7ms --drain 8ms \
        --max-header-bytes 9KiB --max-header-count 10 --max-connections 11 --max-requests 12 \
        --max-pod-requests 23 --max-pod-connections 26 --pending 24 --pending-timeout 25ms \
        --max-held 13 --max-idle-per-pod 14 --max-idle 15 --max-replay-bytes 16 \
        --retries 4 --retry-on 5xx,unavailable --per-try-timeout 4ms --retry-backoff 1ms..23ms --hedge p90:min=3ms --retry-budget-ratio 0.5 --retry-budget-floor 18 \
        --kubeconfig k --context c --namespace n --pod-name p --pod-ip ::1 --node o --zone z \
        --address-family ipv6 --access-log json --upstream-protocol http2 \
        --upstream-keepalive 19ms --tunnel-idle-timeout 20ms --max-upgrades 21 --upstream-tls on \
        --upstream-ca ca.crt --upstream-server-name a.test --upstream-client-cert tls.crt \
        --upstream-client-key tls.key --slow-start 23s --slow-start-floor 24 --slow-start-curve 2.5 \
        --health-check http:/healthz --health-check-interval 25s --health-check-timeout 26ms \
        --health-check-unhealthy-after 27 --health-check-healthy-after 28 --health-check-statuses 204,3xx \
        --health-check-host a.test:1 --health-check-at 29 --new-pods wait \
        --eject-success-rate 1.5 --eject-failure-percentage 25 --eject-latency 3.5 --eject-interval 26ms \
        --eject-consecutive 30 --eject-time 31s --eject-longest 32s --eject-most 33 --panic-threshold 34 \
        --eject-min-requests 27 --eject-min-pods 28 --failure-statuses 429,5xx --failure-grpc aborted";
    let flags: Vec<&str> = flags.split_whitespace().collect();
    let config = resolve(&flags).unwrap();
    let ms = std::time::Duration::from_millis;
    assert_eq!(config.targets[0].policy, Policy::Random);
    assert_eq!(config.workers.get(), 5);
    let own = "p".to_owned();
    assert_eq!(config.subset, Some(Subset { most: 22, own }));
    let slow_start = SlowStart {
        window: ms(23_000),
        floor: 0.24,
        curve: 2.5,
    };
    assert_eq!(config.slow_start, Some(slow_start));
    let mut statuses = Statuses::default();
    statuses.add("204".parse().unwrap());
    statuses.add("3xx".parse().unwrap());
    let health_check = HealthCheck {
        probe: "http:/healthz".parse().unwrap(),
        interval: ms(25_000),
        timeout: ms(26),
        thresholds: Thresholds {
            unhealthy_after: 27,
            healthy_after: 28,
        },
        statuses,
        host: "a.test:1".parse().ok(),
        port: Some(29),
        new_pods: NewPods::Wait,
    };
    assert_eq!(config.health_check, Some(health_check));
    let ejection = Ejection {
        consecutive: Some(30),
        first: ms(31_000),
        longest: ms(32_000),
        most: 33,
    };
    assert_eq!(config.ejection, ejection);
    assert_eq!(config.panic_threshold, Some(34));
    let outliers = Outliers {
        success_rate: Some(1.5),
        failure_percentage: Some(25.0),
        latency: Some(3.5),
        interval: ms(26),
        min_requests: 27,
        min_pods: 28,
    };
    assert_eq!(config.outliers, Some(outliers));
    let FailureStatuses(statuses) = "429,5xx".parse().unwrap();
    let FailureCodes(codes) = "aborted".parse().unwrap();
    let failures = Failures {
        statuses: Some(statuses),
        codes: Some(codes),
    };
    assert_eq!(config.failures, failures);
    assert_eq!(
        config.timeouts,
        Timeouts {
            connect: ms(1),
            header: ms(2),
            client_idle: ms(3),
            client_stall: ms(17),
            upstream_idle: ms(4),
            upstream_keepalive: ms(19),
            response: Some(ms(5)),
            request: Some(ms(6)),
            tunnel_idle: Some(ms(20)),
            hold: ms(7),
            drain: ms(8),
        }
    );
    assert_eq!(
        config.upstream_tls,
        UpstreamTls {
            when: TlsWhen::On,
            files: Some(TlsFiles {
                ca: "ca.crt".into(),
                client: Some(ClientFiles {
                    certificate: "tls.crt".into(),
                    key: "tls.key".into(),
                }),
            }),
            server_name: ServerName::try_from("a.test").ok(),
        }
    );
    assert_eq!(
        config.limits,
        Limits {
            header_bytes: 9 * 1024,
            header_count: 10,
            connections: 11,
            requests: 12,
            upgrades: 21,
            held: 13,
            idle_per_pod: 14,
            idle_total: 15,
            replay_bytes: 16,
        }
    );
    assert_eq!(
        config.overload,
        Overload {
            pod_requests: Some(PodRequests::Fixed(23)),
            pod_connections: Some(26),
            pending: 24,
            pending_timeout: ms(25),
        }
    );
    assert_eq!(
        config.retry,
        RetrySettings {
            retries: 4,
            on: "5xx,unavailable".parse().unwrap(),
            per_try: Some(ms(4)),
            backoff: Some("1ms..23ms".parse().unwrap()),
            hedge: Some("p90:min=3ms".parse().unwrap()),
            budget_ratio: 0.5,
            budget_floor: 18,
        }
    );
    assert_eq!(
        config.pod,
        OwnPod {
            name: Some("p".to_owned()),
            namespace: Some("n".to_owned()),
            node: Some("o".to_owned()),
            zone: Some("z".to_owned()),
            ip: Some("::1".parse().unwrap()),
            family: FamilyChoice::Ipv6,
        }
    );
    assert_eq!(config.kube.kubeconfig, Some("k".into()));
    assert_eq!(config.kube.context.as_deref(), Some("c"));
    assert_eq!(config.access_log, Some(LogFormat::Json));
}

#[test]
fn fewer_connections_to_a_pod_than_workers_are_refused_with_the_mend() {
    let with = |most| {
        let flags = ["--service", "cart", "--workers", "3"];
        resolve(&[&flags[..], &["--max-pod-connections", most]].concat())
    };
    let refusal = with("2").unwrap_err();
    for word in [
        "--max-pod-connections is 2",
        "3 workers",
        "raise it to 3",
        "--workers 2",
    ] {
        assert!(refusal.contains(word), "{refusal}");
    }
    assert_eq!(with("3").unwrap().overload.pod_connections, Some(3));
}

#[test]
fn what_still_has_a_use_with_no_ejection_for_failures_in_a_row_is_taken() {
    let off = ["--service", "cart", "--eject-consecutive", "0"];
    for more in [
        &[] as &[&str],
        &[
            "--eject-latency",
            "3",
            "--eject-time",
            "2s",
            "--failure-statuses",
            "429",
        ],
        &["--failure-statuses", "429", "--policy", "peak-ewma"],
        // Pods that stand out were out for no longer than the longest time before it could be set.
        &["--eject-latency", "3", "--eject-interval", "1m"],
    ] {
        let config = resolve(&[&off, more].concat()).unwrap();
        assert_eq!(config.ejection.consecutive, None);
    }
}
