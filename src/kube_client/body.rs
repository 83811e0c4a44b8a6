//! The bodies of answers: bounded in time and size, and a pulse of when their bytes come.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::sync::watch;
use tower::BoxError;

use super::guard::{Guard, ListSize, Refusal};
use super::{Pace, Pulse, Tuning};

/// A response body that is bounded in time and size, and says when its bytes come.
#[derive(Debug)]
pub(super) struct GuardedBody {
    body: Incoming,
    reading: Reading,
    tuning: Arc<Tuning>,
}

#[derive(Debug)]
enum Reading {
    Page {
        deadline: Pin<Box<tokio::time::Sleep>>,
        list: Arc<ListSize>,
        pulse: Option<Arc<watch::Sender<Pulse>>>,
    },
    Watch(WatchReading),
    Over,
}

/// An open watch. Its end is told when this is dropped, whoever ends it.
#[derive(Debug)]
struct WatchReading {
    opened: Instant,
    own_time: Duration,
    /// Bytes since the last line's end.
    line: usize,
    pace: Arc<Pace>,
    pulse: Arc<watch::Sender<Pulse>>,
}

impl GuardedBody {
    pub(super) fn of_watch(body: Incoming, guard: &Guard, own_time: Duration) -> Self {
        Self {
            body,
            reading: Reading::Watch(WatchReading::open(guard, own_time)),
            tuning: guard.tuning.clone(),
        }
    }

    /// `counts` says whether its bytes are news of the list; a refusal's are not.
    pub(super) fn of_page(body: Incoming, guard: Guard, counts: bool) -> Self {
        Self {
            body,
            reading: Reading::Page {
                deadline: Box::pin(tokio::time::sleep(guard.tuning.body)),
                list: guard.list,
                pulse: counts.then_some(guard.pulse),
            },
            tuning: guard.tuning,
        }
    }
}

impl WatchReading {
    fn open(guard: &Guard, own_time: Duration) -> Self {
        let opened = Instant::now();
        guard.pulse.send_modify(|pulse| {
            pulse.last_byte = Some((opened, SystemTime::now()));
            pulse.watches += 1;
            pulse.open = true;
        });
        Self {
            opened,
            own_time,
            line: 0,
            pace: guard.pace.clone(),
            pulse: guard.pulse.clone(),
        }
    }

    fn take(&mut self, data: &[u8], most: usize) -> Result<(), Refusal> {
        self.pulse.send_modify(Pulse::beat);
        for piece in data.split_inclusive(|byte| *byte == b'\n') {
            self.line += piece.len();
            if self.line > most {
                return Err(Refusal::LongEvent(most));
            }
            if piece.ends_with(b"\n") {
                self.line = 0;
            }
        }
        Ok(())
    }
}

impl Drop for WatchReading {
    fn drop(&mut self) {
        self.pace.watch_ended(self.opened.elapsed(), self.own_time);
        self.pulse.send_modify(|pulse| pulse.open = false);
    }
}

impl GuardedBody {
    fn poll_guarded(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        if let Reading::Page { deadline, .. } = &mut self.reading
            && deadline.as_mut().poll(cx).is_ready()
        {
            return Poll::Ready(Some(Err(Refusal::SlowBody(self.tuning.body).into())));
        }
        let Some(frame) = ready!(Pin::new(&mut self.body).poll_frame(cx)?) else {
            return Poll::Ready(None);
        };
        if let Some(data) = frame.data_ref() {
            match &mut self.reading {
                Reading::Watch(watch) => watch.take(data, self.tuning.event_bytes)?,
                Reading::Page { list, pulse, .. } => {
                    if let Some(pulse) = pulse {
                        // Nobody waits for a list's bytes one by one.
                        pulse.send_if_modified(|pulse| {
                            pulse.beat();
                            false
                        });
                    }
                    list.take(data.len(), self.tuning.list_bytes)?;
                }
                Reading::Over => {}
            }
        }
        Poll::Ready(Some(Ok(frame)))
    }
}

impl Body for GuardedBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = self.get_mut();
        let frame = ready!(this.poll_guarded(cx));
        if !matches!(frame, Some(Ok(_))) {
            // Told now and not when the reader gets round to dropping the body.
            this.reading = Reading::Over;
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
