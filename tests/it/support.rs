//! What the scenes are made of: pods, clients, the sidecar as a process, and waits that end.

pub mod arrival;
pub mod certificates;
pub mod client;
pub mod cluster;
pub mod frames;
pub mod head;
pub mod http2;
pub mod load;
pub mod log;
pub mod manners;
pub mod pod;
pub mod resources;
pub mod sidecar;
pub mod slices;
pub mod tls;
pub mod webhook;
pub mod wire;
pub mod within;

pub use client::Client;
pub use cluster::Cluster;
pub use http2::H2Client;
pub use load::Load;
pub use pod::Pod;
pub use sidecar::Sidecar;
pub use slices::Slices;
pub use webhook::Webhook;
pub use within::{eventually, soon, within};
