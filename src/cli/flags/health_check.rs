//! How pods are checked, beside what requests tell of them.

use std::num::NonZeroU16;
use std::time::Duration;

use clap::{ArgAction, Args};
use http::uri::Authority;

use crate::config::{NewPods, Probe, StatusRange, Thresholds};
use crate::value::{self, Span};

#[derive(Args, Clone, Debug)]
pub struct HealthCheckArgs {
    /// Check each pod at intervals, once for the whole sidecar: http:/PATH (GET, and look at the status), tcp (connect),
    /// grpc or grpc:SERVICE (grpc.health.v1.Health). One that fails gets no requests, unless all do. By default pods are
    /// not checked; docs/health.md
    #[arg(long, env = "PODROBIN_HEALTH_CHECK", value_name = "CHECK")]
    pub health_check: Option<Probe>,

    /// From one check of a pod to its next, give or take a tenth
    #[arg(
        long,
        env = "PODROBIN_HEALTH_CHECK_INTERVAL",
        value_name = "TIME",
        default_value_t = Span(Duration::from_secs(10)),
        value_parser = value::positive
    )]
    pub health_check_interval: Span,

    /// How long a check may take, connecting included
    #[arg(
        long,
        env = "PODROBIN_HEALTH_CHECK_TIMEOUT",
        value_name = "TIME",
        default_value_t = Span(Duration::from_secs(1)),
        value_parser = value::positive
    )]
    pub health_check_timeout: Span,

    /// Checks in a row that a pod in use must fail to be unhealthy
    #[arg(
        long,
        env = "PODROBIN_HEALTH_CHECK_UNHEALTHY_AFTER",
        value_name = "N",
        default_value_t = Thresholds::default().unhealthy_after,
        value_parser = clap::value_parser!(u32).range(1..=100)
    )]
    pub health_check_unhealthy_after: u32,

    /// Checks in a row that an unhealthy pod must pass to be healthy
    #[arg(
        long,
        env = "PODROBIN_HEALTH_CHECK_HEALTHY_AFTER",
        value_name = "N",
        default_value_t = Thresholds::default().healthy_after,
        value_parser = clap::value_parser!(u32).range(1..=100)
    )]
    pub health_check_healthy_after: u32,

    /// Statuses of a healthy pod, for http:/PATH: 200, 2xx, 200-399
    #[arg(
        long,
        env = "PODROBIN_HEALTH_CHECK_STATUSES",
        value_name = "LIST",
        value_delimiter = ',',
        action = ArgAction::Append,
        default_value = "200-399"
    )]
    pub health_check_statuses: Vec<StatusRange>,

    /// The Host that http:/PATH asks for, by default the pod's address
    #[arg(long, env = "PODROBIN_HEALTH_CHECK_HOST", value_name = "NAME[:PORT]")]
    pub health_check_host: Option<Authority>,

    /// The port that is checked, by default the one that requests go to. The same is spoken there: TLS, HTTP/2
    #[arg(long, env = "PODROBIN_HEALTH_CHECK_AT", value_name = "PORT")]
    pub health_check_at: Option<NonZeroU16>,

    /// What becomes of a pod that no check has been made of: it is used at once, or waits for its first check
    #[arg(long, env = "PODROBIN_NEW_PODS", value_enum, default_value_t)]
    pub new_pods: NewPods,
}
