//! Plays a trouble of pods under one setting of the sidecar after the other: same pods, same load, a new sidecar each time.

use std::cell::RefCell;
use std::convert::Infallible;
use std::io::Write;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::time::Instant;

use super::deployment::{Deployment, Leave};
use super::findings::{self, Findings, LeftOut};
use super::load::Load;
use super::pod::Manner;
use super::settings::Setting;
use super::shares::Shares;
use super::sidecar::Sidecar;
use super::state::{self, PodState};
use super::trouble::{BETWEEN_PAUSES, Event, PAUSE, Trouble};
use super::view::Screen;
use super::{Error, stage};

/// Between two looks at what the sidecar says of the pods.
const LOOK: Duration = Duration::from_millis(25);

/// Everything a comparison needs.
#[derive(Debug)]
pub struct Comparison<W> {
    pub trouble: Trouble,
    /// The API server.
    pub server: SocketAddr,
    pub deployment: Deployment,
    /// Pods that are there before anything happens.
    pub pods: usize,
    pub rate: u32,
    /// For each setting.
    pub lasts: Duration,
    pub screen: RefCell<Screen<W>>,
    pub seen: RefCell<Summary>,
    pub began: Instant,
}

/// What has come of all settings so far.
#[derive(Clone, Copy, Debug, Default)]
pub struct Summary {
    settings: usize,
    requests: u64,
    promises: usize,
    kept: usize,
}

impl<W: Write> Comparison<W> {
    /// Plays every setting.
    ///
    /// # Errors
    /// Where a part fails, or the output is closed.
    pub async fn play(&self) -> Result<(), Error> {
        let ready = self.deployment.ready();
        let Some(one) = ready.first() else {
            return Ok(());
        };
        let [begins, happens] = self.trouble.told(self.pods, self.rate, one);
        self.say(&format!(
            "{} pods, {} requests/s, {:.1} s for each setting{begins}",
            self.pods,
            self.rate,
            self.lasts.as_secs_f64()
        ))?;
        self.say(&happens)?;
        self.say("")?;
        let measure = self.trouble.measure();
        self.say(&findings::head(measure))?;
        let mut first: Option<Findings> = None;
        for setting in self.trouble.settings() {
            let findings = self.try_out(setting).await?;
            let first = first.get_or_insert_with(|| findings.clone());
            self.say(&findings::row(setting.flags, measure, &findings))?;
            for note in findings::notes(setting, measure, &findings, first) {
                self.say(&format!("    {note}"))?;
            }
            self.seen.borrow_mut().add(setting, &findings, first);
        }
        self.say("")?;
        for line in self.trouble.lesson() {
            self.say(line)?;
        }
        Ok(())
    }

    /// Says what was found: whether all went as promised.
    ///
    /// # Errors
    /// Where the output is closed.
    pub fn close(self) -> Result<bool, Error> {
        let seen = *self.seen.borrow();
        self.say(&seen.line(self.began.elapsed()))?;
        Ok(seen.holds())
    }

    async fn try_out(&self, setting: &Setting) -> Result<Findings, Error> {
        let sidecar = Sidecar::start(self.server, &setting.all()).await?;
        stage::follow(sidecar.admin, &self.deployment).await?;
        let load = Load::start(sidecar.proxy, self.trouble.traffic(self.rate));
        tokio::time::sleep(self.trouble.calm(self.lasts)).await;
        let findings = self.watch(&sidecar, &load).await?;
        drop(load);
        let usual = self.trouble.usual(self.pods, self.rate);
        self.deployment.behave(&self.deployment.ready(), usual);
        sidecar.stop().await?;
        let scaled = self
            .deployment
            .scale(self.pods, Duration::ZERO, Leave::AT_ONCE);
        scaled.await.map_err(Error::Pod)?;
        Ok(findings)
    }

    /// Lets the trouble begin, and looks for the rest of the setting's time.
    async fn watch(&self, sidecar: &Sidecar, load: &Load) -> Result<Findings, Error> {
        let hush = load.hush().await;
        let before = state::pods(sidecar.admin).await?;
        let told_before = load.tally();
        load.take_times();
        let troubled = self.begin(sidecar).await?;
        drop(hush);

        let began = Instant::now();
        let end = began + self.lasts.saturating_sub(self.trouble.calm(self.lasts));
        let mut left_out = None;
        let unrest = self.go_on();
        tokio::pin!(unrest);
        let last_hush = async {
            tokio::time::sleep_until(end).await;
            load.hush().await
        };
        tokio::pin!(last_hush);
        let (after, _hush) = loop {
            // Looks go on until the last request is over: some wait as long as their client does.
            let hush = tokio::select! {
                hush = &mut last_hush => Some(hush),
                () = tokio::time::sleep(LOOK) => None,
                never = &mut unrest => match never {},
            };
            let pods = state::pods(sidecar.admin).await?;
            if left_out.is_none() {
                left_out = seen_left_out(&pods, &troubled, began.elapsed());
            }
            if let Some(hush) = hush {
                break (pods, hush);
            }
        };
        let shares = Shares::between(&before, &after);
        let tally = load.tally();
        Ok(Findings {
            pods: after.len() as u64,
            attempts: shares.total(),
            troubled_pods: troubled.len() as u64,
            troubled: troubled.iter().map(|pod| shares.of(pod)).sum(),
            exact: shares.exact(&self.deployment.ready()),
            requests: tally.answered + tally.failed - told_before.answered - told_before.failed,
            failed: tally.failed - told_before.failed,
            times: load.take_times(),
            lasted: began.elapsed(),
            capacity: self.trouble.capacity(self.rate),
            left_out,
        })
    }

    /// Lets it happen: to which pods.
    async fn begin(&self, sidecar: &Sidecar) -> Result<Vec<String>, Error> {
        let ready = self.deployment.ready();
        match self.trouble.event() {
            Event::Turns(manner) => {
                let one: Vec<String> = ready.into_iter().take(1).collect();
                self.deployment.behave(&one, manner);
                Ok(one)
            }
            Event::Join(count, manner) => {
                let joined = self.deployment.join(count, manner).await;
                stage::follow(sidecar.admin, &self.deployment).await?;
                joined.map_err(Error::Pod)
            }
            Event::Pauses | Event::GoesOn => Ok(ready),
        }
    }

    /// What happens from then on, again and again.
    async fn go_on(&self) -> Infallible {
        if self.trouble.event() != Event::Pauses {
            return std::future::pending().await;
        }
        let usual = self.trouble.usual(self.pods, self.rate);
        let pods = self.deployment.ready();
        loop {
            for pod in pods.chunks(1) {
                self.deployment.behave(pod, Manner::Hangs);
                tokio::time::sleep(PAUSE).await;
                self.deployment.behave(pod, usual);
                tokio::time::sleep(BETWEEN_PAUSES).await;
            }
        }
    }

    fn say(&self, line: &str) -> Result<(), Error> {
        self.screen.borrow_mut().say(line).map_err(Error::Output)
    }
}

/// The first of the pods in trouble that gets nothing.
fn seen_left_out(pods: &[PodState], troubled: &[String], after: Duration) -> Option<LeftOut> {
    let is_troubled = |pod: &PodState| troubled.iter().any(|name| name == pod.name());
    let pod = pods.iter().find(|pod| is_troubled(pod) && !pod.in_turn())?;
    Some(LeftOut {
        after,
        state: pod.state.clone(),
        reason: pod.reason.clone().unwrap_or_default(),
    })
}

impl Summary {
    fn add(&mut self, setting: &Setting, findings: &Findings, first: &Findings) {
        self.settings += 1;
        self.requests += findings.requests;
        for promise in setting.promises {
            if let Some(kept) = promise.kept(findings, first) {
                self.promises += 1;
                self.kept += usize::from(kept);
            }
        }
    }

    fn holds(self) -> bool {
        self.kept == self.promises
    }

    fn line(self, elapsed: Duration) -> String {
        format!(
            "{} settings in {:.1} s, {} requests in the time of trouble; promises kept: {} of {}",
            self.settings,
            elapsed.as_secs_f64(),
            self.requests,
            self.kept,
            self.promises
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::demo::findings::Promise;

    const SETTING: Setting = Setting {
        flags: "",
        pace: "",
        promises: &[Promise::NoFailure, Promise::LeftOut],
    };

    #[test]
    fn one_broken_promise_is_enough() {
        let mut summary = Summary::default();
        assert!(summary.holds());
        let mut findings = Findings {
            requests: 900,
            left_out: seen_left_out(
                &[PodState {
                    pod: Some("p".to_owned()),
                    address: "127.0.1.1:80".to_owned(),
                    state: "ejected".to_owned(),
                    reason: None,
                    requests: 1,
                }],
                &["p".to_owned()],
                Duration::ZERO,
            ),
            ..Findings::default()
        };
        summary.add(&SETTING, &findings, &findings);
        assert!(summary.holds());
        findings.failed = 1;
        summary.add(&SETTING, &findings, &findings);
        assert!(!summary.holds());
        assert_eq!(
            summary.line(Duration::from_millis(10_240)),
            "2 settings in 10.2 s, 1800 requests in the time of trouble; promises kept: 3 of 4"
        );
    }
}
