//! EndpointSlice manifests in a file, read again when it changes: for use without an API server.
//!
//! The file's state is polled, which needs no more than `stat`, notices a swapped symlink (how a ConfigMap is mounted)
//! as well as a write in place, and works on every file system; notification does none of that by itself.
//! A file is believed once it has been left alone from one poll to the next, so that one half-written is not read.

mod manifest;

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use super::slices::{Fold, Selection};
use super::{Outlet, Phase, Update};
use crate::config::FileSelector;

pub use manifest::{ManifestError, parse};

/// Time between two looks at the file.
const POLL: Duration = Duration::from_millis(200);

/// The largest file that is read. A ConfigMap holds 1 MiB, a slice of 1,000 endpoints about half of that.
pub const MOST_BYTES: u64 = 16 * 1024 * 1024;

/// Why a file could not be read, without its name.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    #[error("cannot be read: {0}")]
    Unreadable(#[from] io::Error),
    #[error("is not a regular file")]
    NotAFile,
    #[error("is larger than {} MiB", MOST_BYTES / 1024 / 1024)]
    TooLarge,
    #[error(transparent)]
    Manifest(#[from] ManifestError),
}

/// What tells one state of a file from another: device, inode, size, and times of its content and of its inode.
type Fingerprint = (u64, u64, u64, (i64, i64), (i64, i64));

/// Reads the file once. At start an error is the user's to mend; later the last good list serves on.
///
/// # Errors
/// A file that cannot be read, or that [`parse`] refuses.
pub fn read(
    path: &Path,
    service: Option<&FileSelector>,
    selection: &Selection,
) -> Result<Fold, FileError> {
    // Asked before it is opened: opening a pipe would wait for its writer.
    if !std::fs::metadata(path)?.is_file() {
        return Err(FileError::NotAFile);
    }
    let mut text = Vec::new();
    std::fs::File::open(path)?
        .take(MOST_BYTES + 1)
        .read_to_end(&mut text)?;
    if text.len() as u64 > MOST_BYTES {
        return Err(FileError::TooLarge);
    }
    Ok(parse(&text, service, selection)?)
}

/// Publishes what the file lists, now and after each change, until membership is gone.
///
/// A file that is broken or missing changes nothing but the status.
pub async fn run(
    path: PathBuf,
    service: Option<FileSelector>,
    selection: Selection,
    outlet: Outlet,
) {
    let mut source = Source {
        path,
        service,
        selection,
        outlet,
        published: None,
        noted: BTreeSet::new(),
    };
    source.read().await;
    let mut polls = Polls::default();
    loop {
        tokio::select! {
            () = source.outlet.updates.closed() => return,
            () = tokio::time::sleep(POLL) => {}
        }
        match polls.next(fingerprint(&source.path).await) {
            State::Changing => {}
            State::Settled => source.read().await,
            State::AsRead => source.unchanged(),
        }
    }
}

/// What the polls have seen of the file, each as a fingerprint or the reason why there is none.
///
/// It starts with nothing, so that a file which is in the middle of a change at the start is read again once settled.
#[derive(Debug, Default)]
struct Polls {
    last: Option<Result<Fingerprint, io::ErrorKind>>,
    read: Option<Result<Fingerprint, io::ErrorKind>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// It was another one a poll ago.
    Changing,
    /// It has stayed for a poll, and is to be read.
    Settled,
    /// As it was when it was read.
    AsRead,
}

impl Polls {
    fn next(&mut self, now: Result<Fingerprint, io::ErrorKind>) -> State {
        let before = self.last.replace(now);
        if before != self.last {
            State::Changing
        } else if self.read == self.last {
            State::AsRead
        } else {
            self.read = self.last;
            State::Settled
        }
    }
}

#[derive(Debug)]
struct Source {
    path: PathBuf,
    service: Option<FileSelector>,
    selection: Selection,
    outlet: Outlet,
    /// The last list sent.
    published: Option<Fold>,
    /// What was said of the last list, so that it is said once.
    noted: BTreeSet<String>,
}

impl Source {
    async fn read(&mut self) {
        let received = Instant::now();
        let (path, service, selection) = (
            self.path.clone(),
            self.service.clone(),
            self.selection.clone(),
        );
        // Parsing megabytes takes longer than the other work of this thread should wait.
        let read = tokio::task::spawn_blocking(move || read(&path, service.as_ref(), &selection));
        match read.await {
            Ok(Ok(fold)) => self.publish(fold, received).await,
            Ok(Err(error)) => self.fail(&error),
            // The runtime is shutting down.
            Err(_) => {}
        }
    }

    async fn publish(&mut self, fold: Fold, received: Instant) {
        for note in fold.notes.difference(&self.noted) {
            tracing::warn!(file = %self.path.display(), "{note}");
        }
        self.noted.clone_from(&fold.notes);

        let known = self.published.as_ref();
        if known.is_none_or(|known| known.endpoints != fold.endpoints) {
            let update = Update {
                endpoints: fold.endpoints.clone(),
                received,
                // A manifest may say when its slices changed in a cluster, but not when the file did.
                triggered: None,
            };
            if self.outlet.updates.send(update).await.is_err() {
                return;
            }
        }
        self.published = Some(fold);

        let now = SystemTime::now();
        self.outlet.status.send_if_modified(|status| {
            status.fresh = Some(now);
            let changed = status.phase != Phase::Live || status.error.is_some();
            if status.error.take().is_some() {
                tracing::info!(file = %self.path.display(), "the file can be read again");
            }
            if status.phase != Phase::Live {
                status.phase = Phase::Live;
                status.since = now;
            }
            changed
        });
    }

    fn fail(&self, error: &FileError) {
        let text = format!("{} {error}", self.path.display());
        self.outlet.status.send_if_modified(|status| {
            // Without a list there is nothing to go stale.
            if self.published.is_some() && status.phase != Phase::Stale {
                status.phase = Phase::Stale;
                status.since = SystemTime::now();
            }
            if status.error.as_ref() == Some(&text) {
                return false;
            }
            tracing::warn!(list_kept = self.published.is_some(), "{text}");
            status.error = Some(text);
            true
        });
    }

    /// A list from a file that has not changed is as good as new.
    fn unchanged(&self) {
        self.outlet.status.send_if_modified(|status| {
            if status.phase == Phase::Live {
                status.fresh = Some(SystemTime::now());
            }
            // Nobody needs to wake up for that.
            false
        });
    }
}

/// Of what the path leads to, links followed.
async fn fingerprint(path: &Path) -> Result<Fingerprint, io::ErrorKind> {
    let metadata = tokio::fs::metadata(path)
        .await
        .map_err(|error| error.kind())?;
    Ok((
        metadata.dev(),
        metadata.ino(),
        metadata.size(),
        (metadata.mtime(), metadata.mtime_nsec()),
        (metadata.ctime(), metadata.ctime_nsec()),
    ))
}
