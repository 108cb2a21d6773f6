//! HTTP clients, made in one place: with timeouts, without redirects, through the configured proxy.

use std::time::Duration;

use reqwest::redirect::Policy;
use reqwest::{Client, ClientBuilder, NoProxy, Proxy};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const CALL_TIMEOUT: Duration = Duration::from_secs(15);

/// The clients of a process.
#[derive(Clone)]
pub struct Clients {
    /// For platforms: short calls.
    pub platform: Client,
    /// For answers that stream: their engine watches the time from token to token.
    pub streaming: Client,
}

impl Clients {
    /// `outbound_proxy` is `server.outbound_proxy`; empty leaves it to `HTTPS_PROXY` and its like.
    ///
    /// # Errors
    /// The proxy's address can't be used, or the machine has no certificates to trust.
    pub fn new(outbound_proxy: &str) -> Result<Self, reqwest::Error> {
        Ok(Self {
            platform: base(outbound_proxy)?.timeout(CALL_TIMEOUT).build()?,
            streaming: base(outbound_proxy)?.build()?,
        })
    }
}

/// A client for one quick question to this machine, such as a health probe.
///
/// # Errors
/// The machine has no certificates to trust.
pub fn local(timeout: Duration) -> Result<Client, reqwest::Error> {
    provide_cryptography();
    Client::builder().no_proxy().redirect(Policy::none()).timeout(timeout).build()
}

fn base(outbound_proxy: &str) -> Result<ClientBuilder, reqwest::Error> {
    provide_cryptography();
    let builder = Client::builder()
        .user_agent(concat!("magpie/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(CONNECT_TIMEOUT)
        // A redirect would carry a token to a host that nobody configured.
        .redirect(Policy::none());
    if outbound_proxy.is_empty() {
        return Ok(builder);
    }
    Ok(builder.proxy(Proxy::all(outbound_proxy)?.no_proxy(NoProxy::from_env())))
}

/// rustls takes its primitives from one provider per process; whoever is first decides, and all of us want ring.
fn provide_cryptography() {
    let _ = rustls::crypto::ring::default_provider().install_default();
}
