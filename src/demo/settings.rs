//! Under which settings of the sidecar each trouble is shown, and what has to come of them.

use super::findings::Promise;

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

pub const SLOW: &[Setting] = &[
    plain("--policy round-robin", &[Promise::ExactShares]),
    plain("--policy random", &[]),
    plain("--policy least-request", &[Promise::LessThanEven]),
    plain("--policy peak-ewma", &[Promise::LessThanEven]),
];

pub const FAILING: &[Setting] = &[
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

pub const HANGING: &[Setting] = &[
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

pub const COLD: &[Setting] = &[
    plain("--policy round-robin", &[Promise::ExactShares]),
    plain(
        "--slow-start 10s",
        &[Promise::LessThanEven, Promise::HalfAsLong(95)],
    ),
    plain("--policy least-request", &[Promise::LessThanEven]),
    plain("--policy peak-ewma", &[Promise::LessThanEven]),
];

pub const PAUSING: &[Setting] = &[
    plain("--policy round-robin", &[Promise::ExactShares]),
    plain("--policy least-request", &[]),
    plain("--policy peak-ewma", &[]),
    plain("--hedge 60ms", &[Promise::HalfAsLong(99)]),
    plain("--hedge p90", &[]),
];

pub const OVERLOAD: &[Setting] = &[
    plain("--policy round-robin", &[]),
    plain(
        "--max-pod-requests 3",
        &[Promise::Goodput, Promise::HalfAsLong(99)],
    ),
    plain("--max-pod-requests adaptive", &[Promise::Goodput]),
];

const fn plain(flags: &'static str, promises: &'static [Promise]) -> Setting {
    Setting {
        flags,
        pace: "",
        promises,
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

    #[test]
    fn a_slow_pod_is_shown_under_every_policy_that_needs_no_key_and_no_weights() {
        let flags: Vec<&str> = SLOW.iter().map(|setting| setting.flags).collect();
        for policy in ["round-robin", "random", "least-request", "peak-ewma"] {
            assert!(flags.contains(&format!("--policy {policy}").as_str()));
        }
    }

    #[test]
    fn the_first_setting_is_what_others_are_compared_with_and_so_is_not_compared_itself() {
        for settings in [SLOW, FAILING, HANGING, COLD, PAUSING, OVERLOAD] {
            assert_eq!(settings[0].flags, "--policy round-robin");
            let compared = |promise: &Promise| matches!(promise, Promise::HalfAsLong(_));
            assert!(!settings[0].promises.iter().any(compared));
        }
    }
}
