//! Which port of a slice is meant, and what is spoken there.

use std::collections::BTreeSet;
use std::num::NonZeroU16;

use super::{Selection, Slice, Slices, quote};
use crate::endpoint::AppProtocol;

/// A TCP port of a slice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Port {
    /// The Service port's name; "" where the Service has one port without a name.
    pub(super) name: String,
    /// Where the pods of this slice listen. A targetPort that is a name may differ between pods, which then stand in
    /// different slices. `None` where the slice gives no number, or one that is no port.
    pub(super) number: Option<NonZeroU16>,
    pub(super) app_protocol: Option<String>,
}

impl Port {
    /// A nil protocol is TCP; other ones are not for HTTP and drop out here.
    pub(super) fn read(
        name: Option<String>,
        number: Option<NonZeroU16>,
        protocol: Option<&str>,
        app_protocol: Option<String>,
    ) -> Option<Self> {
        if protocol.is_some_and(|protocol| protocol != "TCP") {
            return None;
        }
        Some(Self {
            name: name.unwrap_or_default(),
            number,
            app_protocol,
        })
    }
}

/// `None` for what is no port, as kube-proxy has it.
pub(super) fn port_number(number: impl TryInto<u16>) -> Option<NonZeroU16> {
    number.try_into().ok().and_then(NonZeroU16::new)
}

impl Slice {
    /// The names of this slice's TCP ports; "" is the port without a name.
    pub fn port_names(&self) -> impl Iterator<Item = &str> {
        self.ports.iter().map(|port| port.name.as_str())
    }

    /// Names and numbers of this slice's TCP ports.
    pub fn port_numbers(&self) -> impl Iterator<Item = (&str, u16)> {
        self.ports
            .iter()
            .filter_map(|port| Some((port.name.as_str(), port.number?.get())))
    }

    /// The port named so: a slice has one at most.
    pub(super) fn port(&self, name: &str) -> Option<&Port> {
        self.ports.iter().find(|port| port.name == name)
    }

    /// The number under which the port named so is reached, with what is spoken there.
    pub(super) fn number(&self, name: &str) -> Option<(u16, Option<&str>)> {
        let port = self.port(name)?;
        Some((port.number?.get(), port.app_protocol.as_deref()))
    }
}

/// The name of the wanted port: as selected, else the only one that any slice has.
pub(super) fn wanted<'a>(slices: &'a Slices, selection: &'a Selection) -> Option<&'a str> {
    if let Some(name) = &selection.port {
        return Some(name);
    }
    let names = port_names(slices);
    match names.len() {
        1 => names.first().copied(),
        _ => None,
    }
}

/// Says what is wrong with the selected port, if anything is, and names the ports there are: none was selected and
/// there are several, or no slice has the one selected.
///
/// A port that only some slices lack is no fault, nor is one missing while the slices have no port at all: the
/// EndpointSlice controller writes a slice without ports for a Service without pods. The text is bounded.
pub fn port_note(slices: &Slices, selection: &Selection) -> Option<String> {
    let names = port_names(slices);
    match &selection.port {
        None if names.len() > 1 => Some(format!(
            "the Service has several ports: add the one to use as `:PORT`, out of {}",
            list(&names)
        )),
        Some(name) if !names.is_empty() && !names.contains(name.as_str()) => Some(format!(
            "the Service has no TCP port {}, only {}",
            say(name),
            list(&names)
        )),
        _ => None,
    }
}

fn port_names(slices: &Slices) -> BTreeSet<&str> {
    slices.values().flat_map(Slice::port_names).collect()
}

fn list(names: &BTreeSet<&str>) -> String {
    /// Ports named in one note.
    const MOST: usize = 10;
    let mut text = names
        .iter()
        .take(MOST)
        .map(|name| say(name))
        .collect::<Vec<_>>()
        .join(", ");
    if names.len() > MOST {
        text += " and more";
    }
    text
}

fn say(name: &str) -> String {
    if name.is_empty() {
        "one without a name".to_owned()
    } else {
        quote(name)
    }
}

/// What `appProtocol` means here (KEP-3726, and the names others have used before it).
///
/// A WebSocket's handshake is one of HTTP/1.1 (RFC 6455), `h2` is HTTP/2 over TLS (RFC 9113 section 3.1). Any name that
/// is not known is "implementation-defined": taken as HTTP/1.1, as if it were unset.
pub(super) fn protocol(app_protocol: Option<&str>) -> AppProtocol {
    const NAMES: [(&[&str], AppProtocol); 4] = [
        (
            &["kubernetes.io/h2c", "h2c", "http2", "http/2", "grpc"],
            AppProtocol::Http2,
        ),
        (&["https", "tls", "ssl"], AppProtocol::Tls),
        (&["kubernetes.io/wss", "wss"], AppProtocol::TlsHttp1),
        (&["h2", "grpcs"], AppProtocol::TlsHttp2),
    ];
    let name = app_protocol.unwrap_or_default();
    let is_known = |known: &&str| name.eq_ignore_ascii_case(known);
    NAMES
        .iter()
        .find(|(names, _)| names.iter().any(is_known))
        .map_or(AppProtocol::Http1, |(_, protocol)| *protocol)
}
