//! Files that people sent: a code is exchanged for an address, and the file is read from there.
//!
//! The address is not ours and gets nothing of ours: no token, no content type (the storage signs without one). It must
//! be https and lead outside, both by its host and by what the host resolves to; redirects are not followed.
//! Source: open.dingtalk.com "下载机器人接收消息的文件内容", August 2026.

use std::time::Duration;

use futures::stream::BoxStream;
use futures::{StreamExt as _, stream};
use magpie_core::event::{Message, Resource};
use magpie_core::platform::{Download, SendError};
use reqwest::header::CONTENT_TYPE;
use serde_json::Value;
use url::Url;

use crate::answer::Class;
use crate::api::Call;
use crate::calls::download_file;
use crate::courier::Courier;
use crate::failure::Failure;
use crate::route::{WayBack, is_public};

/// Begins the download; only the robot that received the file can exchange its code.
pub(crate) async fn begin(courier: &Courier, message: &Message, resource: &Resource) -> Result<Download, Failure> {
    let way = WayBack::of(&message.reply_to);
    let robot_code = way.robot_code.as_deref().unwrap_or(&courier.robot_code);
    let body = download_file(robot_code, &resource.key);
    let answer = courier.api.insist(Call::DownloadFile, || body.clone()).await.map_err(expired)?;
    let address = answer.get("downloadUrl").and_then(Value::as_str).and_then(|address| Url::parse(address).ok());
    let address = address.ok_or_else(|| Failure::new(Call::DownloadFile.name(), Class::Temporary, "no_address"))?;
    if !courier.hosts.may_serve_files(&address) || leads_inside(courier, &address).await {
        return Err(Failure::new(Call::Storage.name(), Class::BadRequest, "address_not_allowed"));
    }
    let response = courier.api.get_file(address).await?;
    let media_type = response.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let media_type = media_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let bytes = response.content_length();
    Ok(Download { media_type, bytes, stream: body_of(response, courier.timing.call_timeout) })
}

/// A code that is not known (any more) is no mistake of ours.
fn expired(mut failure: Failure) -> Failure {
    if failure.class == Class::BadRequest {
        failure.class = Class::Gone;
    }
    failure
}

/// Whether a name that is not listed resolves to an inner network. One that does not resolve here is left to the proxy
/// that the client may have, or to the failure that follows.
async fn leads_inside(courier: &Courier, address: &Url) -> bool {
    let (Some(host), Some(port)) = (address.domain(), address.port_or_known_default()) else { return false };
    if courier.hosts.is_listed(address) {
        return false;
    }
    let found = tokio::time::timeout(courier.timing.call_timeout, tokio::net::lookup_host((host, port))).await;
    found.ok().and_then(Result::ok).is_some_and(|mut found| found.any(|address| !is_public(address.ip())))
}

/// The body piece by piece; a piece that does not come for `patience` ends it.
fn body_of(response: reqwest::Response, patience: Duration) -> BoxStream<'static, Result<bytes::Bytes, SendError>> {
    stream::unfold(Some(response), move |response| async move {
        let mut response = response?;
        let name = Call::Storage.name();
        let failure = match tokio::time::timeout(patience, response.chunk()).await {
            Ok(Ok(Some(bytes))) => return Some((Ok(bytes), Some(response))),
            Ok(Ok(None)) => return None,
            Ok(Err(error)) => Failure::transport(name, error),
            Err(_) => Failure::new(name, Class::Temporary, "timeout"),
        };
        Some((Err(failure.into()), None))
    })
    .boxed()
}
