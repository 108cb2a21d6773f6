//! A database, opened by its URL.

use std::path::Path;
use std::sync::Arc;

use magpie_core::budget::Meter;
use magpie_core::clock::Clock;
use magpie_core::inbox::Inbox;
use magpie_core::store::Store;
use tokio::task::JoinHandle;

use crate::errors::{MigrateError, OpenError};
use crate::inbox::{GroupCommit, SqlInbox, Waker};
use crate::lock::InstanceLock;
use crate::meter::SqlMeter;
use crate::session::Pools;
use crate::store::SqlStore;
use crate::{migrations, postgres, sqlite};

/// How to open a database.
#[derive(Clone)]
pub struct StoreConfig {
    /// `sqlite://path/to/file.db` (relative to the working directory; three slashes for an absolute path) or
    /// `postgres://user:password@host/database`.
    pub url: String,
    /// Connections of the pool, at least 2 in Postgres.
    pub max_connections: u32,
    /// Tells what time leases, retries and dedupe keys go by.
    pub clock: Arc<dyn Clock>,
}

/// The URL may hold a password.
impl std::fmt::Debug for StoreConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StoreConfig").field("max_connections", &self.max_connections).finish_non_exhaustive()
    }
}

/// An open database. Clones share it; it closes with the last of them and of its ports.
#[derive(Clone)]
pub struct Database {
    shared: Arc<Shared>,
}

struct Shared {
    pools: Pools,
    /// Migrations run here: in Postgres without the limit on a statement's time.
    migrating: Pools,
    clock: Arc<dyn Clock>,
    waker: Arc<Waker>,
    group_commit: GroupCommit,
    listener: Option<JoinHandle<()>>,
    _lock: Option<InstanceLock>,
}

impl Drop for Shared {
    fn drop(&mut self) {
        if let Some(listener) = &self.listener {
            listener.abort();
        }
    }
}

impl Database {
    /// Opens a database for serving. Call it inside a tokio runtime.
    ///
    /// Postgres is not contacted yet: while it is away, every call of the ports gives
    /// [`magpie_core::store::StoreError::Unavailable`], and [`Self::migrate`] can be tried again. A SQLite file is made
    /// if needed, and locked against a second process.
    ///
    /// # Errors
    /// [`OpenError`], by what the operator can do.
    pub async fn connect(config: &StoreConfig) -> Result<Self, OpenError> {
        let waker = Arc::new(Waker::default());
        match Kind::of(&config.url)? {
            Kind::Postgres => {
                let (pool, apart) = postgres::open(&config.url, config.max_connections)?;
                let listener = tokio::spawn(postgres::listen(apart.clone(), Arc::clone(&waker)));
                let migrating = Pools::Postgres(apart);
                Ok(Self::assemble(
                    config,
                    Parts { migrating, listener: Some(listener), lock: None, waker, pools: Pools::Postgres(pool) },
                ))
            }
            Kind::Sqlite => {
                let (pools, lock) = sqlite::open(&config.url, config.max_connections).await?;
                Ok(Self::assemble(
                    config,
                    Parts { migrating: pools.clone(), listener: None, lock: Some(lock), waker, pools },
                ))
            }
        }
    }

    /// Opens a database beside a running service, for reading only: writes fail in SQLite, and nothing wakes anybody.
    ///
    /// # Errors
    /// [`OpenError::File`] if there is no such file.
    pub async fn open_read_only(config: &StoreConfig) -> Result<Self, OpenError> {
        let pools = match Kind::of(&config.url)? {
            Kind::Postgres => Pools::Postgres(postgres::open(&config.url, config.max_connections)?.0),
            Kind::Sqlite => sqlite::open_read_only(&config.url, config.max_connections)?,
        };
        let waker = Arc::new(Waker::default());
        Ok(Self::assemble(config, Parts { migrating: pools.clone(), listener: None, lock: None, waker, pools }))
    }

    fn assemble(config: &StoreConfig, parts: Parts) -> Self {
        let Parts { pools, migrating, listener, lock, waker } = parts;
        let clock = Arc::clone(&config.clock);
        let group_commit = GroupCommit::start(pools.clone(), Arc::clone(&clock), Arc::clone(&waker));
        Self { shared: Arc::new(Shared { pools, migrating, clock, waker, group_commit, listener, _lock: lock }) }
    }

    /// Applies pending migrations and gives their names, such as `0001 initial`.
    ///
    /// # Errors
    /// [`MigrateError::Unavailable`]: try again later; the others need an operator.
    pub async fn migrate(&self) -> Result<Vec<String>, MigrateError> {
        migrations::run(&self.shared.migrating).await
    }

    /// Names of the migrations that are not applied yet. Changes nothing.
    ///
    /// # Errors
    /// As [`Self::migrate`].
    pub async fn pending_migrations(&self) -> Result<Vec<String>, MigrateError> {
        migrations::pending(&self.shared.pools).await
    }

    /// The inbox port.
    #[must_use]
    pub fn inbox(&self) -> Arc<dyn Inbox> {
        Arc::new(SqlInbox::new(self.clone()))
    }

    /// The store port.
    #[must_use]
    pub fn store(&self) -> Arc<dyn Store> {
        Arc::new(SqlStore::new(self.clone()))
    }

    /// The meter port.
    #[must_use]
    pub fn meter(&self) -> Arc<dyn Meter> {
        Arc::new(SqlMeter::new(self.clone()))
    }

    /// `postgres` or `sqlite`.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self.shared.pools {
            Pools::Postgres(_) => "postgres",
            Pools::Sqlite { .. } => "sqlite",
        }
    }

    /// How many transactions have stored events so far: fewer than events, where many came at once.
    #[must_use]
    pub fn accept_transactions(&self) -> u64 {
        self.shared.group_commit.transactions()
    }

    /// Closes all connections after the work on them; every later call gives `Unavailable`.
    pub async fn close(&self) {
        if let Some(listener) = &self.shared.listener {
            listener.abort();
        }
        self.shared.pools.close().await;
        self.shared.migrating.close().await;
    }

    pub(crate) fn pools(&self) -> &Pools {
        &self.shared.pools
    }

    pub(crate) fn clock(&self) -> &dyn Clock {
        &*self.shared.clock
    }

    pub(crate) fn waker(&self) -> &Waker {
        &self.shared.waker
    }

    pub(crate) fn group_commit(&self) -> &GroupCommit {
        &self.shared.group_commit
    }
}

struct Parts {
    pools: Pools,
    migrating: Pools,
    listener: Option<JoinHandle<()>>,
    lock: Option<InstanceLock>,
    waker: Arc<Waker>,
}

enum Kind {
    Postgres,
    Sqlite,
}

impl Kind {
    fn of(url: &str) -> Result<Self, OpenError> {
        match url.split_once(':').map(|(scheme, _)| scheme) {
            Some("postgres" | "postgresql") => Ok(Self::Postgres),
            Some("sqlite") => Ok(Self::Sqlite),
            _ if Path::new(url).extension().is_some_and(|extension| extension == "db") => {
                Err(OpenError::Url { what: "a bare path needs sqlite:// before it", source: None })
            }
            _ => Err(OpenError::Url { what: "its scheme is neither sqlite nor postgres", source: None }),
        }
    }
}
