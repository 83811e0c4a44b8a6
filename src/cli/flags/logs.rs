//! The log, and the access log.

use clap::{Args, ValueEnum};

use crate::config::LogFormat;
use crate::telemetry::{self, Filter};

#[derive(Args, Clone, Debug)]
pub struct LogArgs {
    /// Format of the log on standard error
    #[arg(long, env = "PODROBIN_LOG_FORMAT", value_enum, default_value_t)]
    pub log_format: LogFormat,

    /// What is logged: off, error, warn, info, debug or trace for podrobin itself, or directives such as
    /// podrobin::discovery=debug,kube=info
    #[arg(
        long,
        env = "PODROBIN_LOG_LEVEL",
        value_name = "LEVEL",
        default_value_t
    )]
    pub log_level: Filter,
}

#[derive(Args, Clone, Debug)]
pub struct AccessLogArgs {
    /// A line for each request on standard output
    #[arg(
        long,
        env = "PODROBIN_ACCESS_LOG",
        value_enum,
        default_value_t = AccessLogArg::Off
    )]
    pub access_log: AccessLogArg,
}

impl LogArgs {
    pub fn settings(&self) -> telemetry::Settings {
        telemetry::Settings {
            format: self.log_format,
            filter: self.log_level.clone(),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum AccessLogArg {
    Off,
    Text,
    Json,
}
