//! How pods are checked, beside what requests tell of them.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use http::uri::{Authority, PathAndQuery};

use super::Statuses;

/// What each pod of every target is asked, and what follows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HealthCheck {
    pub probe: Probe,
    /// From the end of one check to the next, give or take a tenth.
    pub interval: Duration,
    /// From the connection's beginning to the head of the answer.
    pub timeout: Duration,
    pub thresholds: Thresholds,
    /// HTTP statuses that are an answer of a healthy pod.
    pub statuses: Statuses,
    /// What HTTP checks ask for; by default the address.
    pub host: Option<Authority>,
    /// By default the port that requests go to.
    pub port: Option<u16>,
    pub new_pods: NewPods,
}

/// What a check does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Probe {
    /// `GET`, and look at the status.
    Http(PathAndQuery),
    /// Connect.
    Tcp,
    /// Ask `grpc.health.v1.Health`; the empty name is the whole server.
    Grpc(String),
}

/// Checks in a row that change a pod's standing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Thresholds {
    pub unhealthy_after: u32,
    pub healthy_after: u32,
}

/// What becomes of a pod that has not been checked yet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum NewPods {
    /// It is used at once.
    #[default]
    Use,
    /// It gets nothing before its first check is passed.
    Wait,
}

impl Default for Thresholds {
    fn default() -> Self {
        Self {
            unhealthy_after: 3,
            healthy_after: 1,
        }
    }
}

const EXPECTED: &str = "a check is http:/PATH, tcp, grpc or grpc:SERVICE";

impl FromStr for Probe {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once(':') {
            Some(("http", path)) => {
                let is_path = path.starts_with('/') && !path.contains('#');
                let path = path.parse().ok().filter(|_| is_path);
                path.map(Self::Http).ok_or_else(|| {
                    "the path of a check begins with /, such as http:/healthz".to_owned()
                })
            }
            Some(("grpc", service)) if !service.is_empty() => Ok(Self::Grpc(service.to_owned())),
            None if text == "tcp" => Ok(Self::Tcp),
            None if text == "grpc" => Ok(Self::Grpc(String::new())),
            _ => Err(EXPECTED.to_owned()),
        }
    }
}

impl fmt::Display for Probe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Http(path) => write!(f, "http:{path}"),
            Self::Tcp => f.write_str("tcp"),
            Self::Grpc(service) if service.is_empty() => f.write_str("grpc"),
            Self::Grpc(service) => write!(f, "grpc:{service}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_probe_reads_as_it_is_written_and_anything_else_says_what_one_is() {
        for text in [
            "http:/",
            "http:/healthz?full=1",
            "tcp",
            "grpc",
            "grpc:shop.Cart",
        ] {
            assert_eq!(text.parse::<Probe>().unwrap().to_string(), text);
        }
        for text in [
            "", "http", "https:/x", "tcp:80", "grpc:", "/healthz", "HTTP:/x",
        ] {
            let refused = text.parse::<Probe>().unwrap_err();
            assert_eq!(refused, EXPECTED, "{text}");
        }
        for text in ["http:", "http:healthz", "http://pod/x y", "http:/a#b"] {
            let refused = text.parse::<Probe>().unwrap_err();
            assert!(refused.contains("http:/healthz"), "{text}: {refused}");
        }
    }
}
