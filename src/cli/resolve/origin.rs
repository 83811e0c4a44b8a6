//! Where a flag's value came from, for messages that name it as its user gave it.

use std::fmt;

use clap::ArgMatches;
use clap::parser::ValueSource;

/// Says of a flag whether it was typed or came from the environment.
pub struct Origin<'a> {
    /// What the variables of the command's flags begin with.
    prefix: &'static str,
    matches: Option<&'a ArgMatches>,
}

impl<'a> Origin<'a> {
    pub fn of(prefix: &'static str, matches: Option<&'a ArgMatches>) -> Self {
        Self { prefix, matches }
    }

    /// Whether it was typed or set in the environment, and not left at its default.
    pub fn is_given(&self, id: &str) -> bool {
        let source = self.matches.and_then(|matches| matches.value_source(id));
        matches!(
            source,
            Some(ValueSource::CommandLine | ValueSource::EnvVariable)
        )
    }

    /// The first of these flags that was.
    pub fn first_given(&self, ids: &[&str]) -> Option<FlagName> {
        let given = ids.iter().find(|id| self.is_given(id));
        given.map(|id| self.flag(id))
    }

    /// `--listen`, or `--listen (PODROBIN_LISTEN)` where the environment set it.
    pub fn flag(&self, id: &str) -> FlagName {
        let from_environment = self
            .matches
            .is_some_and(|matches| matches.value_source(id) == Some(ValueSource::EnvVariable));
        FlagName {
            long: match id {
                "services" => "service".to_owned(),
                "endpoints" => "endpoint".to_owned(),
                "policies" => "policy".to_owned(),
                _ => id.replace('_', "-"),
            },
            prefix: from_environment.then_some(self.prefix),
        }
    }
}

pub struct FlagName {
    long: String,
    /// What its variable begins with, where that has set it.
    prefix: Option<&'static str>,
}

impl fmt::Display for FlagName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "--{}", self.long)?;
        if let Some(prefix) = self.prefix {
            let variable = self.long.replace('-', "_").to_uppercase();
            write!(f, " ({prefix}{variable})")?;
        }
        Ok(())
    }
}
