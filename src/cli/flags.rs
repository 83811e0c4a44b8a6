//! The flags of each command as clap sees them; `resolve` makes settings of them.
//!
//! Every flag has a variable in the environment, `PODROBIN_` and its name. Defaults come from [`crate::config`].

mod demo;
mod ejection;
mod endpoints;
mod failures;
mod health_check;
mod kubernetes;
mod limits;
mod listeners;
mod logs;
mod outliers;
mod overload;
mod retry;
mod slow_start;
mod timeouts;
mod tls;

use clap::Args;

pub use demo::{DemoArgs, Scene};
pub use ejection::EjectionArgs;
pub use endpoints::EndpointArgs;
pub use failures::FailureArgs;
pub use health_check::HealthCheckArgs;
pub use kubernetes::KubernetesArgs;
pub use limits::LimitArgs;
pub use listeners::ListenerArgs;
pub use logs::{AccessLogArg, AccessLogArgs, LogArgs};
pub use outliers::OutlierArgs;
pub use overload::OverloadArgs;
pub use retry::RetryArgs;
pub use slow_start::SlowStartArgs;
pub use timeouts::TimeoutArgs;
pub use tls::TlsArgs;

#[derive(Args, Clone, Debug)]
pub struct RunArgs {
    #[command(flatten, next_help_heading = "Endpoints")]
    pub endpoints: EndpointArgs,
    #[command(flatten, next_help_heading = "TLS to pods")]
    pub tls: TlsArgs,
    #[command(flatten, next_help_heading = "Listeners")]
    pub listeners: ListenerArgs,
    #[command(flatten, next_help_heading = "Timeouts")]
    pub timeouts: TimeoutArgs,
    #[command(flatten, next_help_heading = "Limits")]
    pub limits: LimitArgs,
    #[command(flatten, next_help_heading = "Health")]
    pub health_check: HealthCheckArgs,
    #[command(flatten, next_help_heading = "Health")]
    pub slow_start: SlowStartArgs,
    #[command(flatten, next_help_heading = "Health")]
    pub ejection: EjectionArgs,
    #[command(flatten, next_help_heading = "Health")]
    pub outliers: OutlierArgs,
    #[command(flatten, next_help_heading = "Health")]
    pub failures: FailureArgs,
    #[command(flatten, next_help_heading = "Limits per pod")]
    pub overload: OverloadArgs,
    #[command(flatten, next_help_heading = "Retries")]
    pub retries: RetryArgs,
    #[command(flatten, next_help_heading = "Kubernetes")]
    pub kubernetes: KubernetesArgs,
    #[command(flatten, next_help_heading = "Logs")]
    pub logs: LogArgs,
    #[command(flatten, next_help_heading = "Logs")]
    pub access_log: AccessLogArgs,
}
