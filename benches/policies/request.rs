//! One request's course: attempts one after the other and side by side, until one counts or its client leaves.

use std::time::Duration;

use podrobin::load_report::LoadReport;

use super::pod::Served;
use super::run::{Event, Run};
use super::sidecar::{Attempt, Ending};

#[derive(Debug)]
pub struct Request {
    pub sidecar: usize,
    key: u64,
    began: Duration,
    /// Pods that have failed it.
    tried: Vec<usize>,
    pub retries: u32,
    hedged: bool,
    /// Attempts so far, of which the number is one's name.
    attempts: u32,
    pub under_way: Vec<UnderWay>,
    /// How the last attempt ended.
    last: Option<Ending>,
}

#[derive(Debug)]
pub struct UnderWay {
    pub number: u32,
    pub attempt: Attempt,
    started: Duration,
    /// How it ends if nothing comes in between, and what the pod reports then.
    ending: Ending,
    report: LoadReport,
    /// It has been decided whether it is taken back from a silent pod.
    pub forsaken: bool,
}

impl Request {
    pub fn new(sidecar: usize, key: u64, began: Duration) -> Self {
        Self {
            sidecar,
            key,
            began,
            tried: Vec::new(),
            retries: 0,
            hedged: false,
            attempts: 0,
            under_way: Vec::new(),
            last: None,
        }
    }
}

impl Run<'_> {
    /// Sends a request to a pod that has not failed it. Nobody waits for one: then it is lost.
    pub(super) fn send(&mut self, id: u64) {
        let now = self.instant();
        let Some(request) = self.requests.get(&id) else {
            return;
        };
        let (sidecar, _) = &self.sidecars[request.sidecar];
        let Some(mut attempt) = sidecar.send(request.key, &request.tried, now) else {
            self.requests.remove(&id);
            return;
        };
        let alone = sidecar.alone_for(&mut attempt).filter(|_| !request.hedged);
        let number = self.start(id, attempt);
        if let Some(alone) = alone {
            self.at(self.now + alone, Event::Alone(id, number));
        }
    }

    fn start(&mut self, id: u64, attempt: Attempt) -> u32 {
        let server = &mut self.servers[attempt.pod];
        let served = server.serve(self.now, &mut self.rng);
        let report = server.report();
        let (moment, ending) = match served {
            Served::Answered(moment) => (Some(moment), Ending::Answered),
            Served::Failed(moment) => (Some(moment), Ending::Failed),
            Served::Never => (None, Ending::GivenUp),
        };
        let Some(request) = self.requests.get_mut(&id) else {
            return 0;
        };
        request.attempts += 1;
        let number = request.attempts;
        request.under_way.push(UnderWay {
            number,
            attempt,
            started: self.now,
            ending,
            report,
            forsaken: false,
        });
        if let Some(moment) = moment {
            self.at(moment, Event::Served(id, number));
        }
        number
    }

    pub(super) fn hedge(&mut self, id: u64, number: u32) {
        let now = self.instant();
        let Some(request) = self.requests.get_mut(&id) else {
            return;
        };
        let first = request.under_way.iter().find(|one| one.number == number);
        let Some(first) = first else {
            return;
        };
        let mut tried = request.tried.clone();
        tried.push(first.attempt.pod);
        let (sidecar, _) = &mut self.sidecars[request.sidecar];
        if let Some(attempt) = sidecar.send_beside(request.key, &tried, now) {
            request.hedged = true;
            self.start(id, attempt);
        }
    }

    pub(super) fn served(&mut self, id: u64, number: u32) {
        let Some(request) = self.requests.get(&id) else {
            return;
        };
        let one = request.under_way.iter().find(|one| one.number == number);
        let Some(ending) = one.map(|one| one.ending) else {
            return;
        };
        let (sidecar, _) = &self.sidecars[request.sidecar];
        if ending == Ending::Failed && sidecar.wants_another() {
            self.end(id, number, ending);
            self.go_on(id);
            return;
        }
        self.end(id, number, ending);
        self.close(id, ending == Ending::Answered);
    }

    /// An attempt has brought nothing that counts: the other one goes on, or there is another, or that was it.
    pub(super) fn go_on(&mut self, id: u64) {
        let now = self.instant();
        let Some(request) = self.requests.get_mut(&id) else {
            return;
        };
        if !request.under_way.is_empty() {
            return;
        }
        let (sidecar, _) = &mut self.sidecars[request.sidecar];
        // That is paid for already.
        let paid = request.last == Some(Ending::TakenBack);
        if paid || sidecar.asks_again(request.retries, now) {
            request.retries += 1;
            self.send(id);
        } else {
            self.close(id, false);
        }
    }

    pub(super) fn leave(&mut self, id: u64) {
        self.close(id, false);
    }

    /// A request is over: what is still under way is given up.
    fn close(&mut self, id: u64, answered: bool) {
        let Some(request) = self.requests.remove(&id) else {
            return;
        };
        let began = request.began;
        self.counts.request(self.scene, began, self.now, answered);
        for one in request.under_way {
            self.over(request.sidecar, began, one, Ending::GivenUp);
        }
    }

    /// One of a request's attempts is over, so.
    pub(super) fn end(&mut self, id: u64, number: u32, ending: Ending) {
        let Some(request) = self.requests.get_mut(&id) else {
            return;
        };
        let mut under_way = request.under_way.iter();
        let Some(place) = under_way.position(|one| one.number == number) else {
            return;
        };
        let one = request.under_way.remove(place);
        request.tried.push(one.attempt.pod);
        request.last = Some(ending);
        let (index, began) = (request.sidecar, request.began);
        self.over(index, began, one, ending);
    }

    fn over(&mut self, index: usize, began: Duration, one: UnderWay, ending: Ending) {
        let pod = one.attempt.pod;
        self.counts.attempt(self.scene, pod, began, one.started);
        let has_report = matches!(ending, Ending::Answered | Ending::Failed);
        let report = has_report.then_some(&one.report);
        let now = self.instant();
        let (sidecar, _) = &mut self.sidecars[index];
        if sidecar.end(one.attempt, ending, report, now) {
            self.follow(index);
        }
    }
}
