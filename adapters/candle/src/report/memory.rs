//! How much memory this process takes.

use std::fs;

use serde::Serialize;

/// Memory that is really there, without what was only reserved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct ResidentMemory {
    pub now_bytes: u64,
    /// The most there was at once.
    pub peak_bytes: u64,
}

impl ResidentMemory {
    /// What the system says; `None` where it is not asked in Linux's way.
    #[must_use]
    pub fn of_this_process() -> Option<Self> {
        Self::parse(&fs::read_to_string("/proc/self/status").ok()?)
    }

    /// Source: `proc_pid_status(5)`: `VmRSS:` and `VmHWM:` in kibibytes.
    fn parse(status: &str) -> Option<Self> {
        let field = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name))?;
            let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
            kibibytes.checked_mul(1024)
        };
        Some(Self { now_bytes: field("VmRSS:")?, peak_bytes: field("VmHWM:")? })
    }
}

#[cfg(test)]
mod tests {
    use super::ResidentMemory;

    #[test]
    fn the_status_file_is_understood() {
        let status = "Name:\tmagpie\nVmHWM:\t    2048 kB\nVmRSS:\t    1024 kB\n";
        let memory = ResidentMemory { now_bytes: 1 << 20, peak_bytes: 2 << 20 };
        assert_eq!(ResidentMemory::parse(status), Some(memory));
        assert_eq!(ResidentMemory::parse("Name:\tmagpie\n"), None);
    }
}
