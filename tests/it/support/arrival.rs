//! What has arrived at the other end of a connection: on a busy machine loopback, too, takes a moment.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::TcpStream;

use super::within::soon;

/// The two ends of a connection over IPv4, as /proc/net/tcp writes them, the other side's first.
#[derive(Debug)]
pub struct Ends(String);

const ESTABLISHED: &str = "01";
const NOTHING_UNREAD: &str = "00000000";

impl Ends {
    pub fn of(stream: &TcpStream) -> Self {
        let (own, peer) = (stream.local_addr().unwrap(), stream.peer_addr().unwrap());
        Self(format!("{} {}", hex(peer), hex(own)))
    }

    /// Waits until bytes, an end or a reset have come to the other side, whether it has looked or not.
    pub async fn heard(&self) {
        soon("what was sent to arrive", async {
            while self.are_quiet() {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        })
        .await;
    }

    fn are_quiet(&self) -> bool {
        let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
        table.lines().any(|line| {
            let mut fields = line
                .split_once(": ")
                .and_then(|(_, rest)| rest.strip_prefix(&self.0))
                .into_iter()
                .flat_map(str::split_whitespace);
            let (state, queues) = (fields.next(), fields.next().unwrap_or_default());
            state == Some(ESTABLISHED) && queues.ends_with(NOTHING_UNREAD)
        })
    }
}

fn hex(address: SocketAddr) -> String {
    let SocketAddr::V4(address) = address else {
        panic!("{address} is not IPv4");
    };
    let ip = u32::from_ne_bytes(address.ip().octets());
    format!("{ip:08X}:{:04X}", address.port())
}
