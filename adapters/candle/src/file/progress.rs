//! How far a model is on its way into memory, for whoever shows it.

use tokio::sync::watch;

/// Smaller steps are not told.
const STEP_BYTES: u64 = 4 << 20;

/// What is being done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Stage {
    #[default]
    Starting,
    Downloading,
    Verifying,
    Loading,
    WarmingUp,
}

/// A stage and how much of it is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Progress {
    pub stage: Stage,
    pub done_bytes: u64,
    /// Not known of every download.
    pub total_bytes: Option<u64>,
}

/// Where progress is told; clones share it.
#[derive(Debug, Clone)]
pub struct Reporter(watch::Sender<Progress>);

impl Stage {
    /// Its name for people.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Downloading => "downloading",
            Self::Verifying => "verifying",
            Self::Loading => "loading",
            Self::WarmingUp => "warming up",
        }
    }
}

impl Progress {
    /// Whole percents, where the total is known.
    #[must_use]
    pub fn percent(&self) -> Option<u64> {
        let total = self.total_bytes.filter(|total| *total > 0)?;
        Some(u64::try_from(u128::from(self.done_bytes) * 100 / u128::from(total)).unwrap_or(100).min(100))
    }
}

impl Default for Reporter {
    fn default() -> Self {
        Self(watch::Sender::new(Progress::default()))
    }
}

impl Reporter {
    /// Follows the progress.
    #[must_use]
    pub fn subscribe(&self) -> watch::Receiver<Progress> {
        self.0.subscribe()
    }

    /// The progress now.
    #[must_use]
    pub fn get(&self) -> Progress {
        *self.0.borrow()
    }

    /// Tells of progress. Steps that nobody would notice are swallowed; a new stage and the end of one are not.
    pub fn report(&self, stage: Stage, done_bytes: u64, total_bytes: Option<u64>) {
        self.0.send_if_modified(|told| {
            let same = told.stage == stage && told.total_bytes == total_bytes;
            let ended = total_bytes == Some(done_bytes) && told.done_bytes != done_bytes;
            if same && !ended && told.done_bytes.abs_diff(done_bytes) < STEP_BYTES {
                return false;
            }
            *told = Progress { stage, done_bytes, total_bytes };
            true
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stages_ends_and_large_steps_are_told() {
        let reporter = Reporter::default();
        let mut seen = reporter.subscribe();
        let mut told = |stage, done| {
            reporter.report(stage, done, Some(STEP_BYTES + 10));
            let changed = seen.has_changed().unwrap();
            seen.mark_unchanged();
            changed
        };
        assert!(told(Stage::Downloading, 0));
        assert!(!told(Stage::Downloading, STEP_BYTES - 1));
        assert!(told(Stage::Downloading, STEP_BYTES));
        assert!(told(Stage::Downloading, STEP_BYTES + 10));
        assert!(!told(Stage::Downloading, STEP_BYTES + 10));
        assert!(told(Stage::Verifying, 0));
        assert_eq!((reporter.get().stage.name(), reporter.get().percent()), ("verifying", Some(0)));
    }

    #[test]
    fn a_percentage_needs_a_total() {
        let percent = |done_bytes, total_bytes| Progress { stage: Stage::Loading, done_bytes, total_bytes }.percent();
        assert_eq!(percent(u64::MAX, Some(u64::MAX)), Some(100));
        assert_eq!((percent(1, Some(3)), percent(1, None), percent(0, Some(0))), (Some(33), None, None));
    }
}
