//! Asking a server for bytes: redirects, credentials, and which answers are worth another try.

use reqwest::header::{ACCEPT_ENCODING, HeaderMap, IF_RANGE, LOCATION, RANGE, RETRY_AFTER};
use reqwest::{Client, Response, StatusCode, Url};
use std::time::Duration;

use super::shown;
use crate::error::LoadError;

const MOST_REDIRECTS: usize = 6;
/// Servers that ask for longer waits are asked again sooner.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// What went wrong with one attempt.
#[derive(Debug)]
pub(super) enum Failure {
    /// Another attempt may succeed; the server may have said when.
    Passing(LoadError, Option<Duration>),
    Final(LoadError),
}

impl From<LoadError> for Failure {
    fn from(error: LoadError) -> Self {
        Self::Final(error)
    }
}

/// From where on, and of which version.
pub(super) struct Rest<'a> {
    pub from: u64,
    pub etag: &'a str,
}

/// Gets a response with a body. Redirects are followed here, whatever the client would do: a token is for the host that
/// it was meant for, and what was asked for in secret is not to be fetched in the open.
pub(super) async fn get(
    client: &Client,
    url: &Url,
    token: Option<&str>,
    rest: Option<Rest<'_>>,
) -> Result<Response, Failure> {
    let mut at = url.clone();
    for _ in 0..MOST_REDIRECTS {
        let mut request = client.get(at.clone()).header(ACCEPT_ENCODING, "identity");
        if let Some(token) = token.filter(|_| at.origin() == url.origin()) {
            request = request.bearer_auth(token);
        }
        if let Some(Rest { from, etag }) = &rest {
            request = request.header(RANGE, format!("bytes={from}-")).header(IF_RANGE, *etag);
        }
        let response = request.send().await.map_err(|error| passing(url, "the server does not answer", error))?;
        if !response.status().is_redirection() {
            return accept(url, response);
        }
        let location = response.headers().get(LOCATION).and_then(|location| location.to_str().ok());
        let next = location.and_then(|location| at.join(location).ok());
        let next = next.ok_or_else(|| refused(url, "it redirects to no valid address"))?;
        if next.scheme() != "https" && at.scheme() == "https" {
            return Err(refused(url, "it redirects from https to an unprotected address"));
        }
        at = next;
    }
    Err(refused(url, "it redirects without end"))
}

/// A header's text.
pub(super) fn header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

/// A failure that may pass.
pub(super) fn passing(url: &Url, what: &str, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Failure {
    Failure::Passing(LoadError::Download { from: shown(url), what: what.to_owned(), source: Some(source.into()) }, None)
}

/// A failure for good.
pub(super) fn refused(url: &Url, what: impl Into<String>) -> Failure {
    Failure::Final(LoadError::Download { from: shown(url), what: what.into(), source: None })
}

fn accept(url: &Url, response: Response) -> Result<Response, Failure> {
    let status = response.status();
    match status {
        StatusCode::OK | StatusCode::PARTIAL_CONTENT | StatusCode::RANGE_NOT_SATISFIABLE => Ok(response),
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
            Err(refused(url, format!("the server refuses it ({status}); check the address, and HF_TOKEN for a hub")))
        }
        StatusCode::NOT_FOUND | StatusCode::GONE => {
            Err(refused(url, format!("there is nothing ({status}); check model.local.path")))
        }
        _ if status.is_server_error()
            || [StatusCode::REQUEST_TIMEOUT, StatusCode::TOO_MANY_REQUESTS].contains(&status) =>
        {
            let wait = header(response.headers(), RETRY_AFTER.as_str()).and_then(|seconds| seconds.parse().ok());
            let wait = wait.map(|seconds| Duration::from_secs(seconds).min(LONGEST_WAIT));
            let what = format!("the server fails ({status})");
            Err(Failure::Passing(LoadError::Download { from: shown(url), what, source: None }, wait))
        }
        _ => Err(refused(url, format!("the server answers {status}"))),
    }
}
