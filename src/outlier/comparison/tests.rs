use proptest::prelude::*;

use super::*;

fn tally(succeeded: u64, failed: u64, millis: u64) -> Tally {
    Tally {
        succeeded,
        failed,
        micros: succeeded * millis * 1000,
    }
}

fn all() -> Outliers {
    Outliers {
        success_rate: Some(1.9),
        failure_percentage: Some(50.0),
        latency: Some(3.0),
        ..Outliers::default()
    }
}

fn found(tallies: &[Tally], settings: &Outliers) -> Vec<usize> {
    let found = stand_out(tallies, settings).into_iter();
    found.map(|(index, _)| index).collect()
}

/// Four good pods and this one.
fn beside_four(odd: Tally) -> Vec<Tally> {
    let mut tallies = vec![tally(200, 0, 10); 4];
    tallies.push(odd);
    tallies
}

#[test]
fn a_pod_that_fails_a_fifth_stands_out_by_its_success_rate() {
    let tallies = beside_four(tally(160, 40, 10));
    let by_rate = Outliers {
        success_rate: Some(1.9),
        ..Outliers::default()
    };
    assert_eq!(
        stand_out(&tallies, &by_rate),
        [(4, Cause::SuccessRate { rate: 80, mean: 96 })]
    );
    // Of five pods none is more than two standard deviations from their mean.
    let wider = Outliers {
        success_rate: Some(2.1),
        ..by_rate
    };
    assert!(found(&tallies, &wider).is_empty());
}

#[test]
fn a_percentage_of_failures_holds_whatever_the_others_do() {
    let settings = Outliers {
        failure_percentage: Some(20.0),
        ..Outliers::default()
    };
    let mut tallies = vec![tally(80, 20, 10), tally(50, 50, 10)];
    tallies.extend([tally(81, 19, 10); 3]);
    // Those that fail most come first.
    assert_eq!(found(&tallies, &settings), [1, 0]);
}

#[test]
fn a_pod_slower_than_the_median_by_the_factor_stands_out() {
    let settings = Outliers {
        latency: Some(3.0),
        ..Outliers::default()
    };
    assert!(found(&beside_four(tally(200, 0, 30)), &settings).is_empty());
    assert_eq!(
        stand_out(&beside_four(tally(200, 0, 31)), &settings),
        [(
            4,
            Cause::Latency {
                micros: 31_000,
                median: 10_000
            }
        )]
    );
    // Half of them slow: one is still faster than the others are slow.
    let two = Outliers {
        min_pods: 2,
        ..settings
    };
    assert_eq!(found(&[tally(100, 0, 100), tally(100, 0, 1)], &two), [0]);
}

#[test]
fn too_few_requests_or_pods_prove_nothing() {
    assert!(found(&beside_four(tally(0, 99, 10)), &all()).is_empty());
    assert_eq!(found(&beside_four(tally(0, 100, 10)), &all()), [4]);
    let four = [
        tally(200, 0, 10),
        tally(200, 0, 10),
        tally(200, 0, 10),
        tally(0, 200, 10),
    ];
    assert!(found(&four, &all()).is_empty());
    // Of five, one is left that has enough successes to be timed.
    let mut failing = vec![tally(99, 99, 1); 4];
    failing.push(tally(200, 0, 100));
    let settings = Outliers {
        latency: Some(3.0),
        ..Outliers::default()
    };
    assert!(found(&failing, &settings).is_empty());
}

proptest! {
    #[test]
    fn nobody_stands_out_of_equals(
        succeeded in 0_u64..1_000_000,
        failed in 0_u64..1_000_000,
        millis in 0_u64..100_000,
        pods in 0_usize..50,
        stdevs in 0.1_f64..5.0,
        factor in 1.0_f64..10.0,
    ) {
        let settings = Outliers {
            success_rate: Some(stdevs),
            latency: Some(factor),
            ..Outliers::default()
        };
        let equals = vec![tally(succeeded, failed, millis); pods];
        prop_assert!(found(&equals, &settings).is_empty());
    }

    #[test]
    fn who_stands_out_had_the_volume_and_never_all_do_by_comparison(
        pods in prop::collection::vec((0_u64..500, 0_u64..500, 0_u64..1000), 0..20),
    ) {
        let tallies: Vec<Tally> = pods.iter().map(|(s, f, millis)| tally(*s, *f, *millis)).collect();
        let compared = Outliers { failure_percentage: None, ..all() };
        let found = found(&tallies, &compared);
        let volume = tallies.iter().filter(|tally| tally.requests() >= 100).count();
        prop_assert!(found.is_empty() || (volume >= 5 && found.len() < volume));
        for index in found {
            prop_assert!(tallies[index].requests() >= 100);
        }
    }
}
