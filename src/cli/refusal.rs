//! The end of a command line that asks for nothing that can be run: help, the version, or a mistake.

use std::ffi::OsString;
use std::io::Write;
use std::process::ExitCode;

use clap::error::{ContextKind, ContextValue, ErrorKind};

/// What is printed instead of running, and the exit code.
#[derive(Debug, PartialEq, Eq)]
pub struct Refusal {
    text: String,
    code: u8,
}

/// Exit code of a command line that makes no sense.
const USAGE: u8 = 2;

impl Refusal {
    /// A mistake in the command line, as one sentence that names the flag and the mend.
    pub fn usage(sentence: impl std::fmt::Display) -> Self {
        Self {
            text: format!("podrobin: {sentence}\n"),
            code: USAGE,
        }
    }

    /// Prints it: what was asked for on standard output, mistakes on standard error.
    pub fn print(&self) -> ExitCode {
        // Whoever closed the pipe does not want to read it.
        let _ = if self.code == 0 {
            std::io::stdout().write_all(self.text.as_bytes())
        } else {
            std::io::stderr().write_all(self.text.as_bytes())
        };
        ExitCode::from(self.code)
    }

    pub(super) fn from_clap(error: &clap::Error, args: &[OsString]) -> Self {
        let text = format!("{}\n", error.render().to_string().trim_end());
        match error.kind() {
            ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => Self { text, code: 0 },
            ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => Self { text, code: USAGE },
            ErrorKind::InvalidSubcommand | ErrorKind::UnknownArgument => {
                Self::usage(format_args!("{}; {}", one_line(&text), hint(args)))
            }
            _ => Self::usage(format_args!("{}{}", one_line(&text), origin(error, args))),
        }
    }
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.text.trim_end())
    }
}

/// Where to read on; without a command, that one is needed.
fn hint(args: &[OsString]) -> String {
    let command = super::command();
    let given = args.get(1).and_then(|arg| command.find_subcommand(arg));
    match given {
        Some(given) => format!("`podrobin {} --help` lists the flags", given.get_name()),
        None => {
            "the commands are `podrobin run`, `demo`, `inject`, `uninject`, `webhook`, `await` and `sleep`"
                .to_owned()
        }
    }
}

/// clap's message without its usage and footer, folded into a line.
fn one_line(text: &str) -> String {
    let message = text
        .lines()
        .map(str::trim)
        .take_while(|line| !line.starts_with("Usage:") && !line.starts_with("For more information"))
        .filter(|line| !line.is_empty())
        .collect::<Vec<_>>()
        .join("; ");
    message
        .strip_prefix("error: ")
        .map_or(message.clone(), str::to_owned)
}

/// Where the value came from, if not from the command line: a flag that nobody typed would puzzle.
fn origin(error: &clap::Error, args: &[OsString]) -> String {
    let Some(ContextValue::String(shown)) = error.get(ContextKind::InvalidArg) else {
        return String::new();
    };
    let flag = shown.split([' ', '=']).next().unwrap_or_default();
    let typed = args
        .iter()
        .filter_map(|arg| arg.to_str())
        .any(|arg| arg == flag || arg.starts_with(&format!("{flag}=")));
    let command = super::command();
    let given = args.get(1).and_then(|arg| command.find_subcommand(arg));
    let variable = given
        .into_iter()
        .flat_map(clap::Command::get_arguments)
        .find(|arg| arg.get_long() == flag.strip_prefix("--"))
        .and_then(|arg| arg.get_env()?.to_str().map(str::to_owned));
    match variable {
        Some(variable) if !typed => format!(" (from {variable} in the environment)"),
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refuse(args: &[&str]) -> Refusal {
        let args: Vec<OsString> = args.iter().map(OsString::from).collect();
        let error = super::super::command()
            .try_get_matches_from(&args)
            .expect_err("a mistake");
        Refusal::from_clap(&error, &args)
    }

    #[test]
    fn a_mistake_is_one_line_that_names_the_flag() {
        for args in [
            &["podrobin", "run", "--servce", "x"][..],
            &["podrobin", "run", "--listen"],
            &["podrobin", "run", "--listen", "localhost:1"],
            &["podrobin", "run", "--policy", "fair"],
            &["podrobin", "run", "--retries", "11"],
            &["podrobin", "run", "--hold", "10"],
            &["podrobin", "run", "--listen", "1", "--listen", "2"],
        ] {
            let Refusal { text, code } = refuse(args);
            assert_eq!(code, 2, "{text}");
            assert_eq!(text.matches('\n').count(), 1, "{text}");
            assert!(text.starts_with("podrobin: "), "{text}");
            assert!(text.contains(args[2]), "{text}");
        }
    }

    #[test]
    fn a_typing_mistake_is_answered_with_the_flag_that_was_meant() {
        let text = refuse(&["podrobin", "run", "--servce", "x"]).text;
        assert!(text.contains("'--service'"), "{text}");
        let text = refuse(&["podrobin", "rnu"]).text;
        assert!(text.contains("`podrobin run`"), "{text}");
    }

    #[test]
    fn help_and_version_are_no_mistakes() {
        assert_eq!(refuse(&["podrobin", "run", "--help"]).code, 0);
        assert_eq!(
            refuse(&["podrobin", "--version"]).text,
            format!("podrobin {}\n", env!("CARGO_PKG_VERSION"))
        );
        assert_eq!(refuse(&["podrobin"]).code, 2);
    }
}
