//! One test's world.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use magpie_sim::dingtalk::{DingTalkConfig, DingTalkSim};
use magpie_sim::feishu::{FeishuConfig, FeishuSim};
use magpie_sim::view::SimulatedPlatform as _;
use tempfile::TempDir;
use toml::{Table, Value};

use super::database::Tables;
use super::{Backing, Endpoint, Seat, Service};

/// Names of the two bots in the configuration.
pub const FEISHU: &str = "helpdesk";
pub const DINGTALK: &str = "it";

/// What a world is to be like.
pub struct Plan {
    pub backing: Backing,
    pub feishu: FeishuConfig,
    pub dingtalk: DingTalkConfig,
    clouds: Vec<Table>,
    settings: Vec<(String, Value)>,
}

impl Plan {
    /// Both bots, no engine, and everything quick: updates at a tenth of a second, repeated pushes at a fifth.
    pub fn new(backing: Backing) -> Self {
        let again_and_again = vec![Duration::from_millis(200); 300];
        Self {
            backing,
            feishu: FeishuConfig { retry_schedule: again_and_again.clone(), ..FeishuConfig::default() },
            dingtalk: DingTalkConfig { repeat_after: again_and_again, ..DingTalkConfig::default() },
            clouds: Vec::new(),
            settings: Vec::new(),
        }
    }

    /// Adds a cloud endpoint that is asked once a question, and never left alone for its failures.
    pub fn cloud(self, name: &str, endpoint: &Endpoint) -> Self {
        self.cloud_at(name, &endpoint.base_url)
    }

    /// The same by its address.
    pub fn cloud_at(mut self, name: &str, base_url: &str) -> Self {
        let mut cloud = Table::new();
        cloud.insert("name".into(), name.into());
        cloud.insert("base_url".into(), base_url.into());
        cloud.insert("api_key".into(), "sk-for-tests".into());
        cloud.insert("model".into(), super::script::MODEL.into());
        cloud.insert("max_retries".into(), 0.into());
        cloud.insert("cooldown_seconds".into(), 0.into());
        self.clouds.push(cloud);
        self
    }

    /// Leaves the endpoints added so far alone for so many seconds after repeated failures.
    pub fn cooldown(mut self, seconds: i64) -> Self {
        for cloud in &mut self.clouds {
            cloud.insert("cooldown_seconds".into(), seconds.into());
        }
        self
    }

    /// The endpoints added so far understand pictures.
    pub fn vision(mut self) -> Self {
        for cloud in &mut self.clouds {
            cloud.insert("vision".into(), true.into());
        }
        self
    }

    /// Sets a configuration key, such as `model.strategy`.
    pub fn set(mut self, key: &str, value: impl Into<Value>) -> Self {
        self.settings.push((key.to_owned(), value.into()));
        self
    }

    /// The configuration of a service with these ports.
    fn config(&self, folder: &Path, world: &World, ports: (u16, u16)) -> String {
        let (port, admin_port) = ports;
        let mut root = Table::new();
        let mut set = |key: &str, value: Value| put(&mut root, key, value);
        set("server.listen", format!("127.0.0.1:{port}").into());
        set("server.admin_listen", format!("127.0.0.1:{admin_port}").into());
        set("server.public_url", format!("http://127.0.0.1:{port}").into());
        set("server.shutdown_grace_seconds", 10.into());
        set("store.url", self.backing.url(folder).into());
        set("chat.card_update_interval_ms", 100.into());
        set("limits.user_messages_per_minute", 0.into());
        set("log.level", "info,magpie_core=debug,magpie_feishu=debug,magpie_dingtalk=debug".into());
        set(&format!("bots.{FEISHU}"), feishu_bot(&world.feishu).into());
        set(&format!("bots.{DINGTALK}"), dingtalk_bot(&world.dingtalk).into());
        if !self.clouds.is_empty() {
            set("model.cloud", self.clouds.iter().cloned().map(Value::Table).collect::<Vec<_>>().into());
        }
        for (key, value) in &self.settings {
            set(key, value.clone());
        }
        toml::to_string(&root).expect("a table can be written")
    }
}

/// The two platforms, which outlive every service.
#[derive(Clone)]
struct World {
    feishu: FeishuSim,
    dingtalk: DingTalkSim,
}

/// A running world. The service is dropped first.
pub struct Stage {
    pub service: Service,
    pub tables: Tables,
    pub feishu: FeishuSim,
    pub dingtalk: DingTalkSim,
    plan: Plan,
    folder: TempDir,
}

impl Stage {
    /// A world whose service takes events.
    pub async fn start(plan: Plan) -> Self {
        let mut stage = Self::prepare(plan);
        stage.service.start().await;
        stage
    }

    /// A world whose service has not been started yet.
    pub fn prepare(plan: Plan) -> Self {
        let folder = tempfile::tempdir().expect("there is a place for temporary files");
        let feishu = FeishuSim::start(plan.feishu.clone()).expect("a simulated Feishu can be started");
        let dingtalk = DingTalkSim::start(plan.dingtalk.clone()).expect("a simulated DingTalk can be started");
        let world = World { feishu, dingtalk };
        let service = service_in(folder.path(), "magpie", &plan, &world);
        let tables = Tables::new(plan.backing.url(folder.path()));
        let stage = Self { service, tables, feishu: world.feishu, dingtalk: world.dingtalk, plan, folder };
        stage.deliver_to(&stage.service);
        stage
    }

    /// Another instance with the same configuration and addresses of its own, not yet started.
    pub fn second_instance(&self, name: &str) -> Service {
        let world = World { feishu: self.feishu.clone(), dingtalk: self.dingtalk.clone() };
        service_in(self.folder.path(), name, &self.plan, &world)
    }

    /// Both platforms push to this instance from now on.
    pub fn deliver_to(&self, service: &Service) {
        self.feishu.set_webhook_url(&service.webhook(FEISHU));
        self.dingtalk.set_webhook_url(Some(service.webhook(DINGTALK)));
    }

    /// The test's folder.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// A person in the direct chat on Feishu.
    pub fn feishu_direct(&self) -> Seat {
        let user = &self.feishu.people()[0].0;
        let chat = self.feishu.direct_chat(user).expect("everybody has a direct chat");
        Seat::new(Arc::new(self.feishu.clone()), &chat, user)
    }

    /// The same person in the group on Feishu.
    pub fn feishu_group(&self) -> Seat {
        Seat::new(Arc::new(self.feishu.clone()), &self.feishu.group(), &self.feishu.people()[0].0)
    }

    /// A person in the direct chat on DingTalk.
    pub fn dingtalk_direct(&self) -> Seat {
        let user = &self.dingtalk.people()[0].0;
        Seat::new(Arc::new(self.dingtalk.clone()), &self.dingtalk.direct_chat(user), user)
    }

    /// The same person in the group on DingTalk.
    pub fn dingtalk_group(&self) -> Seat {
        let chats = self.dingtalk.chats();
        let group = chats.iter().find(|chat| !chat.direct).expect("there is a group");
        Seat::new(Arc::new(self.dingtalk.clone()), &group.id, &self.dingtalk.people()[0].0)
    }

    /// One seat on each platform: groups, which is where most talk happens.
    pub fn groups(&self) -> [Seat; 2] {
        [self.feishu_group(), self.dingtalk_group()]
    }
}

/// Ids of the people that every simulated Feishu and every simulated DingTalk begins with.
pub fn usual_people() -> [Vec<String>; 2] {
    let feishu = FeishuSim::start(FeishuConfig::default()).expect("a simulated Feishu can be started");
    let dingtalk = DingTalkSim::start(DingTalkConfig::default()).expect("a simulated DingTalk can be started");
    [feishu.people(), dingtalk.people()].map(|people| people.into_iter().map(|(id, _)| id).collect())
}

/// Adds a second bot, on another simulated Feishu.
pub fn with_feishu_bot(plan: Plan, name: &str, sim: &FeishuSim) -> Plan {
    plan.set(&format!("bots.{name}"), feishu_bot(sim))
}

fn service_in(folder: &Path, name: &str, plan: &Plan, world: &World) -> Service {
    Service::new(folder, name, |port, admin_port| plan.config(folder, world, (port, admin_port)))
}

fn feishu_bot(sim: &FeishuSim) -> Table {
    let config = sim.config();
    let mut bot = Table::new();
    bot.insert("platform".into(), "feishu".into());
    bot.insert("app_id".into(), config.app_id.clone().into());
    bot.insert("app_secret".into(), config.app_secret.clone().into());
    bot.insert("verification_token".into(), config.verification_token.clone().into());
    bot.insert("encrypt_key".into(), config.encrypt_key.clone().unwrap_or_default().into());
    bot.insert("base_url".into(), sim.base_url().into());
    bot
}

fn dingtalk_bot(sim: &DingTalkSim) -> Table {
    // The simulation's values are the defaults of its configuration.
    let config = DingTalkConfig::default();
    let mut bot = Table::new();
    bot.insert("platform".into(), "dingtalk".into());
    bot.insert("client_id".into(), config.client_id.into());
    bot.insert("client_secret".into(), config.client_secret.into());
    bot.insert("callback_token".into(), config.callback_token.into());
    bot.insert("callback_aes_key".into(), config.callback_aes_key.into());
    bot.insert("corp_id".into(), config.corp_id.into());
    bot.insert("base_url".into(), sim.base_url().into());
    bot.insert("legacy_base_url".into(), sim.base_url().into());
    bot.insert("webhook_hosts".into(), vec![Value::from("127.0.0.1")].into());
    bot
}

/// Sets `a.b.c`, making the tables on the way.
fn put(root: &mut Table, key: &str, value: Value) {
    let mut parts: Vec<&str> = key.split('.').collect();
    let last = parts.pop().expect("a key has a last part");
    let table = parts.into_iter().fold(root, |table, part| {
        let below = table.entry(part).or_insert_with(|| Value::Table(Table::new()));
        below.as_table_mut().expect("only tables have keys below them")
    });
    table.insert(last.to_owned(), value);
}
