//! From worker threads to standard output.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TryRecvError, TrySendError};
use std::sync::mpsc::{channel, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use super::Entry;
use crate::config::LogFormat;

/// Lines that may wait to be written; a burst of a tenth of a second at 40,000 requests a second.
const QUEUE: usize = 4_096;

/// Bytes collected before a write, as long as more lines are waiting.
const BATCH: usize = 64 * 1024;

/// How often lost lines are mentioned.
const REPORT_EVERY: Duration = Duration::from_secs(10);

/// Where workers put their lines. Clones share one queue.
#[derive(Clone, Debug)]
pub struct AccessLog {
    format: LogFormat,
    /// To the writing thread. Full means standard output is slow: the line is dropped.
    lines: SyncSender<String>,
    dropped: Arc<AtomicU64>,
}

/// The thread that writes. It ends when every [`AccessLog`] is gone.
#[derive(Debug)]
pub struct Writer {
    done: Receiver<()>,
}

impl AccessLog {
    /// Starts writing to standard output.
    pub fn start(format: LogFormat) -> io::Result<(Self, Writer)> {
        Self::start_to(format, io::stdout())
    }

    /// Starts writing to `sink`, on a thread of its own.
    pub fn start_to(
        format: LogFormat,
        sink: impl Write + Send + 'static,
    ) -> io::Result<(Self, Writer)> {
        let (lines, queued) = sync_channel(QUEUE);
        let (finished, done) = channel();
        let dropped = Arc::new(AtomicU64::new(0));
        let lost = Lost {
            dropped: dropped.clone(),
            reported: 0,
            at: None,
        };
        thread::Builder::new()
            .name("access-log".to_owned())
            .spawn(move || {
                write_all(&queued, sink, lost);
                drop(queued);
                // Nobody may be waiting for it.
                let _ = finished.send(());
            })?;
        let log = Self {
            format,
            lines,
            dropped,
        };
        Ok((log, Writer { done }))
    }

    /// Queues a line; never waits.
    pub fn log(&self, entry: &Entry<'_>) {
        let mut line = String::with_capacity(256);
        entry.write(self.format, &mut line);
        if let Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) =
            self.lines.try_send(line)
        {
            self.dropped.fetch_add(1, Relaxed);
        }
    }

    /// Lines lost because standard output was slow or closed.
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Relaxed)
    }
}

impl Writer {
    /// Waits until all queued lines are written, at most so long; whether they were. Every [`AccessLog`] must be
    /// gone by then.
    pub fn finish(self, at_most: Duration) -> bool {
        !matches!(
            self.done.recv_timeout(at_most),
            Err(RecvTimeoutError::Timeout)
        )
    }
}

fn write_all(queued: &Receiver<String>, mut sink: impl Write, mut lost: Lost) {
    let mut batch = String::new();
    while let Ok(line) = queued.recv() {
        batch.push_str(&line);
        while batch.len() < BATCH {
            match queued.try_recv() {
                Ok(line) => batch.push_str(&line),
                Err(TryRecvError::Empty | TryRecvError::Disconnected) => break,
            }
        }
        if let Err(error) = sink.write_all(batch.as_bytes()).and_then(|()| sink.flush()) {
            tracing::warn!(%error, "standard output cannot be written: no more access log");
            return;
        }
        batch.clear();
        lost.report(Instant::now());
    }
}

/// Lines that were dropped, and how many of them have been mentioned.
struct Lost {
    dropped: Arc<AtomicU64>,
    reported: u64,
    at: Option<Instant>,
}

impl Lost {
    fn report(&mut self, now: Instant) {
        let dropped = self.dropped.load(Relaxed);
        let quiet = self
            .at
            .is_some_and(|at| now.saturating_duration_since(at) < REPORT_EVERY);
        if dropped == self.reported || quiet {
            return;
        }
        let lines = dropped - self.reported;
        tracing::warn!(lines, "access log lines lost: standard output is slow");
        self.reported = dropped;
        self.at = Some(now);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::time::SystemTime;

    use super::*;
    use crate::error::Flag;

    const SOON: Duration = Duration::from_secs(10);

    #[derive(Clone, Default)]
    struct Kept(Arc<Mutex<Vec<u8>>>);

    impl Write for Kept {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// Takes nothing until told to, like a pipe whose reader sleeps.
    struct Stuck {
        entered: SyncSender<()>,
        released: Receiver<()>,
    }

    impl Write for Stuck {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let _ = self.entered.try_send(());
            // Ends when the test drops its side.
            let _ = self.released.recv();
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    struct Broken;

    impl Write for Broken {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::BrokenPipe.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn entry(path: &str) -> Entry<'_> {
        Entry {
            started: SystemTime::UNIX_EPOCH,
            client: "127.0.0.1:5000".parse().unwrap(),
            target: "fixed",
            method: "GET",
            path,
            status: 200,
            flag: Flag::None,
            pod: None,
            attempts: 1,
            hedge: None,
            bytes_in: 0,
            bytes_out: 0,
            took: Duration::ZERO,
            head_took: None,
        }
    }

    #[test]
    fn every_line_is_written_before_the_end() {
        let kept = Kept::default();
        let (log, writer) = AccessLog::start_to(LogFormat::Text, kept.clone()).unwrap();
        let other = log.clone();
        for number in 0..100 {
            log.log(&entry(&format!("/{number}")));
        }
        other.log(&entry("/last"));
        drop((log, other));
        assert!(writer.finish(SOON));
        let text = String::from_utf8(kept.0.lock().unwrap().clone()).unwrap();
        assert_eq!(text.lines().count(), 101);
        assert!(text.lines().last().unwrap().contains(" /last "));
    }

    #[test]
    fn a_stuck_reader_costs_lines_and_never_time() {
        let (entered, waiting) = sync_channel(1);
        let (release, released) = channel::<()>();
        let sink = Stuck { entered, released };
        let (log, writer) = AccessLog::start_to(LogFormat::Text, sink).unwrap();
        log.log(&entry("/first"));
        waiting.recv_timeout(SOON).unwrap();
        for _ in 0..QUEUE + 7 {
            log.log(&entry("/more"));
        }
        assert_eq!(log.dropped(), 7);
        drop(log);
        drop(release);
        assert!(writer.finish(SOON));
    }

    #[test]
    fn a_closed_reader_ends_the_log_and_not_the_process() {
        let (log, writer) = AccessLog::start_to(LogFormat::Text, Broken).unwrap();
        log.log(&entry("/first"));
        assert!(writer.finish(SOON));
        log.log(&entry("/second"));
        assert_eq!(log.dropped(), 1);
    }
}
