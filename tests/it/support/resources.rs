//! What a sidecar's process uses, and crowds of connections that make it use much.

use std::net::SocketAddr;

use futures::stream::{self, StreamExt};
use rustix::process::{Pid, Resource, Rlimit, getrlimit, prlimit, setrlimit};
use tokio::net::{TcpSocket, TcpStream};

use super::{Sidecar, soon};

/// Connections made at once: below the listener's backlog, so that none waits for a second SYN.
const AT_ONCE: usize = 256;

impl Sidecar {
    /// The most memory it has had resident so far, in bytes.
    pub fn peak(&self) -> u64 {
        self.status("VmHWM:")
    }

    /// Descriptors it has open.
    pub fn files(&self) -> usize {
        let path = format!("/proc/{}/fd", self.pid());
        std::fs::read_dir(path).unwrap().count()
    }

    /// Leaves it no more than so many descriptors, those it has included.
    pub fn limit_files(&self, most: usize) {
        let pid = Pid::from_raw(i32::try_from(self.pid()).unwrap());
        let most = Some(u64::try_from(most).unwrap());
        let limit = Rlimit {
            current: most,
            maximum: most,
        };
        prlimit(pid, Resource::Nofile, limit).unwrap();
    }
}

/// Lets this process, and what it starts, have so many descriptors.
pub fn allow_files(wanted: usize) {
    let wanted = u64::try_from(wanted).unwrap();
    let limit = getrlimit(Resource::Nofile);
    if limit.current.is_none_or(|current| current >= wanted) {
        return;
    }
    assert!(
        limit.maximum.is_none_or(|most| most >= wanted),
        "this scene takes {wanted} descriptors; the limit here is {limit:?} (ulimit -Hn)"
    );
    let raised = Rlimit {
        current: Some(wanted),
        maximum: limit.maximum,
    };
    setrlimit(Resource::Nofile, raised).unwrap();
}

/// So many connections from an address of their own, which keeps the ports of 127.0.0.1 for other scenes.
pub async fn crowd(address: SocketAddr, count: usize) -> Vec<TcpStream> {
    let connect = |_| async move {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind(([127, 7, 7, 7], 0).into()).unwrap();
        soon("a connection", socket.connect(address)).await.unwrap()
    };
    stream::iter(0..count)
        .map(connect)
        .buffer_unordered(AT_ONCE)
        .collect()
        .await
}
