use proptest::prelude::*;

use super::*;

fn pod(number: u16) -> Identity {
    Identity {
        address: ([10, 0, 0, 1], number).into(),
        uid: None,
    }
}

fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// Both intervals' worth of the same, and what it comes to.
fn after(latencies: &mut Latencies, now: &mut Instant, feed: impl Fn(&mut Latencies)) {
    feed(latencies);
    *now += INTERVAL;
    latencies.renew(*now);
    feed(latencies);
    latencies.renew(*now);
}

proptest! {
    /// The quantile is at least what so many stay within, and at most a sixteenth more.
    #[test]
    fn it_is_the_quantile_within_a_sixteenth(
        micros in prop::collection::vec(prop_oneof![0u64..100, 0u64..100_000, 0u64..u64::from(u32::MAX)], 100..600),
        percent in prop_oneof![Just(50.0), Just(90.0), Just(95.0)],
    ) {
        let start = Instant::now();
        let mut latencies = Latencies::new(start);
        for micros in &micros {
            latencies.record(&pod(1), Duration::from_micros(*micros), End::Answered);
        }
        latencies.renew(start);
        let mut sorted = micros.clone();
        sorted.sort_unstable();
        let within = micros.len() as f64 * percent / 100.0;
        let rank = (1..=micros.len()).find(|rank| *rank as f64 >= within).unwrap();
        let exact = sorted[rank - 1];
        let found = latencies.quantile(percent).unwrap().as_micros();
        let found = u64::try_from(found).unwrap();
        prop_assert!(found >= exact, "{} of {}", found, exact);
        prop_assert!(found <= exact + exact / 16 + 1, "{} of {}", found, exact);
    }
}

#[test]
fn every_length_counts_between_those_that_are_shorter_and_longer() {
    let mut last = 0;
    for power in 0..32 {
        for micros in [
            1u32 << power,
            (1u32 << power) + (1 << power) / 3,
            u32::MAX >> (31 - power),
        ] {
            let bucket = bucket(micros);
            assert!(bucket >= last && bucket < BUCKETS, "{micros}");
            assert!(
                end_of(bucket) >= Duration::from_micros(micros.into()),
                "{micros}"
            );
            last = bucket;
        }
    }
    assert_eq!(last, BUCKETS - 1);
}

#[test]
fn too_few_attempts_say_nothing() {
    let start = Instant::now();
    let mut latencies = Latencies::new(start);
    for count in 1..=1000 {
        latencies.record(&pod(1), millis(10), End::Answered);
        latencies.renew(start);
        assert_eq!(latencies.quantile(95.0).is_some(), count >= 100, "{count}");
        assert_eq!(latencies.quantile(99.0).is_some(), count >= 500, "{count}");
    }
}

#[test]
fn what_was_long_ago_is_forgotten() {
    let mut now = Instant::now();
    let mut latencies = Latencies::new(now);
    let feed = |latencies: &mut Latencies, took| {
        for _ in 0..200 {
            latencies.record(&pod(1), millis(took), End::Answered);
        }
    };
    feed(&mut latencies, 100);
    now += INTERVAL;
    latencies.renew(now);
    feed(&mut latencies, 10);
    assert!(latencies.quantile(95.0).unwrap() >= millis(100));
    now += INTERVAL;
    latencies.renew(now);
    assert!(latencies.quantile(95.0).unwrap() < millis(11));
    now += 2 * INTERVAL;
    latencies.renew(now);
    assert_eq!(latencies.quantile(95.0), None);
    assert!(latencies.pods.is_empty());
}

/// Each interval all that takes longer than the quantile is given up soon after it: it must not sink, interval for
/// interval, to what the fastest take.
#[test]
fn giving_up_the_slowest_does_not_make_the_rest_look_faster() {
    let mut now = Instant::now();
    let mut latencies = Latencies::new(now);
    let mut first = None;
    for _ in 0..50 {
        let mark = latencies.quantile(95.0);
        for number in 0..1000 {
            // From 1 to 100 ms, evenly.
            let takes = Duration::from_micros(1000 + number * 99);
            let pod = pod(u16::try_from(number % 4).unwrap());
            match mark {
                Some(mark) if takes > mark + millis(1) => {
                    latencies.record(&pod, mark + millis(1), End::GivenUp);
                }
                _ => latencies.record(&pod, takes, End::Answered),
            }
        }
        now += INTERVAL;
        latencies.renew(now);
        let mark = latencies.quantile(95.0).unwrap();
        assert!(mark >= millis(94) && mark <= millis(102), "{mark:?}");
        first.get_or_insert(mark);
    }
}

#[test]
fn a_pod_that_is_slow_altogether_does_not_set_the_measure() {
    let mut now = Instant::now();
    let mut latencies = Latencies::new(now);
    let feed = |latencies: &mut Latencies| {
        for number in 0..1000 {
            let takes = if number % 10 == 0 { 100 } else { 10 };
            latencies.record(&pod(number % 10), millis(takes), End::Answered);
        }
    };
    feed(&mut latencies);
    latencies.renew(now);
    // Nothing was known of it when that was counted.
    assert!(latencies.quantile(95.0).unwrap() >= millis(100));
    after(&mut latencies, &mut now, feed);
    after(&mut latencies, &mut now, feed);
    assert!(latencies.quantile(95.0).unwrap() < millis(11));

    // Given up early, it is still slow; and fast again, it counts again.
    let given_up = |latencies: &mut Latencies| {
        for number in 0..1000 {
            match number % 10 {
                0 => latencies.record(&pod(0), millis(12), End::GivenUp),
                other => latencies.record(&pod(other), millis(10), End::Answered),
            }
        }
    };
    after(&mut latencies, &mut now, given_up);
    after(&mut latencies, &mut now, given_up);
    assert!(latencies.pods[&pod(0)].is_slow);
    let fast = |latencies: &mut Latencies| {
        for number in 0..1000 {
            latencies.record(&pod(number % 10), millis(10), End::Answered);
        }
    };
    after(&mut latencies, &mut now, fast);
    assert!(!latencies.pods[&pod(0)].is_slow);
}

/// Ten pods, one of them ten times slower, 200 attempts a second, and what is learnt used as it is learnt.
#[test]
fn one_slow_pod_of_ten_is_found_out_within_seconds() {
    let start = Instant::now();
    let mut latencies = Latencies::new(start);
    let mut random = fastrand::Rng::with_seed(1);
    for tick in 1..=100 {
        let mark = latencies.quantile(95.0);
        for number in 0..100 {
            // 4 ms and a tail: 22 ms are not passed by 95 of 100.
            let takes = 4.0 - 6.0 * (1.0 - random.f64()).ln();
            let factor = if number % 10 == 0 { 10.0 } else { 1.0 };
            let takes = Duration::from_secs_f64(takes * factor / 1e3);
            match mark.map(|mark| mark + millis(10)) {
                Some(most) if takes > most => {
                    latencies.record(&pod(number % 10), most, End::GivenUp);
                }
                _ => latencies.record(&pod(number % 10), takes, End::Answered),
            }
        }
        latencies.renew(start + millis(500) * tick);
        let mark = latencies.quantile(95.0).unwrap();
        // What was counted before it was found out is there for twenty seconds.
        let most = match tick {
            0..10 => 250,
            10..41 => 32,
            _ => 26,
        };
        assert!(mark > millis(19) && mark < millis(most), "{tick}: {mark:?}");
    }
}

#[test]
fn where_most_pods_are_slow_that_is_what_is_usual() {
    let mut now = Instant::now();
    let mut latencies = Latencies::new(now);
    let feed = |slow: u16| {
        move |latencies: &mut Latencies| {
            for number in 0..1000 {
                let takes = if number % 10 < slow { 100 } else { 10 };
                latencies.record(&pod(number % 10), millis(takes), End::Answered);
            }
        }
    };
    for _ in 0..3 {
        after(&mut latencies, &mut now, feed(4));
    }
    assert!(latencies.quantile(95.0).unwrap() < millis(11));
    for _ in 0..3 {
        after(&mut latencies, &mut now, feed(6));
    }
    assert!(latencies.quantile(95.0).unwrap() >= millis(100));
}
