//! Durable acknowledgements per second: how many events are accepted, each answered only after its commit, by 1, 16
//! and 256 callers at once.
//!
//! `cargo bench -p magpie-store --bench accept` measures SQLite in a temporary folder (`TMPDIR` chooses the disk) and,
//! where `TEST_DATABASE_URL` names a server, Postgres in a database of its own that is left behind.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use magpie_core::clock::{SystemClock, UnixMillis};
use magpie_core::inbox::Inbox;
use magpie_core::testkit::samples::message_entry;
use magpie_store::{Database, StoreConfig};
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};
use tokio::task::JoinSet;
use tokio::time::Instant;

const CALLERS: [u32; 3] = [1, 16, 256];
const MEASURED: Duration = Duration::from_secs(3);

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("store      callers  accepts/s  events/transaction   mean ms");
    let folder = tempfile::tempdir()?;
    measure(&format!("sqlite://{}/magpie.db", folder.path().display())).await?;
    match std::env::var("TEST_DATABASE_URL") {
        Ok(server) => measure(&create(&server).await?).await?,
        Err(_) => println!("postgres   skipped: TEST_DATABASE_URL is not set"),
    }
    Ok(())
}

async fn create(server: &str) -> Result<String, Box<dyn std::error::Error>> {
    let name = format!("magpie_bench_{}", uuid::Uuid::new_v4().simple());
    let mut connection = PgConnection::connect(server).await?;
    connection.execute(AssertSqlSafe(format!("CREATE DATABASE {name}"))).await?;
    let (base, _) = server.rsplit_once('/').ok_or("TEST_DATABASE_URL names no database")?;
    Ok(format!("{base}/{name}"))
}

async fn measure(url: &str) -> Result<(), Box<dyn std::error::Error>> {
    let config = StoreConfig { url: url.to_owned(), max_connections: 16, clock: Arc::new(SystemClock) };
    let database = Database::connect(&config).await?;
    database.migrate().await?;
    for callers in CALLERS {
        let transactions_before = database.accept_transactions();
        let began = Instant::now();
        let accepted = accept_for(database.inbox(), callers).await;
        let seconds = began.elapsed().as_secs_f64();
        let transactions = database.accept_transactions() - transactions_before;
        println!(
            "{:<10} {callers:>7} {:>10.0} {:>19.1} {:>9.2}",
            database.kind(),
            accepted as f64 / seconds,
            accepted as f64 / transactions as f64,
            f64::from(callers) * seconds * 1_000.0 / accepted as f64,
        );
    }
    database.close().await;
    Ok(())
}

/// Each caller sends its next event when the last one was acknowledged.
async fn accept_for(inbox: Arc<dyn Inbox>, callers: u32) -> u64 {
    let accepted = Arc::new(AtomicU64::new(0));
    let deadline = Instant::now() + MEASURED;
    let mut tasks = JoinSet::new();
    for caller in 0..callers {
        let (inbox, accepted) = (Arc::clone(&inbox), Arc::clone(&accepted));
        tasks.spawn(async move {
            let scope = format!("scope {caller}");
            while Instant::now() < deadline {
                let name = uuid::Uuid::now_v7().to_string();
                let entry = message_entry(&name, &scope, UnixMillis(0));
                inbox.accept(entry).await.expect("the store is there");
                accepted.fetch_add(1, Ordering::Relaxed);
            }
        });
    }
    tasks.join_all().await;
    accepted.load(Ordering::Relaxed)
}
