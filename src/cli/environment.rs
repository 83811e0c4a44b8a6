//! Variables of the environment that look like settings and are none.

use std::collections::HashSet;
use std::ffi::{OsStr, OsString};

const PREFIX: &str = "PODROBIN_";

/// Names of the variables that begin like a setting, but are neither one nor Kubernetes' own. Values are never
/// shown: nobody knows what is in them.
pub fn unknown(
    command: &clap::Command,
    variables: impl IntoIterator<Item = (OsString, OsString)>,
) -> Vec<String> {
    let known = settings(command);
    let mut unknown: Vec<String> = variables
        .into_iter()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value)))
        .filter(|(name, _)| name.starts_with(PREFIX) && !known.contains(name.as_str()))
        .filter(|(name, value)| !is_service_link(name, value))
        .map(|(name, _)| name)
        .collect();
    unknown.sort();
    unknown
}

/// The variables of all flags of all commands.
pub fn settings(command: &clap::Command) -> HashSet<String> {
    std::iter::once(command)
        .chain(command.get_subcommands())
        .flat_map(clap::Command::get_arguments)
        .filter_map(|arg| arg.get_env()?.to_str().map(str::to_owned))
        .collect()
}

/// Whether Kubernetes put it there for a Service whose name begins with `podrobin` (Service links of a pod):
/// `..._SERVICE_HOST`, `..._SERVICE_PORT[_NAME]`, `..._PORT=tcp://...` and `..._PORT_8000_TCP[_...]`.
fn is_service_link(name: &str, value: &OsStr) -> bool {
    let ported = || {
        let (_, rest) = name.split_once("_PORT_")?;
        let mut words = rest.split('_');
        let number = words.next()?.parse::<u16>().is_ok();
        Some(number && matches!(words.next()?, "TCP" | "UDP" | "SCTP"))
    };
    name.ends_with("_SERVICE_HOST")
        || name.ends_with("_SERVICE_PORT")
        || name.contains("_SERVICE_PORT_")
        || (name.ends_with("_PORT") && value.to_string_lossy().contains("://"))
        || ported().unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unknown_of(variables: &[(&str, &str)]) -> Vec<String> {
        let variables = variables
            .iter()
            .map(|(name, value)| (OsString::from(name), OsString::from(value)));
        unknown(&crate::cli::command(), variables)
    }

    #[test]
    fn a_mistyped_setting_is_found_and_the_rest_left_alone() {
        let found = unknown_of(&[
            ("PODROBIN_SERVCIE", "shop/cart"),
            ("PODROBIN_SERVICE", "shop/cart"),
            ("PODROBIN_DEMO_FOR", "3s"),
            ("PODROBINX", ""),
            ("PATH", "/bin"),
        ]);
        assert_eq!(found, ["PODROBIN_SERVCIE"]);
    }

    #[test]
    fn what_kubernetes_sets_for_a_service_named_podrobin_is_no_mistake() {
        let links = [
            ("PODROBIN_SERVICE_HOST", "10.96.0.7"),
            ("PODROBIN_SERVICE_PORT", "8000"),
            ("PODROBIN_SERVICE_PORT_HTTP", "8000"),
            ("PODROBIN_PORT", "tcp://10.96.0.7:8000"),
            ("PODROBIN_PORT_8000_TCP", "tcp://10.96.0.7:8000"),
            ("PODROBIN_PORT_8000_TCP_PROTO", "tcp"),
            ("PODROBIN_PORT_8000_TCP_PORT", "8000"),
            ("PODROBIN_PORT_8000_TCP_ADDR", "10.96.0.7"),
            ("PODROBIN_ADMIN_SERVICE_HOST", "10.96.0.8"),
            ("PODROBIN_ADMIN_PORT", "tcp://10.96.0.8:9800"),
        ];
        assert_eq!(unknown_of(&links), Vec::<String>::new());
        assert_eq!(unknown_of(&[("PODROBIN_PORT", "8000")]), ["PODROBIN_PORT"]);
    }

    #[test]
    fn no_setting_can_be_set_by_a_service_link() {
        for name in settings(&crate::cli::command()) {
            let value = OsStr::new("tcp://10.96.0.7:8000");
            assert!(!is_service_link(&name, value), "{name}");
        }
    }
}
