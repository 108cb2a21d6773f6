//! `magpie check`: the doctor.

mod model;
mod platforms;
mod report;
mod running;
mod store;

use clap::Args;

use super::{ConfigFile, Failure};
use crate::config;
use report::Report;

/// Look for what keeps the service from working, and say what to do.
///
/// One line a check: ok, warn (works, but you should know), FAIL (with what to do). Exit code 1 if any fails.
#[derive(Args)]
pub struct Check {
    #[command(flatten)]
    config: ConfigFile,
    /// Also call the platforms and the cloud endpoints.
    #[arg(long, conflicts_with = "running")]
    online: bool,
    /// Only ask the service that runs on this machine with this configuration whether it is ready; for container
    /// health checks.
    #[arg(long)]
    running: bool,
}

impl Check {
    pub async fn run(self) -> Result<(), Failure> {
        let mut report = Report::default();
        match config::load(self.config.path()) {
            Err(error) => {
                for problem in error.problems {
                    report.fail("config", problem);
                }
            }
            Ok(loaded) if self.running => running::check(&loaded.config.server, &mut report).await,
            Ok(loaded) => {
                let file = loaded.file.map_or("defaults and environment".to_owned(), |file| file.display().to_string());
                report.ok("config", file);
                for warning in &loaded.warnings {
                    report.warn("config", warning);
                }
                store::check(&loaded.config.store, &mut report).await;
                model::check(&loaded.config, self.online, &mut report).await;
                platforms::check(&loaded.config, self.online, &mut report).await;
            }
        }
        if report.failed() { Err(Failure::Told) } else { Ok(()) }
    }
}
