//! The layers that docs/ARCHITECTURE.md draws, against what the modules import.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

const DRAWING: &str = include_str!("../../docs/ARCHITECTURE.md");

/// Each module with its line in the drawing, from the top.
fn layers() -> BTreeMap<&'static str, usize> {
    let (_, section) = DRAWING.split_once("## Layers").unwrap();
    let block = section.split("```").nth(1).unwrap();
    block
        .lines()
        .enumerate()
        .flat_map(|(line, names)| names.split_whitespace().map(move |name| (name, line)))
        .collect()
}

/// Every file of the sources, tests apart: they may look anywhere.
fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            if path.file_name().unwrap() != "tests" {
                found.extend(sources(&path));
            }
        } else if path.file_name().unwrap() != "tests.rs" {
            found.push(path);
        }
    }
    found
}

/// The module at the root of the crate that a file belongs to.
fn module(file: &Path, root: &Path) -> String {
    let inside = file.strip_prefix(root).unwrap();
    let first = inside.components().next().unwrap().as_os_str();
    first.to_string_lossy().trim_end_matches(".rs").to_owned()
}

/// Modules that a source names by `crate::`, up to its own tests.
fn imports(text: &str) -> Vec<&str> {
    let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
    code.split("crate::")
        .skip(1)
        .map(|rest| {
            let end = rest.find(|c: char| !(c.is_ascii_lowercase() || c == '_'));
            &rest[..end.unwrap_or(rest.len())]
        })
        .filter(|name| !name.is_empty())
        .collect()
}

#[test]
fn modules_import_from_the_layers_below_them_alone() {
    let layers = layers();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut wrong = Vec::new();
    let mut seen = 0;
    for file in sources(&root) {
        let module = module(&file, &root);
        if module == "lib" {
            continue;
        }
        let Some(own) = layers.get(module.as_str()) else {
            wrong.push(format!("{module} is not in the drawing"));
            continue;
        };
        let text = std::fs::read_to_string(&file).unwrap();
        for import in imports(&text).into_iter().filter(|name| *name != module) {
            seen += 1;
            if layers.get(import).is_none_or(|layer| layer <= own) {
                wrong.push(format!("{} imports {import}", file.display()));
            }
        }
    }
    assert!(seen > 50, "only {seen} imports were found");
    assert!(wrong.is_empty(), "{wrong:#?}");
}
