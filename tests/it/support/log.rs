//! What a process said, line by line, and waits for a line to come.

use std::io::{BufRead, BufReader, Read};
use std::sync::Arc;

use serde_json::Value;
use tokio::sync::watch;

use super::within::soon;

#[derive(Clone, Debug, Default)]
pub struct Log {
    lines: Arc<watch::Sender<Vec<String>>>,
    /// Streams that have not ended.
    open: Arc<watch::Sender<usize>>,
}

impl Log {
    /// Collects a stream's lines on a thread of its own until it ends.
    pub fn collect(&self, stream: impl Read + Send + 'static) {
        let (lines, open) = (self.lines.clone(), self.open.clone());
        open.send_modify(|open| *open += 1);
        std::thread::spawn(move || {
            for line in BufReader::new(stream).lines().map_while(Result::ok) {
                lines.send_modify(|lines| lines.push(line));
            }
            open.send_modify(|open| *open -= 1);
        });
    }

    pub fn lines(&self) -> Vec<String> {
        self.lines.borrow().clone()
    }

    /// Every line there will ever be, once the process has ended.
    pub async fn whole(&self) -> Vec<String> {
        let mut open = self.open.subscribe();
        let ended = open.wait_for(|open| *open == 0);
        drop(soon("the end of the log", ended).await.unwrap());
        self.lines()
    }

    /// The JSON lines for which `wanted` holds.
    pub fn matching(&self, wanted: impl Fn(&Value) -> bool) -> Vec<Value> {
        matching(&self.lines.borrow(), wanted)
    }

    /// Waits for `count` JSON lines for which `wanted` holds.
    pub async fn until(
        &self,
        what: &str,
        count: usize,
        wanted: impl Fn(&Value) -> bool,
    ) -> Vec<Value> {
        let mut lines = self.lines.subscribe();
        let enough = lines.wait_for(|lines| matching(lines, &wanted).len() >= count);
        drop(soon(&format!("log line: {what}"), enough).await.unwrap());
        self.matching(wanted)
    }
}

/// A field of a log line, whether its format nests fields or not.
pub fn field<'a>(line: &'a Value, name: &str) -> &'a str {
    line["fields"][name]
        .as_str()
        .or_else(|| line[name].as_str())
        .unwrap_or_default()
}

fn matching(lines: &[String], wanted: impl Fn(&Value) -> bool) -> Vec<Value> {
    lines
        .iter()
        .filter_map(|line| serde_json::from_str(line).ok())
        .filter(wanted)
        .collect()
}
