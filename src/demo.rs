//! `podrobin demo`: all of it on one machine, without a cluster.

pub mod api;
