//! What a sidecar's process uses, and crowds of connections that make it use much.

use std::net::SocketAddr;
use std::time::Duration;

use futures::stream::{self, StreamExt};
use rustix::process::{Pid, Resource, Rlimit, getrlimit, prlimit, setrlimit};
use tokio::net::{TcpSocket, TcpStream};

use super::sidecar::Plan;
use super::{Sidecar, soon, within};

pub const KIB: u64 = 1024;
pub const MIB: u64 = 1024 * KIB;

/// What an attacked process may keep for the allocator's sake, and for the requests that are served meanwhile.
const SLACK: u64 = 16 * MIB;

/// Descriptors that come and go with the scenes' own requests.
pub const OTHER_FILES: usize = 16;

/// For thousands of connections on a machine that has other things to do.
pub const A_WHILE: Duration = Duration::from_secs(60);

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

/// What the process had before it was attacked.
pub struct Calm {
    memory: u64,
    pub files: usize,
}

/// Starts a sidecar and takes its measure.
pub async fn calm(plan: Plan) -> (Sidecar, Calm) {
    allow_files(12_000);
    let sidecar = plan.start().await;
    sidecar.get("/").await;
    let calm = Calm {
        memory: sidecar.resident(),
        files: sidecar.files(),
    };
    (sidecar, calm)
}

impl Calm {
    /// Holds the worst moment so far to so many bytes and descriptors for each of `count` attackers.
    pub fn bound(&self, what: &str, sidecar: &Sidecar, count: usize, bytes: u64, files: usize) {
        let memory = sidecar.peak().saturating_sub(self.memory);
        let open = sidecar.files().saturating_sub(self.files);
        let each = memory / u64::try_from(count).unwrap();
        println!(
            "{what}: {count} attackers, {} KiB more, {each} bytes each, {open} descriptors more",
            memory / KIB
        );
        let most = bytes * u64::try_from(count).unwrap() + SLACK;
        assert!(memory < most, "{what}: {memory} bytes more, of {most}");
        let most = files * count + OTHER_FILES;
        assert!(open <= most, "{what}: {open} descriptors more, of {most}");
    }

    /// Waits until the process has no more open than before, and sees that it serves.
    pub async fn returns(&self, what: &str, sidecar: &mut Sidecar) {
        within(A_WHILE, what, async {
            while sidecar.files() > self.files + OTHER_FILES {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        })
        .await;
        assert!(sidecar.is_running());
        assert_eq!(sidecar.get("/after").await.pod(), "a", "{what}");
    }
}
