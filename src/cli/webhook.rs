//! The flags of `podrobin webhook`, and its settings made of them.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{ArgMatches, Args};

use super::Refusal;
use super::flags::LogArgs;
use super::installation::InstallationArgs;
use super::resolve::Origin;
use crate::net::overlap;
use crate::value::{self, Span};
use crate::webhook::Settings;
use crate::webhook::decision::Rules;

#[derive(Args, Clone, Debug)]
pub struct WebhookArgs {
    #[command(flatten, next_help_heading = "Server")]
    pub server: ServerArgs,
    #[command(flatten, next_help_heading = "Sidecar")]
    pub installation: InstallationArgs,
    #[command(flatten, next_help_heading = "Logs")]
    pub logs: LogArgs,
}

#[derive(Args, Clone, Debug)]
pub struct ServerArgs {
    /// Where API servers send their reviews, over TLS: POST /mutate
    #[arg(
        long,
        env = "PODROBIN_WEBHOOK_LISTEN",
        value_name = "ADDR:PORT",
        default_value = "0.0.0.0:9443",
        value_parser = value::listen
    )]
    pub listen: SocketAddr,

    /// Certificate (PEM, with its chain) for the name of the webhook's Service, such as podrobin-webhook.podrobin.svc.
    /// This file and the next one are re-read when they change
    #[arg(long, env = "PODROBIN_WEBHOOK_TLS_CERT", value_name = "FILE")]
    pub tls_cert: PathBuf,

    /// Private key (PEM, not encrypted) of --tls-cert
    #[arg(long, env = "PODROBIN_WEBHOOK_TLS_KEY", value_name = "FILE")]
    pub tls_key: PathBuf,

    /// Where /livez, /readyz and /metrics answer (read-only)
    #[arg(
        long,
        env = "PODROBIN_WEBHOOK_ADMIN",
        value_name = "ADDR:PORT",
        default_value = "0.0.0.0:9800",
        value_parser = value::listen
    )]
    pub admin: SocketAddr,

    /// Refuse a pod whose annotations make no sense or clash with the pod. Without it the pod is made without a
    /// sidecar, and whoever makes it gets a warning
    #[arg(long, env = "PODROBIN_WEBHOOK_STRICT")]
    pub strict: bool,

    /// How long connections are still accepted after SIGTERM: it takes a moment until API servers are sent elsewhere
    #[arg(
        long,
        env = "PODROBIN_WEBHOOK_LINGER",
        value_name = "TIME",
        default_value = "3s"
    )]
    pub linger: Span,

    /// How long reviews may take to end after that
    #[arg(
        long,
        env = "PODROBIN_WEBHOOK_DRAIN",
        value_name = "TIME",
        default_value = "10s",
        value_parser = value::positive
    )]
    pub drain: Span,
}

pub(super) fn settings(
    args: WebhookArgs,
    matches: Option<&ArgMatches>,
) -> Result<Settings, Refusal> {
    let origin = Origin::of("PODROBIN_WEBHOOK_", matches);
    let server = args.server;
    if overlap(server.listen, server.admin) {
        return Err(Refusal::usage(format_args!(
            "{} {} and {} {} are on one listener: give one of them another port",
            origin.flag("listen"),
            server.listen,
            origin.flag("admin"),
            server.admin,
        )));
    }
    Ok(Settings {
        listen: server.listen,
        admin: server.admin,
        certificate: server.tls_cert,
        key: server.tls_key,
        rules: Rules {
            installation: args.installation.into(),
            strict: server.strict,
        },
        linger: server.linger.0,
        drain: server.drain.0,
    })
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Command {
        #[command(flatten)]
        webhook: WebhookArgs,
    }

    fn resolve(more: &[&str]) -> Result<Settings, Refusal> {
        let args = ["podrobin", "--tls-cert", "a.crt", "--tls-key", "a.key"];
        let command = Command::try_parse_from(args.iter().chain(more)).unwrap();
        settings(command.webhook, None)
    }

    #[test]
    fn the_defaults_are_those_of_a_pod() {
        let settings = resolve(&[]).unwrap();
        assert_eq!(settings.listen.to_string(), "0.0.0.0:9443");
        assert_eq!(settings.admin.to_string(), "0.0.0.0:9800");
        assert!(!settings.rules.strict);
    }

    #[test]
    fn one_port_for_both_listeners_is_refused_with_the_mend() {
        let refusal = resolve(&["--listen", "0.0.0.0:9800"]).unwrap_err();
        let said = format!("{refusal:?}");
        assert!(
            said.contains("--listen") && said.contains("--admin"),
            "{said}"
        );
        assert!(resolve(&["--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"]).is_ok());
    }
}
