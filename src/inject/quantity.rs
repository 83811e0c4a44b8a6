//! Amounts of CPU and memory, as Kubernetes writes them.

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

/// `50m`, `0.5`, `32Mi`, `1e3`: kept as written, compared by what it means.
#[derive(Clone, Debug, PartialEq)]
pub struct Quantity {
    text: String,
    amount: f64,
}

/// Suffixes and what they stand for (k8s.io/apimachinery, `resource.Quantity`).
const UNITS: &[(&str, f64)] = &[
    ("n", 1e-9),
    ("u", 1e-6),
    ("m", 1e-3),
    ("", 1.0),
    ("k", 1e3),
    ("M", 1e6),
    ("G", 1e9),
    ("T", 1e12),
    ("P", 1e15),
    ("E", 1e18),
    ("Ki", 1024.0),
    ("Mi", 1_048_576.0),
    ("Gi", 1_073_741_824.0),
    ("Ti", 1_099_511_627_776.0),
    ("Pi", 1_125_899_906_842_624.0),
    ("Ei", 1_152_921_504_606_846_976.0),
];

/// Longer than any amount that means something.
const LONGEST: usize = 32;

impl FromStr for Quantity {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let amount = amount(text).filter(|amount| amount.is_finite() && *amount > 0.0);
        match amount {
            Some(amount) => Ok(Self {
                text: text.to_owned(),
                amount,
            }),
            None => Err(
                "an amount is more than 0 and written as Kubernetes does, such as 50m or 32Mi"
                    .to_owned(),
            ),
        }
    }
}

fn amount(text: &str) -> Option<f64> {
    if text.len() > LONGEST {
        return None;
    }
    let end = text
        .find(|c: char| !(c.is_ascii_digit() || c == '.'))
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let number: f64 = number.parse().ok()?;
    if let Some((_, factor)) = UNITS.iter().find(|(suffix, _)| *suffix == unit) {
        return Some(number * factor);
    }
    let exponent = unit.strip_prefix(['e', 'E'])?;
    let exponent: i32 = exponent.parse().ok()?;
    Some(number * 10f64.powi(exponent))
}

impl PartialOrd for Quantity {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        self.amount.partial_cmp(&other.amount)
    }
}

impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_compared_by_what_they_mean() {
        let parse = |text: &str| text.parse::<Quantity>().unwrap();
        for (less, more) in [
            ("50m", "0.1"),
            ("999Ki", "1Mi"),
            ("128M", "128Mi"),
            ("1e3", "1025"),
            ("1", "1Ki"),
        ] {
            assert!(parse(less) < parse(more), "{less} {more}");
        }
        assert_eq!(parse("32Mi").to_string(), "32Mi");
    }

    #[test]
    fn anything_else_is_refused() {
        for bad in [
            "",
            "m",
            "0",
            "0Mi",
            "-1",
            "+1",
            "1 Mi",
            "32MB",
            "32mi",
            "1e",
            "1e999",
            ".",
            "1.2.3",
            "NaN",
            "inf",
            "99999999999999999999999999999999999",
        ] {
            assert!(bad.parse::<Quantity>().is_err(), "{bad:?}");
        }
    }
}
