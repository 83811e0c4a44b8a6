//! How many worker threads suit the CPUs this process may use.
//!
//! The CPU limit of a container is a quota of its control group: so much time in each period. The standard library
//! rounds such a limit down; a limit of 1.5 CPUs is better used by two threads.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

/// Threads where nothing limits the CPU: a sidecar is a guest on a node that may have a hundred of them, and each
/// thread has its own connections to every pod.
const WITHOUT_LIMIT: usize = 2;

/// The container's CPU limit rounded up, at least 1 and at most the number of CPUs; without a limit 2 at most.
pub fn suitable_workers() -> NonZeroUsize {
    let read = |path: &Path| std::fs::read_to_string(path).ok();
    let cpus = read(Path::new("/proc/self/status"))
        .and_then(|status| allowed_cpus(&status))
        .or_else(|| std::thread::available_parallelism().ok())
        .unwrap_or(NonZeroUsize::MIN);
    let groups = read(Path::new("/proc/self/cgroup")).unwrap_or_default();
    workers(limit(&groups, read), cpus)
}

fn workers(limit: Option<f64>, cpus: NonZeroUsize) -> NonZeroUsize {
    let wanted = limit.map_or(WITHOUT_LIMIT, |limit| {
        (1..cpus.get())
            .find(|threads| *threads as f64 >= limit)
            .unwrap_or(cpus.get())
    });
    NonZeroUsize::new(wanted)
        .unwrap_or(NonZeroUsize::MIN)
        .min(cpus)
}

/// The tightest CPU limit of the process's control groups, in CPUs. `groups` is /proc/self/cgroup; `read` gives a
/// file's text, or nothing where there is no such file.
fn limit(groups: &str, read: impl Fn(&Path) -> Option<String>) -> Option<f64> {
    groups
        .lines()
        .filter_map(|line| {
            // hierarchy-ID:controllers:path (cgroups(7))
            let (_, rest) = line.split_once(':')?;
            rest.split_once(':')
        })
        .flat_map(|(controllers, path)| quotas(controllers, path, &read))
        .min_by(f64::total_cmp)
}

/// The limits of one group and of those it lies in.
fn quotas(controllers: &str, path: &str, read: impl Fn(&Path) -> Option<String>) -> Vec<f64> {
    let version_2 = controllers.is_empty();
    let mount = if version_2 {
        "/sys/fs/cgroup"
    } else if controllers.split(',').any(|name| name == "cpu") {
        "/sys/fs/cgroup/cpu"
    } else {
        return Vec::new();
    };
    // In a container the mount often begins at the container's own group, while the path is the node's: then only
    // the last step up, the mount itself, finds the file.
    Path::new(path)
        .ancestors()
        .map(|group| Path::new(mount).join(group.strip_prefix("/").unwrap_or(group)))
        .filter_map(|group: PathBuf| {
            if version_2 {
                quota(&read(&group.join("cpu.max"))?)
            } else {
                let quota_text = read(&group.join("cpu.cfs_quota_us"))?;
                let period_text = read(&group.join("cpu.cfs_period_us"))?;
                quota(&format!("{} {}", quota_text.trim(), period_text.trim()))
            }
        })
        .collect()
}

/// `QUOTA PERIOD`, both in microseconds; `max` (version 2) and -1 (version 1) are no limit.
fn quota(text: &str) -> Option<f64> {
    let mut numbers = text.split_whitespace();
    let quota: u32 = numbers.next()?.parse().ok()?;
    let period: u32 = numbers.next()?.parse().ok()?;
    (quota > 0 && period > 0).then(|| f64::from(quota) / f64::from(period))
}

/// The number of CPUs in `Cpus_allowed_list: 0-3,8` of /proc/self/status.
fn allowed_cpus(status: &str) -> Option<NonZeroUsize> {
    let list = status
        .lines()
        .find_map(|line| line.strip_prefix("Cpus_allowed_list:"))?;
    let mut cpus = 0_usize;
    for range in list.trim().split(',') {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        let (first, last) = (first.parse::<usize>().ok()?, last.parse::<usize>().ok()?);
        cpus = cpus.checked_add(last.checked_sub(first)?.checked_add(1)?)?;
    }
    NonZeroUsize::new(cpus)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limit_of(groups: &str, files: &[(&str, &str)]) -> Option<f64> {
        limit(groups, |path| {
            files
                .iter()
                .find(|(name, _)| Path::new(name) == path)
                .map(|(_, text)| (*text).to_owned())
        })
    }

    fn threads(limit: Option<f64>, cpus: usize) -> usize {
        workers(limit, NonZeroUsize::new(cpus).unwrap()).get()
    }

    #[test]
    fn a_limit_is_rounded_up_and_kept_between_one_and_the_cpus() {
        assert_eq!(threads(Some(0.05), 8), 1);
        assert_eq!(threads(Some(1.0), 8), 1);
        assert_eq!(threads(Some(1.5), 8), 2);
        assert_eq!(threads(Some(7.1), 8), 8);
        assert_eq!(threads(Some(64.0), 8), 8);
        assert_eq!(threads(None, 64), 2);
        assert_eq!(threads(None, 1), 1);
    }

    #[test]
    fn version_2_reads_cpu_max() {
        let here = "0::/\n";
        let limit = |text| limit_of(here, &[("/sys/fs/cgroup/cpu.max", text)]);
        assert_eq!(limit("150000 100000\n"), Some(1.5));
        assert_eq!(limit("max 100000\n"), None);
        assert_eq!(limit("garbage\n"), None);
        assert_eq!(limit("100000 0\n"), None);
        assert_eq!(limit_of(here, &[]), None);
    }

    #[test]
    fn the_tightest_of_nested_groups_counts() {
        let files = [
            ("/sys/fs/cgroup/kubepods/pod1/cpu.max", "200000 100000"),
            ("/sys/fs/cgroup/kubepods/pod1/app/cpu.max", "max 100000"),
            ("/sys/fs/cgroup/kubepods/cpu.max", "6400000 100000"),
        ];
        assert_eq!(limit_of("0::/kubepods/pod1/app", &files), Some(2.0));
    }

    #[test]
    fn version_1_reads_quota_and_period_even_where_the_path_is_the_nodes() {
        let groups = "9:name=systemd:/\n4:cpuset:/x\n3:cpu,cpuacct:/kubepods/pod1/app\n";
        let own = |quota| {
            limit_of(
                groups,
                &[
                    ("/sys/fs/cgroup/cpu/cpu.cfs_quota_us", quota),
                    ("/sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000\n"),
                ],
            )
        };
        assert_eq!(own("50000\n"), Some(0.5));
        assert_eq!(own("-1\n"), None);
    }

    #[test]
    fn cpus_are_counted_from_their_list() {
        let count = |list| allowed_cpus(&format!("Name:\tx\nCpus_allowed_list:\t{list}\n"));
        assert_eq!(count("0"), NonZeroUsize::new(1));
        assert_eq!(count("0-3,8,10-11"), NonZeroUsize::new(7));
        assert_eq!(count("3-0"), None);
        assert_eq!(count(""), None);
        assert_eq!(allowed_cpus("Name:\tx\n"), None);
    }
}
