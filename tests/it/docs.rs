//! Documents that repeat what the program knows, held against it.

use std::fmt::Write;
use std::path::Path;

use podrobin::admin::{COMMON, FAMILIES, Family};
use podrobin::inject::ANNOTATIONS;
use podrobin::webhook;

/// What stands between the marks `<!-- NAME -->` and `<!-- end of NAME -->`.
fn part(file: &str, name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
    let text = std::fs::read_to_string(&path).unwrap();
    let (_, rest) = text.split_once(&format!("<!-- {name} -->\n")).unwrap();
    let (part, _) = rest.split_once(&format!("<!-- end of {name} -->")).unwrap();
    part.to_owned()
}

fn assert_same(file: &str, name: &str, expected: &str) {
    let found = part(file, name);
    assert!(
        found == expected,
        "{file} is behind the code; between its `{name}` marks it should say:\n{expected}"
    );
}

/// Flags by heading, in the order of `--help`.
fn flags(command: &clap::Command) -> String {
    let mut out = String::new();
    let mut heading = None;
    for arg in command.get_arguments().filter(|arg| !arg.is_positional()) {
        let (Some(long), Some(variable)) = (arg.get_long(), arg.get_env()) else {
            assert_eq!(arg.get_long(), Some("help"), "{arg} has no variable");
            continue;
        };
        if arg.get_help_heading() != heading {
            heading = arg.get_help_heading();
            write!(out, "\n### {}\n", heading.unwrap()).unwrap();
        }
        if !out.ends_with("|\n") {
            out.push_str("\n| flag | environment | default | meaning |\n|---|---|---|---|\n");
        }
        let value = arg
            .get_value_names()
            .filter(|_| arg.get_action().takes_values())
            .map(|names| format!(" {}", names[0]))
            .unwrap_or_default();
        let default = match arg.get_default_values() {
            [] => String::new(),
            [default, ..] => format!("`{}`", default.to_string_lossy()),
        };
        let mut meaning = arg.get_help().unwrap().to_string();
        let choices: Vec<String> = arg
            .get_possible_values()
            .iter()
            .filter(|_| arg.get_action().takes_values())
            .map(|choice| format!("`{}`", choice.get_name()))
            .collect();
        if !choices.is_empty() {
            write!(meaning, ": {}", choices.join(", ")).unwrap();
        }
        writeln!(
            out,
            "| `--{long}{value}` | `{}` | {default} | {meaning} |",
            variable.to_string_lossy()
        )
        .unwrap();
    }
    out.push('\n');
    out
}

#[test]
fn the_table_of_settings_is_what_help_says() {
    let command = podrobin::cli::command();
    for name in ["run", "webhook", "demo", "inject", "await"] {
        let command = command.find_subcommand(name).unwrap();
        assert_same(
            "docs/configuration.md",
            &format!("flags of {name}"),
            &flags(command),
        );
    }
}

/// Flags of one meaning in several commands have one variable.
fn prefix(command: &str, heading: Option<&str>) -> &'static str {
    match (command, heading) {
        ("run", _) | (_, Some("Logs")) => "PODROBIN_",
        (_, Some("Sidecar")) => "PODROBIN_INJECT_",
        ("webhook", _) => "PODROBIN_WEBHOOK_",
        ("demo", _) => "PODROBIN_DEMO_",
        ("inject", _) => "PODROBIN_INJECT_",
        ("uninject", _) => "PODROBIN_UNINJECT_",
        ("await", _) => "PODROBIN_AWAIT_",
        ("sleep", _) => "PODROBIN_SLEEP_",
        _ => panic!("{command}"),
    }
}

#[test]
fn every_flag_has_a_variable_of_its_name() {
    for name in [
        "run", "webhook", "demo", "inject", "uninject", "await", "sleep",
    ] {
        let command = podrobin::cli::command();
        let command = command.find_subcommand(name).unwrap();
        for arg in command.get_arguments().filter(|arg| !arg.is_positional()) {
            let long = arg.get_long().unwrap();
            if long == "help" {
                continue;
            }
            // It asks the sidecar whose variable that is, beside which it runs.
            if (name, long) == ("await", "admin") {
                assert_eq!(arg.get_env().unwrap(), "PODROBIN_ADMIN");
                continue;
            }
            let prefix = prefix(name, arg.get_help_heading());
            let expected = format!("{prefix}{}", long.replace('-', "_").to_uppercase());
            assert_eq!(arg.get_env().unwrap(), expected.as_str());
        }
    }
}

/// The table of annotations, and each name outside it: a document must not promise one that is refused.
#[test]
fn the_table_of_annotations_is_what_injection_knows() {
    let mut expected = String::from(
        "\n| annotation | example | default | variable | meaning |\n|---|---|---|---|---|\n",
    );
    let code = |text: &str| match text {
        "" => String::new(),
        text => format!("`{text}`"),
    };
    for annotation in ANNOTATIONS {
        writeln!(
            expected,
            "| `{}` | {} | {} | {} | {} |",
            annotation.name,
            code(annotation.example),
            code(annotation.default),
            code(annotation.variable.unwrap_or_default()),
            annotation.meaning
        )
        .unwrap();
    }
    expected.push('\n');
    assert_same("docs/annotations.md", "annotations", &expected);
    for file in ["docs/annotations.md", "docs/injection.md", "README.md"] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
        let text = std::fs::read_to_string(path).unwrap();
        for rest in text.split("podrobin.io/").skip(1) {
            let end = rest.find(|c: char| !(c.is_ascii_lowercase() || c == '-'));
            let name = format!("podrobin.io/{}", &rest[..end.unwrap_or(rest.len())]);
            let known = ANNOTATIONS.iter().any(|known| known.name == name);
            assert!(known || name == "podrobin.io/", "{file} has {name}");
        }
    }
}

#[test]
fn examples_and_defaults_of_annotations_are_taken() {
    for annotation in ANNOTATIONS {
        for value in [annotation.example, annotation.default] {
            let written_by_podrobin = annotation.name == "podrobin.io/kept";
            if value.is_empty() || written_by_podrobin {
                continue;
            }
            let mut pod = serde_json::json!({
                "metadata": {"namespace": "shop", "annotations": {"podrobin.io/service": "cart:80"}},
                "spec": {"containers": [{"name": "app"}]},
            });
            pod["metadata"]["annotations"][annotation.name] = value.into();
            let outcome = podrobin::inject::inject_pod(&mut pod, None, &Default::default());
            assert!(outcome.is_ok(), "{}: {value}: {outcome:?}", annotation.name);
        }
    }
}

fn table(families: impl Iterator<Item = Family<()>>) -> String {
    let mut expected = String::from("\n| name | type | labels | meaning |\n|---|---|---|---|\n");
    for family in families {
        let labels: Vec<String> = family
            .labels
            .iter()
            .map(|label| format!("`{label}`"))
            .collect();
        writeln!(
            expected,
            "| `{}` | {} | {} | {} |",
            family.sample_name(),
            family.kind.as_str(),
            labels.join(", "),
            family.help
        )
        .unwrap();
    }
    expected.push('\n');
    expected
}

#[test]
fn the_tables_of_metrics_are_what_is_exported() {
    let sidecar = table(FAMILIES.iter().map(Family::head));
    assert_same("docs/metrics.md", "metrics of the sidecar", &sidecar);
    let webhook = table(webhook::FAMILIES.iter().map(Family::head));
    assert_same("docs/metrics.md", "metrics of the webhook", &webhook);
    let common = table(COMMON.iter().map(Family::head));
    assert_same("docs/metrics.md", "metrics of all", &common);
}
