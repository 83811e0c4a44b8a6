//! Who got how many requests while the set of pods stood still. Pure.

use super::state::PodState;

/// Pods that are named in a line; more are summed up.
const NAMED: usize = 8;

/// Requests per pod between two looks at the sidecar's `/state`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Shares {
    pods: Vec<Share>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Share {
    pod: String,
    requests: u64,
}

impl Shares {
    /// What was added from `before` to `after`, for the pods that stand in `after`.
    pub fn between(before: &[PodState], after: &[PodState]) -> Self {
        let pods = after
            .iter()
            .map(|pod| Share {
                pod: pod.name().to_owned(),
                requests: pod.requests.saturating_sub(requests_of(before, pod.name())),
            })
            .collect();
        Self { pods }
    }

    /// Requests of each pod, in the order of `after`.
    pub fn counts(&self) -> impl Iterator<Item = u64> {
        self.pods.iter().map(|share| share.requests)
    }

    /// Requests of the pod of this name.
    pub fn of(&self, pod: &str) -> u64 {
        let shares = self.pods.iter().filter(|share| share.pod == pod);
        shares.map(|share| share.requests).sum()
    }

    pub fn total(&self) -> u64 {
        self.counts().sum()
    }

    /// Whether each of the `ready` pods got its turn and the others nothing. A window need not end with a round, so
    /// a pod may have had one turn more than another, never two.
    pub fn exact(&self, ready: &[String]) -> bool {
        let (in_turn, others): (Vec<&Share>, Vec<&Share>) = self
            .pods
            .iter()
            .partition(|share| ready.contains(&share.pod));
        let most = in_turn.iter().map(|share| share.requests).max();
        let least = in_turn.iter().map(|share| share.requests).min();
        let even = most.unwrap_or(0) - least.unwrap_or(0) <= 1;
        let strays = others.iter().any(|share| share.requests > 0);
        even && !strays && in_turn.len() == ready.len()
    }
}

impl std::fmt::Display for Shares {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.pods.len() > NAMED {
            let most = self.counts().max().unwrap_or(0);
            let least = self.counts().min().unwrap_or(0);
            return write!(f, "{} pods with {least} to {most} each", self.pods.len());
        }
        for (index, share) in self.pods.iter().enumerate() {
            let gap = if index == 0 { "" } else { "  " };
            write!(f, "{gap}{} {}", short(&share.pod), share.requests)?;
        }
        Ok(())
    }
}

/// The last part of a pod's name, which tells it from its siblings.
fn short(pod: &str) -> &str {
    pod.rsplit('-').next().unwrap_or(pod)
}

fn requests_of(pods: &[PodState], name: &str) -> u64 {
    pods.iter()
        .find(|pod| pod.name() == name)
        .map_or(0, |pod| pod.requests)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pods(counts: &[u64]) -> Vec<PodState> {
        let pod = |(index, requests): (usize, &u64)| PodState {
            pod: Some(format!("p-{index}")),
            address: "127.0.1.1:80".to_owned(),
            state: "ready".to_owned(),
            reason: None,
            requests: *requests,
        };
        counts.iter().enumerate().map(pod).collect()
    }

    fn between(before: &[u64], after: &[u64]) -> Shares {
        Shares::between(&pods(before), &pods(after))
    }

    fn names(indices: &[usize]) -> Vec<String> {
        indices.iter().map(|index| format!("p-{index}")).collect()
    }

    #[test]
    fn an_unfinished_round_is_still_exact() {
        assert!(between(&[5, 5, 6], &[15, 16, 16]).exact(&names(&[0, 1, 2])));
    }

    #[test]
    fn two_turns_more_than_a_neighbour_are_not() {
        assert!(!between(&[5, 5, 5], &[15, 15, 17]).exact(&names(&[0, 1, 2])));
    }

    #[test]
    fn a_pod_that_came_in_between_counts_from_zero() {
        let shares = between(&[5], &[15, 10]);
        assert_eq!(shares.total(), 20);
        assert!(shares.exact(&names(&[0, 1])));
    }

    #[test]
    fn a_request_to_a_pod_that_is_not_ready_is_not_exact() {
        assert!(between(&[4, 4], &[9, 4]).exact(&names(&[0])));
        assert!(!between(&[4, 4], &[9, 5]).exact(&names(&[0])));
    }

    #[test]
    fn a_ready_pod_that_is_missing_or_gets_nothing_is_not_exact() {
        assert!(!between(&[4, 4], &[9, 9]).exact(&names(&[0, 1, 2])));
        assert!(!between(&[4, 4], &[9, 4]).exact(&names(&[0, 1])));
    }

    #[test]
    fn it_names_each_pod_by_what_tells_it_apart() {
        assert_eq!(between(&[0, 0], &[2, 3]).to_string(), "0 2  1 3");
        let many: Vec<u64> = (0..20).map(|pod| 4 + pod % 2).collect();
        assert_eq!(between(&[], &many).to_string(), "20 pods with 4 to 5 each");
    }
}
