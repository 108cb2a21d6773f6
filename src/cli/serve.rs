//! `magpie serve`.

use clap::Args;
use magpie_core::cancel::CancelToken;

use super::{ConfigFile, Failure};
use crate::app::{App, Extras};
use crate::ops::shutdown;

/// Run the service: receive events, answer them.
#[derive(Args)]
pub struct Serve {
    #[command(flatten)]
    config: ConfigFile,
}

impl Serve {
    pub async fn run(self) -> Result<(), Failure> {
        let loaded = self.config.load()?;
        let stop = CancelToken::new();
        shutdown::on_signal(stop.clone()).map_err(Failure::failed)?;
        let app = App::build(loaded.config, Extras::default()).await?;
        Ok(app.run(stop).await?)
    }
}
