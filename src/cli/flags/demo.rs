//! What `podrobin demo` shows, and how much of it.

use clap::{Args, ValueEnum};

use crate::value::{self, Span};

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Scene {
    /// Pods come and go, and no request fails.
    #[default]
    Rollout,
    /// One pod becomes slow.
    Slow,
    /// One answers with errors.
    Failing,
    /// One takes requests and answers none.
    Hanging,
}

#[derive(Args, Clone, Debug)]
pub struct DemoArgs {
    /// What is shown: pods that come and go in a rollout, or one that is slow, failing or hanging under several
    /// settings of the sidecar, each for its part of --for
    #[arg(long, env = "PODROBIN_DEMO_SCENE", value_enum, default_value_t)]
    pub scene: Scene,

    /// How long it goes on
    #[arg(
        long = "for",
        env = "PODROBIN_DEMO_FOR",
        value_name = "TIME",
        default_value = "10s",
        value_parser = value::positive
    )]
    pub duration: Span,

    /// Toy pods to begin with: 3 in the scene rollout, 10 in the others
    #[arg(
        long,
        env = "PODROBIN_DEMO_PODS",
        value_name = "N",
        value_parser = value::count::<1, 50>
    )]
    pub pods: Option<usize>,

    /// Requests a second
    #[arg(
        long,
        env = "PODROBIN_DEMO_RATE",
        value_name = "N",
        default_value_t = 500,
        value_parser = clap::value_parser!(u32).range(1..=20_000)
    )]
    pub rate: u32,

    /// Plain lines instead of a live view, as when standard output is no terminal
    #[arg(long, env = "PODROBIN_DEMO_PLAIN")]
    pub plain: bool,
}
