//! Scenes, on real sockets.

#[cfg(test)]
mod kube_faults;
