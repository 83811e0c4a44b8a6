use super::*;

#[test]
fn the_time_between_checks_varies_by_a_tenth_to_either_side() {
    let interval = Duration::from_secs(10);
    assert_eq!(pause(interval, 0.0), Duration::from_secs(9));
    assert_eq!(pause(interval, 0.5), Duration::from_secs(10));
    assert!(pause(interval, 0.999) < Duration::from_secs(11));
}
