//! A header's bytes -> a report of load -> a weight that is a number, in its bounds.
#![no_main]

use http::header::{HeaderMap, HeaderValue};
use libfuzzer_sys::fuzz_target;
use podrobin::load_report::{LoadReport, METRICS, METRICS_BIN, MOST_BYTES};

fuzz_target!(|bytes: &[u8]| {
    let Ok(value) = HeaderValue::from_bytes(bytes) else {
        return;
    };
    for name in [METRICS, METRICS_BIN] {
        let headers = HeaderMap::from_iter([(name, value.clone())]);
        let Some(report) = LoadReport::from_headers(&headers) else {
            continue;
        };
        assert!(bytes.len() <= MOST_BYTES);
        for number in [
            report.cpu_utilization,
            report.application_utilization,
            report.rps_fractional,
            report.eps,
        ] {
            assert!(number.is_finite() && number >= 0.0, "{report:?}");
        }
        for penalty in [0.0, 1.0, 100.0] {
            if let Some(weight) = report.weight(penalty) {
                assert!((1e-9..=1e12).contains(&weight), "{report:?}: {weight}");
            }
        }
    }
});
