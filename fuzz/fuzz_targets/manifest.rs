//! A file of manifests -> list.
#![no_main]

use libfuzzer_sys::fuzz_target;
use podrobin::config::{FileSelector, PortRef};
use podrobin::discovery::file::parse;
use podrobin::discovery::slices::Selection;

fuzz_target!(|text: &[u8]| {
    let cart = |port| {
        Some(FileSelector {
            namespace: None,
            name: "cart".to_owned(),
            port,
        })
    };
    for selector in [
        None,
        cart(PortRef::Only),
        cart(PortRef::Name("http".to_owned())),
        cart(PortRef::Number(80)),
    ] {
        match parse(text, selector.as_ref(), &Selection::default()) {
            Ok(fold) => invariants::check(&fold),
            Err(error) => invariants::check_line(&error.to_string()),
        }
    }
});
