//! What Linux says of this process, under the names Prometheus' client libraries use.

use std::path::Path;

/// One reading of /proc/self. What cannot be read is left out.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Process {
    /// Seconds of CPU time, user and system.
    pub cpu_seconds: Option<f64>,
    pub resident_bytes: Option<u64>,
    pub open_fds: Option<u64>,
    pub max_fds: Option<u64>,
    pub threads: Option<u64>,
}

/// Clock ticks a second in /proc: the kernel's interface has it at 100 on every architecture Rust runs on.
const TICKS: f64 = 100.0;

impl Process {
    pub fn read() -> Self {
        let read = |name: &str| std::fs::read_to_string(Path::new("/proc/self").join(name)).ok();
        let status = read("status").unwrap_or_default();
        let open_fds = std::fs::read_dir("/proc/self/fd")
            .ok()
            .and_then(|entries| u64::try_from(entries.count()).ok())
            // Reading the directory takes one itself.
            .map(|count| count.saturating_sub(1));
        Self {
            cpu_seconds: read("stat").as_deref().and_then(cpu_seconds),
            resident_bytes: number_after(&status, "VmRSS:").map(|kib| kib * 1024),
            open_fds,
            max_fds: read("limits").and_then(|limits| number_after(&limits, "Max open files")),
            threads: number_after(&status, "Threads:"),
        }
    }
}

/// utime and stime of proc_pid_stat(5), the 14th and 15th field. The second is a name in parentheses that may hold
/// anything, so fields are counted from the last parenthesis.
fn cpu_seconds(stat: &str) -> Option<f64> {
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_whitespace().skip(11);
    let user: u32 = fields.next()?.parse().ok()?;
    let system: u32 = fields.next()?.parse().ok()?;
    Some((f64::from(user) + f64::from(system)) / TICKS)
}

/// The first number of the line that begins so.
fn number_after(text: &str, start: &str) -> Option<u64> {
    text.lines()
        .find_map(|line| line.strip_prefix(start))?
        .split_whitespace()
        .next()?
        .parse()
        .ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpu_time_is_found_behind_any_name() {
        let stat = "1 (a b) ) (c) S 0 1 1 0 -1 4 1 0 0 0 250 150 0 0 20 0 5 0 1 1 1";
        assert_eq!(cpu_seconds(stat), Some(4.0));
        assert_eq!(cpu_seconds("1 (a"), None);
    }

    #[test]
    fn figures_are_read_by_the_start_of_their_line() {
        let text = "VmHWM:\t 9 kB\nVmRSS:\t    2048 kB\nMax open files  1024  4096  files\n";
        assert_eq!(number_after(text, "VmRSS:"), Some(2048));
        assert_eq!(number_after(text, "Max open files"), Some(1024));
        assert_eq!(number_after(text, "Threads:"), None);
    }

    #[test]
    fn this_process_can_be_read() {
        let process = Process::read();
        assert!(process.resident_bytes.unwrap() > 100_000);
        assert!(process.open_fds.unwrap() >= 3);
        assert!(process.max_fds.unwrap() >= process.open_fds.unwrap());
        assert!(process.threads.unwrap() >= 1);
        assert!(process.cpu_seconds.unwrap() >= 0.0);
    }
}
