//! What a person does on the page: each act is a call that passes it to the platform and gives what came of it.

use actix_web::{HttpResponse, web};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Playground;
use crate::view::{Attachment, AttachmentKind, FormAt, Pushed, Speech, Utterance};

/// What a person writes to speak to the bot.
const BOT_WORD: &str = "@bot";
/// A file of 30 MB in Base64, and what is said beside it.
const MAX_BODY_BYTES: usize = 42 * 1024 * 1024;

/// Mounts the calls under `/playground/`.
pub(super) fn mount(config: &mut web::ServiceConfig) {
    let json = web::JsonConfig::default().limit(MAX_BODY_BYTES);
    config
        .service(web::resource("/playground/say").app_data(json).route(web::post().to(say)))
        .route("/playground/press", web::post().to(press))
        .route("/playground/recall", web::post().to(recall))
        .route("/playground/open", web::post().to(open))
        .route("/playground/menu", web::post().to(menu))
        .route("/playground/group", web::post().to(group))
        .route("/playground/bot", web::post().to(bot));
}

#[derive(Deserialize)]
struct Said {
    platform: String,
    chat: String,
    user: String,
    text: String,
    /// Beside `@bot` in the text.
    #[serde(default)]
    mention: bool,
    quote: Option<String>,
    #[serde(default)]
    topic: bool,
    attachment: Option<Attached>,
}

#[derive(Deserialize)]
struct Attached {
    kind: AttachmentKind,
    name: String,
    /// In Base64.
    data: String,
}

/// `@bot` anywhere in the text is the mention; the rest is what is said.
async fn say(playground: web::Data<Playground>, said: web::Json<Said>) -> HttpResponse {
    let Said { platform, chat, user, text, mention, quote, topic, attachment } = said.into_inner();
    let Some(platform) = playground.platform(&platform).cloned() else { return HttpResponse::NotFound().finish() };
    let attachment = match attachment.map(attached).transpose() {
        Ok(attachment) => attachment,
        Err(_) => return HttpResponse::BadRequest().body("the attachment is not Base64"),
    };
    let mention_bot = mention || text.contains(BOT_WORD);
    let text = text.replacen(BOT_WORD, "", 1).trim().to_owned();
    let said = Utterance { chat, user, text, mention_bot };
    outcome(platform.speak(Speech { said, quote, in_topic: topic, attachment }).await)
}

fn attached(given: Attached) -> Result<Attachment, base64::DecodeError> {
    Ok(Attachment { kind: given.kind, name: given.name, bytes: STANDARD.decode(given.data)?.into() })
}

#[derive(Deserialize)]
struct Pressed {
    platform: String,
    message: String,
    button: String,
    user: String,
    /// What was filled into the form that the button submits.
    #[serde(default)]
    values: Value,
}

async fn press(playground: web::Data<Playground>, pressed: web::Json<Pressed>) -> HttpResponse {
    let Some(platform) = playground.platform(&pressed.platform).cloned() else {
        return HttpResponse::NotFound().finish();
    };
    let at = FormAt { message_id: &pressed.message, button_id: &pressed.button, user: &pressed.user };
    outcome(platform.submit_form(at, &pressed.values).await)
}

#[derive(Deserialize)]
struct Recalled {
    platform: String,
    message: String,
    user: String,
}

async fn recall(playground: web::Data<Playground>, recalled: web::Json<Recalled>) -> HttpResponse {
    let Some(platform) = playground.platform(&recalled.platform).cloned() else {
        return HttpResponse::NotFound().finish();
    };
    outcome(platform.take_back(&recalled.message, &recalled.user).await)
}

#[derive(Deserialize)]
struct Opened {
    platform: String,
    user: String,
}

async fn open(playground: web::Data<Playground>, opened: web::Json<Opened>) -> HttpResponse {
    let Some(platform) = playground.platform(&opened.platform).cloned() else {
        return HttpResponse::NotFound().finish();
    };
    outcome(platform.open_direct(&opened.user).await)
}

#[derive(Deserialize)]
struct Chosen {
    platform: String,
    user: String,
    key: String,
}

async fn menu(playground: web::Data<Playground>, chosen: web::Json<Chosen>) -> HttpResponse {
    let Some(platform) = playground.platform(&chosen.platform).cloned() else {
        return HttpResponse::NotFound().finish();
    };
    outcome(platform.choose_menu(&chosen.user, &chosen.key).await)
}

#[derive(Deserialize)]
struct NewGroup {
    platform: String,
    title: String,
    members: Vec<String>,
}

async fn group(playground: web::Data<Playground>, made: web::Json<NewGroup>) -> HttpResponse {
    match playground.platform(&made.platform) {
        Some(platform) => {
            outcome(Pushed { id: platform.open_group(&made.title, &made.members), status: 0, answer: String::new() })
        }
        None => HttpResponse::NotFound().finish(),
    }
}

#[derive(Deserialize)]
struct Membership {
    platform: String,
    chat: String,
    user: String,
    inside: bool,
}

async fn bot(playground: web::Data<Playground>, wanted: web::Json<Membership>) -> HttpResponse {
    let Some(platform) = playground.platform(&wanted.platform).cloned() else {
        return HttpResponse::NotFound().finish();
    };
    outcome(match wanted.inside {
        true => platform.invite_bot(&wanted.chat, &wanted.user).await,
        false => platform.expel_bot(&wanted.chat, &wanted.user).await,
    })
}

/// What the page is told of a push.
#[derive(Serialize)]
struct Outcome {
    id: String,
    status: u16,
    answer: String,
}

fn outcome(pushed: Pushed) -> HttpResponse {
    HttpResponse::Ok().json(Outcome { id: pushed.id, status: pushed.status, answer: pushed.answer })
}
