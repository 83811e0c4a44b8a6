use super::*;

/// The rows of the table in docs/errors.md, cell by cell.
fn documented() -> Vec<Vec<String>> {
    include_str!("../../docs/errors.md")
        .lines()
        .filter(|line| line.starts_with("| ") && !line.starts_with("| what failed"))
        .map(|line| {
            let cells = line.trim_matches('|').split('|');
            cells.map(|cell| cell.trim().to_owned()).collect()
        })
        .collect()
}

#[test]
fn the_docs_show_this_table() {
    let rows: Vec<Vec<String>> = Kind::ALL
        .iter()
        .map(|kind| {
            let row = kind.row();
            let retry = match row.retry {
                Retry::AnyMethod => "any method",
                Retry::Idempotent => "idempotent methods, or if nothing was sent",
                Retry::No => "no",
            };
            let blames = if row.blames_pod { "yes" } else { "no" };
            let status = row.status.as_u16().to_string();
            let cells = [
                row.name,
                &status,
                row.code.as_str(),
                row.flag.as_str(),
                retry,
                blames,
            ];
            cells.map(str::to_owned).to_vec()
        })
        .collect();
    assert_eq!(documented(), rows);
}

#[test]
fn every_kind_and_every_flag_is_listed_once() {
    let kinds: std::collections::HashSet<_> =
        Kind::ALL.iter().map(|kind| kind.row().name).collect();
    assert_eq!(kinds.len(), Kind::ALL.len());
    for (index, flag) in Flag::ALL.iter().enumerate() {
        assert_eq!(*flag as usize, index, "metrics index by the flag's number");
    }
    for kind in Kind::ALL {
        assert_eq!(kind.row().kind, kind);
        assert_ne!(kind.row().flag, Flag::None);
    }
}
