//! Where the API server is and who we are to it: a pod's service account, or a kubeconfig.

use std::path::{Path, PathBuf};

use kube::client::AuthError;
use kube::config::{InClusterError, KubeConfigOptions, Kubeconfig};

use crate::config::KubeAccess;

use super::{one_line, root_cause};

/// Where the kubelet puts a pod's credentials.
const SERVICE_ACCOUNT: &str = "/var/run/secrets/kubernetes.io/serviceaccount";

/// Where the credentials came from, so that a refusal can say what to renew.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Credentials {
    ServiceAccount,
    Kubeconfig(PathBuf),
    None,
}

/// Why there is no way to the API server. Each is one line that names the mend.
#[derive(Debug, thiserror::Error)]
pub enum KubeError {
    #[error(
        "not in a pod (KUBERNETES_SERVICE_HOST is not set): give --kubeconfig FILE, or --endpoint ADDR for a fixed list"
    )]
    NotInPod,
    #[error(
        "this pod has no service account token ({reason}): mount one at {SERVICE_ACCOUNT} \
         (automountServiceAccountToken: true, or a projected volume), or give --kubeconfig FILE or --endpoint ADDR"
    )]
    NoServiceAccount { reason: String },
    #[error("--kubeconfig {}: {reason}", path.display())]
    Kubeconfig { path: PathBuf, reason: String },
    #[error("--context {wanted}: no such context in {}; there is {known}", path.display())]
    Context {
        wanted: String,
        path: PathBuf,
        known: String,
    },
    #[error("--context {0} names a context of a kubeconfig: give --kubeconfig FILE too")]
    ContextAlone(String),
    #[error("cannot use {credentials}: {reason}")]
    Client {
        credentials: Credentials,
        reason: String,
    },
}

/// Finds the credentials.
pub(super) async fn read(access: &KubeAccess) -> Result<(kube::Config, Credentials), KubeError> {
    match (&access.kubeconfig, &access.context) {
        (Some(path), context) => {
            let config = from_kubeconfig(path, context.as_deref()).await?;
            Ok((config, Credentials::Kubeconfig(path.clone())))
        }
        (None, Some(context)) => Err(KubeError::ContextAlone(context.clone())),
        (None, None) => {
            let config = kube::Config::incluster().map_err(|error| in_pod_error(&error))?;
            Ok((config, Credentials::ServiceAccount))
        }
    }
}

impl std::fmt::Display for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::ServiceAccount => write!(f, "the service account in {SERVICE_ACCOUNT}"),
            Self::Kubeconfig(path) => write!(f, "--kubeconfig {}", path.display()),
            Self::None => f.write_str("no credentials"),
        }
    }
}

async fn from_kubeconfig(path: &Path, context: Option<&str>) -> Result<kube::Config, KubeError> {
    let failed = |reason: String| KubeError::Kubeconfig {
        path: path.to_owned(),
        reason,
    };
    let kubeconfig = Kubeconfig::read_from(path)
        .map_err(|error| failed(format!("cannot read it: {}", root_cause(&error))))?;
    if let Some(wanted) = context {
        let names: Vec<&str> = kubeconfig
            .contexts
            .iter()
            .map(|context| context.name.as_str())
            .collect();
        if !names.contains(&wanted) {
            return Err(KubeError::Context {
                wanted: wanted.to_owned(),
                path: path.to_owned(),
                known: if names.is_empty() {
                    "none".to_owned()
                } else {
                    names.join(", ")
                },
            });
        }
    }
    // The environment's proxies are for the outer world; one that the file itself asks for must not be passed over.
    if kubeconfig
        .clusters
        .iter()
        .filter_map(|cluster| cluster.cluster.as_ref())
        .any(|cluster| cluster.proxy_url.is_some())
    {
        return Err(failed(
            "it has a proxy-url, which podrobin does not support: reach the API server directly"
                .to_owned(),
        ));
    }
    let options = KubeConfigOptions {
        context: context.map(str::to_owned),
        ..KubeConfigOptions::default()
    };
    kube::Config::from_custom_kubeconfig(kubeconfig, &options)
        .await
        .map_err(|error| match error {
            kube::config::KubeconfigError::CurrentContextNotSet => {
                failed("it has no current-context: give --context NAME".to_owned())
            }
            error => failed(one_line(&error.to_string())),
        })
}

pub(super) fn in_pod_error(error: &InClusterError) -> KubeError {
    match error {
        InClusterError::ReadEnvironmentVariable(_) => KubeError::NotInPod,
        error => KubeError::NoServiceAccount {
            reason: one_line(&error.to_string()),
        },
    }
}

/// Why there are no credentials. A credential plugin's arguments, environment and output may hold some: left out.
pub(crate) fn auth_failure(error: &AuthError) -> String {
    match error {
        AuthError::AuthExecRun { out, .. } => {
            format!("its credential plugin failed with {}", out.status)
        }
        AuthError::AuthExecParse(_) | AuthError::ParseTokenKey(_) => {
            "what its credential plugin wrote cannot be read".to_owned()
        }
        error => one_line(&error.to_string()),
    }
}
