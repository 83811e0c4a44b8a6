//! Plays the story: changes the pods, waits until the sidecar follows, and looks who gets what.

use std::cell::{Cell, RefCell};
use std::io::Write;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::time::Instant;

use super::Error;
use super::deployment::{Deployment, Leave};
use super::load::Load;
use super::report::Report;
use super::shares::Shares;
use super::state::{self, PodState};
use super::story::{Act, EXTRA_PODS, Scene};
use super::view::{self, Model, Screen};

/// How long a new pod is there before it is ready.
const STARTUP: Duration = Duration::from_millis(30);

/// How a pod that was deleted leaves. Shorter than in a real cluster, and still long enough for a sidecar on a busy
/// machine to hear of it.
const LEAVE: Leave = Leave {
    drain: Duration::from_millis(200),
    linger: Duration::from_millis(300),
};

/// The part of a rollout's scene in which pods start, in hundredths; then the last ones leave, and the set stands.
const ROLLING: u32 = 55;

/// How long the sidecar may take to follow the list before the demo gives up. It takes milliseconds.
const FOLLOW: Duration = Duration::from_secs(10);

/// Between two looks at the sidecar while waiting for it.
const LOOK: Duration = Duration::from_millis(5);

/// Between two drawings.
const FRAME: Duration = Duration::from_millis(100);

/// Shares are compared over at least this long, even where a slow machine is behind the script.
const WINDOW: Duration = Duration::from_millis(100);

/// Everything a scene needs.
#[derive(Debug)]
pub struct Stage<W> {
    /// How long all scenes take.
    pub duration: Duration,
    /// At the beginning.
    pub pods: usize,
    /// Requests a second.
    pub rate: u32,
    pub deployment: Deployment,
    /// The sidecar's admin listener.
    pub admin: SocketAddr,
    pub load: Load,
    pub screen: RefCell<Screen<W>>,
    pub report: RefCell<Report>,
    /// When the first scene began.
    pub began: Instant,
    pub now: Cell<Act>,
    /// The pods when the present scene began.
    pub before: RefCell<Vec<PodState>>,
}

impl<W: Write> Stage<W> {
    /// Plays `scenes`, each to its end.
    ///
    /// # Errors
    /// Where the sidecar does not follow, or a part fails.
    pub async fn play(&self, scenes: &[Scene]) -> Result<(), Error> {
        for scene in scenes {
            self.now.set(scene.act);
            self.before.replace(state::pods(self.admin).await?);
            self.act(scene).await?;
            follow(self.admin, &self.deployment).await?;
            let end = self.began + scene.starts + scene.lasts;
            if self.deployment.ready().is_empty() {
                self.gap(end).await?;
            } else {
                self.window(end).await?;
            }
        }
        Ok(())
    }

    /// Draws the table again and again; ends with an error alone.
    ///
    /// # Errors
    /// Where the sidecar does not answer, or the output is closed.
    pub async fn draw(&self) -> Result<std::convert::Infallible, Error> {
        let mut frames = tokio::time::interval(FRAME);
        loop {
            frames.tick().await;
            let pods = state::pods(self.admin).await?;
            let model = Model {
                elapsed: self.began.elapsed(),
                total: self.duration,
                scene: self.now.get().name(),
                tally: self.load.tally(),
                pods,
                before: self.before.borrow().clone(),
            };
            let shown = self.screen.borrow_mut().show(&model);
            shown.map_err(Error::Output)?;
        }
    }

    /// Says what was found: whether all went as promised. Requests under way are not waited for, as there may be no
    /// pod for them.
    ///
    /// # Errors
    /// Where the output is closed.
    pub fn close(self) -> Result<bool, Error> {
        let tally = self.load.tally();
        let report = self.report.into_inner();
        let mut lines = vec![report.summary(tally, self.began.elapsed())];
        let causes = self.load.causes();
        lines.extend(causes.iter().map(|cause| format!("failed: {cause}")));
        let mut screen = self.screen.into_inner();
        for line in lines {
            screen.say(&line).map_err(Error::Output)?;
        }
        Ok(report.holds(tally))
    }

    async fn act(&self, scene: &Scene) -> Result<(), Error> {
        let Self {
            deployment,
            pods,
            rate,
            ..
        } = self;
        match scene.act {
            Act::Steady => {
                self.say(&format!("{}, {rate} requests/s", count(*pods)))?;
            }
            Act::Unready => {
                let name = deployment.fail_readiness().unwrap_or_default();
                self.say(&format!("{name} fails its readiness probe"))?;
            }
            Act::Recovered => {
                self.say("it passes again")?;
                deployment.recover();
            }
            Act::ScaleUp => {
                let more = pods + EXTRA_PODS;
                self.say(&format!("from {} to {more}", count(*pods)))?;
                let scaled = deployment.scale(more, STARTUP, LEAVE).await;
                scaled.map_err(Error::Pod)?;
            }
            Act::Rollout => {
                let pods = deployment.ready().len();
                self.say(&format!("{} replaced, one by one", count(pods)))?;
                let rolling = scene.lasts * ROLLING / 100;
                let slot = rolling / u32::try_from(pods).unwrap_or(u32::MAX).max(1);
                deployment.roll(slot, LEAVE).await.map_err(Error::Pod)?;
                self.report.borrow_mut().rollout(pods);
            }
            Act::ScaleToZero => {
                self.say("the last pods leave, and the next requests are held")?;
                let scaled = deployment.scale(0, STARTUP, LEAVE).await;
                scaled.map_err(Error::Pod)?;
            }
            Act::Return => {
                let waiting = self.load.tally().waiting;
                self.say(&format!(
                    "{} back for {waiting} requests that wait",
                    count(*pods)
                ))?;
                let scaled = deployment.scale(*pods, STARTUP, LEAVE).await;
                scaled.map_err(Error::Pod)?;
            }
        }
        Ok(())
    }

    /// Nobody is there to answer until `end`.
    async fn gap(&self, end: Instant) -> Result<(), Error> {
        tokio::time::sleep_until(end).await;
        let held = self.load.tally().waiting;
        self.report.borrow_mut().gap(held);
        self.say(&format!("no pod: {held} requests are waiting"))
    }

    /// The set stands still until `end`: who gets what in the meantime?
    async fn window(&self, end: Instant) -> Result<(), Error> {
        let before = self.count().await?;
        tokio::time::sleep_until(end.max(Instant::now() + WINDOW)).await;
        let after = self.count().await?;
        let shares = Shares::between(&before, &after);
        let ready = self.deployment.ready();
        let exact = shares.exact(&ready);
        self.report.borrow_mut().window(exact);
        let verdict = if exact { "exact" } else { "UNEVEN" };
        self.say(&format!("{} requests, {verdict}: {shares}", shares.total()))?;
        // Only the sidecar itself leaves out a pod that the list calls ready, and it has a reason.
        let out = after
            .iter()
            .filter(|pod| !pod.in_turn() && ready.iter().any(|name| name == pod.name()));
        for pod in out {
            let reason = pod.reason.as_deref().unwrap_or("no reason given");
            self.say(&format!("{} is {}: {reason}", pod.name(), pod.state))?;
        }
        Ok(())
    }

    /// Requests per pod at a moment without any under way, which makes the numbers exact.
    async fn count(&self) -> Result<Vec<PodState>, Error> {
        let _hush = self.load.hush().await;
        Ok(state::pods(self.admin).await?)
    }

    fn say(&self, what: &str) -> Result<(), Error> {
        let line = view::line(self.began.elapsed(), self.now.get().name(), what);
        let said = self.screen.borrow_mut().say(&line);
        said.map_err(Error::Output)
    }
}

fn count(pods: usize) -> String {
    format!("{pods} pod{}", if pods == 1 { "" } else { "s" })
}

/// Waits until the sidecar at `admin` has exactly the ready pods in turn.
///
/// # Errors
/// Where it has not within ten seconds, or does not answer.
pub async fn follow(admin: SocketAddr, deployment: &Deployment) -> Result<(), Error> {
    let patience = Instant::now() + FOLLOW;
    loop {
        let listed = deployment.ready();
        let pods = state::pods(admin).await?;
        let mut seen: Vec<String> = pods
            .iter()
            .filter(|pod| pod.in_turn())
            .map(|pod| pod.name().to_owned())
            .collect();
        seen.sort();
        if seen == listed {
            return Ok(());
        }
        if Instant::now() > patience {
            return Err(Error::Behind {
                seen: seen.join(" "),
                listed: listed.join(" "),
            });
        }
        tokio::time::sleep(LOOK).await;
    }
}
