//! What holds of every outcome, whatever went in.

pub mod heads;

use podrobin::discovery::slices::Fold;
use podrobin::endpoint::Standing;

/// Longest note that any input may bring about, in bytes.
const LONGEST_NOTE: usize = 4096;
const MOST_NOTES: usize = 16;

pub fn check(fold: &Fold) {
    for pair in fold.endpoints.windows(2) {
        assert!(pair[0].identity < pair[1].identity, "sorted");
        assert!(pair[0].address() < pair[1].address(), "no address twice");
    }
    let has = |standing| {
        fold.endpoints
            .iter()
            .any(|endpoint| endpoint.standing == standing)
    };
    assert!(
        !(has(Standing::Ready) && has(Standing::Fallback)),
        "no fallback beside ready ones"
    );
    for endpoint in &fold.endpoints {
        let address = endpoint.address();
        assert_ne!(address.port(), 0);
        assert!(!address.ip().is_unspecified() && !address.ip().is_multicast());
    }
    assert!(fold.notes.len() <= MOST_NOTES);
    for note in &fold.notes {
        check_line(note);
    }
}

/// Text for a log or a status: one line of bounded length.
pub fn check_line(text: &str) {
    assert!(!text.contains(char::is_control), "{text:?}");
    assert!(text.len() <= LONGEST_NOTE, "{text:?}");
}
