//! Who gets traffic: conditions, topology hints and traffic policy, as kube-proxy's `CategorizeEndpoints` has them.

use super::merge::Candidate;
use super::{Backend, Selection, known};
use crate::endpoint::Standing;

/// Which endpoints are used: the first of these that any endpoint in reach belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Tier {
    Ready,
    /// Ready although terminating: the controller writes that for `publishNotReadyAddresses` alone, which hides who is
    /// really ready. kube-proxy uses them like any other; we prefer those that stay.
    ReadyTerminating,
    /// Serving until they are gone, where nobody is ready: a rollout of the last pod (KEP-1669).
    ServingTerminating,
}

/// Topology hints in force: only endpoints meant for the own node or zone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Hint<'a> {
    Off,
    Node(&'a str),
    Zone(&'a str),
}

/// The standing of each candidate, in the same order. `zone` is the own one, where known.
pub(super) fn standings(
    candidates: &[Candidate<'_>],
    selection: &Selection,
    zone: Option<&str>,
) -> Vec<Standing> {
    let node = known(selection.node.as_deref());
    let in_reach = |backend: &Backend| !selection.local || is_local(backend, node);

    let tier = Tier::ALL.into_iter().find(|tier| {
        candidates
            .iter()
            .any(|candidate| in_reach(candidate.backend) && tier.admits(candidate.backend))
    });
    let hint = match tier {
        // Hints are for traffic that may go anywhere, and the last pods left serve everyone.
        Some(tier) if !selection.local && tier != Tier::ServingTerminating => {
            Hint::of(candidates, tier, node, zone)
        }
        _ => Hint::Off,
    };

    candidates
        .iter()
        .map(|candidate| candidate.backend)
        .map(|backend| match tier {
            Some(tier) if tier.admits(backend) && in_reach(backend) && hint.admits(backend) => {
                tier.standing()
            }
            _ if backend.terminating => Standing::Terminating,
            _ if backend.ready => Standing::Elsewhere,
            _ => Standing::NotReady,
        })
        .collect()
}

/// `internalTrafficPolicy: Local` (KEP-2086) is the own node or nothing, so without a node it is nothing.
pub(super) fn local_note(candidates: &[Candidate<'_>], selection: &Selection) -> Option<String> {
    let lost = selection.local && known(selection.node.as_deref()).is_none();
    (lost && !candidates.is_empty()).then(|| {
        "the Service's internalTrafficPolicy is Local, and the own node is not known: \
         hand it in from the Downward API (spec.nodeName)"
            .to_owned()
    })
}

fn is_local(backend: &Backend, node: Option<&str>) -> bool {
    node.is_some() && backend.node.as_deref() == node
}

impl Tier {
    const ALL: [Self; 3] = [
        Self::Ready,
        Self::ReadyTerminating,
        Self::ServingTerminating,
    ];

    fn admits(self, backend: &Backend) -> bool {
        match self {
            Self::Ready => backend.ready && !backend.terminating,
            Self::ReadyTerminating => backend.ready && backend.terminating,
            Self::ServingTerminating => backend.serving && backend.terminating,
        }
    }

    fn standing(self) -> Standing {
        match self {
            Self::Ready | Self::ReadyTerminating => Standing::Ready,
            Self::ServingTerminating => Standing::Fallback,
        }
    }
}

impl<'a> Hint<'a> {
    /// Hints count only if every ready endpoint has one and one of them names us; those for nodes come first. One
    /// endpoint without a hint may be new, or the controller may have given up: all are used then (KEP-2433, KEP-3015).
    fn of(
        candidates: &[Candidate<'_>],
        tier: Tier,
        node: Option<&'a str>,
        zone: Option<&'a str>,
    ) -> Self {
        let agreed = |hint: Self| {
            let mut ready = candidates
                .iter()
                .map(|candidate| candidate.backend)
                .filter(|backend| tier.admits(backend));
            ready.clone().all(|backend| hint.is_given(backend))
                && ready.any(|backend| hint.admits(backend))
        };
        let node = node.map(Self::Node);
        let zone = zone.map(Self::Zone);
        [node, zone]
            .into_iter()
            .flatten()
            .find(|hint| agreed(*hint))
            .unwrap_or(Self::Off)
    }

    /// Whether the endpoint has a hint of this kind, for whomever.
    fn is_given(self, backend: &Backend) -> bool {
        match self {
            Self::Off => true,
            Self::Node(_) => !backend.for_nodes.is_empty(),
            Self::Zone(_) => !backend.for_zones.is_empty(),
        }
    }

    fn admits(self, backend: &Backend) -> bool {
        match self {
            Self::Off => true,
            Self::Node(node) => backend.for_nodes.iter().any(|name| name == node),
            Self::Zone(zone) => backend.for_zones.iter().any(|name| name == zone),
        }
    }
}
