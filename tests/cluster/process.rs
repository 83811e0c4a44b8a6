//! A process of the control plane.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// A child process that does not outlive its owner.
#[derive(Debug)]
pub struct Process {
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts it; what it says goes to the end of `log`.
    pub fn start(binary: &Path, arguments: &[String], log: PathBuf) -> Result<Self, String> {
        let failed = |error| format!("{}: {error}", binary.display());
        let output = File::options().create(true).append(true).open(&log);
        let child = Command::new(binary)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(output.map_err(failed)?)
            .spawn()
            .map_err(failed)?;
        Ok(Self { child, log })
    }

    /// How it ended, with the last lines of its log, if it did.
    pub fn ended(&mut self) -> Option<String> {
        let status = self.child.try_wait().ok().flatten()?;
        let log = fs::read_to_string(&self.log).unwrap_or_default();
        let tail: Vec<&str> = log.lines().rev().take(20).collect();
        let tail: Vec<&str> = tail.into_iter().rev().collect();
        Some(format!(
            "{} ended with {status}:\n{}",
            self.log.display(),
            tail.join("\n")
        ))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Either fails only where the process has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
