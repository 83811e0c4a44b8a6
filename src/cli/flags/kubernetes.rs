//! How the API server is reached, and what this pod is.

use std::net::IpAddr;
use std::path::PathBuf;

use clap::Args;

use crate::config::FamilyChoice;
use crate::value;

#[derive(Args, Clone, Debug)]
pub struct KubernetesArgs {
    /// Kubeconfig file, for use outside a pod; in a pod the service account is used
    #[arg(long, env = "PODROBIN_KUBECONFIG", value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,

    /// Context of --kubeconfig, if not its current one
    #[arg(long, env = "PODROBIN_CONTEXT", value_name = "NAME")]
    pub context: Option<String>,

    /// This pod's namespace, by default the service account's (fieldRef metadata.namespace)
    #[arg(
        long,
        env = "PODROBIN_NAMESPACE",
        value_name = "NAME",
        value_parser = |text: &str| value::label(text, "namespace")
    )]
    pub namespace: Option<String>,

    /// This pod's name (fieldRef metadata.name)
    #[arg(long, env = "PODROBIN_POD_NAME", value_name = "NAME")]
    pub pod_name: Option<String>,

    /// This pod's address, which decides the family of a dual-stack Service (fieldRef status.podIP)
    #[arg(long, env = "PODROBIN_POD_IP", value_name = "ADDR")]
    pub pod_ip: Option<IpAddr>,

    /// This pod's node, for topology hints and internalTrafficPolicy: Local (fieldRef spec.nodeName)
    #[arg(long, env = "PODROBIN_NODE", value_name = "NAME")]
    pub node: Option<String>,

    /// This pod's zone, for topology hints; by default that of the endpoints on its node (fieldRef
    /// metadata.labels['topology.kubernetes.io/zone'])
    #[arg(long, env = "PODROBIN_ZONE", value_name = "NAME")]
    pub zone: Option<String>,

    /// Addresses to use of a dual-stack Service
    #[arg(long, env = "PODROBIN_ADDRESS_FAMILY", value_enum, default_value_t)]
    pub address_family: FamilyChoice,
}
