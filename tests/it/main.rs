//! Scenes: the built program between clients, pods and an API server that can misbehave, all on real sockets; its
//! command line and its documents, from outside.
//!
//! `cfg(test)` tells clippy that helpers too are test code.

#[cfg(test)]
mod access_log;
#[cfg(test)]
mod admin;
#[cfg(test)]
mod attacks;
#[cfg(test)]
mod balancing;
#[cfg(test)]
mod bodies;
#[cfg(test)]
mod calls;
#[cfg(test)]
mod chaos;
#[cfg(test)]
mod cli;
#[cfg(test)]
mod connections;
#[cfg(test)]
mod cuts;
#[cfg(test)]
mod demo;
#[cfg(test)]
mod docs;
#[cfg(test)]
mod drain;
#[cfg(test)]
mod ejection;
#[cfg(test)]
mod expect;
#[cfg(test)]
mod failures;
#[cfg(test)]
mod grpc;
#[cfg(test)]
mod harness;
#[cfg(test)]
mod headers;
#[cfg(test)]
mod health_check;
#[cfg(test)]
mod hedging;
#[cfg(test)]
mod hold;
#[cfg(test)]
mod hostile_pod;
#[cfg(test)]
mod http2;
#[cfg(test)]
mod inject;
#[cfg(test)]
mod kube_faults;
#[cfg(test)]
mod layers;
#[cfg(test)]
mod leaving;
#[cfg(test)]
mod limits;
#[cfg(test)]
mod overload;
#[cfg(test)]
mod policies;
#[cfg(test)]
mod pool;
#[cfg(test)]
mod race;
#[cfg(test)]
mod requests;
#[cfg(test)]
mod responses;
#[cfg(test)]
mod retries;
#[cfg(test)]
mod rollout;
#[cfg(test)]
mod selection;
#[cfg(test)]
mod silence;
#[cfg(test)]
mod smuggling;
#[cfg(test)]
mod stalls;
#[cfg(test)]
mod streaming;
#[cfg(test)]
mod support;
#[cfg(test)]
mod targets;
#[cfg(test)]
mod timeouts;
#[cfg(test)]
mod tls;
#[cfg(test)]
mod unreadable;
#[cfg(test)]
mod upgrades;
#[cfg(test)]
mod webhook;
