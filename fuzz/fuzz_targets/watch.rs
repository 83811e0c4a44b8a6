//! Lines of a watch -> slices -> list, after each line.
#![no_main]

use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube_core::WatchEvent;
use libfuzzer_sys::fuzz_target;
use podrobin::discovery::slices::{Selection, Slice, Slices, fold};

fuzz_target!(|bytes: &[u8]| {
    let mut slices = Slices::new();
    for line in bytes.split(|byte| *byte == b'\n') {
        let Ok(event) = serde_json::from_slice::<WatchEvent<EndpointSlice>>(line) else {
            continue;
        };
        match event {
            WatchEvent::Added(object) | WatchEvent::Modified(object) => {
                let name = object.metadata.name.clone().unwrap_or_default();
                slices.insert(name, Slice::from(object));
            }
            WatchEvent::Deleted(object) => {
                slices.remove(&object.metadata.name.unwrap_or_default());
            }
            WatchEvent::Bookmark(_) | WatchEvent::Error(_) => {}
        }
        invariants::check(&fold(&slices, &Selection::default()));
    }
});
