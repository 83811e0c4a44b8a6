//! Lines of a watch -> slices -> list, after each line.
#![no_main]

use kube_core::WatchEvent;
use libfuzzer_sys::fuzz_target;
use podrobin::discovery::slices::{Selection, SliceObject, Slices, fold};

fuzz_target!(|bytes: &[u8]| {
    let mut slices = Slices::new();
    for line in bytes.split(|byte| *byte == b'\n') {
        let Ok(event) = serde_json::from_slice::<WatchEvent<SliceObject>>(line) else {
            continue;
        };
        match event {
            WatchEvent::Added(object) | WatchEvent::Modified(object) => {
                let (name, slice) = object.into_parts();
                assert!(!name.is_empty());
                // What is kept is no more than some times what was sent.
                assert!(slice.weight() < 1_000 + 64 * line.len());
                slices.insert(name, slice);
            }
            WatchEvent::Deleted(object) => {
                slices.remove(&object.into_parts().0);
            }
            WatchEvent::Bookmark(_) | WatchEvent::Error(_) => {}
        }
        invariants::check(&fold(&slices, &Selection::default()));
    }
});
