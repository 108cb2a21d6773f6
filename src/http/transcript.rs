//! `GET /transcripts/{conversation}`: a conversation as a Markdown file, for whoever has a signed link that is still
//! good.
//!
//! The link carries its own proof, an HMAC-SHA256 over conversation and expiry under a secret that all instances share,
//! so nothing has to be kept for it. It leaves the house in no other way than the chat it was asked for in.

use std::fmt::Write as _;
use std::sync::{Arc, OnceLock};

use actix_web::http::header::{CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_TYPE, REFERRER_POLICY};
use actix_web::{HttpResponse, web};
use hmac::{Hmac, KeyInit as _, Mac as _};
use magpie_core::clock::{Clock, UnixMillis};
use magpie_core::engine::Role;
use magpie_core::ids::{ConversationId, EventId};
use magpie_core::links::{LINK_HOURS, Links};
use magpie_core::store::{Store, StoreError, StoredMessage};
use serde::Deserialize;
use sha2::Sha256;
use tracing::warn;

use super::Shared;
use super::problem::Problem;

/// The setting that holds the secret.
const SETTING: &str = "link_secret";
const SECRET_BYTES: usize = 32;

/// Makes and checks links.
pub struct SignedLinks {
    /// Without a final slash; empty if people can't reach this service.
    origin: String,
    secret: OnceLock<String>,
    clock: Arc<dyn Clock>,
}

impl SignedLinks {
    /// `public_url` is where people reach the public listener; empty: there are no links.
    #[must_use]
    pub fn new(public_url: &str, clock: Arc<dyn Clock>) -> Self {
        Self { origin: public_url.trim_end_matches('/').to_owned(), secret: OnceLock::new(), clock }
    }

    /// Takes the secret from the store, where the first instance puts one.
    ///
    /// # Errors
    /// [`StoreError`]; until it works there are no links.
    pub async fn unlock(&self, store: &dyn Store) -> Result<(), StoreError> {
        let fresh: String = (0..SECRET_BYTES / 16).map(|_| uuid::Uuid::new_v4().simple().to_string()).collect();
        let secret = store.set_setting_once(SETTING, &fresh).await?;
        // A second start in one process would find the same.
        let _ = self.secret.set(secret);
        Ok(())
    }

    fn signature(&self, conversation: ConversationId, expires: i64) -> Option<Hmac<Sha256>> {
        let secret = self.secret.get()?;
        let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("a key of any length will do");
        mac.update(format!("transcript\n{conversation}\n{expires}").as_bytes());
        Some(mac)
    }

    fn is_good(&self, conversation: ConversationId, proof: &Proof) -> bool {
        let fresh = self.clock.now().seconds() <= proof.expires;
        let given = hex_bytes(&proof.signature);
        let signed = self.signature(conversation, proof.expires).zip(given);
        fresh && signed.is_some_and(|(mac, given)| mac.verify_slice(&given).is_ok())
    }
}

impl Links for SignedLinks {
    fn transcript(&self, conversation: ConversationId) -> Option<String> {
        if self.origin.is_empty() {
            return None;
        }
        let expires = self.clock.now().seconds() + i64::from(LINK_HOURS) * 3600;
        let signature = self.signature(conversation, expires)?.finalize().into_bytes();
        let hex = signature.iter().fold(String::new(), |mut hex, byte| {
            // Writing to a string does not fail.
            let _ = write!(hex, "{byte:02x}");
            hex
        });
        Some(format!("{}/transcripts/{conversation}?expires={expires}&signature={hex}", self.origin))
    }
}

fn hex_bytes(text: &str) -> Option<Vec<u8>> {
    let digits = text.is_ascii() && text.len() == 64;
    digits.then(|| (0..64).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).ok()).collect())?
}

#[derive(Deserialize)]
struct Proof {
    /// Seconds since 1970.
    expires: i64,
    signature: String,
}

/// # Errors
/// 404 for a link that is wrong or too old, 503 while the store is away.
async fn transcript(
    conversation: web::Path<String>,
    proof: Result<web::Query<Proof>, actix_web::Error>,
    shared: web::Data<Shared>,
) -> Result<HttpResponse, Problem> {
    let gone = || Problem::not_found("This link is not good any more. Send /export again.");
    let conversation: ConversationId = conversation.parse().map_err(|_| gone())?;
    let proof = proof.map_err(|_| gone())?;
    if !shared.links.is_good(conversation, &proof) {
        return Err(gone());
    }
    let ports = shared.stores.get().ok_or_else(Problem::store_unavailable)?;
    let all = EventId(uuid::Uuid::max());
    let messages = ports.store.history(conversation, all, i32::MAX.unsigned_abs()).await.map_err(|error| {
        warn!(error = &error as &dyn std::error::Error, "a transcript could not be read");
        Problem::store_unavailable()
    })?;
    if messages.is_empty() {
        return Err(gone());
    }
    Ok(HttpResponse::Ok()
        .insert_header((CONTENT_TYPE, "text/markdown; charset=utf-8"))
        .insert_header((CONTENT_DISPOSITION, format!("attachment; filename=\"conversation-{conversation}.md\"")))
        .insert_header((CACHE_CONTROL, "private, no-store"))
        .insert_header((REFERRER_POLICY, "no-referrer"))
        .body(markdown(&messages)))
}

/// Who said what and when, as Markdown.
fn markdown(messages: &[StoredMessage]) -> String {
    let mut text = String::new();
    for message in messages {
        let who = match message.role {
            Role::User => "🙋",
            Role::Assistant => "🤖",
            Role::System => "⚙️",
        };
        // Writing to a string does not fail.
        let _ = write!(text, "## {who} {}\n\n{}\n\n", stamp(message.created_at), message.text.trim());
    }
    text
}

fn stamp(at: UnixMillis) -> String {
    jiff::Timestamp::from_millisecond(at.0)
        .map_or_else(|_| String::new(), |time| time.strftime("%Y-%m-%d %H:%M UTC").to_string())
}

pub(super) fn routes(config: &mut web::ServiceConfig) {
    config.service(
        web::resource("/transcripts/{conversation}")
            .route(web::get().to(transcript))
            .default_service(web::to(|| async { Err::<HttpResponse, _>(Problem::method_not_allowed("GET")) })),
    );
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use magpie_core::testkit::ManualClock;

    use super::*;

    fn links(clock: &Arc<ManualClock>) -> SignedLinks {
        let links = SignedLinks::new("https://bot.example/", Arc::clone(clock) as Arc<dyn Clock>);
        links.secret.set("secret".to_owned()).unwrap();
        links
    }

    fn proof(link: &str) -> Proof {
        let value = |name: &str| link.split(name).nth(1).unwrap().split('&').next().unwrap().to_owned();
        Proof { expires: value("expires=").parse().unwrap(), signature: value("signature=") }
    }

    #[test]
    fn a_link_is_good_for_its_conversation_and_its_time() {
        let clock = Arc::new(ManualClock::default());
        let (links, conversation) = (links(&clock), ConversationId::new());
        let link = links.transcript(conversation).unwrap();
        assert!(link.starts_with(&format!("https://bot.example/transcripts/{conversation}?expires=")), "{link}");
        assert!(links.is_good(conversation, &proof(&link)));
        assert!(!links.is_good(ConversationId::new(), &proof(&link)));
        let longer = Proof { expires: proof(&link).expires + 1, ..proof(&link) };
        assert!(!links.is_good(conversation, &longer));
        for signature in ["", "zz", &"0".repeat(64), &"é".repeat(32)] {
            assert!(!links.is_good(conversation, &Proof { signature: signature.to_owned(), ..proof(&link) }));
        }
        clock.advance(Duration::from_secs(u64::from(LINK_HOURS) * 3600 + 1));
        assert!(!links.is_good(conversation, &proof(&link)));
    }

    #[test]
    fn there_are_no_links_without_an_address_or_a_secret() {
        let clock: Arc<dyn Clock> = Arc::new(ManualClock::default());
        assert_eq!(SignedLinks::new("https://bot.example", Arc::clone(&clock)).transcript(ConversationId::new()), None);
        assert_eq!(SignedLinks::new("", clock).transcript(ConversationId::new()), None);
    }
}
