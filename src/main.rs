//! The podrobin program: reads the command line, sets up the log, runs, and says how it ended.

use std::fmt::Display;
use std::process::ExitCode;

use podrobin::cli::{self, Invocation, Surroundings};
use podrobin::{app, demo, manifests, probe, telemetry, webhook};

fn main() -> ExitCode {
    let invocation = match cli::parse(std::env::args_os(), &Surroundings::read()) {
        Ok(invocation) => invocation,
        Err(refusal) => return refusal.print(),
    };
    match invocation {
        Invocation::Run {
            config,
            logs,
            unknown_variables,
        } => {
            if let Err(error) = begin_log(&logs, "run", unknown_variables) {
                return failed(&error);
            }
            ended(app::run(*config))
        }
        Invocation::Webhook {
            settings,
            logs,
            unknown_variables,
        } => {
            if let Err(error) = begin_log(&logs, "webhook", unknown_variables) {
                return failed(&error);
            }
            ended(webhook::run(*settings))
        }
        Invocation::Demo(flags) => {
            let options = demo::Options {
                scene: flags.scene,
                duration: flags.duration.0,
                pods: flags.pods,
                rate: flags.rate,
                plain: flags.plain,
            };
            match demo::run(options) {
                Ok(true) => ExitCode::SUCCESS,
                Ok(false) => ExitCode::FAILURE,
                Err(error) => failed(&error),
            }
        }
        Invocation::Rewrite { files, change } => ended(manifests::run(&files, &change)),
        Invocation::Await { admin, timeout } => ended(probe::until_ready(admin, timeout)),
        Invocation::Sleep(time) => {
            std::thread::sleep(time);
            ExitCode::SUCCESS
        }
    }
}

fn ended<E: Display>(result: Result<(), E>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => failed(&error),
    }
}

fn begin_log(
    logs: &telemetry::Settings,
    command: &str,
    unknown_variables: Vec<String>,
) -> Result<(), telemetry::Error> {
    telemetry::init(logs)?;
    for variable in unknown_variables {
        tracing::warn!(
            variable,
            "no such setting; `podrobin {command} --help` lists what there is"
        );
    }
    Ok(())
}

/// One line on standard error, whatever the log's format: it is for the person who started it.
fn failed(error: &impl Display) -> ExitCode {
    eprintln!("podrobin: {error}");
    ExitCode::FAILURE
}
