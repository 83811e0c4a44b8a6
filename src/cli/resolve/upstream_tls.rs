//! TLS to pods: which flags go together.

use super::super::Refusal;
use super::super::flags::TlsArgs;
use super::Origin;
use crate::config::{ClientFiles, TlsFiles, TlsWhen, UpstreamTls};

/// `by_service`: every listener is for a Service, so that a certificate's name is known without a flag.
pub(super) fn resolve(
    args: TlsArgs,
    by_service: bool,
    origin: &Origin<'_>,
) -> Result<UpstreamTls, Refusal> {
    let client = match (args.upstream_client_cert, args.upstream_client_key) {
        (Some(certificate), Some(key)) => Some(ClientFiles { certificate, key }),
        (None, None) => None,
        (Some(_), None) => return Err(alone(origin, "upstream_client_cert", "key")),
        (None, Some(_)) => return Err(alone(origin, "upstream_client_key", "cert")),
    };
    let files = match args.upstream_ca {
        Some(ca) => Some(TlsFiles { ca, client }),
        None if client.is_some() => return Err(unchecked(origin, "upstream_client_cert")),
        None if args.upstream_server_name.is_some() => {
            return Err(unchecked(origin, "upstream_server_name"));
        }
        None if args.upstream_tls == TlsWhen::On => return Err(unchecked(origin, "upstream_tls")),
        None => None,
    };
    if args.upstream_tls == TlsWhen::On && !by_service && args.upstream_server_name.is_none() {
        return Err(Refusal::usage(format_args!(
            "{} over pods of no Service leaves open what name their certificates are for: \
             add --upstream-server-name NAME",
            origin.flag("upstream_tls")
        )));
    }
    Ok(UpstreamTls {
        when: args.upstream_tls,
        files,
        server_name: args.upstream_server_name,
    })
}

fn alone(origin: &Origin<'_>, given: &str, other: &str) -> Refusal {
    Refusal::usage(format_args!(
        "{} is one half of a pair: add --upstream-client-{other} FILE",
        origin.flag(given)
    ))
}

fn unchecked(origin: &Origin<'_>, given: &str) -> Refusal {
    Refusal::usage(format_args!(
        "{} needs a CA to check pods' certificates with: add --upstream-ca FILE",
        origin.flag(given)
    ))
}
