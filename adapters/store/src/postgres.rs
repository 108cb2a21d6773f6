//! Opens a Postgres database, and listens to what other instances tell.

use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use sqlx::PgPool;
use sqlx::postgres::{PgConnectOptions, PgListener, PgPoolOptions};

use crate::errors::OpenError;
use crate::inbox::Waker;

/// How long a caller waits for a connection. Shorter than any platform waits for its acknowledgement.
const ACQUIRE: Duration = Duration::from_secs(3);
/// Pause before the listener connects again.
const RECONNECT: Duration = Duration::from_secs(1);

/// Opens without connecting: the service starts, stays up and heals while Postgres is away.
pub(crate) fn open(url: &str, max_connections: u32) -> Result<(PgPool, PgPool), OpenError> {
    let options = PgConnectOptions::from_str(url)
        .map_err(|source| OpenError::Url { what: "not a Postgres address", source: Some(source) })?
        .application_name("magpie");
    // A statement that hangs would hold its connection for ever.
    let bounded =
        options.clone().options([("statement_timeout", "15s"), ("idle_in_transaction_session_timeout", "30s")]);
    let pool = PgPoolOptions::new()
        .max_connections(max_connections.max(2))
        .acquire_timeout(ACQUIRE)
        .connect_lazy_with(bounded);
    // Apart from the pool above: listening holds its connection, and a migration may take longer than a statement.
    let apart = PgPoolOptions::new()
        .max_connections(2)
        .acquire_timeout(ACQUIRE)
        .idle_timeout(Duration::from_secs(60))
        .max_lifetime(None)
        .connect_lazy_with(options);
    Ok((pool, apart))
}

/// Passes notifications on to the waker, for ever. What is missed while the connection is away is made up for by the
/// inbox's slow poll, and by one wake-up after each connect.
pub(crate) async fn listen(pool: PgPool, waker: Arc<Waker>) {
    loop {
        if let Err(error) = listen_once(&pool, &waker).await {
            tracing::debug!(
                error = &error as &dyn std::error::Error,
                "listening for inbox notifications was interrupted"
            );
        }
        tokio::time::sleep(RECONNECT).await;
    }
}

async fn listen_once(pool: &PgPool, waker: &Waker) -> Result<(), sqlx::Error> {
    let mut listener = PgListener::connect_with(pool).await?;
    listener.listen_all(["magpie_inbox", "magpie_cancel"]).await?;
    waker.wake();
    loop {
        // `None` means the connection was lost.
        let Some(notification) = listener.try_recv().await? else { return Ok(()) };
        match notification.payload().parse() {
            Ok(event) if notification.channel() == "magpie_cancel" => waker.cancelled(event),
            _ => waker.wake(),
        }
    }
}
