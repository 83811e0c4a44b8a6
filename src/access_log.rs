//! The access log: a line for each request on standard output, as text or JSON.
//!
//! Workers never wait for it: a line goes into a bounded queue, and one thread writes. Where standard output does
//! not keep up, lines are dropped, counted, and their number said in the log.

mod entry;
mod writer;

pub use entry::{Entry, Hedged};
pub use writer::{AccessLog, Writer};
