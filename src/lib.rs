//! podrobin: a sidecar that spreads each request over the ready pods of a Service, in turn.
//!
//! The data flow in one sentence: EndpointSlice events are folded into a list of endpoints ([`discovery`]); one
//! membership task merges that list with ejections and publishes an immutable [`snapshot`]; each worker thread keeps
//! the latest one, asks its [`balance::Picker`] for the next endpoint per request, borrows a connection from its own
//! pool, forwards, and reports the outcome.

pub mod access_log;
pub mod admin;
pub mod admission;
pub mod app;
pub mod backoff;
pub mod balance;
pub mod cli;
pub mod config;
pub mod cpu;
pub mod demo;
pub mod discovery;
pub mod drain;
pub mod endpoint;
pub mod error;
pub mod health_check;
pub mod inject;
pub mod kube_client;
pub mod load_report;
pub mod manifests;
pub mod membership;
pub mod metrics;
pub mod net;
pub mod outlier;
pub mod pem;
pub mod pool;
pub mod probe;
pub mod protobuf;
pub mod proxy;
pub mod readiness;
pub mod relay;
pub mod signals;
pub mod snapshot;
pub mod stable_hash;
pub mod stats;
pub mod telemetry;
pub mod upstream_tls;
pub mod value;
pub mod webhook;
pub mod worker;
