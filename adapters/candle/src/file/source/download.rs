//! Downloading one file: continued, tried again, checked while it arrives.

use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use reqwest::{Client, Response, StatusCode, Url};
use tokio::time;

use super::part::Part;
use super::request::{self, Failure, Rest};
use super::shown;
use crate::error::LoadError;
use crate::file::progress::{Reporter, Stage};

const MOST_DOUBLINGS: u32 = 5;

/// A file to fetch.
pub(super) struct Order<'a> {
    url: Url,
    to: &'a Path,
    token: Option<&'a str>,
    sha256: Option<&'a str>,
    bytes: Option<u64>,
    /// Bytes of the model's files before this one, and of all of them.
    before: u64,
    all: Option<u64>,
}

/// How long to hope.
#[derive(Debug, Clone, Copy)]
pub(super) struct Patience {
    /// Attempts one after the other that bring no byte.
    pub attempts: u32,
    /// After the first of them; doubles.
    pub first_wait: Duration,
    /// Without a byte.
    pub silence: Duration,
}

pub(super) struct Downloader {
    pub client: Client,
    pub patience: Patience,
    /// Free bytes of the disk with a folder; unknown where that can't be asked.
    pub free_bytes: fn(&Path) -> Option<u64>,
}

/// Counts failures, and waits after each.
struct Hope {
    patience: Patience,
    failures: u32,
}

impl Hope {
    fn new(patience: Patience) -> Self {
        Self { patience, failures: 0 }
    }

    /// Returns when it is time for another attempt. What brought something counts as the first failure.
    async fn after(&mut self, failure: Failure, brought_something: bool) -> Result<(), LoadError> {
        let (error, wanted) = match failure {
            Failure::Final(error) => return Err(error),
            Failure::Passing(error, wanted) => (error, wanted),
        };
        self.failures = if brought_something { 1 } else { self.failures + 1 };
        if self.failures >= self.patience.attempts {
            return Err(error);
        }
        let wait = wanted.unwrap_or(self.patience.first_wait * 2_u32.pow((self.failures - 1).min(MOST_DOUBLINGS)));
        tracing::warn!(error = %error, wait_ms = wait.as_millis(), "the download is tried again");
        time::sleep(wait).await;
        Ok(())
    }
}

impl<'a> Order<'a> {
    pub(super) fn new(url: Url, to: &'a Path) -> Self {
        Self { url, to, token: None, sha256: None, bytes: None, before: 0, all: None }
    }

    /// In lower-case hex.
    pub(super) fn sha256(self, sha256: &'a str) -> Self {
        Self { sha256: Some(sha256), ..self }
    }

    pub(super) fn token(self, token: Option<&'a str>) -> Self {
        Self { token, ..self }
    }

    /// The size that the file must have, and its place among others that are fetched together.
    pub(super) fn bytes(self, bytes: u64, before: u64, all: u64) -> Self {
        Self { bytes: Some(bytes), before, all: Some(all), ..self }
    }
}

impl Downloader {
    pub(super) fn new(client: Client) -> Self {
        let (first_wait, silence) = (Duration::from_secs(1), Duration::from_secs(60));
        let free_bytes = |folder: &Path| fs4::available_space(folder).ok();
        Self { client, patience: Patience { attempts: 6, first_wait, silence }, free_bytes }
    }

    /// Brings the file to its place, unless it is there.
    pub(super) async fn fetch(&self, order: &Order<'_>, reporter: &Reporter) -> Result<(), LoadError> {
        if order.to.is_file() {
            return Ok(());
        }
        let Some(mut part) = Part::open(order.to).await? else { return Ok(()) };
        loop {
            self.complete(order, &mut part, reporter).await?;
            let Some(expected) = order.sha256 else { break };
            let actual = part.sha256();
            if actual.eq_ignore_ascii_case(expected) {
                break;
            }
            let inherited = part.is_inherited();
            part.restart(None)?;
            if !inherited {
                let (path, expected) = (PathBuf::from(shown(&order.url)), expected.to_owned());
                return Err(LoadError::Checksum { path, expected, actual });
            }
            tracing::warn!("what an earlier download left was damaged; it begins anew");
        }
        part.finish()
    }

    /// The body of a small answer.
    pub(super) async fn small(&self, url: &Url, token: Option<&str>, most: usize) -> Result<Vec<u8>, LoadError> {
        let mut hope = Hope::new(self.patience);
        loop {
            match self.body(url, token, most).await {
                Ok(body) => return Ok(body),
                Err(failure) => hope.after(failure, false).await?,
            }
        }
    }

    /// Tries until all bytes are there, or hope is gone.
    async fn complete(&self, order: &Order<'_>, part: &mut Part, reporter: &Reporter) -> Result<(), LoadError> {
        let mut hope = Hope::new(self.patience);
        loop {
            let before = part.length();
            match self.attempt(order, part, reporter).await {
                Ok(()) => return Ok(()),
                Err(failure) => hope.after(failure, part.length() > before).await?,
            }
        }
    }

    async fn body(&self, url: &Url, token: Option<&str>, most: usize) -> Result<Vec<u8>, Failure> {
        let mut response = self.in_time(url, request::get(&self.client, url, token, None)).await??;
        let mut body = Vec::new();
        while let Some(bytes) = self.chunk(url, &mut response).await? {
            body.extend_from_slice(&bytes);
            if body.len() > most {
                return Err(request::refused(url, format!("its answer is longer than {most} bytes")));
            }
        }
        Ok(body)
    }

    async fn attempt(&self, order: &Order<'_>, part: &mut Part, reporter: &Reporter) -> Result<(), Failure> {
        let rest = part.etag().map(|etag| Rest { from: part.length(), etag });
        let asking = request::get(&self.client, &order.url, order.token, rest);
        let mut response = self.in_time(&order.url, asking).await??;
        self.take_up(order, part, &response)?;
        let total = response.content_length().map(|rest| part.length() + rest).or(order.bytes);
        if let (Some(total), Some(expected)) = (total, order.bytes)
            && total != expected
        {
            return Err(request::refused(&order.url, format!("the server has {total} bytes, not {expected}")));
        }
        self.find_room(order, total.map(|total| total.saturating_sub(part.length())))?;
        let tell = |part: &Part| {
            reporter.report(Stage::Downloading, order.before + part.length(), order.all.or(total));
        };
        tell(part);
        while let Some(bytes) = self.chunk(&order.url, &mut response).await? {
            if total.is_some_and(|total| part.length() + bytes.len() as u64 > total) {
                return Err(request::refused(&order.url, "the server sends more than it announced"));
            }
            part.append(&bytes)?;
            tell(part);
        }
        match total {
            Some(total) if part.length() < total => {
                let what = format!("the connection ended after {} of {total} bytes", part.length());
                Err(Failure::Passing(LoadError::Download { from: shown(&order.url), what, source: None }, None))
            }
            _ => Ok(()),
        }
    }

    /// Makes the part fit what the server sends: the rest of it, or all of something.
    fn take_up(&self, order: &Order<'_>, part: &mut Part, response: &Response) -> Result<(), Failure> {
        let headers = response.headers();
        let continues = || {
            let range = request::header(headers, "content-range")?.strip_prefix("bytes ")?;
            range.split_once('-')?.0.trim().parse::<u64>().ok()
        };
        match response.status() {
            StatusCode::PARTIAL_CONTENT if continues() == Some(part.length()) => Ok(()),
            StatusCode::OK => {
                // A weak one names versions that may differ in bytes.
                let etag = request::header(headers, "etag").filter(|etag| etag.starts_with('"'));
                Ok(part.restart(etag)?)
            }
            status => {
                part.restart(None)?;
                let what = format!("the server does not continue where it stopped ({status})");
                Err(Failure::Passing(LoadError::Download { from: shown(&order.url), what, source: None }, None))
            }
        }
    }

    fn find_room(&self, order: &Order<'_>, needed_bytes: Option<u64>) -> Result<(), LoadError> {
        let folder = order.to.parent().unwrap_or(order.to);
        match (needed_bytes, (self.free_bytes)(folder)) {
            (Some(needed_bytes), Some(free_bytes)) if needed_bytes > free_bytes => {
                Err(LoadError::Space { folder: folder.to_owned(), needed_bytes, free_bytes })
            }
            _ => Ok(()),
        }
    }

    async fn chunk(&self, url: &Url, response: &mut Response) -> Result<Option<Bytes>, Failure> {
        let chunk = self.in_time(url, response.chunk()).await?;
        chunk.map_err(|error| request::passing(url, "the connection broke", error))
    }

    async fn in_time<T>(&self, url: &Url, work: impl Future<Output = T>) -> Result<T, Failure> {
        let silence = self.patience.silence;
        let answer = time::timeout(silence, work).await;
        answer.map_err(|elapsed| request::passing(url, &format!("nothing came for {silence:?}"), elapsed))
    }
}
