//! The annotations that a pod may have: one table for reading, refusing and documenting.

/// Before each name.
pub(super) const PREFIX: &str = "podrobin.io/";

/// One annotation, as docs/annotations.md has it.
#[derive(Clone, Copy, Debug)]
pub struct Annotation {
    pub name: &'static str,
    /// The sidecar's variable that gets the value as it is.
    pub variable: Option<&'static str>,
    pub example: &'static str,
    pub default: &'static str,
    pub meaning: &'static str,
}

pub(super) const SERVICE: &str = "podrobin.io/service";
pub(super) const LISTEN: &str = "podrobin.io/listen";
pub(super) const POLICY: &str = "podrobin.io/policy";
pub(super) const LOG_LEVEL: &str = "podrobin.io/log-level";
pub(super) const ADMIN_PORT: &str = "podrobin.io/admin-port";
pub(super) const CAPTURE: &str = "podrobin.io/capture";
pub(super) const CPU_REQUEST: &str = "podrobin.io/cpu-request";
pub(super) const MEMORY_REQUEST: &str = "podrobin.io/memory-request";
pub(super) const CPU_LIMIT: &str = "podrobin.io/cpu-limit";
pub(super) const MEMORY_LIMIT: &str = "podrobin.io/memory-limit";
pub(super) const SIDECAR: &str = "podrobin.io/sidecar";
pub(super) const INJECT: &str = "podrobin.io/inject";
pub(super) const KEPT: &str = "podrobin.io/kept";

/// All there are, the most used first.
pub const ANNOTATIONS: &[Annotation] = &[
    Annotation {
        name: SERVICE,
        variable: Some("PODROBIN_SERVICE"),
        example: "shop/cart:http,9001=shop/pay:http",
        default: "",
        meaning: "Asks for the sidecar, and says which Services it serves: `[LISTEN=][NAMESPACE/]NAME[:PORT]`, separated \
                  by commas, as `--service` of `podrobin run` takes them",
    },
    Annotation {
        name: CAPTURE,
        variable: None,
        example: "true",
        default: "false",
        meaning: "Makes the Services' own names lead to the sidecar, so that the app need not change. Ports are then \
                  numbers, and `LISTEN=` is not written",
    },
    Annotation {
        name: LISTEN,
        variable: Some("PODROBIN_LISTEN"),
        example: "127.0.0.1:8080",
        default: "127.0.0.1:8000",
        meaning: "Where the Service without `LISTEN=` is reached, as `--listen` of `podrobin run`",
    },
    Annotation {
        name: POLICY,
        variable: Some("PODROBIN_POLICY"),
        example: "random",
        default: "round-robin",
        meaning: "How the next pod is chosen, as `--policy` of `podrobin run`; `shop/pay=random` is for one Service alone",
    },
    Annotation {
        name: LOG_LEVEL,
        variable: Some("PODROBIN_LOG_LEVEL"),
        example: "debug",
        default: "info",
        meaning: "What the sidecar logs, as `--log-level` of `podrobin run`",
    },
    Annotation {
        name: ADMIN_PORT,
        variable: None,
        example: "9801",
        default: "9800",
        meaning: "The port of `/livez`, `/readyz`, `/metrics` and `/state`",
    },
    Annotation {
        name: CPU_REQUEST,
        variable: None,
        example: "100m",
        default: "50m",
        meaning: "The sidecar's CPU request; its reaction time depends on it",
    },
    Annotation {
        name: MEMORY_REQUEST,
        variable: None,
        example: "64Mi",
        default: "32Mi",
        meaning: "The sidecar's memory request",
    },
    Annotation {
        name: CPU_LIMIT,
        variable: None,
        example: "1",
        default: "",
        meaning: "The sidecar's CPU limit. Without one there is none: it would only add latency",
    },
    Annotation {
        name: MEMORY_LIMIT,
        variable: None,
        example: "256Mi",
        default: "128Mi",
        meaning: "The sidecar's memory limit",
    },
    Annotation {
        name: SIDECAR,
        variable: None,
        example: "plain",
        default: "native",
        meaning: "`native` is an init container that goes on (Kubernetes 1.29 and later); `plain` is a container beside \
                  the app's, for older clusters",
    },
    Annotation {
        name: INJECT,
        variable: None,
        example: "false",
        default: "true",
        meaning: "`false` leaves the pod without the sidecar, whatever else it has",
    },
    Annotation {
        name: KEPT,
        variable: None,
        example: "sysctl",
        default: "",
        meaning: "Written by podrobin, not by you: what the pod had of its own just as podrobin would have set it, so \
                  that `podrobin uninject` leaves it",
    },
];

/// The one that was meant, where a name is close enough to one there is.
pub(super) fn meant_by(name: &str) -> Option<&'static str> {
    // The API server takes no more than 63 letters after the prefix; longer names are like nothing.
    if name.len() > LONGEST {
        return None;
    }
    ANNOTATIONS
        .iter()
        .map(|known| (strsim::levenshtein(name, known.name), known.name))
        .filter(|(distance, _)| *distance <= CLOSE)
        .min()
        .map(|(_, name)| name)
}

/// Letters that may be added, taken away or changed in a name that is still recognized.
const CLOSE: usize = 3;

/// Letters of a name that is looked at.
const LONGEST: usize = 80;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mistyped_name_is_recognized_and_another_is_not() {
        assert_eq!(meant_by("podrobin.io/servce"), Some(SERVICE));
        assert_eq!(meant_by("podrobin.io/services"), Some(SERVICE));
        assert_eq!(meant_by("podrobin.io/cpu_limit"), Some(CPU_LIMIT));
        assert_eq!(meant_by("podrobin.io/loglevel"), Some(LOG_LEVEL));
        assert_eq!(meant_by("podrobin.io/image"), None);
        assert_eq!(meant_by(&"podrobin.io/service".repeat(100)), None);
    }

    #[test]
    fn each_name_is_there_once() {
        for (index, annotation) in ANNOTATIONS.iter().enumerate() {
            assert!(annotation.name.starts_with(PREFIX), "{}", annotation.name);
            let twice = ANNOTATIONS[..index]
                .iter()
                .any(|other| other.name == annotation.name);
            assert!(!twice, "{}", annotation.name);
        }
    }
}
