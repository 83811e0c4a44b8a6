//! Flags for what whoever installs podrobin chooses; the same at each door that injects.

use clap::Args;

use crate::inject::{Installation, PullPolicy, Quantity, Resources, SidecarMode};

#[derive(Args, Clone, Debug)]
pub struct InstallationArgs {
    /// Image of the sidecar, by default this version's
    #[arg(
        long,
        env = "PODROBIN_INJECT_IMAGE",
        value_name = "IMAGE",
        default_value_t = Installation::default().image
    )]
    pub image: String,

    /// When the node pulls that image
    #[arg(
        long,
        env = "PODROBIN_INJECT_IMAGE_PULL_POLICY",
        value_enum,
        default_value_t
    )]
    pub image_pull_policy: PullPolicy,

    /// What kind of container the sidecar is, where a pod does not say it by annotation podrobin.io/sidecar: an init
    /// container that goes on (Kubernetes 1.29 and later), or a container beside the app's
    #[arg(long, env = "PODROBIN_INJECT_SIDECAR", value_enum, default_value_t)]
    pub sidecar: SidecarMode,

    /// CPU request of the sidecar, where the pod does not say it by annotation podrobin.io/cpu-request
    #[arg(
        long,
        env = "PODROBIN_INJECT_CPU_REQUEST",
        value_name = "QUANTITY",
        default_value = "50m"
    )]
    pub cpu_request: Quantity,

    /// Its memory request (podrobin.io/memory-request)
    #[arg(
        long,
        env = "PODROBIN_INJECT_MEMORY_REQUEST",
        value_name = "QUANTITY",
        default_value = "32Mi"
    )]
    pub memory_request: Quantity,

    /// Its CPU limit (podrobin.io/cpu-limit); by default there is none, as it would only add latency
    #[arg(long, env = "PODROBIN_INJECT_CPU_LIMIT", value_name = "QUANTITY")]
    pub cpu_limit: Option<Quantity>,

    /// Its memory limit (podrobin.io/memory-limit)
    #[arg(
        long,
        env = "PODROBIN_INJECT_MEMORY_LIMIT",
        value_name = "QUANTITY",
        default_value = "128Mi"
    )]
    pub memory_limit: Quantity,

    /// A further variable of the sidecar, such as PODROBIN_LOG_FORMAT=json; repeat the flag, or separate with commas.
    /// One that the sidecar has anyway is replaced
    #[arg(
        long = "extra-env",
        env = "PODROBIN_INJECT_EXTRA_ENV",
        value_name = "NAME=VALUE",
        value_delimiter = ',',
        value_parser = variable
    )]
    pub extra_env: Vec<(String, String)>,

    /// What DNS names of the cluster end with; for the names of captured Services
    #[arg(
        long,
        env = "PODROBIN_INJECT_CLUSTER_DOMAIN",
        value_name = "DOMAIN",
        default_value_t = Installation::default().cluster_domain,
        value_parser = domain
    )]
    pub cluster_domain: String,
}

impl From<InstallationArgs> for Installation {
    fn from(args: InstallationArgs) -> Self {
        Self {
            image: args.image,
            image_pull_policy: args.image_pull_policy,
            sidecar: args.sidecar,
            resources: Resources {
                cpu_request: Some(args.cpu_request),
                memory_request: Some(args.memory_request),
                cpu_limit: args.cpu_limit,
                memory_limit: Some(args.memory_limit),
            },
            extra_env: args.extra_env,
            cluster_domain: args.cluster_domain,
        }
    }
}

/// Variables by which a pod's sidecar is told from another's.
const PODS_OWN: [&str; 2] = ["PODROBIN_SERVICE", "PODROBIN_LISTEN"];

/// `NAME=VALUE`; the name as Kubernetes takes it for a variable.
fn variable(text: &str) -> Result<(String, String), String> {
    let (name, value) = text
        .split_once('=')
        .ok_or("write NAME=VALUE, such as PODROBIN_LOG_FORMAT=json")?;
    let begins = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    let inner = |c: char| c.is_ascii_alphanumeric() || c == '_';
    if !begins || !name.chars().all(inner) {
        return Err(format!("`{name}` is no name of a variable"));
    }
    if PODS_OWN.contains(&name) {
        return Err(format!("{name} is each pod's to say, by annotation"));
    }
    Ok((name.to_owned(), value.to_owned()))
}

/// Labels joined by dots.
fn domain(text: &str) -> Result<String, String> {
    let label = |label: &str| {
        let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        !label.is_empty()
            && label.bytes().all(inner)
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    match text.split('.').all(label) && text.len() <= 100 {
        true => Ok(text.to_owned()),
        false => Err("give a domain, such as cluster.local".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Only {
        #[command(flatten)]
        args: InstallationArgs,
    }

    fn installation(args: &[&str]) -> Result<Installation, clap::Error> {
        Only::try_parse_from([&["x"], args].concat()).map(|only| only.args.into())
    }

    #[test]
    fn without_flags_it_is_the_default() {
        assert_eq!(installation(&[]).unwrap(), Installation::default());
    }

    #[test]
    fn variables_and_domains_are_checked() {
        let chosen = installation(&[
            "--extra-env",
            "A=b=c,D=",
            "--cluster-domain",
            "corp.example",
        ]);
        let chosen = chosen.unwrap();
        let expected = [("A", "b=c"), ("D", "")];
        let expected = expected.map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(chosen.extra_env, expected);
        assert_eq!(chosen.cluster_domain, "corp.example");
        for bad in [
            ["--extra-env", "A"],
            ["--extra-env", "1A=b"],
            ["--extra-env", "=b"],
            ["--extra-env", "PODROBIN_SERVICE=cart"],
            ["--cluster-domain", "cluster..local"],
            ["--cluster-domain", "Cluster.local"],
            ["--memory-limit", "1MB"],
        ] {
            assert!(installation(&bad).is_err(), "{bad:?}");
        }
    }
}
