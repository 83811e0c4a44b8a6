//! The body of an admission request -> answer.
#![no_main]

use libfuzzer_sys::fuzz_target;
use podrobin::inject::Installation;
use podrobin::webhook::decision::{Outcome, Rules, decide};
use serde_json::Value;

fuzz_target!(|body: &[u8]| {
    for strict in [false, true] {
        let rules = Rules {
            installation: Installation::default(),
            strict,
        };
        let decision = match decide(body, &rules) {
            Ok(decision) => decision,
            Err(error) => return invariants::check_line(&error.to_string()),
        };
        invariants::check_line(&decision.namespace);
        invariants::check_line(&decision.pod);
        let refused = decision.outcome == Outcome::Refused;
        assert_eq!(refused, !decision.problems.is_empty());
        let response = &decision.response;
        assert_eq!(response.allowed, !(strict && refused));
        assert_eq!(response.patch.is_some(), response.patch_type.is_some());
        assert_eq!(response.warnings.is_empty(), !refused || strict);
        for warning in &response.warnings {
            assert!(
                warning.len() <= 256 && !warning.contains(char::is_control),
                "{warning:?}"
            );
        }
        let answer: Value = serde_json::from_slice(&response.write().unwrap()).unwrap();
        assert_eq!(answer["response"]["uid"], response.uid.as_str());

        // A patch fits what it was made for, and leads to a pod that is left as it is.
        let Some(patch) = &response.patch else {
            continue;
        };
        // What is not read of a review is skipped, whatever it is: a string that is no UTF-8, a number beyond all range.
        let Ok(mut review) = serde_json::from_slice::<Value>(body) else {
            continue;
        };
        let pod = review.pointer_mut("/request/object");
        // A review may also be written as a list, which no API server does.
        let Some(pod) = pod else {
            continue;
        };
        let patch: json_patch::Patch = serde_json::from_slice(&patch.0).unwrap();
        json_patch::patch(pod, &patch).unwrap();
        let again = decide(review.to_string().as_bytes(), &rules).unwrap();
        assert!(again.response.patch.is_none(), "{:?}", again.outcome);
    }
});
