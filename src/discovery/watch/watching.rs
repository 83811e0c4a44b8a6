//! What the watch of one Service knows, and what it makes of it.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use kube::runtime::watcher::Event;
use tokio::sync::{Notify, mpsc};

use crate::config::{OwnPod, PortRef, ServiceRef};
use crate::discovery::bulletin::Bulletin;
use crate::discovery::list::{List, TooMuch};
use crate::discovery::service::View;
use crate::discovery::slices::{Fold, Selection, SliceObject, fold, port_note};
use crate::discovery::trouble::{Kind, Trouble};
use crate::discovery::{Outlet, Update, vantage};
use crate::endpoint::Endpoint;
use crate::kube_client::Pace;

use super::health::Health;

/// What the watch of one Service knows.
pub(super) struct Watching {
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
    pub(super) fn new(
        service: &ServiceRef,
        pod: &OwnPod,
        outlet: Outlet,
        pace: Arc<Pace>,
        doubt: Arc<Notify>,
        list: List,
    ) -> Self {
        Self {
            name: service.to_string(),
            selection: vantage::selection(pod),
            bulletin: Bulletin::new(service.to_string(), outlet.status),
            service: service.clone(),
            updates: outlet.updates,
            pace,
            doubt,
            list,
            view: View::default(),
            looked: false,
            published: None,
            notes: BTreeSet::new(),
            service_trouble: None,
            health: Health::default(),
        }
    }

    /// Waits until nobody is left to send updates to.
    pub(super) async fn abandoned(&self) {
        self.updates.closed().await;
    }

    pub(super) fn watch_ended(&mut self) {
        self.health.watch_ended(self.pace.short_watches());
    }

    pub(super) fn is_well(&self) -> bool {
        self.health.is_well()
    }

    pub(super) fn well(&mut self) {
        self.health.well();
    }

    pub(super) fn fresh(&self, at: SystemTime) {
        self.bulletin.fresh(at);
    }

    /// Takes in what came. An error is one that only a new list mends.
    pub(super) fn take(
        &mut self,
        event: Result<Event<SliceObject>, Trouble>,
    ) -> Result<(), TooMuch> {
        let taken = self.enter(event);
        if let Err(too_much) = taken {
            self.health.failed(Trouble {
                kind: Kind::Other,
                line: format!("cannot hold the Service: {too_much}"),
            });
        }
        taken
    }

    fn enter(&mut self, event: Result<Event<SliceObject>, Trouble>) -> Result<(), TooMuch> {
        match event {
            Ok(Event::Init) => {
                self.list.begin();
                if self.published.is_some() {
                    self.health.list_began();
                }
            }
            Ok(Event::InitApply(object)) => {
                let (name, slice) = object.into_parts();
                self.list.add(name, slice)?;
            }
            Ok(Event::InitDone) => self.list.finish(),
            Ok(Event::Apply(object)) => {
                let (name, slice) = object.into_parts();
                if self.list.apply(name, slice)? {
                    self.news();
                }
            }
            Ok(Event::Delete(object)) => {
                let (name, _) = object.into_parts();
                if self.list.delete(&name) {
                    self.news();
                }
            }
            Err(trouble) => self.health.failed(trouble),
        }
        Ok(())
    }

    fn news(&mut self) {
        self.pace.progress();
        self.health.well();
    }

    pub(super) fn look(&mut self, view: View) {
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
    pub(super) async fn publish(&mut self, received: Instant) {
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

    pub(super) fn tell(&self) {
        let trouble = self.health.trouble().or(self.service_trouble.as_deref());
        self.bulletin.set(
            self.health.phase(self.published.is_some()),
            trouble.map(str::to_owned),
        );
    }
}
