//! Answers as Markdown messages: by the session webhook while it lives, else by the robot API.
//!
//! Neither has an id that would make a repeat harmless. What is sent is noted page by page before the next one leaves;
//! so a crash, or an answer of the platform that is lost on the way, can show one page twice, but never drops one.

use magpie_core::ids::MessageId;
use magpie_core::platform::SendError;
use serde_json::Value;

use crate::answer::Class;
use crate::api::Call;
use crate::calls::{Target, robot_markdown, webhook_markdown};
use crate::deliver::Delivery;
use crate::failure::Failure;
use crate::form::{Form, MessagesForm};
use crate::markdown;
use crate::split::{PageLimit, page};

/// Longer Markdown was seen to render incompletely. The platform's own limits (20 000 bytes by webhook, 15 000 by API)
/// are kept by far; a page that escapes blew up is halved when it is refused.
const PAGE: PageLimit = PageLimit { chars: 3_500, bytes: 11_000 };
/// A page that the dialect blew up beyond this is not even tried.
const MESSAGE_BYTES: usize = 14_000;
const SMALLEST_PAGE_CHARS: usize = 100;
const TITLE_CHARS: usize = 40;

/// Which messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    /// The whole answer.
    All,
    /// What its card has no room for.
    Rest,
}

impl Delivery<'_> {
    /// Sends the whole answer; what was sent before is left out.
    pub async fn send_all(&mut self) -> Result<(), SendError> {
        let text = self.courier.templates.message(self.card).map_err(|error| {
            tracing::error!(platform = "dingtalk", %error, "the message template failed");
            SendError::Protocol { call: "render_message", code: "template".to_owned() }
        })?;
        self.send_pages(&text, Part::All).await
    }

    /// Sends what is left of an answer whose card is full.
    pub async fn send_rest(&mut self) -> Result<(), SendError> {
        let text = self.card.text.clone();
        self.send_pages(&text, Part::Rest).await
    }

    async fn send_pages(&mut self, source: &str, part: Part) -> Result<(), SendError> {
        let Some(mut state) = self.messages(part) else { return Ok(()) };
        let mut limit = PAGE;
        while !state.done && state.sent_bytes < source.len() {
            let next = page(source, state.sent_bytes, limit);
            let text = markdown::for_message(&next.text);
            if text.len() > MESSAGE_BYTES && limit.chars > SMALLEST_PAGE_CHARS {
                limit = limit.halved();
                continue;
            }
            match self.send(next.text.trim(), &text, &mut state).await {
                Ok(id) => {
                    state.sent_bytes = next.end;
                    if let Some(id) = id {
                        self.at.message.get_or_insert(MessageId(id));
                    }
                    self.keep(part, &state);
                }
                Err(failure) if failure.class == Class::MessageTooLong && limit.chars > SMALLEST_PAGE_CHARS => {
                    limit = limit.halved();
                }
                Err(failure) => {
                    if failure.class == Class::ContentRejected {
                        // Another text will come in place of this one, from its beginning.
                        state.sent_bytes = 0;
                    }
                    self.keep(part, &state);
                    return Err(failure.into());
                }
            }
        }
        state.done = true;
        self.keep(part, &state);
        Ok(())
    }

    /// One message, by the way that works. Gives its id where the platform tells one.
    async fn send(&self, source: &str, text: &str, state: &mut MessagesForm) -> Result<Option<String>, Failure> {
        if text.is_empty() {
            return Ok(None);
        }
        let title = markdown::first_words(source, TITLE_CHARS);
        let title = if title.is_empty() { self.card.title.clone() } else { title };
        if let Some(webhook) = self.webhook(state) {
            match self.courier.api.post_to_session(webhook, &webhook_markdown(&title, text)).await {
                Ok(_) => return Ok(None),
                Err(failure) => match failure.class {
                    // The page itself has to change.
                    Class::MessageTooLong | Class::ContentRejected => return Err(failure),
                    // It may have arrived; another way would show it twice.
                    Class::Temporary if failure.code != "connect" => return Err(failure),
                    Class::ReplyPathExpired => state.webhook_gone = true,
                    // Nothing else leads to this person, so the webhook has to be tried again later.
                    _ if Target::of(self.to, &self.way).is_none() => return Err(failure),
                    _ => {}
                },
            }
        }
        self.send_by_api(&title, text).await
    }

    async fn send_by_api(&self, title: &str, text: &str) -> Result<Option<String>, Failure> {
        // An external person in a direct chat can only be reached by the webhook.
        let Some(target) = Target::of(self.to, &self.way) else {
            return Err(Failure::new(Call::SendToPerson.name(), Class::Gone, "no_webhook_and_no_member_id"));
        };
        let call = match target {
            Target::Group(_) => Call::SendToGroup,
            Target::Person(_) => Call::SendToPerson,
        };
        let body = robot_markdown(self.robot_code(), &target, title, text);
        let answer = self.courier.api.insist(call, || body.clone()).await?;
        Ok(answer.get("processQueryKey").and_then(Value::as_str).map(str::to_owned))
    }

    /// The session webhook, if it still serves and is (still) believed.
    fn webhook(&self, state: &MessagesForm) -> Option<&str> {
        if state.webhook_gone {
            return None;
        }
        self.way.usable_webhook(self.courier.clock.now()).filter(|address| self.courier.hosts.believes(address))
    }

    fn messages(&self, part: Part) -> Option<MessagesForm> {
        match (&self.form, part) {
            (Form::Messages(state), Part::All) => Some(state.clone()),
            (Form::Card(form), Part::Rest) => form.rest.clone(),
            _ => None,
        }
    }

    fn keep(&mut self, part: Part, state: &MessagesForm) {
        match (&mut self.form, part) {
            (Form::Messages(kept), Part::All) => kept.clone_from(state),
            (Form::Card(form), Part::Rest) => form.rest = Some(state.clone()),
            _ => {}
        }
        self.save();
    }
}
