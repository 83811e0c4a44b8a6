//! Sets of HTTP statuses, as settings are written.

use std::fmt;
use std::str::FromStr;

use http::StatusCode;

/// Any of several [`StatusRange`]s.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Statuses(Vec<StatusRange>);

/// `503`, `5xx` or `500-504`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StatusRange {
    first: u16,
    last: u16,
}

impl Statuses {
    pub fn add(&mut self, range: StatusRange) {
        self.0.push(range);
    }

    pub fn contains(&self, status: StatusCode) -> bool {
        let status = status.as_u16();
        let mut ranges = self.0.iter();
        ranges.any(|range| (range.first..=range.last).contains(&status))
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn ranges(&self) -> impl Iterator<Item = &StatusRange> {
        self.0.iter()
    }
}

impl StatusRange {
    /// Of answers that can be failures.
    pub fn of_failure(text: &str) -> Result<Self, String> {
        let range: Self = text.parse()?;
        if range.first < 400 {
            return Err(format!("`{text}` is no failure: give statuses from 400 on"));
        }
        Ok(range)
    }
}

const EXPECTED: &str = "a status is a number between 100 and 599, such as 503, a class such as 5xx, or a range such as \
                        500-504";

impl FromStr for StatusRange {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let class = text.strip_suffix("xx").or_else(|| text.strip_suffix("XX"));
        let range = match (class, text.split_once('-')) {
            (Some(class), _) => digits::<1>(class).map(|class| (class * 100, class * 100 + 99)),
            (None, Some((first, last))) => digits::<3>(first).zip(digits::<3>(last)),
            (None, None) => digits::<3>(text).map(|status| (status, status)),
        };
        range
            .filter(|(first, last)| *first >= 100 && first <= last && *last <= 599)
            .map(|(first, last)| Self { first, last })
            .ok_or_else(|| EXPECTED.to_owned())
    }
}

/// A number of exactly so many digits.
fn digits<const N: usize>(text: &str) -> Option<u16> {
    let is_number = text.len() == N && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| is_number)
}

impl fmt::Display for StatusRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { first, last } = *self;
        if first == last {
            write!(f, "{first}")
        } else if first % 100 == 0 && last == first + 99 {
            write!(f, "{}xx", first / 100)
        } else {
            write!(f, "{first}-{last}")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn is_in(text: &str, status: u16) -> bool {
        let mut set = Statuses::default();
        set.add(text.parse().unwrap());
        set.contains(StatusCode::from_u16(status).unwrap())
    }

    #[test]
    fn a_status_a_class_and_a_range_hold_what_they_say() {
        for (text, inside, outside) in [
            ("503", [503, 503], [502, 504]),
            ("5xx", [500, 599], [499, 600]),
            ("4XX", [400, 499], [399, 500]),
            ("200-399", [200, 399], [199, 400]),
        ] {
            assert!(inside.iter().all(|status| is_in(text, *status)), "{text}");
            assert!(!outside.iter().any(|status| is_in(text, *status)), "{text}");
        }
    }

    #[test]
    fn what_is_no_status_says_what_one_is() {
        for text in [
            "", "xx", "5x", "55xx", "0xx", "6xx", "99", "600", "+50", "504-500", "500-", "-500",
            "5xx-599", "fünf",
        ] {
            let refused = text.parse::<StatusRange>().unwrap_err();
            assert!(refused.contains("such as 503"), "{text}: {refused}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_refused_or_reads_as_it_is_written(text in "[0-9x+-]{0,8}") {
            if let Ok(range) = text.parse::<StatusRange>() {
                prop_assert_eq!(range.to_string().parse::<StatusRange>().unwrap(), range);
            }
        }
    }
}
