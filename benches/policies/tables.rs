//! The tables of docs/policies.md.

use std::fmt::Write;
use std::time::Duration;

use podrobin::config::Policy;

use super::guards::Guards;
use super::scene::{Scene, Seen};

/// What clients waited, then whom the odd pods' requests went to and what failed.
pub fn table<'a>(
    guards: Guards,
    policies: &[Policy],
    rows: impl Iterator<Item = (&'a Scene, &'a [Seen])>,
) -> String {
    let title = match guards {
        Guards::Nothing => "The policy alone",
        Guards::Usual => "As a sidecar is by default",
        Guards::All => "With all guards",
        Guards::Again => "With what is sent again",
    };
    let names: Vec<&str> = policies.iter().map(short).collect();
    let head = format!(
        "| pods | {} |\n|---|{}\n",
        names.join(" | "),
        "---|".repeat(names.len())
    );
    let mut waits = head.clone();
    let mut shares = head;
    for (scene, seen) in rows {
        // Writing to a text cannot fail.
        let _ = write!(waits, "| {} |", scene.name);
        for seen in seen {
            let [p50, p99, p999] = [seen.p50, seen.p99, seen.p999].map(millis);
            let _ = write!(waits, " {p50:.0} / {p99:.0} / {p999:.0} |");
        }
        waits.push('\n');
        if scene.odd == 0 && seen.iter().all(|seen| seen.failed + seen.again == 0.0) {
            continue;
        }
        let _ = write!(shares, "| {} |", scene.name);
        for seen in seen {
            let odd = match scene.odd {
                0 => "-".to_owned(),
                _ => format!("{:.2}", seen.odd),
            };
            let _ = write!(shares, " {odd}, {:.2} %", seen.failed * 100.0);
            if guards == Guards::Again {
                let _ = write!(shares, ", {:.1} %", seen.again * 100.0);
            }
            shares.push_str(" |");
        }
        shares.push('\n');
    }
    let again = match guards {
        Guards::Again => ", sent again",
        _ => "",
    };
    format!(
        "{title}: p50 / p99 / p99.9 in ms\n\n{waits}\n{title}: share of the odd pods, failed{again}\n\n{shares}"
    )
}

/// As a column is headed.
pub fn short(policy: &Policy) -> &'static str {
    match policy {
        Policy::LeastRequest { choices: 5 } => "of 5",
        Policy::Hash(_) => "hash:path",
        policy => policy.name(),
    }
}

pub fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}
