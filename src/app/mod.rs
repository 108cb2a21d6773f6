//! The composition root: the only place that names adapters. It joins them, knows the real ports, and runs the
//! service until it is stopped.

pub mod attachments;
mod backoff;
mod budgets;
pub mod clients;
mod engines;
mod error;
#[cfg_attr(not(feature = "candle"), path = "local_absent.rs")]
pub mod local;
mod platforms;
pub mod storage;

use std::collections::BTreeMap;
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use actix_web::dev::{Server, ServerHandle};
use magpie_core::cancel::CancelToken;
use magpie_core::clock::{Clock, SystemClock};
use magpie_core::embedding::Embedder;
use magpie_core::ids::WorkerId;
use magpie_core::inbox::worker::{Worker, WorkerSettings};
use magpie_core::links::Links;
use magpie_core::router::Router;
use magpie_core::turn::{Bot, Turn};
use magpie_store::Database;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};
use tracing::{error, info, warn};

use crate::config::Config;
use crate::http::requests::Requests;
use crate::http::transcript::SignedLinks;
use crate::http::{self, Connections, Pages, Ports, Shared};
use crate::ops::metrics;
use backoff::Backoff;
use budgets::Watch;
use clients::Clients;
pub use error::StartError;
pub use platforms::Platforms;

/// Acknowledgements take milliseconds; whoever needs longer at the end is cut off.
const LAST_ANSWERS: Duration = Duration::from_secs(2);

/// The service: built, listening, not yet answering.
pub struct App {
    config: Config,
    shared: Arc<Shared>,
    database: Database,
    public: Listener,
    admin: Listener,
}

struct Listener {
    server: Server,
    address: SocketAddr,
}

impl Listener {
    fn new(
        socket: TcpListener,
        serve: impl FnOnce(TcpListener) -> std::io::Result<Server>,
    ) -> Result<Self, StartError> {
        let address = socket.local_addr().map_err(StartError::Serve)?;
        Ok(Self { server: serve(socket).map_err(StartError::Serve)?, address })
    }
}

/// What a command may add to the service.
#[derive(Default)]
pub struct Extras {
    /// Sockets bound before, for a caller that has to know the ports first.
    pub sockets: Option<Sockets>,
    /// Further pages on the public listener.
    pub pages: Option<Pages>,
}

/// The sockets of both listeners.
pub struct Sockets {
    public: TcpListener,
    admin: TcpListener,
}

impl Sockets {
    /// Binds `server.listen` and `server.admin_listen`.
    ///
    /// # Errors
    /// [`StartError::Listen`] names the key and the address.
    pub fn bind(server: &crate::config::Server) -> Result<Self, StartError> {
        let public = bind("server.listen", &server.listen)?;
        let admin = bind("server.admin_listen", &server.admin_listen)?;
        Ok(Self { public, admin })
    }

    /// The real address of the public listener.
    ///
    /// # Errors
    /// The operating system does not tell it.
    pub fn address(&self) -> std::io::Result<SocketAddr> {
        self.public.local_addr()
    }
}

impl App {
    /// Joins everything. Nothing is sent, and the database may be away.
    ///
    /// # Errors
    /// What only an operator can repair: see [`StartError`].
    pub async fn build(config: Config, extras: Extras) -> Result<Self, StartError> {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        // First, since a second process on one SQLite file is to hear of that and not of a port in use.
        let database = storage::open(&config.store, Arc::clone(&clock)).await?;
        let clients = Clients::new(config.server.outbound_proxy.reveal())?;
        let router = engines::router(&config.model, &clients.streaming, &clock)?;
        let embedder = embedder(&config)?;
        let platforms = Platforms { config: &config, http: clients.platform, clock: Arc::clone(&clock) };
        let bots = bots(&config, &platforms)?;
        let attachments = Some(attachments::attachments(&config, &clients.streaming));
        let shared = Arc::new(Shared { embedder, attachments, ..shared(&config, bots, router, clock) });
        let sockets = match extras.sockets {
            Some(sockets) => sockets,
            None => Sockets::bind(&config.server)?,
        };
        let how = connections(&config);
        let pages = extras.pages.unwrap_or_else(|| Arc::new(|_| {}));
        let public = Listener::new(sockets.public, |socket| http::public(socket, &shared, how, pages))?;
        let admin = Listener::new(sockets.admin, |socket| http::admin(socket, &shared, how))?;
        Ok(Self { config, shared, database, public, admin })
    }

    /// Where webhooks are received; the real port, also if 0 was configured.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.public.address
    }

    /// Where metrics are served.
    #[must_use]
    pub fn admin_address(&self) -> SocketAddr {
        self.admin.address
    }

    /// Serves until `stop`; then closes the public listener, gives running work its grace, hands back the rest.
    ///
    /// # Errors
    /// The database does not fit this version, or a listener failed.
    pub async fn run(self, stop: CancelToken) -> Result<(), StartError> {
        let (public, admin) = (self.public.server.handle(), self.admin.server.handle());
        let worker_id = worker_id(self.public.address);
        let servers = [tokio::spawn(self.public.server), tokio::spawn(self.admin.server)];
        info!(listen = %self.public.address, admin_listen = %self.admin.address, bots = self.shared.bots.len(),
            database = self.database.kind(), "serving");
        connect_all(&self.shared, &stop);
        keep_metrics(&self.shared, &stop);
        let requests = self.shared.requests.clone();
        let closing = tokio::spawn(close(Arc::clone(&self.shared), public, stop.clone()));

        let work = work(&self.shared, &self.database, &self.config, worker_id, stop.clone());
        let ended = tokio::select! {
            ended = work => ended,
            failed = first_to_fail(servers, stop.clone()) => Err(failed),
        };
        stop.cancel();
        if timeout(LAST_ANSWERS, requests.ended()).await.is_err() {
            warn!("requests under way were cut off");
        }
        // What the web server still waits for are idle connections.
        closing.abort();
        admin.stop(false).await;
        if timeout(LAST_ANSWERS, self.database.close()).await.is_err() {
            warn!("connections to the database were left open");
        }
        info!("stopped");
        ended
    }
}

/// Ends readiness and closes the public listener as soon as somebody asks to stop, while workers still finish.
async fn close(shared: Arc<Shared>, public: ServerHandle, stop: CancelToken) {
    stop.cancelled().await;
    shared.stopping.cancel();
    public.stop(true).await;
}

fn bots(config: &Config, platforms: &Platforms<'_>) -> Result<BTreeMap<String, Arc<Bot>>, StartError> {
    let settings = config.bot_settings().into_iter();
    settings
        .zip(config.bots.iter())
        .map(|(settings, (name, bot))| {
            let budget = platforms.budget(name, bot);
            let platform = platforms.platform(name, bot, &budget)?;
            Ok((name.clone(), Arc::new(Bot { settings, platform, budget })))
        })
        .collect()
}

fn embedder(config: &Config) -> Result<Option<Arc<dyn Embedder>>, StartError> {
    let embedder = local::embedder(&config.model)?;
    if embedder.is_some() && config.auth.admin_token.is_empty() {
        warn!("POST /v1/embeddings is closed; set auth.admin_token, which its clients then send as their bearer token");
    }
    Ok(embedder)
}

fn shared(config: &Config, bots: BTreeMap<String, Arc<Bot>>, router: Arc<Router>, clock: Arc<dyn Clock>) -> Shared {
    Shared {
        bots,
        router,
        embedder: None,
        attachments: None,
        admin_token: config.auth.admin_token.clone(),
        stores: OnceLock::new(),
        links: Arc::new(SignedLinks::new(&config.server.public_url, Arc::clone(&clock))),
        clock,
        body: http::body::BodyLimits {
            max_bytes: config.server.max_body_bytes,
            timeout: Duration::from_secs(config.server.request_timeout_seconds),
        },
        scrape: metrics::install(),
        requests: Requests::default(),
        stopping: CancelToken::new(),
    }
}

fn connections(config: &Config) -> Connections {
    Connections {
        request_timeout: Duration::from_secs(config.server.request_timeout_seconds),
        keep_alive: Duration::from_secs(config.server.keep_alive_seconds),
        grace: Duration::from_secs(config.server.shutdown_grace_seconds),
    }
}

fn bind(key: &'static str, address: &str) -> Result<TcpListener, StartError> {
    let bound = crate::config::resolve(address).and_then(http::bind);
    bound.map_err(|source| StartError::Listen { key, address: address.to_owned(), source })
}

/// Waits for the database, then works events off until `stop`.
async fn work(
    shared: &Arc<Shared>,
    database: &Database,
    config: &Config,
    id: WorkerId,
    stop: CancelToken,
) -> Result<(), StartError> {
    tokio::select! {
        migrated = storage::migrate(database) => migrated?,
        () = stop.cancelled() => return Ok(()),
    }
    let ports = Ports { inbox: database.inbox(), store: database.store() };
    // Set here and nowhere else.
    let _ = shared.stores.set(ports.clone());
    if let Err(error) = shared.links.unlock(ports.store.as_ref()).await {
        warn!(error = &error as &dyn std::error::Error, "conversations can't be exported until the next start");
    }
    info!("ready");
    tokio::spawn(storage::tidy(Arc::clone(&ports.store), config.store.clone(), stop.clone()));
    let watch = Watch {
        budgets: shared.bots.values().map(|bot| (bot.settings.id.clone(), Arc::clone(&bot.budget))).collect(),
        meter: database.meter(),
        store: Arc::clone(&ports.store),
        clock: Arc::clone(&shared.clock),
    };
    tokio::spawn(watch.run(stop.clone()));
    let turn = Turn {
        bots: shared.bots.values().map(|bot| (bot.settings.id.clone(), Arc::clone(bot))).collect(),
        inbox: Arc::clone(&ports.inbox),
        store: ports.store,
        router: Arc::clone(&shared.router),
        links: Arc::clone(&shared.links) as Arc<dyn Links>,
        attachments: shared.attachments.clone(),
        clock: Arc::clone(&shared.clock),
    };
    let grace = Duration::from_secs(config.server.shutdown_grace_seconds);
    Worker::new(ports.inbox, turn, id, WorkerSettings::default()).run(stop, grace).await;
    Ok(())
}

/// Prepares every bot in the background, again and again until it works: a platform may be away at start.
fn connect_all(shared: &Arc<Shared>, stop: &CancelToken) {
    for bot in shared.bots.values() {
        let (bot, stop) = (Arc::clone(bot), stop.clone());
        tokio::spawn(async move {
            tokio::select! {
                () = connect(&bot) => {}
                () = stop.cancelled() => {}
            }
        });
    }
}

async fn connect(bot: &Bot) {
    let mut backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(300));
    while let Err(failure) = bot.platform.connect().await {
        let delay = backoff.next_delay();
        warn!(bot.id = %bot.settings.id, platform = bot.settings.platform.as_str(), retry_seconds = delay.as_secs(),
            error = &failure as &dyn std::error::Error, "the bot is not connected yet");
        sleep(delay).await;
    }
    info!(bot.id = %bot.settings.id, platform = bot.settings.platform.as_str(), "bot connected");
}

/// The recorder keeps samples until somebody folds them; without scrapes they would pile up.
fn keep_metrics(shared: &Arc<Shared>, stop: &CancelToken) {
    let (scrape, stop) = (shared.scrape.clone(), stop.clone());
    tokio::spawn(async move {
        while !stop.is_cancelled() {
            scrape.upkeep();
            tokio::select! {
                () = sleep(Duration::from_secs(5)) => {}
                () = stop.cancelled() => {}
            }
        }
    });
}

/// Returns when a listener ends although nobody asked it to.
async fn first_to_fail(servers: [JoinHandle<std::io::Result<()>>; 2], stop: CancelToken) -> StartError {
    let (ended, ..) = futures::future::select_all(servers).await;
    if stop.is_cancelled() {
        return std::future::pending().await;
    }
    let source = match ended {
        Ok(Ok(())) => std::io::Error::other("it was stopped from elsewhere"),
        Ok(Err(failure)) => failure,
        Err(panicked) => std::io::Error::other(panicked),
    };
    error!(error = &source as &dyn std::error::Error, "a listener ended");
    StartError::Serve(source)
}

/// Machine and address: the process that comes back has the same name and takes its own claims back at once, while
/// two running processes never share one.
fn worker_id(address: SocketAddr) -> WorkerId {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").ok().or_else(|| std::env::var("HOSTNAME").ok());
    let host = host.as_deref().map(str::trim).filter(|host| !host.is_empty()).unwrap_or("localhost");
    WorkerId::from(format!("{host}/{address}"))
}
