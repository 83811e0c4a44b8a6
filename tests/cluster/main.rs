//! The built binary against a real control plane: etcd, kube-apiserver and kube-controller-manager.
//!
//! ```text
//!  scene ── creates Services, Deployments, rights ──> kube-apiserver <── controllers make pods and EndpointSlices
//!    │                                                 ^    ^     ^
//!    │                            kubelet (played) ────┘    │     └── relay (can be cut) ── podrobin (the binary)
//!    │                               └ pods: HTTP servers on addresses of their own <─────────┘      ^
//!    └── load ───────────────────────────────────────────────────────────────────────────────────────┘
//! ```
//! Everything runs in one network namespace made by `run.sh`, because the API server refuses loopback addresses in
//! EndpointSlices. One control plane is shared by all scenes, each in a Kubernetes namespace of its own; a scene that
//! kills its API server starts a plane for itself.
#![cfg(test)]

mod api_server;
mod chart_rights;
mod control_plane;
mod in_pod;
mod kubelet;
mod load;
mod manifests;
mod pod;
mod policy;
mod ports;
mod process;
mod relay;
mod rights;
mod rollout;
mod scale;
mod scene;
mod secrets;
mod sidecar;
mod slices;
mod wait;
mod webhook;
