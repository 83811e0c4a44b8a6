//! What goes wrong between us and the API server, said so that a person can mend it.

use kube::client::AuthError;
use kube::core::Status;
use kube::runtime::watcher;

use crate::kube_client::{
    Credentials, KubeClient, Refusal, auth_failure, causes, one_line, root_cause,
};

/// A failure as one line with its mend.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble {
    pub kind: Kind,
    pub line: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The version asked for has been forgotten: a new list mends it.
    Gone,
    /// An answer that cannot be read: what it said is lost, only a new list can tell.
    Unreadable,
    /// The right is missing (403).
    Denied,
    Other,
}

/// What was asked for when it went wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    EndpointSlices,
    Service,
}

impl Asked {
    fn verbs(self) -> &'static str {
        match self {
            Self::EndpointSlices => "get,list,watch",
            Self::Service => "get",
        }
    }

    fn resource(self) -> &'static str {
        match self {
            Self::EndpointSlices => "endpointslices.discovery.k8s.io",
            Self::Service => "services",
        }
    }

    fn role(self) -> &'static str {
        match self {
            Self::EndpointSlices => "podrobin-endpointslices",
            Self::Service => "podrobin-services",
        }
    }
}

/// Whom we ask, and for what.
#[derive(Clone, Debug)]
pub struct Asker {
    pub client: KubeClient,
    pub asked: Asked,
    pub namespace: String,
}

impl Asker {
    /// What an error of the watch means.
    pub fn watch_trouble(&self, error: &watcher::Error) -> Trouble {
        match error {
            // What is neither an event nor a failure: kube takes any object for a Status, and one without a code so.
            watcher::Error::WatchFailed(kube::Error::Api(status)) if status.code == 0 => {
                unreadable("it is no event of an EndpointSlice")
            }
            watcher::Error::InitialListFailed(error)
            | watcher::Error::WatchStartFailed(error)
            | watcher::Error::WatchFailed(error) => self.trouble(error),
            watcher::Error::WatchError(status) => self.status_trouble(status),
            watcher::Error::NoResourceVersion => unreadable("it has no resourceVersion"),
        }
    }

    /// What an error of one request means.
    pub fn trouble(&self, error: &kube::Error) -> Trouble {
        if let Some(cause) = find::<AuthError>(error) {
            return other(format!(
                "cannot use {}: {}",
                self.client.credentials(),
                auth_failure(cause)
            ));
        }
        match error {
            kube::Error::Api(status) => self.status_trouble(status),
            kube::Error::SerdeError(_) | kube::Error::FromUtf8(_) => unreadable(&root_cause(error)),
            kube::Error::ReadEvents(cause) if cause.kind() == std::io::ErrorKind::InvalidData => {
                unreadable(&root_cause(error))
            }
            kube::Error::ReadEvents(_) if find::<Refusal>(error).is_none() => {
                other(format!("the watch was cut: {}", root_cause(error)))
            }
            error => match find(error) {
                Some(refusal @ Refusal::NoHead(_)) => other(format!(
                    "the API server at {} gives {refusal}",
                    self.client.server()
                )),
                Some(refusal) => unreadable(&format!("it is {refusal}")),
                None => other(format!(
                    "cannot reach the API server at {}: {}",
                    self.client.server(),
                    root_cause(error)
                )),
            },
        }
    }

    fn status_trouble(&self, status: &Status) -> Trouble {
        let said = one_line(&status.message);
        match status.code {
            401 => other(format!(
                "the API server does not accept the credentials (401): {}",
                self.renewal()
            )),
            403 => Trouble {
                kind: Kind::Denied,
                line: self.grant(&status.message),
            },
            404 if self.asked == Asked::EndpointSlices => other(
                "the API server knows no endpointslices.discovery.k8s.io/v1 (404): it needs Kubernetes 1.21 or later"
                    .to_owned(),
            ),
            410 => Trouble {
                kind: Kind::Gone,
                line: "the API server has forgotten the version that was watched (410)".to_owned(),
            },
            429 => other("the API server is overloaded (429)".to_owned()),
            code => other(format!("the API server answers {code}: {said}")),
        }
    }

    fn renewal(&self) -> String {
        match self.client.credentials() {
            Credentials::ServiceAccount => {
                "the service account's token has expired or its ServiceAccount is gone; \
                                            the token file is read again within a minute"
                    .to_owned()
            }
            Credentials::Kubeconfig(path) => {
                format!(
                    "renew the user's credentials in --kubeconfig {}",
                    path.display()
                )
            }
            Credentials::None => "it asks for some".to_owned(),
        }
    }

    /// Names the rule that is missing, and the commands that grant it.
    fn grant(&self, message: &str) -> String {
        let namespace = &self.namespace;
        let (verbs, resource, role) =
            (self.asked.verbs(), self.asked.resource(), self.asked.role());
        let user = user(message);
        if user == Some("system:anonymous") {
            return format!(
                "the API server takes us for system:anonymous (403), so it saw no token: check {}",
                self.client.credentials()
            );
        }
        let subject = match user.map(|user| (user, user.strip_prefix("system:serviceaccount:"))) {
            Some((_, Some(account))) => format!("--serviceaccount={account}"),
            Some((user, None)) => format!("--user={user}"),
            None => "--serviceaccount=NAMESPACE:NAME".to_owned(),
        };
        format!(
            "may not {verbs} {resource} in namespace {namespace} (403): grant it with \
             `kubectl -n {namespace} create role {role} --verb={verbs} --resource={resource}` and \
             `kubectl -n {namespace} create rolebinding {role} --role={role} {subject}`"
        )
    }
}

/// The user in an API server's `... is forbidden: User "NAME" cannot ...`.
fn user(message: &str) -> Option<&str> {
    let (_, rest) = message.split_once("User \"")?;
    let (user, _) = rest.split_once('"')?;
    // It goes into a command for people to paste.
    let plain = |c: char| c.is_ascii_alphanumeric() || "-._:@/".contains(c);
    (!user.is_empty() && user.chars().all(plain)).then_some(user)
}

/// The cause of a kind, where there is one.
fn find<E: std::error::Error + 'static>(error: &kube::Error) -> Option<&E> {
    causes(error).find_map(|cause| cause.downcast_ref())
}

fn unreadable(reason: &str) -> Trouble {
    Trouble {
        kind: Kind::Unreadable,
        line: format!("the API server's answer cannot be read: {reason}"),
    }
}

fn other(line: String) -> Trouble {
    Trouble {
        kind: Kind::Other,
        line,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kube_client::Tuning;

    fn asker(asked: Asked) -> Asker {
        Asker {
            client: KubeClient::without_credentials(
                "http://127.0.0.1:1".parse().unwrap(),
                Tuning::default(),
            )
            .unwrap(),
            asked,
            namespace: "shop".to_owned(),
        }
    }

    fn api_error(code: u16, message: &str) -> kube::Error {
        kube::Error::Api(Status::failure(message, "").with_code(code).boxed())
    }

    #[test]
    fn a_missing_right_names_the_rule_and_the_service_account() {
        let trouble = asker(Asked::EndpointSlices).trouble(&api_error(
            403,
            "endpointslices.discovery.k8s.io is forbidden: User \"system:serviceaccount:shop:web\" cannot list \
             resource \"endpointslices\" in API group \"discovery.k8s.io\" in the namespace \"shop\"",
        ));
        assert_eq!(trouble.kind, Kind::Denied);
        assert_eq!(
            trouble.line,
            "may not get,list,watch endpointslices.discovery.k8s.io in namespace shop (403): grant it with \
             `kubectl -n shop create role podrobin-endpointslices --verb=get,list,watch \
             --resource=endpointslices.discovery.k8s.io` and `kubectl -n shop create rolebinding \
             podrobin-endpointslices --role=podrobin-endpointslices --serviceaccount=shop:web`"
        );
    }

    #[test]
    fn a_name_that_could_do_harm_in_a_shell_is_left_out() {
        let trouble = asker(Asked::Service).trouble(&api_error(403, "User \"a`reboot`\" cannot"));
        assert!(!trouble.line.contains("reboot"), "{}", trouble.line);
        assert!(trouble.line.contains("--serviceaccount=NAMESPACE:NAME"));
    }

    #[test]
    fn a_request_without_a_token_is_told_from_a_missing_right() {
        let trouble = asker(Asked::EndpointSlices)
            .trouble(&api_error(403, "User \"system:anonymous\" cannot list"));
        assert!(trouble.line.contains("saw no token"), "{}", trouble.line);
    }

    #[test]
    fn every_line_is_one_line() {
        let trouble =
            asker(Asked::EndpointSlices).trouble(&api_error(500, "etcd\r\nis\x1b[31m\nfrozen"));
        assert_eq!(
            trouble.line,
            "the API server answers 500: etcd is [31m frozen"
        );
        let long = asker(Asked::EndpointSlices).trouble(&api_error(500, &"ä".repeat(10_000)));
        assert!(long.line.chars().count() < 500);
    }

    #[test]
    fn a_version_that_is_gone_calls_for_a_new_list() {
        let error = watcher::Error::WatchStartFailed(api_error(410, "too old"));
        assert_eq!(
            asker(Asked::EndpointSlices).watch_trouble(&error).kind,
            Kind::Gone
        );
    }
}
