//! The value of `Retry-After` or `grpc-retry-pushback-ms` -> whether a pod is asked again, and after what wait.
#![no_main]

use std::time::{Duration, SystemTime};

use http::header::{HeaderMap, HeaderName, HeaderValue, RETRY_AFTER};
use invariants::heads;
use libfuzzer_sys::fuzz_target;
use podrobin::proxy::pause::{LONGEST_PUSHBACK, Pushback};

const GRPC: HeaderName = HeaderName::from_static("grpc-retry-pushback-ms");

/// From the epoch on: then, in 2026, and after all that a date can say.
const MOMENTS: [u64; 3] = [0, 1_790_000_000, 400_000_000_000];

fuzz_target!(|bytes: &[u8]| {
    let Ok(value) = HeaderValue::from_bytes(bytes) else {
        return;
    };
    let number = (!bytes.is_empty()).then(|| heads::decimal(bytes)).flatten();
    let expected = |unit: Duration| {
        let wait = number.and_then(|number| unit.checked_mul(u32::try_from(number).ok()?));
        match wait.filter(|wait| *wait <= LONGEST_PUSHBACK) {
            Some(wait) => Pushback::After(wait),
            None => Pushback::Never,
        }
    };

    let http = HeaderMap::from_iter([(RETRY_AFTER, value.clone())]);
    let told = MOMENTS.map(|seconds| {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        let told = Pushback::read(&http, false, now);
        // A call without a field of its own is like any other request.
        assert_eq!(told, Pushback::read(&http, true, now));
        told
    });
    if number.is_some() {
        assert_eq!(told, [expected(Duration::from_secs(1)); 3]);
    }
    // Later a date is nearer, and in the end it has passed.
    let wait = |told| match told {
        Pushback::Nothing | Pushback::After(Duration::ZERO) => Duration::ZERO,
        Pushback::After(wait) => {
            assert!(wait <= LONGEST_PUSHBACK);
            wait
        }
        Pushback::Never => Duration::MAX,
    };
    assert!(
        told.map(wait)
            .is_sorted_by(|earlier, later| earlier >= later)
    );
    let nothing = told.map(|told| told == Pushback::Nothing);
    assert!(nothing == [true; 3] || nothing == [false; 3], "{told:?}");

    // A call's own field goes first, whatever it says, and is nothing to others.
    let now = SystemTime::UNIX_EPOCH;
    let mut both = http;
    both.insert(GRPC, value);
    assert_eq!(Pushback::read(&both, false, now), told[0]);
    let own = Pushback::read(&both, true, now);
    match own {
        Pushback::After(wait) => assert!(wait <= LONGEST_PUSHBACK),
        own => assert_eq!(own, Pushback::Never),
    }
    if number.is_some() {
        assert_eq!(own, expected(Duration::from_millis(1)));
    }
});
