//! The log: text or JSON lines on standard error.

use std::fmt;
use std::io::IsTerminal;
use std::str::FromStr;

use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;

use crate::config::LogFormat;

/// What other crates may say. kube says each failure of a request again and again, and logs a list that it cannot read
/// whole; discovery says the same once, with the mend.
const OTHERS: &str = "warn,kube_client=off,kube_runtime=off";

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    pub format: LogFormat,
    pub filter: Filter,
}

/// What is logged. A bare level is podrobin's own, and other crates then speak up only to warn; directives
/// (`podrobin::discovery=debug,kube=info`) are taken as they are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filter {
    shown: String,
}

#[derive(Debug, thiserror::Error)]
#[error("the log could not be set up: {0}")]
pub struct Error(String);

impl Default for Filter {
    fn default() -> Self {
        Self {
            shown: "info".to_owned(),
        }
    }
}

impl FromStr for Filter {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        // Without this a mistyped level would pass for the name of a module, and log nothing.
        let mistyped = text
            .split(',')
            .find(|part| !part.contains('=') && !is_level(part));
        if let Some(part) = mistyped {
            return Err(format!(
                "`{part}` is no level: off, error, warn, info, debug or trace"
            ));
        }
        text.parse::<Targets>().map_err(|error| error.to_string())?;
        Ok(Self {
            shown: text.to_owned(),
        })
    }
}

impl fmt::Display for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

impl Filter {
    fn directives(&self) -> String {
        match self.shown.parse::<LevelFilter>() {
            Ok(LevelFilter::OFF) => "off".to_owned(),
            Ok(LevelFilter::ERROR) => "error".to_owned(),
            Ok(level) => format!("{OTHERS},podrobin={level}"),
            Err(_) => self.shown.clone(),
        }
    }
}

/// A level by name; the parser would take numbers, and nothing at all, too.
fn is_level(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_alphabetic())
        && text.parse::<LevelFilter>().is_ok()
}

/// Sets up the log of this process, once.
pub fn init(settings: &Settings) -> Result<(), Error> {
    let filter = settings.filter.directives().parse::<Targets>();
    let filter = filter.map_err(|error| Error(error.to_string()))?;
    // Modules are left out: `target` in these lines is a Service, and messages say what they are about.
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(std::io::stderr)
        .with_target(false);
    let lines = match settings.format {
        LogFormat::Text => lines.with_ansi(wants_colour()).boxed(),
        LogFormat::Json => lines
            .json()
            .flatten_event(true)
            .with_current_span(false)
            .with_span_list(false)
            .boxed(),
    };
    tracing_subscriber::registry()
        .with(filter)
        .with(lines)
        .try_init()
        .map_err(|error| Error(error.to_string()))
}

/// A terminal that has not asked for plain text (no-color.org).
fn wants_colour() -> bool {
    let plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    std::io::stderr().is_terminal() && !plain
}

#[cfg(test)]
mod tests {
    use super::*;

    fn directives(text: &str) -> String {
        text.parse::<Filter>().unwrap().directives()
    }

    #[test]
    fn a_bare_level_is_for_podrobin_and_others_only_warn() {
        assert_eq!(
            Filter::default().directives(),
            "warn,kube_client=off,kube_runtime=off,podrobin=info"
        );
        assert!(directives("debug").ends_with(",podrobin=debug"));
        assert_eq!(directives("DEBUG"), directives("debug"));
        assert_eq!(directives("error"), "error");
        assert_eq!(directives("off"), "off");
    }

    #[test]
    fn directives_are_taken_as_they_are() {
        let text = "info,podrobin::discovery=trace,kube=debug";
        assert_eq!(directives(text), text);
    }

    #[test]
    fn a_mistyped_level_is_refused() {
        for bad in ["", "inof", "info,debgu", "podrobin=inof", "kube=debug,"] {
            assert!(bad.parse::<Filter>().is_err(), "{bad:?}");
        }
    }
}
