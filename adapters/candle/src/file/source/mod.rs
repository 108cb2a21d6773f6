//! Where a model comes from: a path of this machine, an address, or a repository of a hub.
//!
//! What comes from elsewhere is kept in a folder, so that a later start needs no network. A file is downloaded beside
//! its place, continued after interruptions, checked, and renamed into place when it is whole.
//!
//! The hub's own client crate was not used: it brings a hundred crates, among them a second provider of cryptography
//! that would have to be built from C, and checks no checksums; two kinds of requests are all that is needed.

mod download;
mod hub;
mod part;
mod request;

use std::path::{Path, PathBuf};

use magpie_core::cancel::CancelToken;
use reqwest::{Client, Url};

use super::progress::Reporter;
use crate::error::LoadError;
use download::{Downloader, Order};
use hub::Hub;
pub use hub::{HubModel, HubSettings};

/// A parsed `model.local.path`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// A file or folder of this machine.
    Local(PathBuf),
    Address(Address),
    Hub(HubModel),
}

/// A file that any web server or object storage offers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    url: Url,
    sha256: String,
}

/// Brings models to this machine.
pub struct Fetcher {
    downloader: Downloader,
    folder: PathBuf,
    hub: Hub,
}

impl Source {
    /// Reads `model.local.path` and `model.local.sha256`: a path, `http(s)://…` or `hf:OWNER/REPO[@REVISION][/FILE]`.
    ///
    /// # Errors
    /// An address can't be read or lacks a checksum, or a name is none of a repository.
    pub fn parse(path: &str, sha256: Option<&str>) -> Result<Self, LoadError> {
        if let Some(name) = path.strip_prefix("hf:") {
            return HubModel::parse(name, sha256).map(Self::Hub);
        }
        if !["http://", "https://"].iter().any(|scheme| path.starts_with(scheme)) {
            return Ok(Self::Local(PathBuf::from(path)));
        }
        let unusable = |what: &str| LoadError::Source { what: what.to_owned() };
        let url = Url::parse(path).map_err(|_| unusable("it is no valid address"))?;
        let sha256 = sha256.map(|sha256| sha256.trim().to_ascii_lowercase()).filter(|sha256| is_sha256(sha256));
        let sha256 = sha256.ok_or_else(|| {
            unusable(
                "an address needs model.local.sha256 (64 hex digits): whoever answers there could otherwise \
                 put another model in its place, and a cached file could not be told from another",
            )
        })?;
        Ok(Self::Address(Address { url, sha256 }))
    }
}

impl Address {
    /// The file's name in the cache: the same bytes have the same name, wherever they come from.
    fn file_name(&self) -> String {
        let name = self.url.path_segments().and_then(|mut segments| segments.next_back()).unwrap_or_default();
        let plain: String = name.chars().filter(|c| c.is_ascii_alphanumeric() || "._-".contains(*c)).collect();
        format!("{}-{}", &self.sha256[..16], plain.trim_start_matches('.'))
    }
}

impl Fetcher {
    /// `client` goes through the configured proxy and has no overall timeout; downloads are kept in `folder`.
    #[must_use]
    pub fn new(client: Client, folder: impl Into<PathBuf>, hub: HubSettings) -> Self {
        Self { downloader: Downloader::new(client), folder: folder.into(), hub: Hub::new(hub) }
    }

    /// Where the model lies, if it is on this machine already.
    #[must_use]
    pub fn present(&self, source: &Source) -> Option<PathBuf> {
        match source {
            Source::Local(path) => Some(path.clone()),
            Source::Address(address) => Some(self.folder.join(address.file_name())).filter(|path| path.is_file()),
            Source::Hub(model) => self.hub.present(model, &self.folder),
        }
    }

    /// Gives the path of the model, after a download if there has to be one. Dropping the future leaves what has
    /// arrived, to be continued by the next attempt.
    ///
    /// # Errors
    /// It can't be had, is another file than the one that was meant, or finds no room.
    pub async fn fetch(&self, source: &Source, reporter: &Reporter) -> Result<PathBuf, LoadError> {
        if let Some(path) = self.present(source) {
            return Ok(path);
        }
        match source {
            Source::Local(path) => Ok(path.clone()),
            Source::Address(address) => {
                let path = self.folder.join(address.file_name());
                let order = Order::new(address.url.clone(), &path).sha256(&address.sha256);
                self.downloader.fetch(&order, reporter).await?;
                Ok(path)
            }
            Source::Hub(model) => self.hub.fetch(model, &self.folder, &self.downloader, reporter).await,
        }
    }

    /// [`Fetcher::fetch`] for a thread of its own, which `stop` sets free.
    ///
    /// # Errors
    /// As [`Fetcher::fetch`]; [`LoadError::Cancelled`] after a stop.
    pub fn fetch_blocking(
        &self,
        source: &Source,
        reporter: &Reporter,
        stop: &CancelToken,
    ) -> Result<PathBuf, LoadError> {
        if let Some(path) = self.present(source) {
            return Ok(path);
        }
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|source| LoadError::File { path: self.folder.clone(), source })?;
        runtime.block_on(async {
            tokio::select! {
                fetched = self.fetch(source, reporter) => fetched,
                () = stop.cancelled() => Err(LoadError::Cancelled),
            }
        })
    }
}

fn is_sha256(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// An address without what may be secret in it: a password, a signature in its query.
fn shown(url: &Url) -> String {
    let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
    format!("{}://{}{port}{}", url.scheme(), url.host_str().unwrap_or_default(), url.path())
}

/// Whether a name is a single step down from a folder.
fn is_plain(name: &str) -> bool {
    !name.is_empty() && !name.starts_with('.') && name.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c))
}

/// Whether a path stays inside its folder.
fn stays_inside(path: &str) -> bool {
    path.split('/').all(is_plain) && !Path::new(path).is_absolute()
}

#[cfg(test)]
mod tests;
#[cfg(test)]
mod testserver;
