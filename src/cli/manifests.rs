//! Flags of the commands that change manifests.

use std::path::PathBuf;

use clap::Args;

use super::installation::InstallationArgs;
use crate::manifests::Change;
use crate::value;

#[derive(Args, Clone, Debug)]
pub struct InjectArgs {
    /// Files of manifests, YAML or JSON; - is standard input, as is no file at all
    #[arg(value_name = "FILE")]
    pub files: Vec<PathBuf>,

    #[command(flatten, next_help_heading = "Pods")]
    pub pods: PodArgs,

    #[command(flatten, next_help_heading = "Sidecar")]
    pub installation: InstallationArgs,
}

/// What pods are to say that do not say it themselves.
#[derive(Args, Clone, Debug)]
pub struct PodArgs {
    /// Annotation podrobin.io/service for pods that have none: the Services whose requests go through the sidecar
    #[arg(
        long,
        env = "PODROBIN_INJECT_SERVICE",
        value_name = "[LISTEN=][NAMESPACE/]NAME[:PORT]"
    )]
    pub service: Option<String>,

    /// Annotation podrobin.io/capture: "true" for pods that have none
    #[arg(long, env = "PODROBIN_INJECT_CAPTURE")]
    pub capture: bool,

    /// Annotation podrobin.io/listen for pods that have none
    #[arg(long, env = "PODROBIN_INJECT_LISTEN", value_name = "ADDR:PORT")]
    pub listen: Option<String>,

    /// Annotation podrobin.io/policy for pods that have none
    #[arg(long, env = "PODROBIN_INJECT_POLICY", value_name = "POLICY")]
    pub policy: Option<String>,

    /// Annotation podrobin.io/log-level for pods that have none
    #[arg(long, env = "PODROBIN_INJECT_LOG_LEVEL", value_name = "LEVEL")]
    pub log_level: Option<String>,

    /// Namespace of manifests that name none, if it matters: capture needs it
    #[arg(
        long,
        env = "PODROBIN_INJECT_NAMESPACE",
        value_name = "NAME",
        value_parser = |text: &str| value::label(text, "namespace")
    )]
    pub namespace: Option<String>,
}

#[derive(Args, Clone, Debug)]
pub struct UninjectArgs {
    /// Files of manifests, YAML or JSON; - is standard input, as is no file at all
    #[arg(value_name = "FILE")]
    pub files: Vec<PathBuf>,
}

impl InjectArgs {
    pub(super) fn change(&self) -> Change {
        let pods = self.pods.clone();
        let capture = pods.capture.then(|| "true".to_owned());
        let annotations = [
            ("podrobin.io/service", pods.service),
            ("podrobin.io/capture", capture),
            ("podrobin.io/listen", pods.listen),
            ("podrobin.io/policy", pods.policy),
            ("podrobin.io/log-level", pods.log_level),
        ];
        Change::Inject {
            installation: Box::new(self.installation.clone().into()),
            namespace: pods.namespace,
            annotations: annotations
                .into_iter()
                .filter_map(|(name, value)| Some((name, value?)))
                .collect(),
        }
    }
}
