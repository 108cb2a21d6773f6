//! `magpie migrate`.

use std::sync::Arc;

use clap::Args;
use magpie_core::clock::SystemClock;

use super::{ConfigFile, Failure};
use crate::app::storage;

/// Bring the database up to date, and say what was applied.
#[derive(Args)]
pub struct Migrate {
    #[command(flatten)]
    config: ConfigFile,
}

impl Migrate {
    pub async fn run(self) -> Result<(), Failure> {
        let loaded = self.config.load()?;
        let database = storage::open(&loaded.config.store, Arc::new(SystemClock)).await.map_err(Failure::usage)?;
        let applied = database.migrate().await.map_err(Failure::failed)?;
        if applied.is_empty() {
            println!("nothing to apply; the database is up to date");
        }
        for name in applied {
            println!("applied {name}");
        }
        database.close().await;
        Ok(())
    }
}
