//! Pings to a pod that owes answers: one that is gone without a word is noticed.
//!
//! Some servers take frequent pings for an attack and close the connection (gRPC's `too_many_pings` after more than
//! two that no data or headers went with, unless five minutes lie between them). So after two pings without a word about
//! a request the next ones are rare, and the kernel watches: it gives up on bytes that nobody acknowledges, and on a
//! host that does not answer its probes.

use std::time::{Duration, Instant};

use h2::{Ping, PingPong};

use super::Health;

/// Pings between two words of the pod, before they get rare.
const MOST_PINGS: u32 = 2;

/// Between pings from then on: what gRPC's servers allow by default, and a little.
const RARELY: Duration = Duration::from_secs(310);

/// Returns when the pod, with requests in flight, has not answered a ping. Half of `within` passes between pings, and
/// the other half is the time for an answer.
pub(super) async fn until_silent(ping_pong: Option<PingPong>, health: &Health, within: Duration) {
    let Some(mut ping_pong) = ping_pong else {
        return std::future::pending().await;
    };
    let mut pings = 0;
    let mut last = Instant::now();
    loop {
        tokio::time::sleep(within / 2).await;
        if health.heard.take() {
            pings = 0;
        } else if health.streams.get() > 0 && (pings < MOST_PINGS || last.elapsed() >= RARELY) {
            pings += 1;
            last = Instant::now();
            let pong = ping_pong.ping(Ping::opaque());
            match tokio::time::timeout(within / 2, pong).await {
                Ok(Ok(_)) => {}
                // The connection has ended, and says so itself.
                Ok(Err(_)) => return std::future::pending().await,
                Err(_) => return,
            }
        }
    }
}
