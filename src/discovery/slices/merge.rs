//! One endpoint for each address, out of all slices.
//!
//! While the controller moves an endpoint to another slice it stands in both for a moment, or in none, and each slice
//! may be seen in its old or new state (KEP-752). kube-proxy takes any of the copies; we say which.

use std::cmp::Reverse;
use std::net::SocketAddr;

use super::family::IpFamily;
use super::{Backend, Slices};

/// A backend on the wanted port.
#[derive(Clone, Copy, Debug)]
pub(super) struct Candidate<'a> {
    pub(super) address: SocketAddr,
    pub(super) backend: &'a Backend,
    pub(super) app_protocol: Option<&'a str>,
    pub(super) weight: Option<u32>,
}

/// Every backend of the family on the port, sorted by address, no address twice.
pub(super) fn merge<'a>(slices: &'a Slices, port: &str, family: IpFamily) -> Vec<Candidate<'a>> {
    let mut candidates: Vec<Candidate<'a>> = slices
        .values()
        .flat_map(|slice| {
            slice
                .number(port)
                .into_iter()
                .flat_map(move |(number, app_protocol)| {
                    slice.backends.iter().map(move |backend| Candidate {
                        address: SocketAddr::new(backend.ip, number),
                        backend,
                        app_protocol,
                        weight: slice.weight,
                    })
                })
        })
        .filter(|candidate| family.holds(candidate.backend.ip))
        .collect();
    one_per_pod(&mut candidates);
    one_per_address(&mut candidates);
    candidates
}

/// Of copies of one pod the terminating one wins: there is no way back from terminating, so it is the newer one.
/// Otherwise the ready one does: a request that fails moves on, one without an endpoint cannot.
fn one_per_pod(candidates: &mut Vec<Candidate<'_>>) {
    candidates.sort_unstable_by_key(|candidate| {
        let backend = candidate.backend;
        Reverse((
            candidate.address,
            &backend.uid,
            backend.terminating,
            candidate.rank(),
        ))
    });
    candidates.dedup_by_key(|candidate| (candidate.address, &candidate.backend.uid));
}

/// Of different pods on one address the one that is not terminating wins: the address was given to a new pod.
/// Otherwise the ready one does, as above.
fn one_per_address(candidates: &mut Vec<Candidate<'_>>) {
    candidates.sort_unstable_by_key(|candidate| {
        let later = Reverse((!candidate.backend.terminating, candidate.rank()));
        (candidate.address, later)
    });
    candidates.dedup_by_key(|candidate| candidate.address);
}

impl<'a> Candidate<'a> {
    /// Ready before serving before neither. Past that no copy is better, and any total order will do to make the
    /// choice independent of where the copies stood: the greater weight wins, and any before none.
    fn rank(&self) -> (&'a Backend, Option<&'a str>, Option<u32>) {
        (self.backend, self.app_protocol, self.weight)
    }
}
