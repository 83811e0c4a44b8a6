//! Which port of the slices a file's selector means.

use super::list;
use crate::config::PortRef;
use crate::discovery::service::Facts;
use crate::discovery::slices::{Slice, Slices};

/// The slice port's name for the port that was asked for, or what is wrong with the question.
pub(super) fn port_name(
    port: &PortRef,
    service: Option<&Facts>,
    slices: &Slices,
) -> Result<Option<String>, String> {
    let number = match port {
        PortRef::Only => return Ok(None),
        PortRef::Name(name) => return Ok(Some(name.clone())),
        PortRef::Number(number) => *number,
    };
    let mut numbered: Vec<(String, i32)> = match service {
        Some(service) => service
            .numbers()
            .map(|(name, number)| (name.to_owned(), number))
            .collect(),
        None => slices
            .values()
            .flat_map(Slice::port_numbers)
            .map(|(name, number)| (name.to_owned(), i32::from(number)))
            .collect(),
    };
    numbered.sort_unstable();
    numbered.dedup();
    let mut names: Vec<String> = numbered
        .iter()
        .filter(|(_, of_port)| *of_port == i32::from(number))
        .map(|(name, _)| name.clone())
        .collect();
    match names.len() {
        1 => Ok(names.pop()),
        // Nothing to choose from: a Service without pods.
        0 if numbered.is_empty() => Ok(None),
        0 => Err(format!(
            "has no TCP port {number}, only {}",
            list(numbered.iter().map(|(_, number)| number))
        )),
        _ => Err(format!(
            "has several ports of number {number}: use a name out of {}",
            list(names.iter().map(|name| format!("{name:?}")))
        )),
    }
}
