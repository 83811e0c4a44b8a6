//! Waiting for something outside this process, with a bound and a message.

use std::future::Future;
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};

/// Everything here happens in a second or two; a slow machine may take longer.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Waits for an event.
pub async fn within<T>(what: &str, event: impl Future<Output = T>) -> T {
    timeout(PATIENCE, event)
        .await
        .unwrap_or_else(|_| panic!("{what}: did not happen within {PATIENCE:?}"))
}

/// Asks again and again, where another process offers no event to wait for.
///
/// `probe` says with `Err` how things stand; the last one is in the message when patience ends.
pub async fn until<T>(what: &str, probe: impl AsyncFnMut() -> Result<T, String>) -> T {
    until_within(PATIENCE, what, probe).await
}

/// The same with more patience, or less.
pub async fn until_within<T>(
    patience: Duration,
    what: &str,
    mut probe: impl AsyncFnMut() -> Result<T, String>,
) -> T {
    let deadline = Instant::now() + patience;
    loop {
        match probe().await {
            Ok(found) => return found,
            Err(standing) if Instant::now() > deadline => {
                panic!("{what}: not so within {patience:?}; at last: {standing}")
            }
            Err(_) => sleep(Duration::from_millis(20)).await,
        }
    }
}
