//! The database is away, at the start or later: the service stays up, says so, takes nothing, and heals.

use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use crate::harness::endpoint::usual_answer;
use crate::harness::service::free_port;
use crate::harness::{Backing, Endpoint, Gate, Plan, Script, Stage, eventually};

/// A way to a server that can be closed, with everything that is on it.
struct Bridge {
    server: String,
    port: u16,
    traffic: Option<JoinSet<()>>,
}

impl Bridge {
    /// A closed bridge to the server of `url`, and the same URL by way of the bridge.
    fn to(url: &str) -> (Self, String) {
        let mut url = reqwest::Url::parse(url).expect("a database URL");
        let host = url.host_str().expect("a database server has a host").to_owned();
        let server = format!("{host}:{}", url.port().unwrap_or(5432));
        let port = free_port();
        url.set_host(Some("127.0.0.1")).expect("an address can be set");
        url.set_port(Some(port)).expect("a port can be set");
        (Self { server, port, traffic: None }, url.into())
    }

    async fn open(&mut self) {
        let listener = TcpListener::bind(("127.0.0.1", self.port)).await.expect("the bridge's port is free");
        let server: Arc<str> = self.server.as_str().into();
        let mut traffic = JoinSet::new();
        traffic.spawn(async move {
            // Connections end with the task that holds them.
            let mut crossing = JoinSet::new();
            while let Ok((mut here, _)) = listener.accept().await {
                let server = Arc::clone(&server);
                crossing.spawn(async move {
                    if let Ok(mut there) = TcpStream::connect(&*server).await {
                        tokio::io::copy_bidirectional(&mut here, &mut there).await.ok();
                    }
                });
            }
        });
        self.traffic = Some(traffic);
    }

    async fn close(&mut self) {
        if let Some(mut traffic) = self.traffic.take() {
            traffic.shutdown().await;
        }
    }
}

/// A world whose database lies behind a closed bridge; the service is not started.
async fn behind_a_bridge() -> Option<(Stage, Endpoint, Bridge)> {
    let backing = Backing::postgres().await?;
    let (bridge, url) = Bridge::to(&backing.url("".as_ref()));
    let model = Endpoint::start().await;
    let stage = Stage::prepare(Plan::new(backing).cloud("primary", &model).set("store.url", url));
    Some((stage, model, bridge))
}

/// Waits for the service to say that it takes nothing.
async fn not_ready(stage: &Stage) {
    eventually("the service to be alive and not ready", async || {
        let (live, ready) = (stage.service.get("/health/live").await, stage.service.get("/health/ready").await);
        match (&live, &ready) {
            (Some((200, _)), Some((503, problem))) if problem["code"] == "store_unavailable" => Ok(()),
            _ => Err(format!("{live:?} {ready:?}")),
        }
    })
    .await;
    let (status, health) = stage.service.get("/health").await.expect("health is served");
    assert_eq!((status, &health["status"]), (503, &"down".into()), "{health}");
}

#[tokio::test]
async fn a_service_without_its_database_stays_up_and_heals() {
    let Some((mut stage, _model, mut bridge)) = behind_a_bridge().await else { return };
    stage.service.spawn();
    not_ready(&stage).await;
    let seats = stage.groups();
    for seat in &seats {
        let pushed = seat.say("too early").await;
        assert!(pushed.status == 503 && pushed.answer.contains("store_unavailable"), "{pushed:?}");
    }
    assert!(stage.service.is_running());
    bridge.open().await;
    stage.service.ready().await;
    for seat in &seats {
        // Nobody asked again: the platforms repeat what was not acknowledged.
        seat.finished(&usual_answer("too early")).await;
    }
}

#[tokio::test]
async fn a_database_that_goes_away_in_mid_answer_costs_no_answer() {
    let Some((mut stage, model, mut bridge)) = behind_a_bridge().await else { return };
    bridge.open().await;
    stage.service.start().await;
    let seats = stage.groups();
    let gate = Gate::closed();
    let mut cards = Vec::new();
    for seat in &seats {
        model.next(Script::gated("It was so close ", &gate, "and is lost."));
        seat.say_acknowledged("in the middle").await;
        cards.push(seat.streaming("It was so close").await.id);
    }
    bridge.close().await;
    gate.open();
    not_ready(&stage).await;
    for seat in &seats {
        let pushed = seat.say("meanwhile").await;
        assert_eq!(pushed.status, 503, "{pushed:?}");
    }
    assert!(stage.service.is_running());
    bridge.open().await;
    stage.service.ready().await;
    for (seat, card) in seats.iter().zip(cards) {
        let meanwhile = seat.finished(&usual_answer("meanwhile")).await;
        let shown: Vec<String> = seat.answers().into_iter().map(|answer| answer.id).collect();
        assert_eq!(shown, [card, meanwhile.id], "each once and in order: {}", seat.described());
    }
    stage.tables.settled().await;
}

#[tokio::test]
async fn a_second_service_on_the_same_sqlite_file_is_refused() {
    let mut stage = Stage::start(Plan::new(Backing::Sqlite)).await;
    let mut second = stage.second_instance("second");
    second.spawn();
    assert_eq!(second.ended(Duration::from_secs(20)).await, 2);
    assert!(second.log().contains("magpie.db"), "it says which file: {}", second.log());
    assert!(stage.service.is_running());
    // The lock goes with the process that held it, however it ended.
    stage.service.kill();
    second.start().await;
}
