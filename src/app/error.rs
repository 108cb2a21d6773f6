//! What keeps the service from starting.

use magpie_store::{MigrateError, OpenError};

/// Why the service does not start, or ends by itself.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("{key} = {address}: the address can't be listened on; is another process there?")]
    Listen {
        key: &'static str,
        address: String,
        #[source]
        source: std::io::Error,
    },
    #[error(transparent)]
    Feishu(#[from] magpie_feishu::ConfigError),
    #[error(transparent)]
    DingTalk(#[from] magpie_dingtalk::ConfigError),
    #[error("no HTTP client can be made; check server.outbound_proxy and the machine's certificates")]
    Client(#[from] reqwest::Error),
    #[error("the store can't be opened")]
    Store(#[from] OpenError),
    #[error("the database can't be used")]
    Migrate(#[from] MigrateError),
    #[error("{key} is set, but this program was built without local models; build it with the feature candle")]
    NoLocalModels { key: &'static str },
    #[error("a listener ended by itself")]
    Serve(#[source] std::io::Error),
}

impl StartError {
    /// Whether the operator gave something that can't be used, rather than that something failed.
    #[must_use]
    pub fn is_usage(&self) -> bool {
        matches!(self, Self::Feishu(_) | Self::DingTalk(_) | Self::Store(_) | Self::NoLocalModels { .. })
    }
}
