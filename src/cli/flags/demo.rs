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
    /// New ones join that are slow for a while.
    Cold,
    /// Each stands still in its turn.
    Pausing,
    /// All are asked three times what they can do.
    Overload,
}

#[derive(Args, Clone, Debug)]
pub struct DemoArgs {
    /// What is shown: pods that come and go in a rollout; or, under several settings of the sidecar, each for its part of
    /// --for, one pod that is slow, failing or hanging, new pods that are cold, pods that stand still in turn (pausing), or
    /// three times as many requests as the pods can answer (overload). Each setting has promises, and the exit code is 1 if
    /// one is not kept
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

    /// Toy pods to begin with: 3 in the scenes rollout and overload (which takes 2 to 6), 10 in the others
    #[arg(
        long,
        env = "PODROBIN_DEMO_PODS",
        value_name = "N",
        value_parser = value::count::<1, 50>
    )]
    pub pods: Option<usize>,

    /// Requests a second: 200 in the scene overload (which takes 100 to 200), 500 in the others
    #[arg(
        long,
        env = "PODROBIN_DEMO_RATE",
        value_name = "N",
        value_parser = clap::value_parser!(u32).range(1..=20_000)
    )]
    pub rate: Option<u32>,

    /// Plain lines instead of a live view, as when standard output is no terminal
    #[arg(long, env = "PODROBIN_DEMO_PLAIN")]
    pub plain: bool,
}
