//! The toy pods as a set: they come, go, fail readiness and roll, and each change is published as the endpoint slice
//! controller would.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use super::manifest::{self, Entry, SERVICE, Standing};
use super::pod::{Manner, Pod};

/// Letters of generated names, as Kubernetes has them: no vowels, no words.
const LETTERS: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";

/// Takes a slice that has changed.
pub type Publish = Box<dyn Fn(EndpointSlice) + Send + Sync>;

/// The pods. Clones share them.
#[derive(Clone)]
pub struct Deployment {
    inner: Arc<Inner>,
}

struct Inner {
    publish: Publish,
    /// What a new pod makes of a request.
    manner: Manner,
    roster: Mutex<Roster>,
}

struct Roster {
    pods: Vec<Member>,
    /// Every port a pod has had.
    ports: BTreeSet<u16>,
    /// Changes with each rollout, as the hash of a pod template does.
    revision: String,
    /// The last byte of the next pod's address.
    next_host: u8,
    random: fastrand::Rng,
}

struct Member {
    entry: Entry,
    pod: Pod,
}

/// How a pod leaves: it serves for `drain` after it was deleted, then fails its readiness probe and answers for
/// `linger` more, and then its app ends. That is what Kubernetes asks of an app that wants to lose nothing.
#[derive(Clone, Copy, Debug)]
pub struct Leave {
    pub drain: Duration,
    pub linger: Duration,
}

impl Leave {
    pub const AT_ONCE: Self = Self {
        drain: Duration::ZERO,
        linger: Duration::ZERO,
    };
}

impl Deployment {
    pub fn new(publish: Publish, manner: Manner, mut random: fastrand::Rng) -> Self {
        let roster = Roster {
            pods: Vec::new(),
            ports: BTreeSet::new(),
            revision: letters(&mut random, 9),
            next_host: 0,
            random,
        };
        let inner = Inner {
            publish,
            manner,
            roster: Mutex::new(roster),
        };
        Self {
            inner: Arc::new(inner),
        }
    }

    /// Names of the pods that are ready, sorted.
    pub fn ready(&self) -> Vec<String> {
        let mut names: Vec<String> = self.named(Standing::Ready);
        names.sort();
        names
    }

    /// Starts or ends pods until `count` are there, and waits for those that end.
    ///
    /// # Errors
    /// Where a pod finds no port.
    pub async fn scale(
        &self,
        count: usize,
        startup: Duration,
        leave: Leave,
    ) -> std::io::Result<()> {
        let names = self.ready();
        let mut leaving = JoinSet::new();
        for name in names.into_iter().skip(count) {
            let deployment = self.clone();
            leaving.spawn(async move { deployment.terminate(&name, leave).await });
        }
        let missing = count.saturating_sub(self.ready().len());
        let mut names = Vec::new();
        for _ in 0..missing {
            names.push(self.start().await?);
        }
        if missing > 0 {
            tokio::time::sleep(startup).await;
        }
        for name in names {
            self.set(&name, Standing::Ready);
        }
        while leaving.join_next().await.is_some() {}
        Ok(())
    }

    /// Replaces each pod, one every `slot`: the new one first, as `maxUnavailable: 0` has it.
    ///
    /// # Errors
    /// Where a pod finds no port.
    pub async fn roll(&self, slot: Duration, leave: Leave) -> std::io::Result<()> {
        let old = self.ready();
        {
            let mut roster = self.roster();
            roster.revision = letters(&mut roster.random, 9);
        }
        let mut leaving = JoinSet::new();
        for name in old {
            let new = self.start().await?;
            tokio::time::sleep(slot / 2).await;
            self.set(&new, Standing::Ready);
            let deployment = self.clone();
            leaving.spawn(async move { deployment.terminate(&name, leave).await });
            tokio::time::sleep(slot / 2).await;
        }
        while leaving.join_next().await.is_some() {}
        Ok(())
    }

    /// Lets the first ready pod fail its readiness probe; its name, if there is one.
    pub fn fail_readiness(&self) -> Option<String> {
        let name = self.ready().into_iter().next()?;
        self.set(&name, Standing::Unready);
        Some(name)
    }

    /// Lets every pod pass its readiness probe that does not.
    pub fn recover(&self) {
        for name in self.named(Standing::Unready) {
            self.set(&name, Standing::Ready);
        }
    }

    /// Starts so many more pods, which are ready at once and answer in this manner: their names.
    ///
    /// # Errors
    /// Where a pod finds no port.
    pub async fn join(&self, count: usize, manner: Manner) -> std::io::Result<Vec<String>> {
        let mut names = Vec::new();
        for _ in 0..count {
            names.push(self.start().await?);
        }
        self.behave(&names, manner);
        for name in &names {
            self.set(name, Standing::Ready);
        }
        Ok(names)
    }

    /// Lets the pods of these names answer in another manner.
    pub fn behave(&self, names: &[String], manner: Manner) {
        for member in &self.roster().pods {
            if names.contains(&member.entry.name) {
                member.pod.behave(manner);
            }
        }
    }

    async fn start(&self) -> std::io::Result<String> {
        let (host, port) = {
            let mut roster = self.roster();
            roster.next_host = roster.next_host % 250 + 1;
            (roster.next_host, roster.ports.first().copied().unwrap_or(0))
        };
        let listener = bind(host, port).await?;
        let mut roster = self.roster();
        let name = roster.name();
        let pod = Pod::start(listener, &name, self.inner.manner)?;
        roster.ports.insert(pod.address.port());
        let entry = Entry {
            name: name.clone(),
            uid: roster.uid(),
            address: pod.address,
            standing: Standing::Unready,
        };
        roster.pods.push(Member { entry, pod });
        drop(roster);
        self.publish();
        Ok(name)
    }

    async fn terminate(&self, name: &str, leave: Leave) {
        self.set(name, Standing::Draining);
        tokio::time::sleep(leave.drain).await;
        self.set(name, Standing::Ended);
        tokio::time::sleep(leave.linger).await;
        let left = {
            let mut roster = self.roster();
            let place = roster.pods.iter().position(|pod| pod.entry.name == name);
            place.map(|place| roster.pods.remove(place))
        };
        if let Some(left) = left {
            left.pod.stop().await;
        }
        self.publish();
    }

    fn set(&self, name: &str, standing: Standing) {
        for member in &mut self.roster().pods {
            if member.entry.name == name {
                member.entry.standing = standing;
            }
        }
        self.publish();
    }

    fn named(&self, standing: Standing) -> Vec<String> {
        self.roster()
            .pods
            .iter()
            .filter(|member| member.entry.standing == standing)
            .map(|member| member.entry.name.clone())
            .collect()
    }

    fn publish(&self) {
        // Under the lock, so that slices go out in the order in which they came about.
        let roster = self.roster();
        let ports = roster.ports.iter().copied();
        let entries: Vec<&Entry> = roster.pods.iter().map(|member| &member.entry).collect();
        for slice in manifest::slices(ports, &entries, Timestamp::now()) {
            (self.inner.publish)(slice);
        }
    }

    fn roster(&self) -> MutexGuard<'_, Roster> {
        // Pods are added and removed whole, so the list is right even if a task panicked while it held it.
        self.inner
            .roster
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl Roster {
    fn name(&mut self) -> String {
        format!(
            "{SERVICE}-{}-{}",
            self.revision,
            letters(&mut self.random, 5)
        )
    }

    fn uid(&mut self) -> String {
        format!("{:032x}", self.random.u128(..))
    }
}

/// Every pod on the same port of an address of its own, as pods are. Where only 127.0.0.1 is there to bind (not
/// Linux), or the port is taken, on any port of that.
async fn bind(host: u8, port: u16) -> std::io::Result<TcpListener> {
    let own = SocketAddr::from((Ipv4Addr::new(127, 0, 1, host), port));
    match TcpListener::bind(own).await {
        Ok(listener) => Ok(listener),
        Err(_) => TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await,
    }
}

fn letters(random: &mut fastrand::Rng, count: usize) -> String {
    (0..count)
        .map(|_| char::from(LETTERS[random.usize(..LETTERS.len())]))
        .collect()
}

impl std::fmt::Debug for Deployment {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Deployment")
            .field("ready", &self.ready())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEAVE: Leave = Leave {
        drain: Duration::from_millis(4),
        linger: Duration::from_millis(2),
    };
    const SHORT: Duration = Duration::from_millis(2);

    type Published = Arc<Mutex<Vec<EndpointSlice>>>;

    fn deployment() -> (Deployment, Published) {
        let published = Published::default();
        let sink = Arc::clone(&published);
        let publish = Box::new(move |slice| sink.lock().unwrap().push(slice));
        let random = fastrand::Rng::with_seed(7);
        (
            Deployment::new(publish, Manner::Answers(Duration::ZERO), random),
            published,
        )
    }

    /// (ready, terminating) of each slice that was published.
    fn counts(published: &Published) -> Vec<(usize, usize)> {
        let slices = published.lock().unwrap();
        let count = |slice: &EndpointSlice| {
            let conditions = || {
                let endpoints = slice.endpoints.iter().flatten();
                endpoints.filter_map(|endpoint| endpoint.conditions.as_ref())
            };
            let ready = conditions().filter(|conditions| conditions.ready == Some(true));
            let leaving = conditions().filter(|conditions| conditions.terminating == Some(true));
            (ready.count(), leaving.count())
        };
        slices.iter().map(count).collect()
    }

    #[tokio::test]
    async fn a_rollout_replaces_every_pod_and_never_has_fewer_ready_than_before() {
        let (deployment, published) = deployment();
        deployment.scale(3, SHORT, LEAVE).await.unwrap();
        let old = deployment.ready();
        published.lock().unwrap().clear();
        deployment.roll(SHORT, LEAVE).await.unwrap();
        let new = deployment.ready();
        assert_eq!(new.len(), 3);
        assert!(new.iter().all(|name| !old.contains(name)), "{new:?}");
        let counts = counts(&published);
        assert!(counts.iter().all(|(ready, _)| *ready >= 3), "{counts:?}");
        assert!(counts.iter().any(|(_, leaving)| *leaving > 0), "{counts:?}");
        assert_eq!(counts.last(), Some(&(3, 0)));
    }

    #[tokio::test]
    async fn scaled_to_zero_the_slice_stays_empty() {
        let (deployment, published) = deployment();
        deployment.scale(2, SHORT, LEAVE).await.unwrap();
        deployment.scale(0, SHORT, LEAVE).await.unwrap();
        assert_eq!(counts(&published).last(), Some(&(0, 0)));
        deployment.scale(1, SHORT, LEAVE).await.unwrap();
        assert_eq!(counts(&published).last(), Some(&(1, 0)));
    }

    #[tokio::test]
    async fn pods_that_join_are_ready_beside_the_others() {
        let (deployment, published) = deployment();
        deployment.scale(2, SHORT, LEAVE).await.unwrap();
        let joined = deployment.join(2, Manner::Fails).await.unwrap();
        assert_eq!(joined.len(), 2);
        assert!(joined.iter().all(|name| deployment.ready().contains(name)));
        assert_eq!(counts(&published).last(), Some(&(4, 0)));
    }

    #[tokio::test]
    async fn an_unready_pod_stays_in_the_slice_and_recovers() {
        let (deployment, published) = deployment();
        deployment.scale(2, SHORT, LEAVE).await.unwrap();
        let name = deployment.fail_readiness().unwrap();
        assert!(!deployment.ready().contains(&name));
        assert_eq!(counts(&published).last(), Some(&(1, 0)));
        deployment.recover();
        assert_eq!(counts(&published).last(), Some(&(2, 0)));
    }
}
