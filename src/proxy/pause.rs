//! How long a request waits before another pod is asked: by the backoff, and by what the pod that failed it said itself.
//!
//! Sources: RFC 9110 section 10.2.3 (Retry-After); gRFC A6 (`grpc-retry-pushback-ms`).

use std::time::{Duration, SystemTime};

use http::header::{self, HeaderMap, HeaderName};

use crate::config::RetryBackoff;

const GRPC_PUSHBACK: HeaderName = HeaderName::from_static("grpc-retry-pushback-ms");

/// A pod that asks for a longer wait gets its wish by not being asked again: the client knows better than we whether it
/// wants to wait so long, and nothing of ours is kept for it meanwhile.
pub const LONGEST_PUSHBACK: Duration = Duration::from_secs(5);

/// What a pod said about being asked again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pushback {
    Nothing,
    After(Duration),
    Never,
}

impl Pushback {
    /// As a response's head has it. A call's own field goes before that of HTTP.
    pub fn read(headers: &HeaderMap, is_call: bool, now: SystemTime) -> Self {
        if is_call && let Some(value) = headers.get(GRPC_PUSHBACK) {
            return Self::from_grpc(value.as_bytes());
        }
        let value = headers.get(header::RETRY_AFTER);
        value.map_or(Self::Nothing, |value| {
            Self::from_retry_after(value.as_bytes(), now)
        })
    }

    /// Milliseconds; negative ones, and what cannot be read, ask for no retry at all.
    fn from_grpc(value: &[u8]) -> Self {
        let millis = std::str::from_utf8(value).ok();
        let millis = millis.and_then(|text| text.parse::<u64>().ok());
        millis.map_or(Self::Never, |millis| {
            Self::after(Duration::from_millis(millis))
        })
    }

    /// Seconds or a date. What is neither says nothing.
    fn from_retry_after(value: &[u8], now: SystemTime) -> Self {
        let Ok(text) = std::str::from_utf8(value) else {
            return Self::Nothing;
        };
        if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
            // More than a number can hold is longer than any wait.
            let seconds = text.parse().unwrap_or(u64::MAX);
            return Self::after(Duration::from_secs(seconds));
        }
        match httpdate::parse_http_date(text) {
            Ok(date) => Self::after(date.duration_since(now).unwrap_or_default()),
            Err(_) => Self::Nothing,
        }
    }

    fn after(wait: Duration) -> Self {
        if wait > LONGEST_PUSHBACK {
            Self::Never
        } else {
            Self::After(wait)
        }
    }
}

/// The wait before the next attempt, after so many retries; `None` where there must be none. `random` is within 0 and 1:
/// requests that failed together do not come back together.
pub fn pause(
    backoff: Option<RetryBackoff>,
    retries: u32,
    pushback: Pushback,
    random: f64,
) -> Option<Duration> {
    let told = match pushback {
        Pushback::Nothing => Duration::ZERO,
        Pushback::After(told) => told,
        Pushback::Never => return None,
    };
    let jitter = backoff.map_or(Duration::ZERO, |backoff| {
        let most = backoff.base.saturating_mul(2u32.saturating_pow(retries));
        most.min(backoff.most).mul_f64(random.clamp(0.0, 1.0))
    });
    Some(told.saturating_add(jitter))
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;
    use proptest::prelude::*;

    const NOW: SystemTime = SystemTime::UNIX_EPOCH;

    fn headers(fields: &[(&'static str, &[u8])]) -> HeaderMap {
        let fields = fields.iter().map(|(name, value)| {
            let value = HeaderValue::from_bytes(value).unwrap();
            (HeaderName::from_static(name), value)
        });
        fields.collect()
    }

    #[test]
    fn retry_after_is_seconds_or_a_date_and_too_long_is_never() {
        let seconds = |seconds| Pushback::After(Duration::from_secs(seconds));
        let rows = [
            ("0", seconds(0)),
            ("1", seconds(1)),
            ("5", seconds(5)),
            ("6", Pushback::Never),
            ("99999999999999999999999", Pushback::Never),
            ("Thu, 01 Jan 1970 00:00:03 GMT", seconds(3)),
            ("Thursday, 01-Jan-70 00:00:03 GMT", seconds(3)),
            ("Thu Jan  1 00:00:03 1970", seconds(3)),
            ("Thu, 01 Jan 1970 00:00:00 GMT", seconds(0)),
            ("Fri, 01 Jan 2100 00:00:00 GMT", Pushback::Never),
            ("", Pushback::Nothing),
            ("-1", Pushback::Nothing),
            ("1.5", Pushback::Nothing),
            ("soon", Pushback::Nothing),
        ];
        for (value, expected) in rows {
            let headers = headers(&[("retry-after", value.as_bytes())]);
            for is_call in [false, true] {
                let read = Pushback::read(&headers, is_call, NOW);
                assert_eq!(read, expected, "{value}");
            }
        }
        let later = NOW + Duration::from_secs(10);
        let past = headers(&[("retry-after", b"Thu, 01 Jan 1970 00:00:03 GMT")]);
        assert_eq!(Pushback::read(&past, false, later), seconds(0));
        assert_eq!(
            Pushback::read(&HeaderMap::new(), false, NOW),
            Pushback::Nothing
        );
    }

    #[test]
    fn a_calls_pushback_is_milliseconds_and_anything_else_is_never() {
        let rows = [
            ("0", Pushback::After(Duration::ZERO)),
            ("250", Pushback::After(Duration::from_millis(250))),
            ("5001", Pushback::Never),
            ("-1", Pushback::Never),
            ("", Pushback::Never),
            ("1s", Pushback::Never),
        ];
        for (value, expected) in rows {
            let pushback = headers(&[
                ("grpc-retry-pushback-ms", value.as_bytes()),
                ("retry-after", b"1"),
            ]);
            assert_eq!(Pushback::read(&pushback, true, NOW), expected, "{value}");
            // To anybody else it is a field like any other.
            let http = Pushback::After(Duration::from_secs(1));
            assert_eq!(Pushback::read(&pushback, false, NOW), http);
        }
    }

    #[test]
    fn without_backoff_only_the_pods_own_wish_is_waited_for() {
        assert_eq!(pause(None, 3, Pushback::Nothing, 1.0), Some(Duration::ZERO));
        let second = Duration::from_secs(1);
        let told = Pushback::After(second);
        assert_eq!(pause(None, 3, told, 1.0), Some(second));
        assert_eq!(pause(None, 0, Pushback::Never, 0.0), None);
    }

    #[test]
    fn the_upper_end_doubles_up_to_the_most() {
        let millis = Duration::from_millis;
        let backoff = RetryBackoff {
            base: millis(25),
            most: millis(150),
        };
        let upper = |retries| pause(Some(backoff), retries, Pushback::Nothing, 1.0).unwrap();
        let ends = [0, 1, 2, 3, 40].map(upper);
        assert_eq!(ends, [25, 50, 100, 150, 150].map(millis));
        let with = pause(Some(backoff), 0, Pushback::After(millis(1000)), 1.0);
        assert_eq!(with, Some(millis(1025)));
        assert_eq!(
            pause(Some(backoff), 9, Pushback::Nothing, 0.0),
            Some(Duration::ZERO)
        );
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_and_no_wait_passes_the_bounds(
            grpc in prop::collection::vec(any::<u8>(), 0..30),
            http in "[0-9A-Za-z,: -]{0,32}",
            is_call: bool,
            now in 0u64..1 << 40,
            retries: u32,
            random in -1e9..1e9f64,
            (base, most) in (0u64..100_000, 0u64..100_000),
        ) {
            let mut headers = HeaderMap::new();
            if let Ok(value) = HeaderValue::from_bytes(&grpc) {
                headers.insert(GRPC_PUSHBACK, value.clone());
                headers.insert(header::RETRY_AFTER, value);
            }
            if !is_call {
                headers.insert(header::RETRY_AFTER, HeaderValue::from_str(&http).unwrap());
            }
            let pushback = Pushback::read(&headers, is_call, NOW + Duration::from_secs(now));
            let backoff = RetryBackoff {
                base: Duration::from_millis(base),
                most: Duration::from_millis(most),
            };
            match pause(Some(backoff), retries, pushback, random) {
                None => prop_assert_eq!(pushback, Pushback::Never),
                Some(wait) => {
                    let told = match pushback {
                        Pushback::After(told) => told,
                        _ => Duration::ZERO,
                    };
                    prop_assert!(told <= LONGEST_PUSHBACK);
                    prop_assert!((told..=told + backoff.most).contains(&wait), "{wait:?}");
                }
            }
        }
    }
}
