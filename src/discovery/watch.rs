//! Watching a Service: its slices, and what the Service itself adds, folded into updates.
//!
//! ```text
//! API server ─ Events ─> List ─┐
//!            ─ Reader ─> View ─┴─ fold ─ Update ──> membership
//! ```
//! Whatever goes wrong on the way, the last whole list serves on; what went wrong and how to mend it is in the status.

mod health;
mod watching;

use std::pin::pin;
use std::sync::Arc;
use std::time::Instant;

use tokio::sync::{Notify, watch};
use tokio::time::sleep;

use crate::config::{OwnPod, ServiceRef};
use crate::kube_client::{KubeClient, Pulse};

use super::Outlet;
use super::events::Events;
use super::list::List;
use super::service::{Reader, View};

use watching::Watching;

/// Events taken together at most before the list is folded.
const BURST: usize = 1_024;

/// Watches `service` as seen from `pod` until the outlet's receiver is gone.
///
/// There is no wait before the first list: pods do not start in step as a rule, and each millisecond here delays the
/// app behind us. What does come in step, when an API server goes away, is jittered (see [`crate::kube_client::Pace`]).
pub async fn run(client: KubeClient, service: ServiceRef, pod: OwnPod, outlet: Outlet) {
    let session = client.session();
    let settle = client.tuning().settle;
    let doubt = Arc::new(Notify::new());
    let (view_sender, mut view) = watch::channel(View::default());
    let mut events = Events::new(&client, &session, &service);
    let list = List::new(client.tuning().slice_bytes);
    let mut watching = Watching::new(&service, &pod, outlet, session.pace, doubt.clone(), list);
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
            () = watching.abandoned() => return,
            event = events.next() => {
                let received = last_byte(&pulse);
                let mut failed = event.is_err();
                let mut taken = watching.take(event);
                // A burst that has been read already is one change.
                for _ in 1..BURST {
                    if taken.is_err() {
                        break;
                    }
                    let Some(event) = events.ready() else { break };
                    failed |= event.is_err();
                    taken = watching.take(event);
                }
                if taken.is_err() {
                    events.list_anew();
                }
                if failed || taken.is_err() {
                    on_trial = None;
                }
                received
            }
            Ok(()) = pulse.changed() => {
                let beat = *pulse.borrow_and_update();
                if !beat.open {
                    on_trial = None;
                    watching.watch_ended();
                } else if on_trial != Some(beat.watches) && !watching.is_well() {
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
                watching.well();
                Instant::now()
            }
            never = &mut reader => match never {},
        };
        if let Some((_, at)) = pulse.borrow().last_byte {
            watching.fresh(at);
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
