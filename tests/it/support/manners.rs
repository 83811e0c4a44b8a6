//! Scripts that more than one scene needs.

use std::io;

use super::pod::Session;

/// Answers every request with the pod's name.
pub async fn answer_all(mut session: Session) -> io::Result<()> {
    while session.request().await?.is_some() {
        session.answer().await?;
    }
    Ok(())
}

/// Accepts, reads and never says a word.
pub async fn never_answer(mut session: Session) -> io::Result<()> {
    while session.request().await?.is_some() {}
    Ok(())
}

/// Resets each connection once a request has been read.
pub async fn reset_after_request(mut session: Session) -> io::Result<()> {
    session.request().await?;
    session.wire.reset()
}

/// Gives the same bytes for every request, whatever they are.
pub fn say(
    bytes: impl AsRef<[u8]> + Clone + Send + 'static,
) -> impl Fn(Session) -> std::pin::Pin<Box<dyn Future<Output = io::Result<()>> + Send>> + Send + 'static
{
    move |mut session| {
        let bytes = bytes.as_ref().to_vec();
        Box::pin(async move {
            while session.request().await?.is_some() {
                session.wire.send(&bytes).await?;
            }
            Ok(())
        })
    }
}

/// Gives the same bytes for one request and closes.
pub fn say_and_close(
    bytes: impl AsRef<[u8]> + Clone + Send + 'static,
) -> impl Fn(Session) -> std::pin::Pin<Box<dyn Future<Output = io::Result<()>> + Send>> + Send + 'static
{
    move |mut session| {
        let bytes = bytes.as_ref().to_vec();
        Box::pin(async move {
            session.request().await?;
            session.wire.send(&bytes).await
        })
    }
}
