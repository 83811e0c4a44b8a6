//! podrobin: a sidecar that spreads each request over the ready pods of a Service, in turn.
//!
//! The data flow in one sentence: EndpointSlice events are folded into a list of endpoints ([`discovery`]); one
//! membership task merges that list with ejections and publishes an immutable [`snapshot`]; each worker thread keeps
//! the latest one, asks its [`balance::Picker`] for the next endpoint per request, borrows a connection from its own
//! pool, forwards, and reports the outcome.

pub mod backoff;
pub mod balance;
pub mod config;
pub mod demo;
pub mod discovery;
pub mod endpoint;
pub mod error;
pub mod kube_client;
pub mod readiness;
pub mod snapshot;
pub mod stats;
