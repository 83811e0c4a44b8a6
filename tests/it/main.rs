//! Scenes: the built program and its documents, from outside.

mod cli;
mod docs;
