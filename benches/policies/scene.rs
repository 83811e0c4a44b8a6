//! Pods, and who sends them how many requests; and what clients saw of them.

use std::time::Duration;

use podrobin::config::Policy;

use super::guards::Guards;
use super::pod::Pod;
use super::run::Run;

#[derive(Clone, Debug)]
pub struct Scene {
    pub name: &'static str,
    pub pods: Vec<Pod>,
    /// Those that the scene is about, by their place.
    pub odd: usize,
    pub sidecars: usize,
    /// Requests a second, all sidecars together.
    pub rate: f64,
    pub lasts: Duration,
}

/// What the clients of all sidecars saw, after a tenth of the time.
#[derive(Clone, Debug)]
pub struct Seen {
    pub p50: Duration,
    pub p99: Duration,
    pub p999: Duration,
    /// Attempts at the odd pods, as a part of an even share.
    pub odd: f64,
    /// The same in each second from the beginning on.
    pub odd_by_second: Vec<f64>,
    /// Failed answers and those that did not come, of all.
    pub failed: f64,
    /// Attempts beyond one for each request, as a part of all requests.
    pub again: f64,
}

/// What is counted on the way to it.
#[derive(Debug, Default)]
pub struct Counts {
    latencies: Vec<Duration>,
    failed: u64,
    attempts: u64,
    /// Of these, at odd pods.
    odd: u64,
    /// The same of each second from the beginning on: at odd pods, and all.
    seconds: Vec<(u64, u64)>,
}

impl Scene {
    /// So many pods with 200 requests a second each, of which the first `odd` are like this one.
    pub fn new(name: &'static str, pods: usize, odd: usize, pod: &Pod) -> Self {
        let usual = std::iter::repeat_n(Pod::usual(), pods - odd);
        let count = u32::try_from(pods).unwrap_or(u32::MAX);
        Self {
            name,
            pods: std::iter::repeat_n(pod.clone(), odd).chain(usual).collect(),
            odd,
            sidecars: 1,
            rate: 200.0 * f64::from(count),
            lasts: Duration::from_secs(20),
        }
    }

    /// What clients see at first, before sidecars know anything of the pods, is left out.
    fn is_counted(&self, began: Duration) -> bool {
        began >= self.lasts / 10
    }

    pub fn run(&self, policy: &Policy, guards: Guards, seed: u64) -> Seen {
        // That of the pickers.
        fastrand::seed(seed);
        Run::new(self, policy, guards, seed).finish()
    }
}

impl Counts {
    /// An attempt of a request that began then, which itself began at `started`, is over.
    pub fn attempt(&mut self, scene: &Scene, pod: usize, began: Duration, started: Duration) {
        let odd = u64::from(pod < scene.odd);
        let second = usize::try_from(started.as_secs()).unwrap_or(0);
        if self.seconds.len() <= second {
            self.seconds.resize(second + 1, (0, 0));
        }
        let (of_odd, of_all) = &mut self.seconds[second];
        *of_odd += odd;
        *of_all += 1;
        if scene.is_counted(began) {
            self.attempts += 1;
            self.odd += odd;
        }
    }

    /// A request that began then is over at `now`.
    pub fn request(&mut self, scene: &Scene, began: Duration, now: Duration, answered: bool) {
        if scene.is_counted(began) {
            self.latencies.push(now - began);
            self.failed += u64::from(!answered);
        }
    }

    pub fn seen(mut self, scene: &Scene) -> Seen {
        self.latencies.sort_unstable();
        let count = self.latencies.len();
        let quantile = |per_mille: usize| self.latencies.get(count * per_mille / 1000).copied();
        let part = |of: u64, all: u64| of as f64 / all.max(1) as f64;
        let even = scene.odd as f64 / scene.pods.len() as f64;
        let share = |of, all| part(of, all) / even.max(f64::MIN_POSITIVE);
        let seconds = self.seconds.iter().map(|(of, all)| share(*of, *all));
        Seen {
            p50: quantile(500).unwrap_or_default(),
            p99: quantile(990).unwrap_or_default(),
            p999: quantile(999).unwrap_or_default(),
            odd: share(self.odd, self.attempts),
            odd_by_second: seconds.collect(),
            failed: part(self.failed, count as u64),
            again: part(self.attempts.saturating_sub(count as u64), count as u64),
        }
    }
}
