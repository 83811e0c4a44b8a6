//! Scenes: the built program between clients, pods and an API server that can misbehave, all on real sockets; its
//! command line and its documents, from outside.
//!
//! `cfg(test)` tells clippy that helpers too are test code.

#[cfg(test)]
mod cli;
#[cfg(test)]
mod demo;
#[cfg(test)]
mod docs;
#[cfg(test)]
mod kube_faults;
#[cfg(test)]
mod layers;
