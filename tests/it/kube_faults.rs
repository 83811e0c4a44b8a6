//! An API server that misbehaves, a real client, and a watch: whatever happens, the last list serves on, the status
//! says why, requests stay few, and all is well again when the API server is.

mod bad_answers;
mod flaky;
mod hostile;
mod memory;
mod rates;
mod refusals;
mod scene;
mod service;
mod silence;
mod watching;
