use proptest::prelude::*;

use super::*;
use crate::load_report::LoadReport;
use crate::stats::Reported;

struct Pods {
    reports: Reports,
    pods: Vec<(Identity, EndpointStats)>,
    begin: Instant,
}

impl Pods {
    fn new(count: u8, settings: Orca) -> Self {
        let begin = Instant::now();
        let pods = (0..count).map(|number| {
            let identity = Identity {
                address: ([10, 0, 0, number], 80).into(),
                uid: None,
            };
            let reported = Reported::new(settings.error_penalty.as_f64(), begin);
            (
                identity,
                EndpointStats::new(1, begin).with_reports(reported),
            )
        });
        Self {
            pods: pods.collect(),
            reports: Reports::new(settings, begin),
            begin,
        }
    }

    fn at(&self, seconds: u64) -> Instant {
        self.begin + Duration::from_secs(seconds)
    }

    fn report(&self, pod: usize, utilization: f64, seconds: u64) {
        let report = LoadReport {
            cpu_utilization: utilization,
            rps_fractional: 100.0,
            ..LoadReport::default()
        };
        let reported = self.pods[pod].1.reported().unwrap();
        reported.observe(&report, self.at(seconds));
    }

    fn update(&mut self, seconds: u64) -> bool {
        let now = self.at(seconds);
        let pods = self.pods.iter().map(|(identity, stats)| (identity, stats));
        self.reports.update(pods, now)
    }

    fn weights(&self) -> Vec<Option<u32>> {
        let pods = self.pods.iter();
        pods.map(|(identity, _)| self.reports.weight(identity))
            .collect()
    }
}

#[test]
fn weights_are_in_proportion_to_what_pods_could_serve() {
    let mut pods = Pods::new(3, Orca::default());
    for (pod, utilization) in [0.2, 0.4, 0.8].into_iter().enumerate() {
        pods.report(pod, utilization, 0);
    }
    assert!(pods.update(10));
    // 500, 250 and 125 a second; their mean is 291.7.
    assert_eq!(pods.weights(), [Some(171), Some(86), Some(43)]);
    assert_eq!(pods.reports.next(), pods.at(11));
}

#[test]
fn a_report_counts_after_the_blackout_and_until_it_expires() {
    let mut pods = Pods::new(3, Orca::default());
    for pod in [0, 1] {
        pods.report(pod, 0.2, 5);
    }
    assert!(!pods.update(6));
    assert!(!pods.update(14));
    assert!(pods.update(15));
    assert_eq!(pods.weights(), [Some(100), Some(100), None]);

    // Its own blackout goes by its own first report, whatever it reports meanwhile.
    pods.report(2, 0.4, 16);
    assert!(!pods.update(16));
    pods.report(2, 0.4, 25);
    assert!(!pods.update(25));
    assert!(pods.update(26));
    assert_eq!(pods.weights(), [Some(120), Some(120), Some(60)]);

    // The first two have not been heard of for three minutes, and one alone is compared with nobody.
    assert!(!pods.update(184));
    assert!(pods.update(185));
    assert_eq!(pods.weights(), [None, None, None]);
    // Who comes back begins with a blackout.
    pods.report(0, 0.2, 190);
    pods.report(1, 0.2, 190);
    pods.report(2, 0.4, 190);
    assert!(!pods.update(199));
    assert!(pods.update(200));
    assert_eq!(pods.weights(), [Some(120), Some(120), Some(60)]);
}

#[test]
fn weights_stay_until_a_difference_matters() {
    let orca = Orca {
        blackout: Duration::ZERO,
        ..Orca::default()
    };
    let mut pods = Pods::new(2, orca);
    pods.report(0, 0.5, 0);
    pods.report(1, 0.5, 0);
    assert!(pods.update(1));
    pods.report(1, 0.53, 1);
    assert!(!pods.update(2));
    assert_eq!(pods.weights(), [Some(100), Some(100)]);
    // Small steps add up.
    pods.report(1, 0.56, 2);
    assert!(pods.update(3));
    assert_eq!(pods.weights(), [Some(106), Some(94)]);
}

#[test]
fn who_has_left_is_forgotten() {
    let mut pods = Pods::new(3, Orca::default());
    for pod in 0..3 {
        pods.report(pod, 0.2, 0);
    }
    assert!(pods.update(10));
    pods.pods.pop();
    assert!(pods.update(11));
    assert_eq!(pods.reports.since.len(), 2);
    assert_eq!(pods.reports.weights.len(), 2);
}

proptest! {
    #[test]
    fn weights_are_within_their_bounds_and_in_proportion(
        reported in prop::collection::vec(1e-9..1e12_f64, 2..50),
        near in prop::collection::vec(1.0..3.0_f64, 2..50),
    ) {
        for weight in against_mean(&reported) {
            prop_assert!((MEAN / 10..=MEAN * 10).contains(&weight), "{}", weight);
        }
        let mean = near.iter().sum::<f64>() / near.len() as f64;
        for (reported, weight) in near.iter().zip(against_mean(&near)) {
            let due = reported / mean * 100.0;
            prop_assert!((f64::from(weight) - due).abs() < 0.51, "{} for {}", weight, due);
        }
    }
}
