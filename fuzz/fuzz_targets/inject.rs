//! Manifests -> with sidecars -> again -> without.
#![no_main]

use libfuzzer_sys::fuzz_target;
use podrobin::manifests::{Change, rewrite};

/// In bytes: ten reasons of one pod.
const LONGEST_PROBLEM: usize = 24 * 1024;

fuzz_target!(|text: &str| {
    let inject = Change::Inject {
        installation: Box::default(),
        namespace: Some("shop".to_owned()),
        annotations: Vec::new(),
    };
    let _ = rewrite(text, &Change::Uninject);
    match rewrite(text, &inject) {
        Err(problems) => {
            assert!(!problems.is_empty());
            for problem in problems {
                assert!(!problem.contains(char::is_control), "{problem:?}");
                assert!(problem.len() <= LONGEST_PROBLEM, "{problem:?}");
            }
        }
        Ok(once) => {
            let again = rewrite(&once.text, &inject).expect("what was injected can be again");
            assert_eq!(again, once);
            let back = rewrite(&once.text, &Change::Uninject).expect("it can be taken out");
            let without = rewrite(&back.text, &Change::Uninject).expect("and then is");
            assert_eq!((without.text, without.pods), (back.text, 0));
        }
    }
});
