//! The soak: mixed traffic for as long as it is told while everything that can go wrong does, and an account of every
//! request. `PODROBIN_SOAK_SECONDS` says how long, 60 where it says nothing.
//!
//! A request may fail only where no correct proxy could have saved it; [`ledger`] says exactly when that is. The process
//! must not grow: after a warm-up, with all clients gone, it has to come back to the descriptors, threads and memory
//! that it had. And where the set of pods stands still, each gets exactly its share.
//!
//! `cfg(test)` tells clippy that helpers too are test code.

#[cfg(test)]
mod fleet;
#[cfg(test)]
mod ledger;
#[cfg(test)]
mod pod;
#[cfg(test)]
mod shares;
#[cfg(test)]
mod sidecar;
#[cfg(test)]
mod soak;
#[cfg(test)]
mod traffic;
#[cfg(test)]
mod tunnel;
