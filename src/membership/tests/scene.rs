//! A membership, told of lists, failures and answers.

use super::*;

pub(super) struct Scene {
    pub membership: Membership,
    pub snapshots: watch::Receiver<Arc<Snapshot>>,
    pub totals: Arc<TargetStats>,
    pub metrics: Arc<TargetMetrics>,
}

impl Scene {
    pub(super) fn of(endpoints: Vec<Endpoint>) -> Self {
        Self::with(round_robin(), endpoints)
    }

    pub(super) fn with(choice: Choice, endpoints: Vec<Endpoint>) -> Self {
        let totals = Arc::new(TargetStats::new(2));
        let metrics = Arc::new(TargetMetrics::default());
        let (membership, snapshots) = Membership::new(
            "test".to_owned(),
            choice,
            2,
            totals.clone(),
            metrics.clone(),
            Instant::now(),
        );
        let mut scene = Self {
            membership,
            snapshots,
            totals,
            metrics,
        };
        scene.list(endpoints);
        scene
    }

    /// Where nobody looks for silent pods, so that only what the scene is about is due.
    pub(super) fn without_looks(mut self) -> Self {
        self.membership.listening = None;
        self
    }

    pub(super) fn list(&mut self, endpoints: Vec<Endpoint>) {
        let update = Update {
            endpoints,
            received: Instant::now(),
            triggered: None,
        };
        self.membership.apply(update, Instant::now());
    }

    pub(super) fn now(&self) -> Arc<Snapshot> {
        self.snapshots.borrow().clone()
    }

    pub(super) fn fact(&self, member: usize, outcome: Outcome, started: Instant) -> Fact {
        Fact {
            endpoint: self.now().members[member].endpoint.clone(),
            outcome,
            started,
            refused: false,
        }
    }

    pub(super) fn fail(&mut self, member: usize, times: u32, now: Instant) {
        let fact = self.fact(member, Outcome::Failed(Kind::ConnectFailed), now);
        for _ in 0..times {
            self.membership.observe(std::slice::from_ref(&fact), now);
        }
    }

    pub(super) fn refuse(&mut self, member: usize, now: Instant) {
        let fact = Fact {
            refused: true,
            ..self.fact(member, Outcome::Failed(Kind::ConnectFailed), now)
        };
        self.membership.observe(&[fact], now);
    }

    pub(super) fn answer(&self, member: usize, times: u32) {
        for _ in 0..times {
            self.now().members[member].stats.shard(0).answer();
            self.totals.shard(0).add(Count::Answered);
        }
    }

    /// Which members three rounds of picks go to, in order of their index.
    pub(super) fn picked(&self) -> Vec<usize> {
        let snapshot = self.now();
        let mut picked: Vec<usize> = (0..3 * snapshot.members.len())
            .filter_map(|_| snapshot.picker.pick(&Ask::now(None), |_| false))
            .map(|pick| pick.member)
            .collect();
        picked.sort_unstable();
        picked.dedup();
        picked
    }
}
