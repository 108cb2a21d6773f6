//! What a simulated DingTalk is started with.

use std::fmt;
use std::time::Duration;

use crate::wire::WireLog;

/// Template A: the public AI card with title, streamed Markdown and request buttons.
pub const TEMPLATE_A: &str = "382e4302-551d-4880-bf29-a30acfab2e71.schema";
/// Template B: the public AI card with streamed Markdown only.
pub const TEMPLATE_B: &str = "02fcf2f4-5e02-4a85-b672-46d1f715543e.schema";
/// Template C: title, logo and Markdown, not streamed.
pub const TEMPLATE_C: &str = "589420e2-c1e2-46ef-a5ed-b8728e654da9.schema";
/// Template D: Markdown, tips and URL buttons.
pub const TEMPLATE_D: &str = "1366a1eb-bc54-4859-ac88-517c56a9acb1.schema";

/// Calls allowed for each API of the app; the checks can be switched off together by
/// [`super::DingTalkSim::set_rate_check`]. Calls that are refused do not count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RateLimits {
    /// Within any second (403 `QpsLimitForAppkeyAndApi`, or code 88/90018 of the old APIs).
    pub per_second: usize,
    /// Within any minute (403 `QpmLimitForAppkeyAndApi`); `None` without such a limit.
    pub per_minute: Option<usize>,
    /// Of all APIs together, over all time as it passes here (403 `ApiCountLimitForOrg`); `None` for a paid
    /// organisation without end.
    pub per_month: Option<u64>,
}

impl Default for RateLimits {
    /// What a standard organisation has; its 5 000 calls a month are not counted down unless wanted.
    fn default() -> Self {
        Self { per_second: 20, per_minute: None, per_month: None }
    }
}

/// App, organisation and behaviour of a simulated DingTalk. Everything has a default that works.
#[derive(Clone)]
pub struct DingTalkConfig {
    /// App key of the internal app (`ding…`).
    pub client_id: String,
    /// App secret: signs robot messages, buys tokens.
    pub client_secret: String,
    /// Robot of the app; the same as `client_id` on the real platform.
    pub robot_code: String,
    pub corp_id: String,
    /// Token of the event subscription (3 to 32 letters and digits).
    pub callback_token: String,
    /// AES key of the event subscription (43 characters).
    pub callback_aes_key: String,
    /// The robot's display name.
    pub bot_name: String,
    /// Where robot messages and events are pushed to; may be set later.
    pub webhook_url: Option<String>,
    /// Port on 127.0.0.1; 0 takes a free one.
    pub port: u16,
    /// Ids of the app's own published card templates.
    pub own_templates: Vec<String>,
    /// `access_token` and `SEC…` secret of a custom robot that posts into the seeded group.
    pub custom_robot: Option<(String, String)>,
    /// How long the platform waits for the answer to a robot message or an event; 2.5 s in life.
    pub push_timeout: Duration,
    /// How long it waits for the answer to a card callback; 2 s in life.
    pub card_timeout: Duration,
    /// Pauses before each repeat of a push that was not answered with 200. In life about a minute; scaled down here.
    pub repeat_after: Vec<Duration>,
    /// How long each API call takes. Above zero, so that calls for one card can overlap.
    pub latency: Duration,
    /// Calls a second for each API; more are refused with the QPS error.
    pub calls_per_second: usize,
    pub wire: WireLog,
}

impl Default for DingTalkConfig {
    fn default() -> Self {
        Self {
            client_id: "dingsimmagpie0001".to_owned(),
            client_secret: "sim-app-secret_0123456789abcdefghijklmnopqrstuvwxyz-ABCDEFGHIJKL".to_owned(),
            robot_code: "dingsimmagpie0001".to_owned(),
            corp_id: "dingsim00000000000000000000000000corp".to_owned(),
            callback_token: "simcallbacktoken".to_owned(),
            callback_aes_key: "simulatedDingTalkEventSubscriptionKey012345".to_owned(),
            bot_name: "鹊桥".to_owned(),
            webhook_url: None,
            port: 0,
            own_templates: Vec::new(),
            custom_robot: None,
            push_timeout: Duration::from_millis(2_500),
            card_timeout: Duration::from_secs(2),
            repeat_after: [300, 1_000, 2_000, 4_000, 8_000, 15_000, 30_000, 60_000].map(Duration::from_millis).to_vec(),
            latency: Duration::from_millis(3),
            calls_per_second: 20,
            wire: WireLog::default(),
        }
    }
}

/// Leaves the secrets out.
impl fmt::Debug for DingTalkConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DingTalkConfig")
            .field("client_id", &self.client_id)
            .field("robot_code", &self.robot_code)
            .field("webhook_url", &self.webhook_url)
            .field("port", &self.port)
            .field("own_templates", &self.own_templates)
            .finish_non_exhaustive()
    }
}
