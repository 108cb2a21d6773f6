//! `magpie demo`: the whole service against simulated platforms.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use actix_web::web;
use anyhow::Context as _;
use clap::Args;
use magpie_core::cancel::CancelToken;
use magpie_sim::dingtalk::{DingTalkConfig, DingTalkSim};
use magpie_sim::feishu::{FeishuConfig, FeishuSim};
use magpie_sim::playground::Playground;
use magpie_sim::wire::WireLog;

use super::{ConfigFile, Failure, begin};
use crate::app::{App, Extras, Sockets, local};
use crate::config;
use crate::http::Pages;
use crate::ops::shutdown;

const FEISHU_BOT: &str = "demo-feishu";
const DINGTALK_BOT: &str = "demo-dingtalk";

/// Try it: the service with simulated platforms, two bots and a page to talk to them.
///
/// Everything stays on this machine. Your configuration's models are used if it has any, else the demo model; its
/// bots and its database are left alone.
#[derive(Args)]
pub struct Demo {
    #[command(flatten)]
    config: ConfigFile,
    /// Where the page is; port 0 takes a free one.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:18789")]
    listen: SocketAddr,
    /// Folder for the demo's database and model.
    #[arg(long, value_name = "FOLDER", default_value = "data/demo")]
    data: PathBuf,
}

impl Demo {
    pub async fn run(self) -> Result<(), Failure> {
        let sims = Sims::start().map_err(Failure::Failed)?;
        let layer = self.layer(&sims);
        let mut loaded = begin(config::load_under(self.config.path(), Some(&layer)))?;
        std::fs::create_dir_all(&self.data)
            .with_context(|| format!("the folder {} can't be made", self.data.display()))
            .map_err(Failure::Failed)?;
        demo_model(&mut loaded.config.model, &self.data).map_err(Failure::Failed)?;

        let sockets = Sockets::bind(&loaded.config.server)?;
        let origin = origin(sockets.address().map_err(Failure::failed)?);
        loaded.config.server.public_url.clone_from(&origin);
        let extras = Extras { sockets: Some(sockets), pages: Some(sims.pages()) };
        let stop = CancelToken::new();
        shutdown::on_signal(stop.clone()).map_err(Failure::failed)?;
        let app = App::build(loaded.config, extras).await?;
        sims.deliver_to(&origin);
        println!("Magpie demo: open {origin}/ in a browser; Ctrl-C ends it.");
        println!("Metrics: http://{}/metrics", app.admin_address());
        Ok(app.run(stop).await?)
    }

    /// What the demo decides over every other layer.
    fn layer(&self, sims: &Sims) -> String {
        let (feishu, dingtalk) = (&sims.feishu_config, &sims.dingtalk_config);
        let text = |value: &str| toml::Value::from(value).to_string();
        let database = format!("sqlite://{}", self.data.join("magpie.db").display());
        let (feishu_url, dingtalk_url) = (sims.feishu_url(), sims.dingtalk_url());
        let rows = [
            ("server.listen", text(&self.listen.to_string())),
            ("server.admin_listen", text("127.0.0.1:0")),
            ("server.outbound_proxy", text("")),
            ("store.url", text(&database)),
            ("bots.demo-feishu.platform", text("feishu")),
            ("bots.demo-feishu.app_id", text(&feishu.app_id)),
            ("bots.demo-feishu.app_secret", text(&feishu.app_secret)),
            ("bots.demo-feishu.verification_token", text(&feishu.verification_token)),
            ("bots.demo-feishu.encrypt_key", text(feishu.encrypt_key.as_deref().unwrap_or_default())),
            ("bots.demo-feishu.base_url", text(&feishu_url)),
            ("bots.demo-dingtalk.platform", text("dingtalk")),
            ("bots.demo-dingtalk.client_id", text(&dingtalk.client_id)),
            ("bots.demo-dingtalk.client_secret", text(&dingtalk.client_secret)),
            ("bots.demo-dingtalk.robot_code", text(&dingtalk.robot_code)),
            ("bots.demo-dingtalk.corp_id", text(&dingtalk.corp_id)),
            ("bots.demo-dingtalk.callback_token", text(&dingtalk.callback_token)),
            ("bots.demo-dingtalk.callback_aes_key", text(&dingtalk.callback_aes_key)),
            ("bots.demo-dingtalk.base_url", text(&dingtalk_url)),
            ("bots.demo-dingtalk.legacy_base_url", text(&dingtalk_url)),
            ("bots.demo-dingtalk.webhook_hosts", "[\"127.0.0.1\"]".to_owned()),
        ];
        rows.iter().map(|(key, value)| format!("{key} = {value}\n")).collect()
    }
}

/// The two stand-ins, on free loopback ports.
struct Sims {
    feishu: FeishuSim,
    feishu_config: FeishuConfig,
    dingtalk: DingTalkSim,
    dingtalk_config: DingTalkConfig,
    wire: WireLog,
}

impl Sims {
    fn start() -> anyhow::Result<Self> {
        let wire = WireLog::default();
        let feishu_config = FeishuConfig { wire: wire.clone(), ..FeishuConfig::default() };
        let dingtalk_config = DingTalkConfig { wire: wire.clone(), ..DingTalkConfig::default() };
        let feishu = FeishuSim::start(feishu_config.clone()).context("the simulated Feishu does not start")?;
        let dingtalk = DingTalkSim::start(dingtalk_config.clone()).context("the simulated DingTalk does not start")?;
        Ok(Self { feishu, feishu_config, dingtalk, dingtalk_config, wire })
    }

    fn feishu_url(&self) -> String {
        magpie_sim::view::SimulatedPlatform::base_url(&self.feishu)
    }

    fn dingtalk_url(&self) -> String {
        magpie_sim::view::SimulatedPlatform::base_url(&self.dingtalk)
    }

    /// Where the platforms push to.
    fn deliver_to(&self, origin: &str) {
        self.feishu.set_webhook_url(&format!("{origin}/webhook/{FEISHU_BOT}"));
        self.dingtalk.set_webhook_url(Some(format!("{origin}/webhook/{DINGTALK_BOT}")));
    }

    fn pages(&self) -> Pages {
        let page =
            Playground::new(vec![Arc::new(self.dingtalk.clone()), Arc::new(self.feishu.clone())], self.wire.clone());
        Arc::new(move |config: &mut web::ServiceConfig| page.mount(config))
    }
}

/// Puts the demo model where no other engine is configured.
fn demo_model(model: &mut config::Model, data: &Path) -> anyhow::Result<()> {
    if model.local.path.is_empty() && model.cloud.is_empty() {
        let written = local::demo_model(data).context("the demo model can't be written")?;
        model.local.path = written.map(|path| path.display().to_string()).unwrap_or_default();
        // Its figures were measured so; sampling mixes its few fixed answers.
        model.local.temperature = 0.0;
    }
    Ok(())
}

/// What a browser on this machine opens.
fn origin(mut address: SocketAddr) -> String {
    if address.ip().is_unspecified() {
        address.set_ip(IpAddr::V4(Ipv4Addr::LOCALHOST));
    }
    format!("http://{address}")
}
