//! The command line: raw flags in [`flags`], the values they take in [`crate::value`], settings made of them in `resolve`.
//!
//! Whatever is wrong with it ends in one line that names the flag and the mend, and exit code 2.

pub mod environment;
pub mod flags;
pub mod installation;
pub mod manifests;
mod refusal;
mod resolve;
pub mod waiting;
pub mod webhook;

use std::ffi::{OsStr, OsString};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Arg, ArgAction, CommandFactory, FromArgMatches, Parser, Subcommand};

use crate::config::{Config, LogFormat};
use crate::manifests::Change;
use crate::telemetry;

pub use refusal::Refusal;
pub use resolve::Surroundings;

/// A sidecar that spreads each request over the ready pods of a Kubernetes Service, in turn.
#[derive(Parser, Debug)]
#[command(
    name = "podrobin",
    version,
    arg_required_else_help = true,
    subcommand_required = true,
    disable_help_subcommand = true,
    after_help = "Start with: podrobin demo"
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand, Debug)]
enum Command {
    /// Run the sidecar: each request sent to its listener goes to the next ready pod
    #[command(
        next_line_help = true,
        after_help = "Example: podrobin run --service shop/cart:http, and the app calls http://127.0.0.1:8000/.\n\
            Times are written 500ms, 10s, 2m; sizes 4096, 64KiB, 1MiB. Every flag can also be given in the\n\
            environment: --log-level as PODROBIN_LOG_LEVEL, and so on. A flag wins over its variable."
    )]
    Run(Box<flags::RunArgs>),
    /// Put the sidecar into pods as they are made: the admission server for a MutatingWebhookConfiguration
    #[command(
        next_line_help = true,
        after_help = "The chart installs it. Pods that ask for a sidecar by the annotation podrobin.io/service get one; all others\n\
            are left alone. Pods are made, too, while the webhook is away (failurePolicy: Ignore).\n\
            Example: podrobin webhook --tls-cert /tls/tls.crt --tls-key /tls/tls.key\n\
            Every flag can also be given in the environment: --tls-cert as PODROBIN_WEBHOOK_TLS_CERT, those of the\n\
            log as PODROBIN_LOG_LEVEL, and so on. A flag wins over its variable."
    )]
    Webhook(Box<webhook::WebhookArgs>),
    /// Show it at work on this machine: toy pods, a rolling update, a load, no cluster
    Demo(flags::DemoArgs),
    /// Put the sidecar into manifests: the pods that ask for it by annotation podrobin.io/service
    #[command(
        next_line_help = true,
        after_help = "Example: podrobin inject --service shop/cart:http client.yaml | kubectl apply --filename -\n\
            Kinds: Pod, Deployment, StatefulSet, DaemonSet, ReplicaSet, Job, CronJob, ReplicationController, List;\n\
            everything else goes on as it is. Every annotation: docs/annotations.md."
    )]
    Inject(Box<manifests::InjectArgs>),
    /// Take the sidecar out of manifests again
    Uninject(manifests::UninjectArgs),
    /// Wait until the sidecar is ready: a container's postStart
    Await(waiting::AwaitArgs),
    /// Wait for a time: a container's preStop, where the cluster has no sleep of its own
    Sleep(waiting::SleepArgs),
}

/// What the command line asks for.
#[derive(Debug)]
pub enum Invocation {
    Run {
        config: Box<Config>,
        logs: telemetry::Settings,
        /// Variables named `PODROBIN_...` that mean nothing: typing mistakes, most likely.
        unknown_variables: Vec<String>,
    },
    Webhook {
        settings: Box<crate::webhook::Settings>,
        logs: telemetry::Settings,
        /// As those of `Run`.
        unknown_variables: Vec<String>,
    },
    Demo(flags::DemoArgs),
    /// Change the manifests in `files`, or on standard input.
    Rewrite {
        files: Vec<PathBuf>,
        change: Change,
    },
    Await {
        admin: SocketAddr,
        timeout: Duration,
    },
    Sleep(Duration),
}

/// The whole command line as clap has it, for the tests that hold the documentation against it.
pub fn command() -> clap::Command {
    with_short_help(Cli::command())
}

/// One form of help: variables are named by a rule, which the footer tells, and values need no list of their own.
fn with_short_help(command: clap::Command) -> clap::Command {
    let help = Arg::new("help")
        .short('h')
        .long("help")
        .action(ArgAction::HelpShort)
        .help_heading("Help")
        .help("Print help");
    command
        .disable_help_flag(true)
        .mut_args(|arg| arg.hide_env(true))
        .arg(help)
        .mut_subcommands(with_short_help)
}

/// Reads the command line (the program's name first) and the environment.
pub fn parse(
    args: impl IntoIterator<Item = OsString>,
    surroundings: &Surroundings,
) -> Result<Invocation, Refusal> {
    let args: Vec<OsString> = args.into_iter().collect();
    let mut matches = without_variables(command(), is_empty)
        .try_get_matches_from(&args)
        .map_err(|error| Refusal::from_clap(&error, &args))?;
    let cli = Cli::from_arg_matches_mut(&mut matches.clone())
        .map_err(|error| Refusal::from_clap(&error, &args))?;
    match cli.command {
        Command::Run(run) => {
            let matches = matches.remove_subcommand().map(|(_, run)| run);
            let logs = run.logs.settings();
            let config = resolve::config(*run, matches.as_ref(), surroundings)?;
            Ok(Invocation::Run {
                config: Box::new(config),
                logs,
                unknown_variables: environment::unknown(&command(), std::env::vars_os()),
            })
        }
        Command::Webhook(args) => {
            let matches = matches.remove_subcommand().map(|(_, webhook)| webhook);
            let logs = args.logs.settings();
            let settings = webhook::settings(*args, matches.as_ref())?;
            Ok(Invocation::Webhook {
                settings: Box::new(settings),
                logs,
                unknown_variables: environment::unknown(&command(), std::env::vars_os()),
            })
        }
        Command::Demo(demo) => Ok(Invocation::Demo(demo)),
        Command::Inject(inject) => Ok(Invocation::Rewrite {
            change: inject.change(),
            files: inject.files,
        }),
        Command::Uninject(uninject) => Ok(Invocation::Rewrite {
            files: uninject.files,
            change: Change::Uninject,
        }),
        Command::Await(wait) => Ok(Invocation::Await {
            admin: wait.admin,
            timeout: wait.timeout.0,
        }),
        Command::Sleep(sleep) => Ok(Invocation::Sleep(sleep.time.0)),
    }
}

/// What `podrobin run` followed by `flags` means, whatever stands in the environment.
pub fn run_config(flags: &[&str], surroundings: &Surroundings) -> Result<Config, Refusal> {
    let args: Vec<OsString> = ["podrobin", "run"]
        .iter()
        .chain(flags)
        .map(OsString::from)
        .collect();
    let refusal = |error: clap::Error| Refusal::from_clap(&error, &args);
    let mut matches = without_variables(command(), |_| true)
        .try_get_matches_from(&args)
        .map_err(refusal)?;
    let Some((_, run)) = matches.remove_subcommand() else {
        return Err(Refusal::usage("no command"));
    };
    let given = flags::RunArgs::from_arg_matches(&run).map_err(refusal)?;
    resolve::config(given, Some(&run), surroundings)
}

impl flags::AccessLogArg {
    fn format(self) -> Option<LogFormat> {
        match self {
            Self::Off => None,
            Self::Text => Some(LogFormat::Text),
            Self::Json => Some(LogFormat::Json),
        }
    }
}

/// An empty variable counts as unset: the Downward API gives an empty one for a label that a pod does not have.
fn is_empty(variable: &OsStr) -> bool {
    std::env::var_os(variable).is_some_and(|value| value.is_empty())
}

/// The command without those of its variables.
fn without_variables(command: clap::Command, dropped: fn(&OsStr) -> bool) -> clap::Command {
    command
        .mut_args(|arg| {
            if arg.get_env().is_some_and(dropped) {
                arg.env(None)
            } else {
                arg
            }
        })
        .mut_subcommands(|command| without_variables(command, dropped))
}
