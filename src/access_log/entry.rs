//! One request as one line.

use std::fmt::Write;
use std::net::SocketAddr;
use std::time::{Duration, SystemTime};

use jiff::Timestamp;
use serde::Serialize;

use crate::config::LogFormat;
use crate::error::Flag;

/// A request that has ended.
#[derive(Clone, Debug)]
pub struct Entry<'a> {
    /// When its head had been read.
    pub started: SystemTime,
    pub client: SocketAddr,
    /// The target's name.
    pub target: &'a str,
    pub method: &'a str,
    /// The request target; its query is never logged, it may hold secrets.
    pub path: &'a str,
    /// As sent to the client, 499 where it had left.
    pub status: u16,
    pub flag: Flag,
    /// The pod that answered, or was tried last.
    pub pod: Option<&'a str>,
    /// How often it was sent to a pod.
    pub attempts: u32,
    /// What came of a second attempt beside another, where there was one.
    pub hedge: Option<Hedged>,
    /// Bytes of the request's body.
    pub bytes_in: u64,
    /// Bytes of the response's body.
    pub bytes_out: u64,
    /// From its head to the last byte of its response.
    pub took: Duration,
    /// From its head to the response's head from the pod, where there was one.
    pub head_took: Option<Duration>,
}

/// What came of a request's second attempt beside another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hedged {
    /// Its answer was passed on.
    Won,
    /// The other's was, or none as the client left.
    Lost,
    /// It brought no answer that counts.
    Failed,
}

impl Hedged {
    fn as_str(self) -> &'static str {
        match self {
            Self::Won => "won",
            Self::Lost => "lost",
            Self::Failed => "failed",
        }
    }
}

/// A longer path, method or pod is cut: what the queue holds must stay bounded.
const LONGEST_VALUE: usize = 2_048;

/// The JSON form; its field names are what log pipelines know.
#[derive(Serialize)]
struct Json<'a> {
    time: String,
    client: SocketAddr,
    target: &'a str,
    method: &'a str,
    path: &'a str,
    status: u16,
    flag: &'a str,
    pod: Option<&'a str>,
    attempts: u32,
    hedge: Option<&'a str>,
    bytes_in: u64,
    bytes_out: u64,
    duration_ms: f64,
    upstream_ms: Option<f64>,
}

impl Entry<'_> {
    /// Appends the entry as one line, its end included.
    pub fn write(&self, format: LogFormat, out: &mut String) {
        match format {
            LogFormat::Text => self.write_text(out),
            LogFormat::Json => self.write_json(out),
        }
        out.push('\n');
    }

    fn write_text(&self, out: &mut String) {
        out.push_str(&time(self.started));
        out.push(' ');
        push_word(out, self.method);
        out.push(' ');
        push_word(out, self.path());
        // Writing to a String cannot fail.
        let _ = write!(out, " {} {} target=", self.status, self.flag.as_str());
        push_word(out, self.target);
        out.push_str(" pod=");
        push_word(out, self.pod.map_or("-", cut));
        let _ = write!(
            out,
            " attempts={} hedge={} in={} out={} ms={} upstream_ms=",
            self.attempts,
            self.hedge.map_or("-", Hedged::as_str),
            self.bytes_in,
            self.bytes_out,
            millis(self.took)
        );
        match self.head_took {
            Some(took) => {
                let _ = write!(out, "{}", millis(took));
            }
            None => out.push('-'),
        }
        let _ = write!(out, " client={}", self.client);
    }

    fn write_json(&self, out: &mut String) {
        let line = Json {
            time: time(self.started),
            client: self.client,
            target: self.target,
            method: cut(self.method),
            path: self.path(),
            status: self.status,
            flag: self.flag.as_str(),
            pod: self.pod.map(cut),
            attempts: self.attempts,
            hedge: self.hedge.map(Hedged::as_str),
            bytes_in: self.bytes_in,
            bytes_out: self.bytes_out,
            duration_ms: millis(self.took),
            upstream_ms: self.head_took.map(millis),
        };
        // Strings and numbers always have a JSON form.
        out.push_str(&serde_json::to_string(&line).unwrap_or_default());
    }

    fn path(&self) -> &str {
        let end = self.path.find(['?', '#']).unwrap_or(self.path.len());
        cut(&self.path[..end])
    }
}

/// Milliseconds with three digits after the point.
fn millis(took: Duration) -> f64 {
    (took.as_secs_f64() * 1e6).round() / 1e3
}

/// RFC 3339 with milliseconds; `-` for a clock beyond what that can say.
fn time(moment: SystemTime) -> String {
    Timestamp::try_from(moment).map_or_else(|_| "-".to_owned(), |moment| format!("{moment:.3}"))
}

fn cut(text: &str) -> &str {
    &text[..text.floor_char_boundary(LONGEST_VALUE)]
}

/// A value as one word: what could end the word or the line, or steer a terminal, is escaped.
fn push_word(out: &mut String, value: &str) {
    if value.is_empty() {
        out.push('-');
    }
    for c in cut(value).chars() {
        match c {
            ' ' => out.push_str("\\x20"),
            '\\' => out.push_str("\\\\"),
            c if c.is_control() || c.is_whitespace() => out.extend(c.escape_default()),
            c => out.push(c),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn entry(path: &str) -> Entry<'_> {
        Entry {
            started: SystemTime::UNIX_EPOCH + Duration::from_millis(1_234),
            client: "127.0.0.1:5000".parse().unwrap(),
            target: "shop/cart:http",
            method: "GET",
            path,
            status: 200,
            flag: Flag::None,
            pod: Some("cart-1"),
            attempts: 1,
            hedge: None,
            bytes_in: 0,
            bytes_out: 512,
            took: Duration::from_micros(3_210),
            head_took: Some(Duration::from_micros(2_100)),
        }
    }

    fn line(entry: &Entry<'_>, format: LogFormat) -> String {
        let mut out = String::new();
        entry.write(format, &mut out);
        out
    }

    #[test]
    fn text_is_one_line_of_words() {
        assert_eq!(
            line(&entry("/cart/7?token=secret"), LogFormat::Text),
            "1970-01-01T00:00:01.234Z GET /cart/7 200 - target=shop/cart:http pod=cart-1 attempts=1 hedge=- \
             in=0 out=512 ms=3.21 upstream_ms=2.1 client=127.0.0.1:5000\n"
        );
    }

    #[test]
    fn json_has_a_field_for_each_part() {
        let text = line(&entry("/cart/7?token=secret"), LogFormat::Json);
        let json: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(
            json,
            serde_json::json!({
                "time": "1970-01-01T00:00:01.234Z",
                "client": "127.0.0.1:5000",
                "target": "shop/cart:http",
                "method": "GET",
                "path": "/cart/7",
                "status": 200,
                "flag": "-",
                "pod": "cart-1",
                "attempts": 1,
                "hedge": null,
                "bytes_in": 0,
                "bytes_out": 512,
                "duration_ms": 3.21,
                "upstream_ms": 2.1,
            })
        );
    }

    #[test]
    fn a_request_that_reached_no_pod_says_so() {
        let mut podless = entry("/");
        podless.pod = None;
        podless.head_took = None;
        podless.flag = Flag::Uh;
        podless.status = 503;
        let text = line(&podless, LogFormat::Text);
        assert!(text.contains(" 503 UH "), "{text}");
        assert!(text.contains("pod=- "), "{text}");
        assert!(text.contains("upstream_ms=- "), "{text}");
        let json: serde_json::Value =
            serde_json::from_str(&line(&podless, LogFormat::Json)).unwrap();
        assert_eq!(json["pod"], serde_json::Value::Null);
        assert_eq!(json["upstream_ms"], serde_json::Value::Null);
    }

    #[test]
    fn a_hostile_path_cannot_forge_a_line_or_grow_it() {
        let text = line(&entry("/a\r\nGET /b 200\u{1b}[2J"), LogFormat::Text);
        assert_eq!(text.matches('\n').count(), 1);
        assert!(
            text.contains("/a\\r\\nGET\\x20/b\\x20200\\u{1b}[2J 200"),
            "{text}"
        );
        let long = "/".repeat(100_000);
        assert!(line(&entry(&long), LogFormat::Json).len() < LONGEST_VALUE + 400);
    }

    proptest! {
        #[test]
        fn any_path_makes_one_line_without_its_query(path in ".{0,60}", query in "[a-z]{8}") {
            let target = format!("{path}?q={query}");
            let text = line(&entry(&target), LogFormat::Text);
            prop_assert_eq!(text.lines().count(), 1);
            prop_assert!(!text.contains("?q="));
            let json = line(&entry(&target), LogFormat::Json);
            prop_assert_eq!(json.matches('\n').count(), 1);
            let parsed: serde_json::Value = serde_json::from_str(&json).unwrap();
            let bare = path.split(['?', '#']).next().unwrap_or_default();
            prop_assert_eq!(parsed["path"].as_str(), Some(bare));
        }
    }
}
