//! Pods that stop, or leave, at any moment of an exchange.

use std::io;

use super::{Asked, among_good_pods};
use crate::support::pod::Session;

/// How far an exchange gets.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Until {
    Accepted,
    InHead,
    Head,
    InBody,
    Request,
    InAnswersHead,
    AnswersHead,
    InAnswersBody,
    Answer,
}

const MOMENTS: [Until; 9] = [
    Until::Accepted,
    Until::InHead,
    Until::Head,
    Until::InBody,
    Until::Request,
    Until::InAnswersHead,
    Until::AnswersHead,
    Until::InAnswersBody,
    Until::Answer,
];

const ANSWER: &str = "HTTP/1.1 200 OK\r\nx-pod: bad\r\ncontent-length: 3\r\n\r\nbad";

/// One exchange up to that moment.
async fn go(session: &mut Session, until: Until) -> io::Result<()> {
    let said = match until {
        Until::Accepted => return Ok(()),
        Until::InHead => return session.wire.exact(10).await.map(drop),
        Until::Head => return session.head().await.map(drop),
        Until::InBody => {
            session.head().await?;
            return session.wire.exact(1).await.map(drop);
        }
        Until::Request => "",
        Until::InAnswersHead => &ANSWER[..20],
        Until::AnswersHead => &ANSWER[..ANSWER.len() - 3],
        Until::InAnswersBody => &ANSWER[..ANSWER.len() - 1],
        Until::Answer => ANSWER,
    };
    session.request().await?;
    session.wire.send(said).await
}

#[tokio::test]
async fn a_pod_may_close_at_any_moment() {
    for until in MOMENTS {
        for asked in [Asked::Gets, Asked::Uploads] {
            // A GET has no body to leave in.
            if (until, asked) == (Until::InBody, Asked::Gets) {
                continue;
            }
            let script = move |mut session: Session| async move { go(&mut session, until).await };
            among_good_pods(&format!("close {until:?} {asked:?}"), asked, script).await;
        }
    }
}

#[tokio::test]
async fn a_pod_may_reset_at_any_moment() {
    for until in MOMENTS {
        let script = move |mut session: Session| async move {
            go(&mut session, until).await?;
            session.wire.reset()
        };
        let asked = match until {
            Until::InBody => Asked::Uploads,
            _ => Asked::Gets,
        };
        among_good_pods(&format!("reset {until:?}"), asked, script).await;
    }
}

#[tokio::test]
async fn a_pod_may_stop_at_any_moment() {
    for until in MOMENTS {
        let script = move |mut session: Session| async move {
            go(&mut session, until).await?;
            session.wire.gone().await;
            Ok(())
        };
        let asked = match until {
            Until::InBody => Asked::Uploads,
            // Once the head is out nothing bounds the rest but --request-timeout, which is off.
            Until::AnswersHead | Until::InAnswersBody => continue,
            _ => Asked::Gets,
        };
        among_good_pods(&format!("stop {until:?}"), asked, script).await;
    }
}

/// It accepts, and reads nothing at all.
#[tokio::test]
async fn a_pod_may_never_read() {
    for asked in [Asked::Gets, Asked::Uploads] {
        let script = |session: Session| async move {
            let _kept_open = session;
            std::future::pending().await
        };
        let (tally, _) = among_good_pods(&format!("never reads {asked:?}"), asked, script).await;
        assert!(tally.failed.keys().all(|flag| flag == "UT"), "{tally:?}");
    }
}
