//! Where an answer goes: the adapter's private part of `ReplyTo`, and which session webhooks are believed.

use std::net::IpAddr;
use std::time::Duration;

use magpie_core::clock::UnixMillis;
use magpie_core::event::{ReplyTo, Route};
use serde::{Deserialize, Serialize};
use url::{Host, Url};

/// Hosts of the platform that hand out session webhooks: mainland and international tenants.
const OFFICIAL_HOSTS: [&str; 4] = ["oapi.dingtalk.com", "api.dingtalk.com", "oapi.dingtalk.io", "api.dingtalk.io"];
/// A session webhook this close to its end is taken for gone: an answer on its way must not meet the end.
const WEBHOOK_MARGIN: Duration = Duration::from_secs(5 * 60);
/// Encrypted ids of people begin like this; they can't be sent to.
const ENCRYPTED_ID_PREFIX: &str = "$:";

/// What a message said about the way back. Not to be printed: it holds a credential.
#[derive(Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct WayBack {
    /// Lets its holder post as the robot; never logged.
    pub session_webhook: Option<String>,
    pub session_webhook_expires_at: Option<UnixMillis>,
    /// The sender's member id; missing for people outside the organisation and for unpublished robots.
    pub staff_id: Option<String>,
    /// Robot that was spoken to; the configured one if the message names none.
    pub robot_code: Option<String>,
    /// The sender had no member id, so none may be guessed from `ReplyTo::user`.
    pub no_staff_id: bool,
}

impl WayBack {
    pub fn of(to: &ReplyTo) -> Self {
        // A route this version can't read is as good as none: the chat id still leads to groups.
        let mut way: Self = serde_json::from_value(to.route.0.clone()).unwrap_or_default();
        if way.staff_id.is_none() && !way.no_staff_id {
            way.staff_id =
                to.user.as_ref().map(|user| user.0.clone()).filter(|id| !id.starts_with(ENCRYPTED_ID_PREFIX));
        }
        way
    }

    pub fn into_route(self) -> Route {
        Route(serde_json::to_value(self).unwrap_or_default())
    }

    /// The session webhook, if it will live long enough.
    pub fn usable_webhook(&self, now: UnixMillis) -> Option<&str> {
        let expires_at = self.session_webhook_expires_at?;
        if expires_at <= now + WEBHOOK_MARGIN {
            return None;
        }
        self.session_webhook.as_deref()
    }
}

/// Decides which session webhooks are believed. They stand in a body that no signature covers, so a stranger's address
/// must never be called with an answer in hand.
#[derive(Debug, Clone)]
pub(crate) struct WebhookHosts {
    /// The operator's own, lower case.
    extra: Vec<String>,
    /// Host of a private deployment's old API.
    legacy: Option<String>,
}

impl WebhookHosts {
    pub fn new(extra: &[String], legacy: Option<&Url>) -> Self {
        let lower = |host: &String| host.trim().to_ascii_lowercase();
        Self {
            extra: extra.iter().map(lower).filter(|host| !host.is_empty()).collect(),
            legacy: legacy.and_then(Url::host_str).map(str::to_owned),
        }
    }

    /// Whether a file may be fetched from there: https and no address of an inner network, or a listed host. The
    /// platform's storage has many names, so here the host need not be known.
    pub fn may_serve_files(&self, url: &Url) -> bool {
        if !url.username().is_empty() || url.password().is_some() {
            return false;
        }
        if self.is_listed(url) {
            return url.scheme() == "https" || (url.scheme() == "http" && is_loopback(url));
        }
        let public = match url.host() {
            Some(Host::Ipv4(address)) => is_public(IpAddr::V4(address)),
            Some(Host::Ipv6(address)) => is_public(IpAddr::V6(address)),
            Some(Host::Domain(name)) => is_public_name(name),
            None => false,
        };
        url.scheme() == "https" && public
    }

    /// Named by the operator, whatever it resolves to.
    pub fn is_listed(&self, url: &Url) -> bool {
        let Some(host) = url.host_str() else { return false };
        self.legacy.as_deref() == Some(host)
            || self.extra.iter().any(|extra| extra == host.trim_matches(['[', ']']) || extra == host)
    }

    /// https, no user-info, a known host. Loopback hosts that the operator listed may speak http.
    pub fn believes(&self, address: &str) -> bool {
        let Ok(url) = Url::parse(address) else { return false };
        if !url.username().is_empty() || url.password().is_some() {
            return false;
        }
        let Some(host) = url.host_str() else { return false };
        match url.scheme() {
            "https" if OFFICIAL_HOSTS.contains(&host) => url.port().is_none(),
            "https" => self.is_listed(&url),
            "http" => self.is_listed(&url) && is_loopback(&url),
            _ => false,
        }
    }
}

/// Names that only an inner network knows.
fn is_public_name(name: &str) -> bool {
    let name = name.trim_end_matches('.');
    let inner = [".localhost", ".local", ".internal", ".lan", ".home.arpa"];
    name.contains('.') && !inner.iter().any(|suffix| name.ends_with(suffix))
}

/// Not of this machine, of a private network, or of a link or a provider's inside (which serve credentials).
pub(crate) fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => {
            let [a, b, ..] = v4.octets();
            let shared = a == 100 && (64..128).contains(&b);
            let reserved = a == 0 || a >= 240 || (a == 192 && b == 0) || (a == 198 && (18..20).contains(&b));
            !(v4.is_loopback() || v4.is_private() || v4.is_link_local() || v4.is_multicast() || shared || reserved)
        }
        IpAddr::V6(v6) => match v6.to_ipv4() {
            Some(v4) => is_public(IpAddr::V4(v4)),
            // Global unicast, without what embeds an address of the older kind.
            None => {
                let [first, second, ..] = v6.segments();
                first & 0xe000 == 0x2000 && first != 0x2002 && !(first == 0x2001 && second == 0)
            }
        },
    }
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(address)) => IpAddr::V4(address).is_loopback(),
        Some(Host::Ipv6(address)) => IpAddr::V6(address).is_loopback(),
        Some(Host::Domain(name)) => name == "localhost",
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hosts(extra: &[&str]) -> WebhookHosts {
        WebhookHosts::new(&extra.iter().map(|host| (*host).to_owned()).collect::<Vec<_>>(), None)
    }

    #[test]
    fn only_official_and_listed_hosts_are_believed() {
        let hosts = hosts(&["Ding.Example.com"]);
        assert!(hosts.believes("https://oapi.dingtalk.com/robot/sendBySession?session=1"));
        assert!(hosts.believes("https://ding.example.com:8443/robot/sendBySession?session=1"));
        for forged in [
            "http://oapi.dingtalk.com/robot/sendBySession",
            "https://oapi.dingtalk.com.evil.example/x",
            "https://evil.example/oapi.dingtalk.com",
            "https://oapi.dingtalk.com@evil.example/x",
            "https://user:pw@oapi.dingtalk.com/x",
            "https://oapi.dingtalk.com:8443/x",
            "https://127.0.0.1/x",
            "http://ding.example.com/x",
            "file:///etc/passwd",
            "oapi.dingtalk.com",
            "",
        ] {
            assert!(!hosts.believes(forged), "{forged}");
        }
    }

    #[test]
    fn listed_loopback_hosts_may_speak_http_on_any_port() {
        let hosts = hosts(&["127.0.0.1", "localhost", "::1", "10.0.0.1"]);
        assert!(hosts.believes("http://127.0.0.1:4711/robot/sendBySession?session=1"));
        assert!(hosts.believes("http://localhost/x"));
        assert!(hosts.believes("http://[::1]:80/x"));
        assert!(!hosts.believes("http://10.0.0.1/x"));
        assert!(!hosts.believes("http://127.0.0.2/x"));
    }

    #[test]
    fn files_come_from_the_outside_only() {
        let hosts = hosts(&["127.0.0.1", "storage.corp.example"]);
        let may = |address: &str| hosts.may_serve_files(&Url::parse(address).unwrap());
        assert!(may("https://zjk-dualstack.oss-cn-hangzhou.aliyuncs.com/a?Signature=b"));
        assert!(may("https://8.8.8.8/a") && may("https://[2606:4700::1111]/a"));
        assert!(may("http://127.0.0.1:4711/a") && may("https://storage.corp.example/a"));
        for inner in [
            "http://oss.aliyuncs.com/a",
            "http://storage.corp.example/a",
            "https://user:pw@oss.aliyuncs.com/a",
            "https://127.0.0.2/a",
            "https://2130706434/a",
            "https://10.1.2.3/a",
            "https://100.100.100.200/latest/meta-data",
            "https://169.254.169.254/latest/meta-data",
            "https://192.168.0.1/a",
            "https://[::1]/a",
            "https://[::ffff:10.0.0.1]/a",
            "https://[fd00::1]/a",
            "https://[2002:a00:1::]/a",
            "https://localhost/a",
            "https://db/a",
            "https://metadata.internal/a",
            "ftp://oss.aliyuncs.com/a",
            "file:///etc/passwd",
        ] {
            assert!(!may(inner), "{inner}");
        }
    }

    #[test]
    fn a_webhook_about_to_expire_is_not_used() {
        let way = WayBack {
            session_webhook: Some("https://oapi.dingtalk.com/x".to_owned()),
            session_webhook_expires_at: Some(UnixMillis(1_000_000)),
            ..WayBack::default()
        };
        assert!(way.usable_webhook(UnixMillis(699_999)).is_some());
        assert!(way.usable_webhook(UnixMillis(700_000)).is_none());
    }
}
