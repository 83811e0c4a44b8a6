//! Settings of retries that contradict others.

use std::time::Duration;

use super::super::Refusal;
use super::Origin;
use crate::config::{RetrySettings, Span, Timeouts};

pub(super) fn check(
    retry: &RetrySettings,
    timeouts: &Timeouts,
    origin: &Origin<'_>,
) -> Result<(), Refusal> {
    let Some(per_try) = retry.per_try else {
        return Ok(());
    };
    shorter(per_try, timeouts.response, "response_timeout", origin)?;
    shorter(per_try, timeouts.request, "request_timeout", origin)
}

/// After the longer one nothing is sent again: the attempt would never be given up first.
fn shorter(
    per_try: Duration,
    whole: Option<Duration>,
    id: &str,
    origin: &Origin<'_>,
) -> Result<(), Refusal> {
    match whole {
        Some(whole) if per_try >= whole => Err(Refusal::usage(format_args!(
            "{} {} would never come into play beside {} {}: make it shorter, so that there is time for another attempt",
            origin.flag("per_try_timeout"),
            Span(per_try),
            origin.flag(id),
            Span(whole)
        ))),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_try_must_be_shorter_than_the_whole() {
        let refusal = |per_try, response, request| {
            let retry = RetrySettings {
                per_try: Some(Duration::from_secs(per_try)),
                ..RetrySettings::default()
            };
            let timeouts = Timeouts {
                response: Some(Duration::from_secs(response)),
                request: Some(Duration::from_secs(request)),
                ..Timeouts::default()
            };
            let origin = Origin::of("PODROBIN_", None);
            let checked = check(&retry, &timeouts, &origin);
            checked.err().map(|refusal| format!("{refusal:?}"))
        };
        assert_eq!(refusal(1, 2, 3), None);
        let response = refusal(2, 2, 3).unwrap();
        for words in [
            "--per-try-timeout 2s",
            "--response-timeout 2s",
            "make it shorter",
        ] {
            assert!(response.contains(words), "{response}");
        }
        let request = refusal(4, 5, 3).unwrap();
        assert!(request.contains("--request-timeout 3s"), "{request}");
    }
}
