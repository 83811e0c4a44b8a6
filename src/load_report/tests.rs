use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use proptest::prelude::*;

use super::*;

fn double(field: u8, number: f64) -> Vec<u8> {
    let mut bytes = vec![field << 3 | 1];
    bytes.extend(number.to_le_bytes());
    bytes
}

/// With all that an OrcaLoadReport may have beside the numbers: memory, the old count of requests, a named metric.
fn message() -> Vec<u8> {
    [
        double(1, 0.25),
        double(2, 0.5),
        vec![3 << 3, 0x96, 0x01],
        vec![8 << 3 | 2, 3, 10, 1, b'x'],
        double(6, 120.5),
        vec![15 << 3 | 5, 0, 0, 0, 0],
        double(7, 2.0),
        double(9, 0.75),
    ]
    .concat()
}

const WHOLE: LoadReport = LoadReport {
    cpu_utilization: 0.25,
    application_utilization: 0.75,
    rps_fractional: 120.5,
    eps: 2.0,
};

#[test]
fn every_form_says_the_same() {
    let binary = STANDARD.encode(message());
    for value in [
        "TEXT cpu_utilization=0.25,application_utilization=0.75,rps_fractional=120.5,eps=2",
        "TEXT eps=2, mem_utilization = 0.5, named_metrics.kv=0.9, cpu_utilization=0.25 ,rps_fractional=1.205e2,application_utilization=.75",
        r#"JSON {"cpu_utilization":0.25,"application_utilization":0.75,"rps_fractional":120.5,"eps":2,"named_metrics":{"kv":0.9}}"#,
        r#"JSON {"cpuUtilization":0.25,"applicationUtilization":0.75,"rpsFractional":120.5,"eps":2}"#,
        &format!("BIN {binary}"),
    ] {
        let headers = HeaderMap::from_iter([(METRICS, value.parse().unwrap())]);
        assert_eq!(LoadReport::from_headers(&headers), Some(WHOLE), "{value}");
    }
    for value in [binary, STANDARD_NO_PAD.encode(message())] {
        let headers = HeaderMap::from_iter([(METRICS_BIN, value.parse().unwrap())]);
        assert_eq!(LoadReport::from_headers(&headers), Some(WHOLE), "{value}");
    }
    assert_eq!(LoadReport::from_headers(&HeaderMap::new()), None);
}

#[test]
fn what_is_malformed_says_nothing() {
    for value in [
        "",
        "TEXT",
        "TEXT ",
        "text cpu_utilization=0.3",
        "cpu_utilization=0.3",
        "TEXT cpu_utilization",
        "TEXT cpu_utilization=",
        "TEXT cpu_utilization=much",
        "TEXT cpu_utilization=-0.1",
        "TEXT cpu_utilization=nan",
        "TEXT rps_fractional=inf",
        "TEXT eps=1e999",
        "JSON ",
        "JSON [0.3]x",
        r#"JSON {"cpu_utilization":"0.3"}"#,
        r#"JSON {"eps":-1}"#,
        "BIN !",
        "BIN A",
        "BIN CQ==",
        "BIN AAAA",
    ] {
        assert_eq!(LoadReport::read(value.as_bytes()), None, "{value}");
    }
    let nan = STANDARD.encode(double(1, f64::NAN));
    assert_eq!(LoadReport::read_binary(nan.as_bytes()), None);
    let endless = STANDARD.encode([8 << 3 | 2, 0xff, 0xff, 0xff, 0xff, 0x0f]);
    assert_eq!(LoadReport::read_binary(endless.as_bytes()), None);
    let varint = STANDARD.encode([0x80; 11]);
    assert_eq!(LoadReport::read_binary(varint.as_bytes()), None);
    let long = format!("TEXT {}eps=1", "x=1,".repeat(MOST_BYTES / 4));
    assert_eq!(LoadReport::read(long.as_bytes()), None);
    assert_eq!(LoadReport::read_binary(&[b'A'; MOST_BYTES + 1]), None);
}

#[test]
fn the_weight_is_what_the_pod_would_serve_with_all_it_has() {
    let report = |application, cpu, rps, eps| LoadReport {
        cpu_utilization: cpu,
        application_utilization: application,
        rps_fractional: rps,
        eps,
    };
    for (report, penalty, weight) in [
        (report(0.0, 0.5, 100.0, 0.0), 1.0, Some(200.0)),
        (report(0.25, 0.5, 100.0, 0.0), 1.0, Some(400.0)),
        // A tenth of all are errors.
        (report(0.0, 0.4, 100.0, 10.0), 1.0, Some(200.0)),
        (report(0.0, 0.4, 100.0, 10.0), 6.0, Some(100.0)),
        (report(0.0, 0.4, 100.0, 10.0), 0.0, Some(250.0)),
        (report(0.0, 0.0, 100.0, 10.0), 1.0, None),
        (report(0.0, 0.5, 0.0, 0.0), 1.0, None),
        (report(0.0, f64::MAX, 1.0, 0.0), 1.0, None),
        (report(0.0, f64::MIN_POSITIVE, f64::MAX, 0.0), 1.0, None),
    ] {
        assert_eq!(report.weight(penalty), weight, "{report:?} {penalty}");
    }
}

proptest! {
    #[test]
    fn base64_is_read_as_others_write_it(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
        prop_assert_eq!(super::decode(STANDARD.encode(&bytes).as_bytes()), Some(bytes.clone()));
        prop_assert_eq!(super::decode(STANDARD_NO_PAD.encode(&bytes).as_bytes()), Some(bytes));
    }

    #[test]
    fn no_bytes_make_a_weight_that_is_no_number(
        form in prop::sample::select(vec!["TEXT ", "JSON ", "BIN ", ""]),
        rest in prop::collection::vec(any::<u8>(), 0..64),
        penalty in 0.0..100.0,
    ) {
        let value = [form.as_bytes(), &rest].concat();
        let message = STANDARD.encode(&rest);
        for report in [LoadReport::read(&value), LoadReport::read_binary(message.as_bytes())] {
            let weight = report.and_then(|report| report.weight(penalty));
            prop_assert!(weight.is_none_or(|weight| WEIGHTS.contains(&weight)), "{:?}", weight);
        }
    }

    #[test]
    fn no_numbers_make_a_weight_that_is_none(
        numbers in any::<[f64; 4]>(),
        penalty in 0.0..100.0,
    ) {
        let [cpu, application, rps, eps] = numbers;
        let text = format!(
            "TEXT cpu_utilization={cpu},application_utilization={application},rps_fractional={rps},eps={eps}"
        );
        let told = numbers.iter().all(|number| number.is_finite() && *number >= 0.0);
        let report = LoadReport::read(text.as_bytes());
        prop_assert_eq!(report.is_some(), told);
        let weight = report.and_then(|report| report.weight(penalty));
        prop_assert!(weight.is_none_or(|weight| WEIGHTS.contains(&weight)), "{:?}", weight);
    }
}
