//! What a sidecar's process uses, and crowds of connections that make it use much.

use std::net::SocketAddr;

use rustix::process::{Pid, Resource, Rlimit, getrlimit, prlimit, setrlimit};
use tokio::net::{TcpSocket, TcpStream};

use super::{Sidecar, eventually, soon};

/// Connections made at once. What its listener's backlog does not hold the kernel lets wait for a second and more.
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

    /// So many connections, all accepted.
    pub async fn crowd(&self, count: usize) -> Vec<TcpStream> {
        let mut crowd = Vec::with_capacity(count);
        while crowd.len() < count {
            let more = AT_ONCE.min(count - crowd.len());
            crowd.extend(connections(self.proxy, more).await);
            let wanted = f64::from(u32::try_from(crowd.len()).unwrap());
            eventually("the crowd to be accepted", async || {
                let open = self.metric("podrobin_client_connections_open", &[]);
                (open.await >= wanted).then_some(())
            })
            .await;
        }
        crowd
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

/// Lets this process, and what it starts, have so many descriptors at least.
pub fn allow_files(wanted: usize) {
    let limit = getrlimit(Resource::Nofile);
    assert!(
        limit
            .maximum
            .is_none_or(|most| most >= u64::try_from(wanted).unwrap()),
        "this scene takes {wanted} descriptors; the limit here is {limit:?} (ulimit -Hn)"
    );
    // The same for all scenes that run at once: none may lower it for another.
    let raised = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    setrlimit(Resource::Nofile, raised).unwrap();
}

/// So many connections, accepted or not, from an address of their own: the ports of 127.0.0.1 are for other scenes.
pub async fn connections(address: SocketAddr, count: usize) -> Vec<TcpStream> {
    let mut connections = Vec::with_capacity(count);
    for _ in 0..count {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind(([127, 7, 7, 7], 0).into()).unwrap();
        connections.push(soon("a connection", socket.connect(address)).await.unwrap());
    }
    connections
}
