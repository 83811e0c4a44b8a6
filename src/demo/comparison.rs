//! Plays a pod's trouble under one setting of the sidecar after the other: same pods, same load, a new sidecar each time.

use std::cell::RefCell;
use std::io::Write;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::time::Instant;

use super::deployment::Deployment;
use super::findings::{self, Findings, LeftOut};
use super::load::{Load, Traffic};
use super::pod::Manner;
use super::shares::Shares;
use super::sidecar::Sidecar;
use super::state::{self, PodState};
use super::trouble::{Setting, Trouble, WORK};
use super::view::Screen;
use super::{Error, stage};

/// The part of a setting's time in which all is well, in hundredths.
const CALM: u32 = 20;

/// Between two looks at what the sidecar says of the pod.
const LOOK: Duration = Duration::from_millis(25);

/// How long a client waits for an answer: so long that it counts against a pod that hangs.
const PATIENCE: Duration = Duration::from_millis(1_200);

/// Requests a second that one client sends, so that there are clients left while some hang.
const EACH: u32 = 4;

/// Everything a comparison needs.
#[derive(Debug)]
pub struct Comparison<W> {
    pub trouble: Trouble,
    /// The API server.
    pub server: SocketAddr,
    pub deployment: Deployment,
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
        let Some(troubled) = ready.first() else {
            return Ok(());
        };
        self.say(&format!(
            "{} pods, {} requests/s, {:.1} s for each setting. After a fifth of it {troubled}",
            ready.len(),
            self.rate,
            self.lasts.as_secs_f64()
        ))?;
        self.say(&format!("{}. From then on:", self.trouble.told()))?;
        self.say("")?;
        self.say(&findings::head())?;
        for setting in self.trouble.settings() {
            let findings = self.try_out(setting, troubled).await?;
            self.say(&findings::row(setting.flags, &findings))?;
            for note in findings::notes(setting.pace, setting.promises, &findings) {
                self.say(&format!("    {note}"))?;
            }
            self.seen.borrow_mut().add(setting, &findings);
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

    async fn try_out(&self, setting: &Setting, troubled: &str) -> Result<Findings, Error> {
        let sidecar = Sidecar::start(self.server, &setting.all()).await?;
        stage::follow(sidecar.admin, &self.deployment).await?;
        let traffic = Traffic {
            rate: self.rate,
            each: EACH,
            patience: PATIENCE,
            // A POST that hangs may not be sent again, whatever the setting.
            post_every: 0,
        };
        let load = Load::start(sidecar.proxy, traffic);
        let end = Instant::now() + self.lasts;
        tokio::time::sleep(self.lasts * CALM / 100).await;
        let findings = self.watch(&sidecar, &load, troubled, end).await?;
        drop(load);
        self.deployment.behave(troubled, Manner::Answers(WORK));
        sidecar.stop().await?;
        Ok(findings)
    }

    /// Lets the trouble begin, and looks until `end`.
    async fn watch(
        &self,
        sidecar: &Sidecar,
        load: &Load,
        troubled: &str,
        end: Instant,
    ) -> Result<Findings, Error> {
        let hush = load.hush().await;
        let before = state::pods(sidecar.admin).await?;
        let told_before = load.tally();
        load.take_times();
        self.deployment.behave(troubled, self.trouble.manner());
        drop(hush);

        let began = Instant::now();
        let mut left_out = None;
        let last_hush = async {
            tokio::time::sleep_until(end).await;
            load.hush().await
        };
        tokio::pin!(last_hush);
        let (after, _hush) = loop {
            // Looks go on until the last request is over: some wait as long as their client does.
            let hush = tokio::time::timeout(LOOK, &mut last_hush).await;
            let pods = state::pods(sidecar.admin).await?;
            if left_out.is_none() {
                left_out = seen_left_out(&pods, troubled, began.elapsed());
            }
            if let Ok(hush) = hush {
                break (pods, hush);
            }
        };
        let shares = Shares::between(&before, &after);
        let tally = load.tally();
        Ok(Findings {
            pods: after.len() as u64,
            attempts: shares.total(),
            troubled: shares.of(troubled),
            exact: shares.exact(&self.deployment.ready()),
            requests: tally.answered + tally.failed - told_before.answered - told_before.failed,
            failed: tally.failed - told_before.failed,
            times: load.take_times(),
            left_out,
        })
    }

    fn say(&self, line: &str) -> Result<(), Error> {
        self.screen.borrow_mut().say(line).map_err(Error::Output)
    }
}

fn seen_left_out(pods: &[PodState], troubled: &str, after: Duration) -> Option<LeftOut> {
    let pod = pods.iter().find(|pod| pod.name() == troubled)?;
    (!pod.in_turn()).then(|| LeftOut {
        after,
        state: pod.state.clone(),
        reason: pod.reason.clone().unwrap_or_default(),
    })
}

impl Summary {
    fn add(&mut self, setting: &Setting, findings: &Findings) {
        self.settings += 1;
        self.requests += findings.requests;
        for promise in setting.promises {
            if let Some(kept) = promise.kept(findings) {
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
            "{} settings in {:.1} s, {} requests while the pod was in trouble; promises kept: {} of {}",
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
                "p",
                Duration::ZERO,
            ),
            ..Findings::default()
        };
        summary.add(&SETTING, &findings);
        assert!(summary.holds());
        findings.failed = 1;
        summary.add(&SETTING, &findings);
        assert!(!summary.holds());
        assert_eq!(
            summary.line(Duration::from_millis(10_240)),
            "2 settings in 10.2 s, 1800 requests while the pod was in trouble; promises kept: 3 of 4"
        );
    }
}
