//! How many cores there are: two threads of one core only get in each other's way.

use std::collections::HashSet;
use std::path::Path;
use std::{fs, thread};

/// Physical cores that this process may use; where the system does not say, what it may run at once.
pub(super) fn physical() -> usize {
    let logical = thread::available_parallelism().map_or(1, usize::from);
    let allowed = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let allowed = allowed.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:")).and_then(list);
    let cores = allowed.and_then(|cpus| distinct(Path::new("/sys/devices/system/cpu"), &cpus));
    // The smaller one: a container's quota shows in the first figure only.
    cores.map_or(logical, |cores| cores.min(logical)).max(1)
}

/// Cores that `cpus` are threads of.
fn distinct(root: &Path, cpus: &[usize]) -> Option<usize> {
    let siblings = |cpu: &usize| {
        let file = root.join(format!("cpu{cpu}/topology/thread_siblings_list"));
        list(&fs::read_to_string(file).ok()?)?.first().copied()
    };
    let firsts: Option<HashSet<usize>> = cpus.iter().map(siblings).collect();
    firsts.map(|firsts| firsts.len())
}

/// The kernel's lists: `0-3,8,10-11`.
fn list(text: &str) -> Option<Vec<usize>> {
    let mut all = Vec::new();
    for part in text.trim().split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        all.extend(first.parse::<usize>().ok()?..=last.parse().ok()?);
    }
    Some(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_the_kernel_are_read() {
        assert_eq!(list("\t0-3,8,10-11\n"), Some(vec![0, 1, 2, 3, 8, 10, 11]));
        assert_eq!(list("5"), Some(vec![5]));
        assert_eq!(list(""), None);
        assert_eq!(list("a-b"), None);
    }

    #[test]
    fn there_is_at_least_one_core_and_no_more_than_threads_at_once() {
        let cores = physical();
        assert!(cores >= 1 && cores <= thread::available_parallelism().map_or(1, usize::from));
    }

    #[test]
    fn an_unknown_topology_gives_no_answer() {
        assert_eq!(distinct(Path::new("/nowhere"), &[0, 1]), None);
    }
}
