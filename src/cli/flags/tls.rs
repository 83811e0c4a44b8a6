//! TLS to pods.

use std::path::PathBuf;

use clap::Args;
use rustls::pki_types::ServerName;

use crate::config::TlsWhen;
use crate::value;

#[derive(Args, Clone, Debug)]
pub struct TlsArgs {
    /// Which pods are spoken to over TLS: those whose Service's port says so by its appProtocol (https, grpcs, h2,
    /// kubernetes.io/wss, tls, ssl), all, or none
    #[arg(long, env = "PODROBIN_UPSTREAM_TLS", value_enum, default_value_t)]
    pub upstream_tls: TlsWhen,

    /// CA certificates (PEM), one of which must have signed a pod's certificate. TLS to pods needs it; there is no
    /// way to go without the check. This file and the next two are re-read when they change
    #[arg(long, env = "PODROBIN_UPSTREAM_CA", value_name = "FILE")]
    pub upstream_ca: Option<PathBuf>,

    /// Name (or IP address) that pods' certificates must be for, by default the Service's: NAME.NAMESPACE.svc.
    /// --endpoint and --endpoint-slices have no default
    #[arg(
        long,
        env = "PODROBIN_UPSTREAM_SERVER_NAME",
        value_name = "NAME",
        value_parser = value::server_name
    )]
    pub upstream_server_name: Option<ServerName<'static>>,

    /// Certificate (PEM, with its chain) to show to pods that ask for one; with --upstream-client-key
    #[arg(long, env = "PODROBIN_UPSTREAM_CLIENT_CERT", value_name = "FILE")]
    pub upstream_client_cert: Option<PathBuf>,

    /// Private key (PEM, not encrypted) of --upstream-client-cert
    #[arg(long, env = "PODROBIN_UPSTREAM_CLIENT_KEY", value_name = "FILE")]
    pub upstream_client_key: Option<PathBuf>,
}
