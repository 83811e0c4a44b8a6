//! The Service object: what its slices do not tell.
//!
//! It is read, not watched: at start, each time the watch of the slices is established again, with a backoff while it
//! is missing, and when there is reason to think that it has changed.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::Service;
use kube::Api;
use tokio::sync::{Notify, watch};
use tokio::time::sleep;

use crate::config::{PortRef, ServiceRef};
use crate::kube_client::{KubeClient, Pulse};

use super::trouble::{Asked, Asker, Kind, Trouble};

/// Two reads are at least this far apart, whatever the reason.
const GAP: Duration = Duration::from_millis(500);

/// What is known of the Service.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) enum View {
    /// Not asked yet, or no answer yet.
    #[default]
    Unread,
    Missing,
    Unreadable(Trouble),
    Known(Facts),
}

/// What matters of a Service.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Facts {
    ports: Vec<Port>,
    /// `internalTrafficPolicy: Local`
    pub local: bool,
}

/// A TCP port of a Service.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Port {
    /// "" where it has none.
    name: String,
    number: i32,
}

impl From<Service> for Facts {
    fn from(service: Service) -> Self {
        let spec = service.spec.unwrap_or_default();
        Self {
            ports: spec
                .ports
                .unwrap_or_default()
                .into_iter()
                .filter(|port| port.protocol.as_deref().is_none_or(|name| name == "TCP"))
                .map(|port| Port {
                    name: port.name.unwrap_or_default(),
                    number: port.port,
                })
                .collect(),
            local: spec.internal_traffic_policy.as_deref() == Some("Local"),
        }
    }
}

impl Facts {
    /// Each TCP port's name ("" where it has none) and number.
    pub(super) fn numbers(&self) -> impl Iterator<Item = (&str, i32)> {
        self.ports
            .iter()
            .map(|port| (port.name.as_str(), port.number))
    }

    /// The name of the port with this number. The targetPort plays no part.
    pub(super) fn port_name(&self, number: u16) -> Option<&str> {
        self.ports
            .iter()
            .find(|port| port.number == i32::from(number))
            .map(|port| port.name.as_str())
    }

    /// What is wrong with the wanted port, if anything is; names the ports there are.
    pub(super) fn port_trouble(&self, service: &ServiceRef) -> Option<String> {
        let wrong = match &service.port {
            PortRef::Only if self.ports.len() > 1 => {
                return Some(format!(
                    "Service {service} has several ports: add the one to use as `:PORT`, out of {}",
                    self.port_list()
                ));
            }
            PortRef::Only => self.ports.is_empty(),
            PortRef::Name(name) => !self.ports.iter().any(|port| port.name == *name),
            PortRef::Number(number) => self.port_name(*number).is_none(),
        };
        wrong.then(|| {
            format!(
                "Service {}/{} has no TCP port{}: there is {}",
                service.namespace,
                service.name,
                service.port.to_string().replace(':', " "),
                self.port_list()
            )
        })
    }

    fn port_list(&self) -> String {
        /// Ports named in one line.
        const MOST: usize = 10;
        let names: Vec<String> = self
            .ports
            .iter()
            .take(MOST)
            .map(|port| match port.name.as_str() {
                "" => port.number.to_string(),
                name => format!("{name} ({})", port.number),
            })
            .collect();
        if names.is_empty() {
            return "none".to_owned();
        }
        names.join(", ")
    }
}

impl View {
    pub(super) fn facts(&self) -> Option<&Facts> {
        match self {
            Self::Known(facts) => Some(facts),
            Self::Unread | Self::Missing | Self::Unreadable(_) => None,
        }
    }
}

/// Reads a Service again and again.
#[derive(Debug)]
pub(super) struct Reader {
    pub client: KubeClient,
    pub service: ServiceRef,
    /// Of the watch of the slices: each one opened is a reason to read the Service again.
    pub pulse: watch::Receiver<Pulse>,
    /// A further reason, from those who use the view.
    pub doubt: Arc<Notify>,
    pub view: watch::Sender<View>,
}

impl Reader {
    pub(super) async fn run(mut self) -> Infallible {
        let session = self.client.session();
        let api: Api<Service> = Api::namespaced(session.client.clone(), &self.service.namespace);
        let asker = Asker {
            client: self.client.clone(),
            asked: Asked::Service,
            namespace: self.service.namespace.clone(),
        };
        loop {
            let watches = self.pulse.borrow_and_update().watches;
            let view = match api.get_opt(&self.service.name).await {
                Ok(Some(service)) => View::Known(service.into()),
                Ok(None) => View::Missing,
                Err(error) => View::Unreadable(asker.trouble(&error)),
            };
            let content = self.contents(&view);
            self.publish(view);
            if content {
                session.pace.progress();
                sleep(GAP).await;
                let interval = self.client.tuning().service_interval;
                tokio::select! {
                    () = self.doubt.notified() => {}
                    () = next_watch(&mut self.pulse, watches, interval) => {}
                }
            } else {
                let wait = session.pace.after_error(fastrand::f64());
                let least = wait.min(GAP);
                sleep(least).await;
                tokio::select! {
                    () = self.doubt.notified() => {}
                    () = sleep(wait - least) => {}
                }
            }
        }
    }

    /// Whether there is nothing to wait for.
    fn contents(&self, view: &View) -> bool {
        match view {
            View::Unread | View::Missing => false,
            // A port's name is all that the slices need.
            View::Unreadable(trouble) => {
                trouble.kind == Kind::Denied && !matches!(self.service.port, PortRef::Number(_))
            }
            View::Known(facts) => facts.port_trouble(&self.service).is_none(),
        }
    }

    fn publish(&self, view: View) {
        let unreadable = matches!(view, View::Unreadable(_));
        self.view.send_if_modified(|known| {
            // What was read once holds until there is something better.
            if *known == view || (unreadable && known.facts().is_some()) {
                return false;
            }
            *known = view;
            true
        });
    }
}

/// Until a watch is opened that is not among the first `watches`, but no sooner than `interval`.
async fn next_watch(pulse: &mut watch::Receiver<Pulse>, watches: u64, interval: Duration) {
    sleep(interval).await;
    if pulse
        .wait_for(|pulse| pulse.watches != watches)
        .await
        .is_err()
    {
        // The watch is gone, and with it every reason.
        std::future::pending::<()>().await;
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn facts(ports: &serde_json::Value) -> Facts {
        let service = json!({"metadata": {}, "spec": {"ports": ports}});
        serde_json::from_value::<Service>(service).unwrap().into()
    }

    fn cart(port: PortRef) -> ServiceRef {
        ServiceRef {
            namespace: "shop".to_owned(),
            name: "cart".to_owned(),
            port,
        }
    }

    #[test]
    fn a_number_is_the_services_port_and_not_its_target() {
        let facts = facts(&json!([
            {"name": "dns", "port": 80, "protocol": "UDP"},
            {"name": "http", "port": 80, "targetPort": 8080},
            {"name": "metrics", "port": 8080, "targetPort": 80},
        ]));
        assert_eq!(facts.port_name(80), Some("http"));
        assert_eq!(facts.port_name(8080), Some("metrics"));
        assert_eq!(facts.port_name(9090), None);
    }

    #[test]
    fn a_port_that_is_not_there_is_told_with_those_that_are() {
        let two = facts(&json!([{"name": "web", "port": 80}, {"name": "metrics", "port": 9090}]));
        assert_eq!(
            two.port_trouble(&cart(PortRef::Name("http".to_owned()))),
            Some(
                "Service shop/cart has no TCP port http: there is web (80), metrics (9090)"
                    .to_owned()
            )
        );
        assert_eq!(
            two.port_trouble(&cart(PortRef::Number(81))),
            Some(
                "Service shop/cart has no TCP port 81: there is web (80), metrics (9090)"
                    .to_owned()
            )
        );
        assert!(
            two.port_trouble(&cart(PortRef::Only))
                .is_some_and(|line| line.contains("add the one to use as `:PORT`"))
        );
        assert_eq!(
            two.port_trouble(&cart(PortRef::Name("web".to_owned()))),
            None
        );
        assert_eq!(two.port_trouble(&cart(PortRef::Number(9090))), None);
    }

    #[test]
    fn the_only_port_needs_no_name() {
        let one = facts(&json!([{"port": 80}]));
        assert_eq!(one.port_name(80), Some(""));
        assert_eq!(one.port_trouble(&cart(PortRef::Only)), None);
        assert_eq!(
            one.port_trouble(&cart(PortRef::Name("http".to_owned()))),
            Some("Service shop/cart has no TCP port http: there is 80".to_owned())
        );
    }
}
