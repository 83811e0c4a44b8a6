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
    /// Of the whole body; a watch has none.
    deadline: Option<Pin<Box<tokio::time::Sleep>>>,
    tuning: Arc<Tuning>,
}

#[derive(Debug)]
enum Reading {
    Page {
        read: usize,
        list: Arc<ListSize>,
        pulse: Arc<watch::Sender<Pulse>>,
    },
    Object {
        read: usize,
    },
    /// What an answer that is no success says.
    Refusal {
        left: usize,
    },
    Watch(WatchReading),
    Over,
}

/// Bytes of a refusal that are read; more is left out, as its status says the most.
const REFUSAL_BYTES: usize = 64 << 10;

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
            deadline: None,
            tuning: guard.tuning.clone(),
        }
    }

    pub(super) fn of_page(body: Incoming, guard: &Guard) -> Self {
        let reading = Reading::Page {
            read: 0,
            list: guard.list.clone(),
            pulse: guard.pulse.clone(),
        };
        Self::timed(body, guard, reading)
    }

    pub(super) fn of_object(body: Incoming, guard: &Guard) -> Self {
        Self::timed(body, guard, Reading::Object { read: 0 })
    }

    pub(super) fn of_refusal(body: Incoming, guard: &Guard) -> Self {
        let left = REFUSAL_BYTES;
        Self::timed(body, guard, Reading::Refusal { left })
    }

    fn timed(body: Incoming, guard: &Guard, reading: Reading) -> Self {
        Self {
            body,
            reading,
            deadline: Some(Box::pin(tokio::time::sleep(guard.tuning.body))),
            tuning: guard.tuning.clone(),
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
        if matches!(self.reading, Reading::Over | Reading::Refusal { left: 0 }) {
            return Poll::Ready(None);
        }
        if let Some(deadline) = &mut self.deadline
            && deadline.as_mut().poll(cx).is_ready()
        {
            return Poll::Ready(Some(Err(Refusal::SlowBody(self.tuning.body).into())));
        }
        let Some(frame) = ready!(Pin::new(&mut self.body).poll_frame(cx)?) else {
            return Poll::Ready(None);
        };
        let Ok(mut data) = frame.into_data() else {
            // Trailers say nothing here.
            return Poll::Ready(None);
        };
        self.take(&mut data)?;
        Poll::Ready(Some(Ok(Frame::data(data))))
    }

    fn take(&mut self, data: &mut Bytes) -> Result<(), Refusal> {
        let tuning = &self.tuning;
        match &mut self.reading {
            Reading::Watch(watch) => watch.take(data, tuning.object_bytes),
            Reading::Page { read, list, pulse } => {
                // Nobody waits for a list's bytes one by one.
                pulse.send_if_modified(|pulse| {
                    pulse.beat();
                    false
                });
                *read += data.len();
                if *read > tuning.page_bytes {
                    return Err(Refusal::LongPage(tuning.page_bytes));
                }
                list.take(data.len(), tuning.list_bytes)
            }
            Reading::Object { read } => {
                *read += data.len();
                if *read > tuning.object_bytes {
                    return Err(Refusal::LongObject(tuning.object_bytes));
                }
                Ok(())
            }
            Reading::Refusal { left } => {
                data.truncate(*left);
                *left -= data.len();
                Ok(())
            }
            Reading::Over => Ok(()),
        }
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
        matches!(self.reading, Reading::Over) || self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        // What a refusal says may be cut.
        SizeHint::default()
    }
}
