//! Settings of retries that contradict others.

use std::time::Duration;

use super::super::Refusal;
use super::Origin;
use crate::config::{Hedge, RetrySettings, Span, Timeouts};

pub(super) fn check(
    retry: &RetrySettings,
    timeouts: &Timeouts,
    origin: &Origin<'_>,
) -> Result<(), Refusal> {
    let hedge = retry.hedge.map(Hedge::earliest);
    let per_try = retry.per_try;
    for (time, whole) in [
        (
            ("per_try_timeout", per_try),
            ("response_timeout", timeouts.response),
        ),
        (
            ("per_try_timeout", per_try),
            ("request_timeout", timeouts.request),
        ),
        (("hedge", hedge), ("per_try_timeout", per_try)),
        (("hedge", hedge), ("response_timeout", timeouts.response)),
        (("hedge", hedge), ("request_timeout", timeouts.request)),
    ] {
        shorter(time, whole, origin)?;
    }
    if hedge.is_some() && retry.budget_ratio == 0.0 && retry.budget_floor == 0 {
        return Err(Refusal::usage(format_args!(
            "{} takes from the retry budget, which is 0: raise --retry-budget-ratio or --retry-budget-floor",
            origin.flag("hedge")
        )));
    }
    Ok(())
}

/// A flag's id and what it says, if it does.
type Limit<'a> = (&'a str, Option<Duration>);

/// After the longer one nothing is sent again: the attempt would never be given up first.
fn shorter(
    (id, time): Limit<'_>,
    (whole_id, whole): Limit<'_>,
    origin: &Origin<'_>,
) -> Result<(), Refusal> {
    match (time, whole) {
        (Some(time), Some(whole)) if time >= whole => Err(Refusal::usage(format_args!(
            "{} {} would never come into play beside {} {}: make it shorter, so that there is time for another attempt",
            origin.flag(id),
            Span(time),
            origin.flag(whole_id),
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

    #[test]
    fn a_second_attempt_must_be_able_to_come_into_play() {
        let refusal = |hedge: &str, per_try: Option<u64>, budget| {
            let retry = RetrySettings {
                hedge: Some(hedge.parse().unwrap()),
                per_try: per_try.map(Duration::from_millis),
                budget_ratio: budget,
                budget_floor: 0,
                retries: 0,
                ..RetrySettings::default()
            };
            let timeouts = Timeouts {
                response: Some(Duration::from_secs(1)),
                ..Timeouts::default()
            };
            let checked = check(&retry, &timeouts, &Origin::of("PODROBIN_", None));
            checked.err().map(|refusal| format!("{refusal:?}"))
        };
        for (hedge, per_try) in [("20ms", Some(21)), ("p95", None), ("p95:min=999ms", None)] {
            assert_eq!(refusal(hedge, per_try, 0.1), None, "{hedge}");
        }
        for (hedge, per_try, budget, words) in [
            (
                "20ms",
                Some(20),
                0.1,
                "--hedge 20ms would never come into play beside --per-try-timeout 20ms",
            ),
            (
                "p95:min=1s",
                None,
                0.1,
                "--hedge 1s would never come into play beside --response-timeout 1s",
            ),
            ("p95", None, 0.0, "raise --retry-budget-ratio"),
        ] {
            let refusal = refusal(hedge, per_try, budget).unwrap();
            assert!(refusal.contains(words), "{refusal}");
        }
    }
}
