//! Whether the bots can work on their platforms.

use std::sync::Arc;
use std::time::Duration;

use magpie_core::causes::with_causes;
use magpie_core::clock::SystemClock;
use magpie_core::event::PlatformKind;
use tokio::time::timeout;

use super::report::Report;
use crate::app::Platforms;
use crate::app::clients::Clients;
use crate::config::{Bot, Config};

const TIMEOUT: Duration = Duration::from_secs(30);

pub async fn check(config: &Config, online: bool, report: &mut Report) {
    if config.bots.is_empty() {
        report.warn("bots", "none; add a [bots.NAME]");
    }
    let http = match Clients::new(config.server.outbound_proxy.reveal()) {
        Ok(clients) => clients.platform,
        Err(error) => return report.fail("server.outbound_proxy", with_causes(&error)),
    };
    let platforms = Platforms { config, http, clock: Arc::new(SystemClock) };
    for (name, bot) in &config.bots {
        one(&platforms, name, bot, online, report).await;
    }
}

async fn one(platforms: &Platforms<'_>, name: &str, bot: &Bot, online: bool, report: &mut Report) {
    let check = format!("bots.{name}");
    let platform = match platforms.platform(name, bot, &platforms.budget(name, bot)) {
        Ok(platform) => platform,
        Err(error) => return report.fail(&check, with_causes(&error)),
    };
    if bot.platform == PlatformKind::DingTalk && platforms.config.server.public_url.is_empty() {
        report.warn(&check, "its cards carry no buttons; set server.public_url to where DingTalk reaches this service");
    }
    if !online {
        return report.ok(&check, format!("{} credentials are there (not tried; use --online)", bot.platform.as_str()));
    }
    match timeout(TIMEOUT, platform.connect()).await {
        Ok(Ok(())) => report.ok(&check, format!("{} accepts the credentials", bot.platform.as_str())),
        Ok(Err(error)) => report.fail(&check, with_causes(&error)),
        Err(_) => report.fail(&check, "no answer in time; check the network and server.outbound_proxy"),
    }
}
