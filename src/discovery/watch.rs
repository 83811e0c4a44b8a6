//! Watching a Service: its slices, and what the Service itself adds, folded into updates.
//!
//! ```text
//! API server ─ Events ─> List ─┐
//!            ─ Reader ─> View ─┴─ fold ─ Update ──> membership
//! ```
//! Whatever goes wrong on the way, the last whole list serves on; what went wrong and how to mend it is in the status.

mod health;

use std::collections::BTreeSet;
use std::pin::pin;
use std::sync::Arc;
use std::time::Instant;

use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::runtime::watcher::Event;
use tokio::sync::{Notify, mpsc, watch};
use tokio::time::sleep;

use crate::config::{OwnPod, PortRef, ServiceRef};
use crate::endpoint::Endpoint;
use crate::kube_client::{KubeClient, Pace, Pulse};

use super::bulletin::Bulletin;
use super::events::Events;
use super::list::List;
use super::service::{Reader, View};
use super::slices::{Fold, Selection, Slice, fold, port_note};
use super::trouble::{Kind, Trouble};
use super::{Outlet, Update, vantage};

use health::Health;

/// Events taken together at most before the list is folded.
const BURST: usize = 1_024;

/// Watches `service` as seen from `pod` until the outlet's receiver is gone.
///
/// There is no wait before the first list: pods do not start in step as a rule, and each millisecond here delays the
/// app behind us. What does come in step, when an API server goes away, is jittered (see [`Pace`]).
pub async fn run(client: KubeClient, service: ServiceRef, pod: OwnPod, outlet: Outlet) {
    let session = client.session();
    let settle = client.tuning().settle;
    let doubt = Arc::new(Notify::new());
    let (view_sender, mut view) = watch::channel(View::default());
    let mut events = Events::new(&client, &session, &service);
    let mut watching = Watching {
        name: service.to_string(),
        selection: vantage::selection(&pod),
        bulletin: Bulletin::new(service.to_string(), outlet.status),
        service: service.clone(),
        updates: outlet.updates,
        pace: session.pace,
        doubt: doubt.clone(),
        list: List::default(),
        view: View::default(),
        looked: false,
        published: None,
        notes: BTreeSet::new(),
        service_trouble: None,
        health: Health::default(),
    };
    let mut pulse = session.pulse;
    let mut reader = pin!(
        Reader {
            client,
            service,
            pulse: pulse.clone(),
            doubt,
            view: view_sender,
        }
        .run()
    );
    let mut settling = pin!(sleep(settle));
    // The watch that has to stand for a while after trouble, by its number.
    let mut on_trial = None;
    loop {
        let received = tokio::select! {
            () = watching.updates.closed() => return,
            event = events.next() => {
                let received = last_byte(&pulse);
                if event.is_err() {
                    on_trial = None;
                }
                watching.take(event);
                // A burst that has been read already is one change.
                for _ in 1..BURST {
                    let Some(event) = events.ready() else { break };
                    watching.take(event);
                }
                received
            }
            Ok(()) = pulse.changed() => {
                let beat = *pulse.borrow_and_update();
                if !beat.open {
                    on_trial = None;
                    watching.health.watch_ended(watching.pace.short_watches());
                } else if on_trial != Some(beat.watches) && !watching.health.is_well() {
                    on_trial = Some(beat.watches);
                    settling.as_mut().reset(tokio::time::Instant::now() + settle);
                }
                last_byte(&pulse)
            }
            Ok(()) = view.changed() => {
                let view = view.borrow_and_update().clone();
                watching.look(view);
                Instant::now()
            }
            () = &mut settling, if on_trial.is_some() => {
                on_trial = None;
                watching.health.well();
                Instant::now()
            }
            never = &mut reader => match never {},
        };
        if let Some((_, at)) = pulse.borrow().last_byte {
            watching.bulletin.fresh(at);
        }
        watching.publish(received).await;
        watching.tell();
    }
}

fn last_byte(pulse: &watch::Receiver<Pulse>) -> Instant {
    pulse
        .borrow()
        .last_byte
        .map_or_else(Instant::now, |(at, _)| at)
}

/// What the watch of one Service knows.
struct Watching {
    name: String,
    service: ServiceRef,
    /// The port stays open while only its number is known.
    selection: Selection,
    updates: mpsc::Sender<Update>,
    bulletin: Bulletin,
    pace: Arc<Pace>,
    /// Makes the reader look at the Service again.
    doubt: Arc<Notify>,
    list: List,
    view: View,
    /// The view has changed since the list was last folded.
    looked: bool,
    published: Option<Vec<Endpoint>>,
    /// What was said of the slices and still holds.
    notes: BTreeSet<String>,
    service_trouble: Option<String>,
    health: Health,
}

impl Watching {
    fn take(&mut self, event: Result<Event<EndpointSlice>, Trouble>) {
        match event {
            Ok(Event::Init) => {
                self.list.begin();
                if self.published.is_some() {
                    self.health.list_began();
                }
            }
            Ok(Event::InitApply(slice)) => {
                if let Some((name, slice)) = named(slice) {
                    self.list.add(name, slice);
                }
            }
            Ok(Event::InitDone) => self.list.finish(),
            Ok(Event::Apply(slice)) => {
                if let Some((name, slice)) = named(slice)
                    && self.list.apply(name, slice)
                {
                    self.news();
                }
            }
            Ok(Event::Delete(slice)) => {
                if slice
                    .metadata
                    .name
                    .is_some_and(|name| self.list.delete(&name))
                {
                    self.news();
                }
            }
            Err(trouble) => self.health.failed(trouble),
        }
    }

    fn news(&mut self) {
        self.pace.progress();
        self.health.well();
    }

    fn look(&mut self, view: View) {
        match &view {
            View::Known(facts) => {
                self.selection.local = facts.local;
                if let PortRef::Number(number) = self.service.port
                    && let Some(name) = facts.port_name(number)
                {
                    self.selection.port = Some(name.to_owned());
                }
            }
            View::Unreadable(trouble) if trouble.kind == Kind::Denied => {
                let service = &self.name;
                tracing::info!(
                    %service,
                    "cannot look at the Service itself, only at its EndpointSlices; \
                     internalTrafficPolicy: Local stays unseen. {}",
                    trouble.line
                );
            }
            View::Unreadable(_) | View::Unread | View::Missing => {}
        }
        self.view = view;
        self.looked = true;
    }

    /// Folds what has changed, and sends the outcome if it is another list.
    async fn publish(&mut self, received: Instant) {
        let changes = match (self.list.take_changes(), std::mem::take(&mut self.looked)) {
            (None, false) => return,
            (changes, _) => changes.unwrap_or_default(),
        };
        let Some(Fold { endpoints, notes }) = self.fold() else {
            return;
        };
        self.say(notes);
        if endpoints.is_empty() {
            self.doubt.notify_one();
        }
        let unsure = self.service_trouble.is_some() || self.view == View::Unread;
        if self.published.is_none() && endpoints.is_empty() && unsure {
            // Nothing is there, and it may be the name that is wrong: not ready until that is known.
            return;
        }
        if self.published.as_ref() == Some(&endpoints) {
            return;
        }
        if self.published.is_none() {
            self.health.well();
        }
        let (service, known) = (&self.name, endpoints.len());
        let used = endpoints
            .iter()
            .filter(|endpoint| endpoint.is_used())
            .count();
        tracing::debug!(%service, known, used, "the list of endpoints has changed");
        self.published = Some(endpoints.clone());
        let update = Update {
            endpoints,
            received,
            triggered: changes.triggered,
        };
        // Fails when membership is gone, and then the loop ends.
        let _ = self.updates.send(update).await;
    }

    /// The list as it is; `None` where there is none yet, or the wanted port is not known.
    fn fold(&mut self) -> Option<Fold> {
        let slices = self.list.slices()?;
        if let PortRef::Name(name) = &self.service.port {
            self.selection.port = Some(name.clone());
        }
        if matches!(self.service.port, PortRef::Number(_)) && self.selection.port.is_none() {
            self.service_trouble = self.number_trouble();
            return None;
        }
        let mut fold = fold(slices, &self.selection);
        let note = port_note(slices, &self.selection);
        if let Some(note) = &note {
            fold.notes.remove(note);
        }
        self.service_trouble = match &self.view {
            _ if !fold.endpoints.is_empty() => None,
            View::Missing => Some(self.missing()),
            View::Known(facts) => facts.port_trouble(&self.service).or(note),
            View::Unread | View::Unreadable(_) => note,
        };
        Some(fold)
    }

    /// Why the name of a port number is not known.
    fn number_trouble(&self) -> Option<String> {
        match &self.view {
            View::Unread => None,
            View::Missing => Some(self.missing()),
            View::Known(facts) => facts.port_trouble(&self.service),
            View::Unreadable(trouble) => Some(format!(
                "the port's number needs the Service to be read, its name does not: {}",
                trouble.line
            )),
        }
    }

    fn missing(&self) -> String {
        let ServiceRef {
            namespace, name, ..
        } = &self.service;
        format!(
            "there is no Service {name} in namespace {namespace}: create it, or correct --service"
        )
    }

    /// Says each note when it appears.
    fn say(&mut self, notes: BTreeSet<String>) {
        let service = &self.name;
        for note in notes.difference(&self.notes) {
            tracing::warn!(%service, "{note}");
        }
        self.notes = notes;
    }

    fn tell(&self) {
        let trouble = self.health.trouble().or(self.service_trouble.as_deref());
        self.bulletin.set(
            self.health.phase(self.published.is_some()),
            trouble.map(str::to_owned),
        );
    }
}

fn named(slice: EndpointSlice) -> Option<(String, Slice)> {
    let name = slice.metadata.name.clone()?;
    Some((name, slice.into()))
}
