//! Waits that end, and say what they waited for.

use std::future::Future;
use std::time::Duration;

/// Long enough for anything that happens at once, even on a busy machine.
pub const SOON: Duration = Duration::from_secs(30);

/// Between two looks at something that cannot be waited on, such as another process.
const LOOK_AGAIN: Duration = Duration::from_millis(10);

pub async fn within<T>(limit: Duration, what: &str, future: impl Future<Output = T>) -> T {
    match tokio::time::timeout(limit, future).await {
        Ok(value) => value,
        Err(_) => panic!("waited {limit:?} for {what}"),
    }
}

pub async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    within(SOON, what, future).await
}

/// Looks again and again until `look` finds something.
pub async fn eventually<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    soon(what, async {
        loop {
            if let Some(found) = look().await {
                return found;
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    })
    .await
}
