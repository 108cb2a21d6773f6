//! Whether the service that runs here is ready.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use magpie_core::causes::with_causes;

use super::report::Report;
use crate::app::clients;
use crate::config::{self, Server};

/// Container health checks usually wait five seconds.
const TIMEOUT: Duration = Duration::from_secs(4);

pub async fn check(server: &Server, report: &mut Report) {
    match ask(server).await {
        Ok((url, status)) if status.is_success() => report.ok("running", format!("{url} says ready")),
        Ok((url, status)) => report.fail("running", format!("{url} answers {status}; see the service's log")),
        Err(why) => report.fail("running", format!("{why}; start it with `magpie serve`")),
    }
}

async fn ask(server: &Server) -> Result<(String, reqwest::StatusCode), String> {
    let address = config::resolve(&server.listen).map_err(|error| error.to_string())?;
    let url = format!("http://{}/health/ready", reachable(address));
    let client = clients::local(TIMEOUT).map_err(|error| with_causes(&error))?;
    match client.get(&url).send().await {
        Ok(response) => Ok((url, response.status())),
        Err(error) => Err(format!("nothing answers at {url}: {}", with_causes(&error))),
    }
}

/// A wildcard can be listened on but not be called.
fn reachable(mut address: SocketAddr) -> SocketAddr {
    match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => address.set_ip(Ipv4Addr::LOCALHOST.into()),
        IpAddr::V6(ip) if ip.is_unspecified() => address.set_ip(Ipv6Addr::LOCALHOST.into()),
        _ => {}
    }
    address
}
