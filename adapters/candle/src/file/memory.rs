//! Whether a model fits into memory, asked before it is loaded: afterwards the system would end the process, or swap.
//!
//! Source: proc(5) for `MemAvailable`; "Control Group v2" and "Memory Resource Controller" (v1) in the documentation of
//! the Linux kernel (read 11/2026).

use std::fs;
use std::path::Path;

use super::quantise::Quantization;
use super::{ModelFile, TensorFormat};
use crate::error::LoadError;

/// A cache that has to be smaller than was asked for leaves one part in so many of the free memory to everything else.
const RESERVED_SHARE: u64 = 8;

/// What a model takes, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct MemoryNeed {
    /// Packed weights: see [`ModelFile::packed_bytes`].
    pub weights: u64,
    /// Keys and values, as many as were asked for.
    pub cache: u64,
    /// Keys and values of one whole context, if that is less: without them there is no use in loading it.
    pub least_cache: u64,
    /// What a step computes with, and what loading holds beside the weights.
    pub working: u64,
}

/// What may still be taken, in bytes; `None` where the system does not say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct FreeMemory {
    /// Of the machine.
    pub machine: Option<u64>,
    /// Of the container or service, up to its limit.
    pub limit: Option<u64>,
    /// What the model that answers meanwhile may yet take of it, until this one takes its place.
    pub promised: u64,
}

impl MemoryNeed {
    /// What it can't do without.
    #[must_use]
    pub fn least(&self) -> u64 {
        self.weights.saturating_add(self.least_cache).saturating_add(self.working)
    }

    /// How many bytes of keys and values there is memory for: all that were asked for, or as many as leave a reserve, but
    /// never fewer than one context needs.
    ///
    /// # Errors
    /// There is less memory than even that takes, of which the error gives the numbers.
    pub fn cache_within(&self, path: &Path, free: FreeMemory) -> Result<u64, LoadError> {
        let Some((free_bytes, whose)) = free.fewest() else { return Ok(self.cache) };
        let least = self.least();
        if free_bytes < least {
            return Err(LoadError::Memory { path: path.to_owned(), need: *self, free_bytes, whose });
        }
        let room = (free_bytes - least + self.least_cache).saturating_sub(free.promised);
        if room >= self.cache {
            return Ok(self.cache);
        }
        Ok(room.saturating_sub(free_bytes / RESERVED_SHARE).max(self.least_cache))
    }
}

impl FreeMemory {
    /// The tighter of both bounds, and whose it is.
    #[must_use]
    pub fn fewest(&self) -> Option<(u64, &'static str)> {
        let all = [(self.machine, "the machine"), (self.limit, "the memory limit of this process")];
        all.into_iter().filter_map(|(bytes, whose)| Some((bytes?, whose))).min()
    }

    /// What this machine says now. Only Linux does.
    #[must_use]
    pub fn now() -> Self {
        Self::under(Path::new("/"))
    }

    fn under(root: &Path) -> Self {
        let cgroups = fs::read_to_string(root.join("proc/self/cgroup")).unwrap_or_default();
        let limits = cgroups.lines().filter_map(|line| limit(root, line));
        let machine = field(&root.join("proc/meminfo"), "MemAvailable:").map(|kib| kib * 1024);
        Self { machine, limit: limits.min(), promised: 0 }
    }
}

impl ModelFile {
    /// Memory that the weights take once they are packed, in bytes.
    ///
    /// # Errors
    /// A tensor can't be packed.
    pub fn packed_bytes(&self, wanted: Option<Quantization>) -> Result<u64, LoadError> {
        self.tensors()
            .map(|tensor| {
                let format = self.planned(&tensor, wanted)?;
                let (rows, cols) = (tensor.rows(), tensor.cols());
                // Norms and biases are kept as they are computed with.
                let bytes =
                    if tensor.shape.len() > 1 { format.packed_bytes(rows, cols) } else { size_of::<f32>() * cols };
                Ok(bytes as u64)
            })
            .sum()
    }

    /// The most that encoding one tensor anew takes beside the packed weights, in bytes.
    #[must_use]
    pub fn loading_bytes(&self, wanted: Option<Quantization>) -> u64 {
        let encoded = self.tensors().filter_map(|tensor| {
            let format = self.planned(&tensor, wanted).ok()?;
            let anew = tensor.format != TensorFormat::Known(format);
            anew.then(|| super::format::Encoding::of(format).size(tensor.rows(), tensor.cols()))?
        });
        encoded.max().unwrap_or_default() as u64
    }
}

/// What is left under the limits of one line of `/proc/self/cgroup`: those of the group and of all groups around it.
fn limit(root: &Path, line: &str) -> Option<u64> {
    let mut parts = line.splitn(3, ':').skip(1);
    let (controllers, group) = (parts.next()?, parts.next()?.trim_start_matches('/'));
    let (mount, most, used, reclaimable) = match controllers {
        "" => ("sys/fs/cgroup", "memory.max", "memory.current", "inactive_file"),
        _ if controllers.split(',').any(|controller| controller == "memory") => {
            ("sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
        }
        _ => return None,
    };
    let mount = root.join(mount);
    // In a container the group's own path may not be visible; then its limit is that of the mount.
    let group = mount.join(group);
    let groups = group.ancestors().take_while(|group| group.starts_with(&mount));
    let left = groups.filter_map(|group| {
        // "max" is no number, and means none.
        let most: u64 = fs::read_to_string(group.join(most)).ok()?.trim().parse().ok()?;
        let used: u64 = fs::read_to_string(group.join(used)).ok()?.trim().parse().ok()?;
        let cached = field(&group.join("memory.stat"), reclaimable).unwrap_or_default();
        Some(most.saturating_sub(used.saturating_sub(cached)))
    });
    left.min()
}

/// The number behind a name at the beginning of a line.
fn field(path: &Path, name: &str) -> Option<u64> {
    let text = fs::read_to_string(path).ok()?;
    let mut lines = text.lines().map(str::split_whitespace);
    lines.find_map(|mut words| (words.next() == Some(name)).then(|| words.next()?.parse().ok())?)
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;

    /// A machine of files, by path and content.
    fn machine(files: &[(&str, &str)]) -> TempDir {
        let root = tempfile::tempdir().unwrap();
        for (path, content) in files {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        }
        root
    }

    fn free(files: &[(&str, &str)]) -> FreeMemory {
        FreeMemory::under(machine(files).path())
    }

    const MEMINFO: (&str, &str) = ("proc/meminfo", "MemTotal:  100 kB\nMemFree:  10 kB\nMemAvailable:   50 kB\n");

    #[test]
    fn a_machine_without_limits_has_what_is_available() {
        assert_eq!(free(&[MEMINFO]), FreeMemory { machine: Some(51_200), ..FreeMemory::default() });
        assert_eq!(free(&[]), FreeMemory::default());
        let unlimited = [MEMINFO, ("proc/self/cgroup", "0::/\n"), ("sys/fs/cgroup/memory.max", "max\n")];
        assert_eq!(free(&unlimited).limit, None);
    }

    #[test]
    fn the_tightest_group_counts_and_its_file_cache_does_not() {
        let files = [
            ("proc/self/cgroup", "0::/pod/app\n"),
            ("sys/fs/cgroup/pod/app/memory.max", "max\n"),
            ("sys/fs/cgroup/pod/app/memory.current", "900\n"),
            ("sys/fs/cgroup/pod/memory.max", "5000\n"),
            ("sys/fs/cgroup/pod/memory.current", "3000\n"),
            ("sys/fs/cgroup/pod/memory.stat", "anon 1800\nfile 1200\ninactive_file 1000\n"),
            ("sys/fs/cgroup/memory.max", "9000\n"),
            ("sys/fs/cgroup/memory.current", "1000\n"),
        ];
        assert_eq!(free(&files).limit, Some(3000));
    }

    #[test]
    fn older_groups_are_read_too() {
        let files = [
            ("proc/self/cgroup", "4:cpu,cpuacct:/\n3:memory:/docker/abc\n"),
            // The group's own path is not there inside a container.
            ("sys/fs/cgroup/memory/memory.limit_in_bytes", "4000\n"),
            ("sys/fs/cgroup/memory/memory.usage_in_bytes", "3000\n"),
            ("sys/fs/cgroup/memory/memory.stat", "inactive_file 1\ntotal_inactive_file 500\n"),
        ];
        assert_eq!(free(&files).limit, Some(1500));
    }

    const NEED: MemoryNeed = MemoryNeed { weights: 700, cache: 400, least_cache: 50, working: 100 };

    fn within(machine: Option<u64>, limit: Option<u64>, promised: u64) -> Result<u64, LoadError> {
        NEED.cache_within(Path::new("m.gguf"), FreeMemory { machine, limit, promised })
    }

    #[test]
    fn a_model_that_does_not_fit_is_refused_with_the_numbers() {
        let error = within(Some(5000), Some(849), 0).unwrap_err().to_string();
        for part in ["m.gguf", "850", "700", "50", "100", "849", "limit of this process", "context_tokens"] {
            assert!(error.contains(part), "{part}: {error}");
        }
        assert!(within(Some(10), Some(849), 0).unwrap_err().to_string().contains("the machine"));
        let huge = MemoryNeed { weights: u64::MAX, cache: 1, least_cache: 1, working: 1 };
        assert_eq!(huge.least(), u64::MAX);
    }

    #[test]
    fn a_cache_that_fits_is_given_whole() {
        for free in [Some(1200), Some(9000), None] {
            assert_eq!(within(free, None, 0).unwrap(), 400, "{free:?}");
        }
    }

    #[test]
    fn a_cache_that_does_not_fit_is_as_large_as_leaves_a_reserve() {
        // 399 are left, and 149 of them stay free.
        assert_eq!(within(Some(1199), None, 0).unwrap(), 250);
        assert_eq!(within(Some(9000), Some(1199), 0).unwrap(), 250);
        // The reserve gives way before one context does.
        assert_eq!(within(Some(900), None, 0).unwrap(), 50);
        assert_eq!(within(Some(850), None, 0).unwrap(), 50);
    }

    #[test]
    fn what_a_running_model_may_yet_take_makes_the_cache_smaller_but_refuses_nothing() {
        assert_eq!(within(Some(1300), None, 100).unwrap(), 400);
        assert_eq!(within(Some(1299), None, 100).unwrap(), 399 - 162);
        assert_eq!(within(Some(1200), None, 5000).unwrap(), 50);
        assert_eq!(within(Some(850), None, 5000).unwrap(), 50);
    }
}
