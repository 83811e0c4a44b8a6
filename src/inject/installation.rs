//! What whoever installed podrobin has chosen, for all pods.

use super::Quantity;

/// App teams choose by annotation what is theirs to choose; this is the rest, and the defaults.
#[derive(Clone, Debug, PartialEq)]
pub struct Installation {
    pub image: String,
    pub image_pull_policy: PullPolicy,
    pub sidecar: SidecarMode,
    pub resources: Resources,
    /// Further variables of the sidecar. One that it has anyway is replaced.
    pub extra_env: Vec<(String, String)>,
    /// What the cluster's DNS names end with.
    pub cluster_domain: String,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum PullPolicy {
    #[value(name = "Always")]
    Always,
    #[default]
    #[value(name = "IfNotPresent")]
    IfNotPresent,
    #[value(name = "Never")]
    Never,
}

/// What kind of container the sidecar is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum SidecarMode {
    /// An init container that is restarted always: starts before the app, ends after it (Kubernetes 1.29 and later)
    #[default]
    Native,
    /// A container beside the app's, for older clusters
    Plain,
}

/// Requests and limits of the sidecar; `None` is none.
#[derive(Clone, Debug, PartialEq)]
pub struct Resources {
    pub cpu_request: Option<Quantity>,
    pub memory_request: Option<Quantity>,
    pub cpu_limit: Option<Quantity>,
    pub memory_limit: Option<Quantity>,
}

impl Default for Installation {
    fn default() -> Self {
        Self {
            image: concat!("ghcr.io/podrobin/podrobin:", env!("CARGO_PKG_VERSION")).to_owned(),
            image_pull_policy: PullPolicy::default(),
            sidecar: SidecarMode::default(),
            resources: Resources::default(),
            extra_env: Vec::new(),
            cluster_domain: "cluster.local".to_owned(),
        }
    }
}

impl Default for Resources {
    fn default() -> Self {
        Self {
            cpu_request: "50m".parse().ok(),
            memory_request: "32Mi".parse().ok(),
            cpu_limit: None,
            memory_limit: "128Mi".parse().ok(),
        }
    }
}

impl PullPolicy {
    /// As Kubernetes writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Always => "Always",
            Self::IfNotPresent => "IfNotPresent",
            Self::Never => "Never",
        }
    }
}

impl Resources {
    /// These, and where there is none, those.
    pub(super) fn over(&self, others: &Self) -> Self {
        let choose = |own: &Option<Quantity>, other: &Option<Quantity>| {
            own.clone().or_else(|| other.clone())
        };
        Self {
            cpu_request: choose(&self.cpu_request, &others.cpu_request),
            memory_request: choose(&self.memory_request, &others.memory_request),
            cpu_limit: choose(&self.cpu_limit, &others.cpu_limit),
            memory_limit: choose(&self.memory_limit, &others.memory_limit),
        }
    }
}
