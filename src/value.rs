//! What a flag's value may look like: durations, sizes, counts, addresses, names.
//!
//! Every error is the rest of a sentence that begins with clap's "invalid value '...' for '--flag': ".

mod policy;

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use rustls::pki_types::ServerName;

use crate::config::{FileSelector, FixedPod, PortRef, ServiceRef};
use crate::endpoint::{MOST_WEIGHT, USUAL_WEIGHT, weight};

pub use crate::config::Span;
pub use policy::{PolicyArg, Stray};

/// A length of time, or `off` for as long as it takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience(pub Option<Duration>);

/// A number of bytes: `4096`, `64KiB`, `1MiB` (`Ki` and `Mi` as Kubernetes writes them, too).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ByteSize(pub usize);

/// `[LISTEN=][NAMESPACE/]NAME[:PORT]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceArg {
    pub listen: Option<SocketAddr>,
    pub namespace: Option<String>,
    pub name: String,
    pub port: PortRef,
}

/// `FILE[#[NAMESPACE/]NAME[:PORT]]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileArg {
    pub path: PathBuf,
    pub service: Option<FileSelector>,
}

const KIB: usize = 1024;
const MIB: usize = 1024 * KIB;

/// A [`Span`] where nothing could ever happen within 0.
pub fn positive(text: &str) -> Result<Span, String> {
    let span: Span = text.parse()?;
    if span.0.is_zero() {
        return Err("must be longer than 0".to_owned());
    }
    Ok(span)
}

impl FromStr for Patience {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "off" {
            return Ok(Self(None));
        }
        match positive(text) {
            Ok(span) => Ok(Self(Some(span.0))),
            Err(reason) => Err(format!("{reason}; `off` waits as long as it takes")),
        }
    }
}

impl fmt::Display for Patience {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(limit) => Span(limit).fmt(f),
            None => f.write_str("off"),
        }
    }
}

impl FromStr for ByteSize {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let digits = text.trim_end_matches(|c: char| !c.is_ascii_digit());
        let unit = match &text[digits.len()..] {
            "" | "B" => 1,
            "Ki" | "KiB" => KIB,
            "Mi" | "MiB" => MIB,
            _ => return Err(BYTES_EXPECTED.to_owned()),
        };
        digits
            .parse::<usize>()
            .ok()
            .and_then(|number| number.checked_mul(unit))
            .map(Self)
            .ok_or_else(|| BYTES_EXPECTED.to_owned())
    }
}

const BYTES_EXPECTED: &str = "a size is a number of bytes, such as 4096, 64KiB or 1MiB";

impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            0 => f.write_str("0"),
            bytes if bytes.is_multiple_of(MIB) => write!(f, "{}MiB", bytes / MIB),
            bytes if bytes.is_multiple_of(KIB) => write!(f, "{}KiB", bytes / KIB),
            bytes => write!(f, "{bytes}"),
        }
    }
}

/// A [`ByteSize`] between two bounds, inclusive.
pub fn bytes<const MIN: usize, const MAX: usize>(text: &str) -> Result<ByteSize, String> {
    let size: ByteSize = text.parse()?;
    if !(MIN..=MAX).contains(&size.0) {
        return Err(format!(
            "must be between {} and {}",
            ByteSize(MIN),
            ByteSize(MAX)
        ));
    }
    Ok(size)
}

/// A whole number between two bounds, inclusive.
pub fn count<const MIN: usize, const MAX: usize>(text: &str) -> Result<usize, String> {
    text.parse()
        .ok()
        .filter(|number| (MIN..=MAX).contains(number))
        .ok_or_else(|| format!("must be a whole number between {MIN} and {MAX}"))
}

/// A share between nothing (0) and all (1).
pub fn share(text: &str) -> Result<f64, String> {
    real(text, 0.0..=1.0, "must be between 0 and 1, such as 0.2")
}

/// A part of a whole in percent, 0 to 100.
pub fn percent(text: &str) -> Result<f64, String> {
    let expected = "must be a percentage between 0 and 100, such as 10";
    real(text, 0.0..=100.0, expected)
}

/// A threshold, which 0 would make of everything.
pub fn positive_percent(text: &str) -> Result<f64, String> {
    percent(text)
        .ok()
        .filter(|percent| *percent > 0.0)
        .ok_or_else(|| "must be a percentage above 0, and 100 at most, such as 20".to_owned())
}

/// How many times as much.
pub fn factor(text: &str) -> Result<f64, String> {
    real(
        text,
        1.1..=1000.0,
        "must be between 1.1 and 1000, such as 3",
    )
}

/// How a curve bends, or how many standard deviations make an outlier.
pub fn exponent(text: &str) -> Result<f64, String> {
    let expected = "must be between 0.1 and 10, such as 1 or 2";
    real(text, 0.1..=10.0, expected)
}

fn real(text: &str, range: RangeInclusive<f64>, expected: &str) -> Result<f64, String> {
    text.parse()
        .ok()
        .filter(|number| range.contains(number))
        .ok_or_else(|| expected.to_owned())
}

/// Where to listen: `ADDRESS:PORT`, or a bare port on this pod's loopback.
pub fn listen(text: &str) -> Result<SocketAddr, String> {
    if let Ok(port) = text.parse() {
        return Ok(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port));
    }
    text.parse().map_err(|_| {
        "give an IP address and a port, such as 127.0.0.1:8000 or [::1]:8000".to_owned()
    })
}

/// A fixed endpoint: an address that can be connected to, and its weight where it has one.
pub fn endpoint(text: &str) -> Result<FixedPod, String> {
    let (address, weight) = match text.split_once('=') {
        Some((address, weight)) => (address, weight_of(weight)?),
        None => (text, USUAL_WEIGHT),
    };
    address
        .parse()
        .ok()
        .filter(|address: &SocketAddr| address.port() != 0 && !address.ip().is_unspecified())
        .map(|address| FixedPod { address, weight })
        .ok_or_else(|| {
            "give a pod's IP address and port, such as 10.244.1.7:8080 or [fd00::7]:8080".to_owned()
        })
}

fn weight_of(text: &str) -> Result<u32, String> {
    weight(text).ok_or_else(|| {
        format!("a weight is a whole number between 0 and {MOST_WEIGHT}, such as 10.244.1.7:8080=5")
    })
}

/// What a certificate is for: a DNS name or an IP address.
pub fn server_name(text: &str) -> Result<ServerName<'static>, String> {
    ServerName::try_from(text.to_owned())
        .map_err(|_| "give a DNS name or an IP address, such as cart.shop.svc".to_owned())
}

impl FromStr for ServiceArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (address, service) = match text.split_once('=') {
            Some((address, service)) => (Some(listen(address)?), service),
            None => (None, text),
        };
        let (namespace, name, port) = service_name(service)?;
        Ok(Self {
            listen: address,
            namespace,
            name,
            port,
        })
    }
}

impl ServiceArg {
    /// Whether `other` is meant by this name, which may leave out the port. A name without a namespace is in
    /// `namespace`.
    pub fn names(&self, other: &Self, namespace: Option<&str>) -> bool {
        let port = !self.has_port() || self.port == other.port;
        let own = self.namespace.as_deref().or(namespace);
        port && self.name == other.name && own == other.namespace.as_deref().or(namespace)
    }

    pub fn has_port(&self) -> bool {
        self.port != PortRef::Only
    }
}

impl From<&ServiceRef> for ServiceArg {
    fn from(service: &ServiceRef) -> Self {
        Self {
            listen: None,
            namespace: Some(service.namespace.clone()),
            name: service.name.clone(),
            port: service.port.clone(),
        }
    }
}

/// Without where it is reached.
impl fmt::Display for ServiceArg {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(namespace) = &self.namespace {
            write!(f, "{namespace}/")?;
        }
        write!(f, "{}{}", self.name, self.port)
    }
}

impl FromStr for FileArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (path, service) = match text.rsplit_once('#') {
            Some((path, service)) => {
                let (namespace, name, port) = service_name(service)?;
                let selector = FileSelector {
                    namespace,
                    name,
                    port,
                };
                (path, Some(selector))
            }
            None => (text, None),
        };
        if path.is_empty() {
            return Err("names no file".to_owned());
        }
        Ok(Self {
            path: path.into(),
            service,
        })
    }
}

/// `[NAMESPACE/]NAME[:PORT]`
fn service_name(text: &str) -> Result<(Option<String>, String, PortRef), String> {
    let (path, port) = match text.split_once(':') {
        Some((path, port)) => (path, port_ref(port)?),
        None => (text, PortRef::Only),
    };
    let (namespace, name) = match path.split_once('/') {
        Some((namespace, name)) => (Some(label(namespace, "namespace")?), name),
        None => (None, path),
    };
    Ok((namespace, label(name, "Service name")?, port))
}

fn port_ref(text: &str) -> Result<PortRef, String> {
    if text.bytes().all(|byte| byte.is_ascii_digit()) {
        return match text.parse() {
            Ok(0) | Err(_) => Err(format!("`{text}` is no port: 1 to 65535, or a port's name")),
            Ok(number) => Ok(PortRef::Number(number)),
        };
    }
    label(text, "port").map(PortRef::Name)
}

/// A name as Kubernetes takes it for Services, namespaces and Service ports (RFC 1123 label).
pub fn label(text: &str, what: &str) -> Result<String, String> {
    let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    let whole = !text.is_empty() && text.len() <= 63 && text.bytes().all(inner);
    if !whole || text.starts_with('-') || text.ends_with('-') {
        return Err(format!(
            "`{text}` is no {what}; the form is [NAMESPACE/]NAME[:PORT], such as shop/cart:http"
        ));
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests;
