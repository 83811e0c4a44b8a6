//! What is made of files, kept up to date with them.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use tokio::sync::watch;
use tracing::{info, warn};

use super::FileError;

/// Time between two looks at the files.
const POLL: Duration = Duration::from_millis(500);

/// How something is made of files.
pub trait Recipe: Clone + Send + 'static {
    /// What the files hold, byte for byte.
    type Contents: Clone + PartialEq + fmt::Debug + Send + 'static;
    type Made: Send + Sync + 'static;

    /// Whose files they are, for the log: `TLS to pods`.
    const OWNER: &'static str;

    /// # Errors
    /// A file that cannot be read.
    fn read(&self) -> Result<Self::Contents, FileError>;

    /// # Errors
    /// A file that does not hold what it is for.
    fn make(&self, contents: &Self::Contents) -> Result<Self::Made, FileError>;
}

/// The files, and what is made of them now.
pub struct Source<R: Recipe> {
    recipe: R,
    looks: Looks<R::Contents>,
    current: watch::Sender<Arc<R::Made>>,
    refused: Counter,
}

/// What the files hold, or why that cannot be told.
type Seen<C> = Result<C, String>;

/// What the last looks saw.
#[derive(Debug)]
struct Looks<C> {
    last: Seen<C>,
    judged: Seen<C>,
}

impl<C: Clone + PartialEq> Looks<C> {
    fn new(seen: C) -> Self {
        Self {
            last: Ok(seen.clone()),
            judged: Ok(seen),
        }
    }

    /// What is to be judged: it has stayed for one look, and is not what was judged last.
    fn next(&mut self, seen: Seen<C>) -> Option<&Seen<C>> {
        if seen != self.last {
            self.last = seen;
            return None;
        }
        if seen == self.judged {
            return None;
        }
        self.judged = seen;
        Some(&self.judged)
    }
}

impl<R: Recipe> Source<R> {
    /// Reads the files for the first time: here an error is the user's to mend.
    ///
    /// # Errors
    /// A file that cannot be read, or does not hold what it is for.
    pub fn open(recipe: R) -> Result<Self, FileError> {
        let contents = recipe.read()?;
        let made = recipe.make(&contents)?;
        Ok(Self {
            recipe,
            looks: Looks::new(contents),
            current: watch::Sender::new(Arc::new(made)),
            refused: Counter::default(),
        })
    }

    /// What is made of the files, now and after each change.
    pub fn current(&self) -> watch::Receiver<Arc<R::Made>> {
        self.current.subscribe()
    }

    /// How often changed files could not be used.
    pub fn refused(&self) -> Counter {
        self.refused.clone()
    }

    /// Reads the files again when they change, for ever. Files that cannot be used change nothing.
    pub async fn follow(mut self) {
        loop {
            tokio::time::sleep(POLL).await;
            let recipe = self.recipe.clone();
            let read = tokio::task::spawn_blocking(move || recipe.read());
            let Ok(seen) = read.await else {
                continue;
            };
            self.look(seen);
        }
    }

    pub(super) fn look(&mut self, seen: Result<R::Contents, FileError>) {
        let judged = match self.looks.next(seen.map_err(|error| error.to_string())) {
            None => return,
            Some(Ok(contents)) => self
                .recipe
                .make(contents)
                .map_err(|error| error.to_string()),
            Some(Err(error)) => Err(error.clone()),
        };
        match judged {
            Ok(made) => {
                self.current.send_replace(Arc::new(made));
                info!(
                    "the files of {} have changed: new connections are made with them",
                    R::OWNER
                );
            }
            Err(error) => {
                self.refused.inc();
                warn!("{error}; {} goes on with what was read before", R::OWNER);
            }
        }
    }
}

// Without what is made of the files: what it shows of keys is not ours to choose.
impl<R: Recipe + fmt::Debug> fmt::Debug for Source<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Source")
            .field("recipe", &self.recipe)
            .field("looks", &self.looks)
            .finish_non_exhaustive()
    }
}
