//! What can be wrong with a pod, and under which settings of the sidecar the demo shows it. Pure.

use std::time::Duration;

use super::findings::Promise;
use super::pod::Manner;
use crate::cli::flags::Scene;

/// How long a pod takes for an answer while nothing is wrong with it.
pub const WORK: Duration = Duration::from_millis(20);

/// Times as long that a slow one takes.
const SLOWNESS: u32 = 10;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    Slow,
    Failing,
    Hanging,
}

/// A sidecar in front of the pods.
#[derive(Clone, Copy, Debug)]
pub struct Setting {
    /// Flags of `podrobin run`.
    pub flags: &'static str,
    /// Further ones, without which it would take too long for a demo.
    pub pace: &'static str,
    /// What has to come of it.
    pub promises: &'static [Promise],
}

const SLOW: &[Setting] = &[
    plain("--policy round-robin", &[Promise::ExactShares]),
    plain("--policy random", &[]),
    plain("--policy least-request", &[Promise::LessThanEven]),
    plain("--policy peak-ewma", &[Promise::LessThanEven]),
];

const FAILING: &[Setting] = &[
    plain("--policy round-robin", &[]),
    plain("--policy least-request", &[]),
    plain("--policy peak-ewma", &[Promise::LessThanEven]),
    plain("--retry-on 5xx", &[Promise::NoFailure]),
    plain("--failure-statuses 5xx", &[Promise::LeftOut]),
    Setting {
        flags: "--eject-failure-percentage 50",
        pace: "--eject-interval 500ms --eject-min-requests 5",
        promises: &[Promise::LeftOut],
    },
];

const HANGING: &[Setting] = &[
    plain("--policy round-robin", &[Promise::LeftOut]),
    plain("--policy least-request", &[Promise::LessThanEven]),
    plain("--policy peak-ewma", &[Promise::LessThanEven]),
    plain(
        "--per-try-timeout 500ms",
        &[Promise::LeftOut, Promise::NoFailure],
    ),
    Setting {
        flags: "--health-check http:/cart",
        pace: "--health-check-interval 100ms --health-check-timeout 300ms --health-check-unhealthy-after 2",
        promises: &[Promise::LeftOut],
    },
];

const fn plain(flags: &'static str, promises: &'static [Promise]) -> Setting {
    Setting {
        flags,
        pace: "",
        promises,
    }
}

impl Trouble {
    /// The one that a scene shows; a rollout has none.
    pub fn of(scene: Scene) -> Option<Self> {
        match scene {
            Scene::Rollout => None,
            Scene::Slow => Some(Self::Slow),
            Scene::Failing => Some(Self::Failing),
            Scene::Hanging => Some(Self::Hanging),
        }
    }

    pub fn settings(self) -> &'static [Setting] {
        match self {
            Self::Slow => SLOW,
            Self::Failing => FAILING,
            Self::Hanging => HANGING,
        }
    }

    /// What a pod in trouble makes of requests.
    pub fn manner(self) -> Manner {
        match self {
            Self::Slow => Manner::Answers(WORK * SLOWNESS),
            Self::Failing => Manner::Fails,
            Self::Hanging => Manner::Hangs,
        }
    }

    /// Pods that it takes: where requests are sent again, those of one pod must be within the retry budget, which is a
    /// fifth of all.
    pub fn least_pods(self) -> usize {
        match self {
            Self::Slow => 2,
            Self::Failing | Self::Hanging => 6,
        }
    }

    /// What happens to it, in a sentence of which it is the subject.
    pub fn told(self) -> String {
        match self {
            Self::Slow => format!(
                "takes {} ms for an answer, the others {} ms",
                (WORK * SLOWNESS).as_millis(),
                WORK.as_millis()
            ),
            Self::Failing => "answers every request with 503, at once".to_owned(),
            Self::Hanging => "takes every request and answers none".to_owned(),
        }
    }

    /// What is to be learned from it.
    pub fn lesson(self) -> &'static [&'static str] {
        match self {
            Self::Slow => &[
                "round-robin and random do not look at how long a pod takes. least-request sees its requests pile up, and",
                "peak-ewma remembers how long they took. Which to choose: docs/policies.md",
            ],
            Self::Failing => &[
                "An answer with an error is an answer: unasked, nothing is held against the pod, and least-request sends it",
                "more, since it is done soonest. Asking another pod: docs/retries.md; leaving it out: docs/health.md",
            ],
            Self::Hanging => &[
                "A pod that leaves five requests waiting for a second, or whose clients give up, while the others answer, is left",
                "out, and what waits there and may be repeated goes to another. With a time for each try that is done sooner,",
                "and a health check finds it without any request: docs/health.md",
            ],
        }
    }
}

impl Setting {
    /// All of its flags.
    pub fn all(&self) -> Vec<&'static str> {
        let flags = self.flags.split_whitespace();
        flags.chain(self.pace.split_whitespace()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Trouble; 3] = [Trouble::Slow, Trouble::Failing, Trouble::Hanging];

    #[test]
    fn each_setting_promises_what_can_be_told_of_the_first_requests_of_its_pods() {
        for trouble in ALL {
            let promises = trouble.settings().iter().flat_map(|it| it.promises);
            assert!(promises.count() > 0, "{trouble:?}");
            assert!(trouble.lesson().iter().all(|line| line.len() <= 120));
        }
    }

    #[test]
    fn a_slow_pod_is_shown_under_every_policy_that_needs_no_key_and_no_weights() {
        let flags: Vec<&str> = SLOW.iter().map(|setting| setting.flags).collect();
        for policy in ["round-robin", "random", "least-request", "peak-ewma"] {
            assert!(flags.contains(&format!("--policy {policy}").as_str()));
        }
    }
}
