//! What a pod reports of its load with a response: ORCA, in the shapes that gRPC (gRFC A51) and Envoy read.
//!
//! `endpoint-load-metrics: TEXT cpu_utilization=0.3,rps_fractional=120`, `JSON {"cpu_utilization":0.3}`, `BIN` with a
//! `xds.data.orca.v3.OrcaLoadReport` in base64, or that alone under `endpoint-load-metrics-bin`.

use base64::Engine;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use http::header::{HeaderMap, HeaderName};
use serde::Deserialize;

use crate::protobuf::{self, Value};

/// A report of any of the forms.
pub const METRICS: HeaderName = HeaderName::from_static("endpoint-load-metrics");
/// The form that gRPC servers send, in trailers.
pub const METRICS_BIN: HeaderName = HeaderName::from_static("endpoint-load-metrics-bin");

/// A longer report is not read: named metrics may be many, but a header has a size that all hops agree on.
pub const MOST_BYTES: usize = 8 << 10;

/// What weights are made of; 0 is what was not said. All are finite and not below 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct LoadReport {
    /// Of the pod's processors, 1 being all it may use.
    #[serde(alias = "cpuUtilization")]
    pub cpu_utilization: f64,
    /// By the application's own measure, which goes before that of processors.
    #[serde(alias = "applicationUtilization")]
    pub application_utilization: f64,
    /// Requests a second.
    #[serde(alias = "rpsFractional")]
    pub rps_fractional: f64,
    /// Errors a second.
    pub eps: f64,
}

const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::RequireNone)
        .with_decode_allow_trailing_bits(true),
);

/// A weight outside is no pod's that serves requests.
const WEIGHTS: std::ops::RangeInclusive<f64> = 1e-9..=1e12;

impl LoadReport {
    /// The report in a response's head or trailers. One that is malformed says nothing.
    pub fn from_headers(headers: &HeaderMap) -> Option<Self> {
        if let Some(value) = headers.get(METRICS)
            && let Some(report) = Self::read(value.as_bytes())
        {
            return Some(report);
        }
        Self::read_binary(headers.get(METRICS_BIN)?.as_bytes())
    }

    /// The value of `endpoint-load-metrics`.
    pub fn read(value: &[u8]) -> Option<Self> {
        if value.len() > MOST_BYTES {
            return None;
        }
        let (form, rest) = value.split_at_checked(b"TEXT ".len())?;
        match form {
            b"TEXT " => Self::read_text(std::str::from_utf8(rest).ok()?),
            b"JSON " => serde_json::from_slice::<Self>(rest).ok()?.checked(),
            _ => Self::read_binary(value.strip_prefix(b"BIN ")?),
        }
    }

    /// The value of `endpoint-load-metrics-bin`.
    pub fn read_binary(value: &[u8]) -> Option<Self> {
        if value.len() > MOST_BYTES {
            return None;
        }
        Self::read_message(&decode(value)?)?.checked()
    }

    /// A `xds.data.orca.v3.OrcaLoadReport`: four of its numbers, the rest passed over.
    fn read_message(message: &[u8]) -> Option<Self> {
        let mut report = Self::default();
        for field in protobuf::fields(message) {
            match field? {
                (0, _) => return None,
                (number, Value::Fixed64(bytes)) => {
                    let value = f64::from_le_bytes(bytes);
                    match number {
                        1 => report.cpu_utilization = value,
                        6 => report.rps_fractional = value,
                        7 => report.eps = value,
                        9 => report.application_utilization = value,
                        _ => {}
                    }
                }
                _ => {}
            }
        }
        Some(report)
    }

    fn read_text(text: &str) -> Option<Self> {
        let mut report = Self::default();
        for metric in text.split(',') {
            let (name, value) = metric.split_once('=')?;
            let field = match name.trim() {
                "cpu_utilization" => &mut report.cpu_utilization,
                "application_utilization" => &mut report.application_utilization,
                "rps_fractional" => &mut report.rps_fractional,
                "eps" => &mut report.eps,
                _ => continue,
            };
            *field = value.trim().parse().ok()?;
        }
        report.checked()
    }

    fn checked(self) -> Option<Self> {
        let Self {
            cpu_utilization,
            application_utilization,
            rps_fractional,
            eps,
        } = self;
        [
            cpu_utilization,
            application_utilization,
            rps_fractional,
            eps,
        ]
        .iter()
        .all(|number| number.is_finite() && *number >= 0.0)
        .then_some(self)
    }

    /// What the pod would serve a second with all it has (gRFC A58): requests over utilization, to which errors are
    /// added. `None` where it reports no requests, or no utilization.
    pub fn weight(&self, error_penalty: f64) -> Option<f64> {
        let utilization = match self.application_utilization > 0.0 {
            true => self.application_utilization,
            false => self.cpu_utilization,
        };
        if utilization <= 0.0 || self.rps_fractional <= 0.0 {
            return None;
        }
        let errors = self.eps / self.rps_fractional * error_penalty;
        let weight = self.rps_fractional / (utilization + errors);
        WEIGHTS.contains(&weight).then_some(weight)
    }
}

/// Base64 as headers have it (RFC 4648 section 4), with padding or without, which gRPC leaves to the sender.
fn decode(text: &[u8]) -> Option<Vec<u8>> {
    let text = text.strip_suffix(b"=").unwrap_or(text);
    let text = text.strip_suffix(b"=").unwrap_or(text);
    BASE64.decode(text).ok()
}

#[cfg(test)]
mod tests;
