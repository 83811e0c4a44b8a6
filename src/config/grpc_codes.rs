//! Sets of gRPC's status codes, as settings are written.

use std::fmt;
use std::str::FromStr;

use http::HeaderName;

/// One of gRPC's codes, by its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct GrpcCode(u8);

/// Any of several [`GrpcCode`]s.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GrpcCodes(u32);

/// By their numbers, as gRPC's documents list them.
const NAMES: [&str; 17] = [
    "ok",
    "cancelled",
    "unknown",
    "invalid-argument",
    "deadline-exceeded",
    "not-found",
    "already-exists",
    "permission-denied",
    "resource-exhausted",
    "failed-precondition",
    "aborted",
    "out-of-range",
    "unimplemented",
    "internal",
    "unavailable",
    "data-loss",
    "unauthenticated",
];

impl GrpcCode {
    /// The field that has a call's code, of a head or of trailers.
    pub const FIELD: HeaderName = HeaderName::from_static("grpc-status");

    pub const UNKNOWN: Self = Self(2);
    pub const NOT_FOUND: Self = Self(5);
    pub const PERMISSION_DENIED: Self = Self(7);
    pub const UNIMPLEMENTED: Self = Self(12);
    pub const INTERNAL: Self = Self(13);
    pub const UNAVAILABLE: Self = Self(14);
    pub const UNAUTHENTICATED: Self = Self(16);

    /// As `grpc-status` has it: a number. One that is not known reads as UNKNOWN.
    pub fn from_header(value: &[u8]) -> Self {
        let number = std::str::from_utf8(value)
            .ok()
            .and_then(|text| text.parse::<u8>().ok());
        number
            .filter(|number| usize::from(*number) < NAMES.len())
            .map_or(Self::UNKNOWN, Self)
    }

    pub fn is_ok(self) -> bool {
        self.0 == 0
    }

    /// Of answers that can be failures.
    pub fn unless_ok(self) -> Result<Self, String> {
        match self.is_ok() {
            true => Err(format!("`{self}` is no failure")),
            false => Ok(self),
        }
    }
}

impl GrpcCodes {
    /// A call ends so for want of a pod that could do it: UNKNOWN, RESOURCE_EXHAUSTED, INTERNAL, UNAVAILABLE, DATA_LOSS.
    pub const FAILURES: Self = Self(1 << 2 | 1 << 8 | 1 << 13 | 1 << 14 | 1 << 15);

    pub fn add(&mut self, code: GrpcCode) {
        self.0 |= 1 << code.0;
    }

    pub fn contains(self, code: GrpcCode) -> bool {
        self.0 & (1 << code.0) != 0
    }

    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    pub fn iter(self) -> impl Iterator<Item = GrpcCode> {
        (0..)
            .take(NAMES.len())
            .map(GrpcCode)
            .filter(move |code| self.contains(*code))
    }
}

impl FromStr for GrpcCode {
    type Err = String;

    /// In any case, with `-` or `_`.
    fn from_str(text: &str) -> Result<Self, String> {
        let name = text.to_ascii_lowercase().replace('_', "-");
        (0..)
            .zip(NAMES)
            .find(|(_, known)| *known == name)
            .map(|(number, _)| Self(number))
            .ok_or_else(|| {
                format!("`{text}` is no gRPC code, such as unavailable or resource-exhausted")
            })
    }
}

impl fmt::Display for GrpcCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(NAMES.get(usize::from(self.0)).unwrap_or(&"unknown"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn codes_have_the_numbers_that_grpc_gives_them() {
        for (name, number) in [
            ("ok", "0"),
            ("CANCELLED", "1"),
            ("deadline_exceeded", "4"),
            ("not-found", "5"),
            ("resource-exhausted", "8"),
            ("Unavailable", "14"),
            ("unauthenticated", "16"),
        ] {
            let code: GrpcCode = name.parse().unwrap();
            assert_eq!(code, GrpcCode::from_header(number.as_bytes()), "{name}");
        }
        assert!("unavailible".parse::<GrpcCode>().is_err());
    }

    #[test]
    fn a_set_holds_what_was_added_and_nothing_else() {
        let mut codes = GrpcCodes::default();
        assert!(codes.is_empty());
        codes.add(GrpcCode::UNAVAILABLE);
        codes.add(GrpcCode::UNKNOWN);
        let held: Vec<String> = codes.iter().map(|code| code.to_string()).collect();
        assert_eq!(held, ["unknown", "unavailable"]);
        assert!(!codes.contains(GrpcCode::INTERNAL));
        let failures: Vec<String> = GrpcCodes::FAILURES
            .iter()
            .map(|code| code.to_string())
            .collect();
        let named = [
            "unknown",
            "resource-exhausted",
            "internal",
            "unavailable",
            "data-loss",
        ];
        assert_eq!(failures, named);
    }

    proptest! {
        #[test]
        fn any_bytes_read_as_some_code(bytes in prop::collection::vec(any::<u8>(), 0..6)) {
            let code = GrpcCode::from_header(&bytes);
            prop_assert_eq!(code.to_string().parse::<GrpcCode>().unwrap(), code);
        }
    }
}
