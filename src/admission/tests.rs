pub(super) mod requests;

use super::*;

#[test]
fn no_more_than_the_limit_enter_and_a_dropped_permit_frees_its_place() {
    let limit = Limit::new(2);
    let first = limit.enter();
    let second = limit.enter();
    assert!(first.is_some() && second.is_some());
    assert!(limit.enter().is_none());
    assert_eq!(limit.used(), 2);
    drop(first);
    assert!(limit.enter().is_some());
}
