use std::path::Path;

use tokio::sync::{mpsc, watch};

use super::*;
use crate::discovery::Status;

const EMPTY_LIST: &str = "{apiVersion: v1, kind: List}";

fn manifest(addresses: &[&str]) -> String {
    let endpoints: String = addresses
        .iter()
        .map(|address| format!("  - addresses: [{address}]\n"))
        .collect();
    format!(
        "
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata:
  name: cart-a
  labels:
    kubernetes.io/service-name: cart
addressType: IPv4
ports:
  - port: 8080
endpoints:
{endpoints}"
    )
}

/// A running source, and what it sends.
struct Running {
    updates: mpsc::Receiver<Update>,
    status: watch::Receiver<Status>,
    task: tokio::task::JoinHandle<()>,
}

impl Running {
    fn start(path: &Path) -> Self {
        let (updates, received) = mpsc::channel(4);
        let (status, seen) = watch::channel(Status {
            phase: Phase::Starting,
            since: SystemTime::UNIX_EPOCH,
            fresh: None,
            error: None,
        });
        let outlet = Outlet { updates, status };
        let source = run(path.to_owned(), None, Selection::default(), outlet);
        Self {
            updates: received,
            status: seen,
            task: tokio::spawn(source),
        }
    }

    async fn next_list(&mut self) -> Vec<String> {
        let update = self.updates.recv().await.unwrap();
        assert_eq!(update.triggered, None);
        update
            .endpoints
            .iter()
            .map(|endpoint| endpoint.address().ip().to_string())
            .collect()
    }

    async fn until(&mut self, holds: impl Fn(&Status) -> bool) -> Status {
        self.status
            .wait_for(|status| holds(status))
            .await
            .unwrap()
            .clone()
    }

    async fn until_phase(&mut self, phase: Phase) -> Status {
        self.until(|status| status.phase == phase).await
    }
}

#[tokio::test]
async fn a_change_is_published_and_so_is_an_empty_list() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("slices.yaml");
    std::fs::write(&path, manifest(&["10.0.0.1"])).unwrap();
    let mut running = Running::start(&path);
    assert_eq!(running.next_list().await, ["10.0.0.1"]);
    let status = running.until_phase(Phase::Live).await;
    assert!(status.fresh.is_some());
    assert_eq!(status.error, None);

    // In place.
    std::fs::write(&path, manifest(&["10.0.0.2", "10.0.0.1"])).unwrap();
    assert_eq!(running.next_list().await, ["10.0.0.1", "10.0.0.2"]);

    // By another file in its stead.
    let new = folder.path().join("new");
    std::fs::write(&new, EMPTY_LIST).unwrap();
    std::fs::rename(&new, &path).unwrap();
    assert_eq!(running.next_list().await, Vec::<String>::new());
    assert_eq!(running.status.borrow().phase, Phase::Live);
}

#[tokio::test]
async fn a_swapped_symlink_is_a_change() {
    use std::os::unix::fs::symlink;

    // As the kubelet mounts a ConfigMap: slices.yaml -> ..data/slices.yaml, ..data -> a folder with a date.
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    for (version, address) in [("..1", "10.0.0.1"), ("..2", "10.0.0.2")] {
        std::fs::create_dir(root.join(version)).unwrap();
        std::fs::write(root.join(version).join("slices.yaml"), manifest(&[address])).unwrap();
    }
    symlink("..1", root.join("..data")).unwrap();
    let path = root.join("slices.yaml");
    symlink("..data/slices.yaml", &path).unwrap();
    let mut running = Running::start(&path);
    assert_eq!(running.next_list().await, ["10.0.0.1"]);

    symlink("..2", root.join("..data_tmp")).unwrap();
    std::fs::rename(root.join("..data_tmp"), root.join("..data")).unwrap();
    assert_eq!(running.next_list().await, ["10.0.0.2"]);
}

#[tokio::test]
async fn a_broken_or_missing_file_keeps_the_last_list_and_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("slices.yaml");
    std::fs::write(&path, manifest(&["10.0.0.1"])).unwrap();
    let mut running = Running::start(&path);
    assert_eq!(running.next_list().await, ["10.0.0.1"]);
    running.until_phase(Phase::Live).await;

    for (broken, said) in [("endpoints: [", "neither YAML nor JSON"), ("", "is empty")] {
        std::fs::write(&path, broken).unwrap();
        let contains = |status: &Status| status.error.as_ref().is_some_and(|e| e.contains(said));
        let status = running.until(contains).await;
        assert_eq!(status.phase, Phase::Stale);
        assert!(status.error.unwrap().starts_with(path.to_str().unwrap()));
    }
    std::fs::remove_file(&path).unwrap();
    let missing = |status: &Status| {
        status
            .error
            .as_ref()
            .is_some_and(|e| e.contains("cannot be read"))
    };
    let status = running.until(missing).await;
    assert_eq!(status.phase, Phase::Stale);
    assert!(running.updates.is_empty());

    // The same list again is no news, but the file is well.
    std::fs::write(&path, manifest(&["10.0.0.1"])).unwrap();
    let status = running.until_phase(Phase::Live).await;
    assert_eq!(status.error, None);
    assert!(running.updates.is_empty());
    std::fs::write(&path, manifest(&["10.0.0.2"])).unwrap();
    assert_eq!(running.next_list().await, ["10.0.0.2"]);
}

#[tokio::test]
async fn a_file_that_is_missing_at_first_is_waited_for() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("slices.yaml");
    let mut running = Running::start(&path);
    let status = running.until(|status| status.error.is_some()).await;
    assert_eq!(status.phase, Phase::Starting);
    assert_eq!(status.fresh, None);

    std::fs::write(&path, manifest(&["10.0.0.1"])).unwrap();
    assert_eq!(running.next_list().await, ["10.0.0.1"]);
    running.until_phase(Phase::Live).await;
}

#[tokio::test]
async fn a_file_that_stays_as_it_is_keeps_the_list_fresh() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("slices.yaml");
    std::fs::write(&path, manifest(&["10.0.0.1"])).unwrap();
    let mut running = Running::start(&path);
    let first = running.until(|status| status.fresh.is_some()).await;
    // Freshness wakes nobody, so it has to be looked at.
    while running.status.borrow().fresh == first.fresh {
        tokio::time::sleep(POLL).await;
    }
    assert_eq!(running.next_list().await, ["10.0.0.1"]);
    assert!(running.updates.is_empty());
}

#[tokio::test]
async fn the_source_ends_with_membership() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("slices.yaml");
    std::fs::write(&path, manifest(&["10.0.0.1"])).unwrap();
    let mut running = Running::start(&path);
    running.next_list().await;
    drop(running.updates);
    running.task.await.unwrap();
}

#[test]
fn a_file_is_read_once_it_has_settled_and_only_then() {
    let version = |n| Ok((1, 2, n, (3, 4), (5, 6)));
    let mut polls = Polls::default();
    let mut next = |now| polls.next(now);
    assert_eq!(next(version(1)), State::Changing);
    assert_eq!(next(version(1)), State::Settled);
    assert_eq!(next(version(1)), State::AsRead);
    for n in 2..10 {
        assert_eq!(next(version(n)), State::Changing);
    }
    assert_eq!(next(version(9)), State::Settled);
    // Gone for a moment, as while an editor puts a new file in its place.
    assert_eq!(next(Err(io::ErrorKind::NotFound)), State::Changing);
    assert_eq!(next(version(10)), State::Changing);
    assert_eq!(next(version(10)), State::Settled);
    // Gone for good.
    assert_eq!(next(Err(io::ErrorKind::NotFound)), State::Changing);
    assert_eq!(next(Err(io::ErrorKind::NotFound)), State::Settled);
    assert_eq!(next(Err(io::ErrorKind::NotFound)), State::AsRead);
}

#[test]
fn what_is_no_file_is_refused_without_waiting_for_it() {
    let folder = tempfile::tempdir().unwrap();
    let none = |path: &Path| read(path, None, &Selection::default()).unwrap_err();
    assert!(matches!(none(folder.path()), FileError::NotAFile));
    assert!(matches!(none(Path::new("/dev/zero")), FileError::NotAFile));
    let missing = none(&folder.path().join("missing"));
    assert!(missing.to_string().starts_with("cannot be read: "));
}

#[test]
fn a_file_that_is_too_large_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("slices.yaml");
    let file = std::fs::File::create(&path).unwrap();
    file.set_len(MOST_BYTES + 1).unwrap();
    let error = read(&path, None, &Selection::default()).unwrap_err();
    assert_eq!(error.to_string(), "is larger than 16 MiB");
}
