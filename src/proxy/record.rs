//! What is kept of one request until it ends, then counted and, if wanted, logged.

use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use http::{Method, StatusCode, Uri};

use super::counters::Counters;
use super::replay::AttemptBody;
use crate::access_log::{AccessLog, Entry, Hedged};
use crate::error::{Flag, Kind};
use crate::pool::Upstream;
use crate::stats::Count;

/// A request from its head to its last byte, or a tunnel's. Dropped before it is complete, its client left.
#[derive(Debug)]
pub struct Record {
    counters: Rc<Counters>,
    started: Instant,
    upstream: Option<Rc<Upstream<AttemptBody>>>,
    attempts: u32,
    /// What came of a second attempt beside another.
    hedge: Option<Hedged>,
    status: Option<StatusCode>,
    flag: Flag,
    complete: bool,
    /// It has become a tunnel.
    switched: bool,
    received: u64,
    sent: u64,
    /// From the request's head to the response's.
    until_head: Option<Duration>,
    line: Option<Box<Line>>,
}

/// What only an access log needs.
#[derive(Debug)]
struct Line {
    log: AccessLog,
    target: Arc<str>,
    client: SocketAddr,
    started: SystemTime,
    method: Method,
    uri: Uri,
}

impl Record {
    pub fn start(counters: Rc<Counters>, now: Instant) -> Self {
        counters.add(Count::RequestStarted);
        Self {
            counters,
            started: now,
            upstream: None,
            attempts: 0,
            hedge: None,
            status: None,
            flag: Flag::None,
            complete: false,
            switched: false,
            received: 0,
            sent: 0,
            until_head: None,
            line: None,
        }
    }

    /// Has the request logged when it ends.
    pub fn log_to(
        &mut self,
        log: &AccessLog,
        target: &Arc<str>,
        client: SocketAddr,
        method: &Method,
        uri: &Uri,
    ) {
        self.line = Some(Box::new(Line {
            log: log.clone(),
            target: target.clone(),
            client,
            started: SystemTime::now(),
            method: method.clone(),
            uri: uri.clone(),
        }));
    }

    pub fn attempt(&mut self, upstream: &Rc<Upstream<AttemptBody>>) {
        self.attempts += 1;
        self.counters.add(Count::Attempt);
        self.upstream = Some(upstream.clone());
    }

    pub fn attempts(&self) -> u32 {
        self.attempts
    }

    /// It is sent to a second pod while the first is silent, which so far has come to this.
    pub fn hedge(&mut self, hedged: Hedged) {
        self.hedge = Some(hedged);
    }

    pub fn is_hedged(&self) -> bool {
        self.hedge.is_some()
    }

    /// It goes on with that pod, of those that it was sent to.
    pub fn settle_on(&mut self, upstream: &Rc<Upstream<AttemptBody>>) {
        self.upstream = Some(upstream.clone());
    }

    /// A pod's response has begun.
    pub fn answered(&mut self, status: StatusCode) {
        self.status = Some(status);
        self.until_head = Some(self.started.elapsed());
    }

    /// It is answered with an error of ours.
    pub fn failed(&mut self, kind: Kind) {
        let row = kind.row();
        self.status = Some(row.status);
        self.flag = row.flag;
        self.complete = true;
    }

    /// Bytes of the response's body handed to the client's connection.
    pub fn sent(&mut self, bytes: usize) {
        self.sent += bytes as u64;
    }

    /// Bytes of the request's body.
    pub fn received(&mut self, bytes: u64) {
        self.received = bytes;
    }

    /// The response ended early after its head was out.
    pub fn cut(&mut self, kind: Kind) {
        self.flag = kind.row().flag;
        self.complete = true;
    }

    /// The last byte of the response has been handed over.
    pub fn complete(&mut self) {
        self.complete = true;
    }

    /// The request ends here, with its 101, and a tunnel begins; it is logged when that ends.
    pub fn switch(&mut self) {
        self.count_request();
        self.switched = true;
        self.counters.add(Count::TunnelOpened);
        if let Some(upstream) = &self.upstream {
            upstream.counters().open_tunnel();
        }
    }

    /// The tunnel ended so, after so many bytes from the client and to it.
    pub fn tunnelled(&mut self, flag: Flag, (received, sent): (u64, u64)) {
        self.flag = flag;
        self.received = received;
        self.sent = sent;
        self.complete = true;
    }

    fn count_request(&self) {
        let status = self.status.unwrap_or(Kind::ClientGone.row().status);
        self.counters.add(Count::RequestEnded);
        self.counters
            .finish(status, self.flag, self.started.elapsed());
        if let Some(hedged) = self.hedge {
            self.counters.add(match hedged {
                Hedged::Won => Count::HedgeWon,
                Hedged::Lost => Count::HedgeLost,
                Hedged::Failed => Count::HedgeFailed,
            });
        }
        if let Some(upstream) = &self.upstream {
            upstream.counters().finish(status, self.flag);
        }
    }

    fn count_tunnel(&self) {
        self.counters.add(Count::TunnelClosed);
        if let Some(upstream) = &self.upstream {
            upstream.counters().close_tunnel();
        }
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        let gone = Kind::ClientGone.row();
        if !self.complete {
            self.flag = gone.flag;
        }
        if self.switched {
            self.count_tunnel();
        } else {
            self.count_request();
        }
        if let Some(line) = &self.line {
            let pod = self
                .upstream
                .as_ref()
                .map(|upstream| upstream.endpoint().name());
            line.log.log(&Entry {
                started: line.started,
                client: line.client,
                target: &line.target,
                method: line.method.as_str(),
                path: line.uri.path(),
                status: self.status.unwrap_or(gone.status).as_u16(),
                flag: self.flag,
                pod: pod.as_deref(),
                attempts: self.attempts,
                hedge: self.hedge,
                bytes_in: self.received,
                bytes_out: self.sent,
                took: self.started.elapsed(),
                head_took: self.until_head,
            });
        }
    }
}
