//! What a pod asks for: its annotations, read and checked with the parsers of `podrobin run`.

use std::net::SocketAddr;
use std::str::FromStr;

use clap::ValueEnum;
use serde_json::{Map, Value};

use super::annotations::{self, ANNOTATIONS, PREFIX, meant_by};
use super::listeners::MOST_SERVICES;
use super::{Quantity, Refusal, Resources, SidecarMode, short};
use crate::telemetry::Filter;
use crate::value::{self, PolicyArg, ServiceArg};

/// What a pod asks for. Texts go to the sidecar as they are.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Request {
    pub(super) service: String,
    pub(super) services: Vec<ServiceArg>,
    pub(super) listen: Option<(String, SocketAddr)>,
    pub(super) policy: Option<String>,
    pub(super) policies: Vec<PolicyArg>,
    pub(super) log_level: Option<String>,
    pub(super) admin_port: Option<u16>,
    pub(super) capture: bool,
    pub(super) sidecar: Option<SidecarMode>,
    /// Only what the pod says.
    pub(super) resources: Resources,
}

/// Characters of a value that are shown, so that what is wrong with it still is.
const LONGEST_VALUE: usize = 100;

/// The lowest port that the admin server can have: lower ones are for those with rights.
const LOWEST_ADMIN_PORT: usize = 1024;

/// `None` where the pod does not ask for a sidecar.
///
/// # Errors
/// Annotations that mean nothing, all of them.
pub(super) fn read(pod: &Value) -> Result<Option<Request>, Refusal> {
    let mut reader = Reader {
        annotations: pod
            .pointer("/metadata/annotations")
            .and_then(Value::as_object),
        problems: Vec::new(),
    };
    let request = reader.request();
    match Refusal::of(&reader.problems) {
        Some(refusal) => Err(refusal),
        None => Ok(request),
    }
}

struct Reader<'a> {
    annotations: Option<&'a Map<String, Value>>,
    problems: Vec<String>,
}

impl<'a> Reader<'a> {
    fn request(&mut self) -> Option<Request> {
        let wanted = self.parse(annotations::INJECT, truth).unwrap_or(true);
        if !wanted {
            // Whatever else is written there is of no consequence.
            self.problems.clear();
            return None;
        }
        self.check_names();
        let service = self.text(annotations::SERVICE)?;
        let services = self.parse(annotations::SERVICE, services);
        let capture = self.parse(annotations::CAPTURE, truth);
        let listen = self.parse(annotations::LISTEN, listen);
        let policies = self.parse(annotations::POLICY, policies);
        self.parse(annotations::LOG_LEVEL, Filter::from_str);
        let admin_port = self.parse(
            annotations::ADMIN_PORT,
            value::count::<LOWEST_ADMIN_PORT, 65_535>,
        );
        let sidecar = self.parse(annotations::SIDECAR, choice::<SidecarMode>);
        let resources = Resources {
            cpu_request: self.parse(annotations::CPU_REQUEST, Quantity::from_str),
            memory_request: self.parse(annotations::MEMORY_REQUEST, Quantity::from_str),
            cpu_limit: self.parse(annotations::CPU_LIMIT, Quantity::from_str),
            memory_limit: self.parse(annotations::MEMORY_LIMIT, Quantity::from_str),
        };
        let text = |name| self.text(name).map(str::to_owned);
        Some(Request {
            service: service.to_owned(),
            services: services?,
            listen: text(annotations::LISTEN).zip(listen),
            policy: text(annotations::POLICY),
            policies: policies.unwrap_or_default(),
            log_level: text(annotations::LOG_LEVEL),
            admin_port: admin_port.and_then(|port| u16::try_from(port).ok()),
            capture: capture.unwrap_or(false),
            sidecar,
            resources,
        })
    }

    /// A typing mistake must not pass for an annotation of somebody else's.
    fn check_names(&mut self) {
        let names = self.annotations.into_iter().flat_map(Map::keys);
        for name in names.filter(|name| name.starts_with(PREFIX)) {
            if ANNOTATIONS.iter().any(|known| known.name == name) {
                continue;
            }
            let mend = match meant_by(name) {
                Some(meant) => format!("did you mean {meant}?"),
                None => "docs/annotations.md lists what there is; the image and the security context are the \
                         installation's to choose"
                    .to_owned(),
            };
            self.problems
                .push(format!("there is no annotation {name}: {mend}"));
        }
    }

    fn text(&self, name: &str) -> Option<&'a str> {
        self.annotations?.get(name)?.as_str()
    }

    /// Reads one annotation, if it is there.
    fn parse<T, E: std::fmt::Display>(
        &mut self,
        name: &str,
        parser: impl Fn(&str) -> Result<T, E>,
    ) -> Option<T> {
        let value = self.annotations?.get(name)?;
        let Some(text) = value.as_str() else {
            self.problems.push(format!(
                "annotation {name} is no text: write its value in quotes, such as {name}: \"{}\"",
                example(name)
            ));
            return None;
        };
        match parser(text) {
            Ok(value) => Some(value),
            Err(reason) => {
                self.problems.push(format!(
                    "annotation {name}: \"{}\" is not usable: {reason} (an example: \"{}\")",
                    short(text, LONGEST_VALUE),
                    example(name)
                ));
                None
            }
        }
    }
}

fn example(name: &str) -> &'static str {
    let known = ANNOTATIONS.iter().find(|known| known.name == name);
    known.map_or("", |known| known.example)
}

fn truth(text: &str) -> Result<bool, &'static str> {
    match text {
        "true" => Ok(true),
        "false" => Ok(false),
        _ => Err("give true or false"),
    }
}

/// One of those that clap would take.
fn choice<T: ValueEnum>(text: &str) -> Result<T, String> {
    T::from_str(text, false).map_err(|_| {
        let names = T::value_variants()
            .iter()
            .filter_map(ValueEnum::to_possible_value);
        let names: Vec<String> = names.map(|value| value.get_name().to_owned()).collect();
        format!("give one of {}", names.join(", "))
    })
}

fn services(text: &str) -> Result<Vec<ServiceArg>, String> {
    if text.is_empty() {
        return Err("it names no Service".to_owned());
    }
    if text.contains(char::is_whitespace) {
        return Err("Services are separated by a comma alone, without spaces".to_owned());
    }
    if text.split(',').count() > MOST_SERVICES {
        return Err(format!("{MOST_SERVICES} Services are served at most"));
    }
    text.split(',').map(ServiceArg::from_str).collect()
}

fn policies(text: &str) -> Result<Vec<PolicyArg>, String> {
    text.split(',').map(PolicyArg::from_str).collect()
}

/// Port 0 is any free one, which nobody could find.
fn listen(text: &str) -> Result<SocketAddr, String> {
    match value::listen(text)? {
        address if address.port() == 0 => Err("give a port, 1 to 65535".to_owned()),
        address => Ok(address),
    }
}
