//! Everything that belongs to a question: what came shortly after it, what it quotes, what was said around it.

use std::time::Duration;

use tracing::{debug, warn};

use super::Turn;
use super::message::Case;
use crate::conversation::command;
use crate::conversation::policy::{Verdict, judge};
use crate::engine::Image;
use crate::event::{Body, ChatKind, ContentKind, Message};
use crate::ids::{ConversationId, EventId};
use crate::inbox::OpenEvent;
use crate::inbox::worker::Cancellation;
use crate::reply::ReplyError;
use crate::settings::{BusyPolicy, ModelChoice};
use crate::store::{Listening, Overheard};
use crate::task::Task;

/// What was said in a group longer ago than this is no context any more.
const OVERHEARD_FOR: Duration = Duration::from_secs(24 * 3600);
/// However fast somebody goes on writing, an answer begins after this many times the debounce time.
const LONGEST_MERGE: u32 = 10;

/// A question as an engine is to get it.
#[derive(Debug, Default)]
pub(super) struct Gathered {
    /// Empty if there is nothing in it that can be read.
    pub text: String,
    pub images: Vec<Image>,
    /// Sentences about what could not be used.
    pub remarks: Vec<String>,
}

impl Turn {
    /// The question with everything that belongs to it.
    pub(super) async fn gather(
        &self,
        case: &Case<'_>,
        model: &ModelChoice,
        cancel: &Cancellation,
    ) -> Result<Gathered, ReplyError> {
        let mut messages = vec![case.message.clone()];
        if case.chat.busy == BusyPolicy::Merge {
            messages.extend(self.followers(case, cancel).await?);
        }
        let sees = self.router.sees(model);
        let mut gathered = Gathered::default();
        let mut texts = Vec::with_capacity(messages.len());
        for mut message in messages {
            self.enrich(case, &mut message).await;
            let material = self.material(case, &message, sees).await;
            texts.push(material.question(&question_text(&message), case.language));
            gathered.images.extend(material.images);
            gathered.remarks.extend(material.remarks);
        }
        texts.retain(|text| !text.is_empty());
        gathered.text = texts.join("\n");
        Ok(gathered)
    }

    /// Fetches what the message only points to. Without it the question is poorer, not lost.
    async fn enrich(&self, case: &Case<'_>, message: &mut Message) {
        let quotes = message.quote.as_ref().is_some_and(|quote| quote.text.is_none());
        if !quotes && message.content.kind != ContentKind::Forwarded {
            return;
        }
        if let Err(error) = case.bot.platform.enrich(message).await {
            debug!(error = &error as &dyn std::error::Error, "a quoted or forwarded message could not be fetched");
        }
    }

    /// Waits until the same person has written nothing for a moment, and takes over what they wrote until then.
    async fn followers(&self, case: &Case<'_>, cancel: &Cancellation) -> Result<Vec<Message>, ReplyError> {
        let (fence, debounce) = (case.claim.fence, case.chat.debounce);
        let mut merged = self.inbox.absorb(fence, &[]).await?;
        let mut latest = case.claim.received_at;
        let deadline = latest + debounce * LONGEST_MERGE;
        loop {
            let quiet = (latest + debounce).min(deadline);
            tokio::select! {
                () = tokio::time::sleep(quiet.since(self.now())) => {}
                () = cancel.token.cancelled() => break,
            }
            let open = self.inbox.open_in_scope(&case.bot.settings.id, &case.claim.scope).await?;
            let mut more = Vec::new();
            for event in open.iter().filter(|event| event.id > fence.event && self.follows(case, event)) {
                if event.received_at.since(latest) > debounce {
                    break;
                }
                latest = latest.max(event.received_at);
                more.push(event.id);
            }
            if more.is_empty() {
                break;
            }
            merged = self.inbox.absorb(fence, &more).await?;
        }
        let messages = merged.into_iter().filter_map(|event| match event.body {
            Body::Message(message) => Some(*message),
            _ => None,
        });
        Ok(messages.collect())
    }

    /// Whether a later event is a plain question of the same person.
    fn follows(&self, case: &Case<'_>, later: &OpenEvent) -> bool {
        let Body::Message(message) = &later.event.body else { return false };
        let verdict = judge(case.chat, message, later.event.occurred_at, later.received_at);
        !later.running
            && message.sender.id == case.message.sender.id
            && verdict == Verdict::Answer
            && command::parse(&message.text).is_none()
    }

    /// What the group said lately without meaning the bot, where it may know that.
    pub(super) async fn overheard(&self, case: &Case<'_>, before: EventId) -> Result<Vec<Overheard>, ReplyError> {
        let limit = case.chat.group_context_messages;
        if limit == 0 || case.message.chat.kind == ChatKind::Direct {
            return Ok(Vec::new());
        }
        let listening = Listening {
            bot: case.bot.settings.id.clone(),
            chat: case.message.chat.id.clone(),
            thread: case.message.thread.clone(),
            before,
            since: self.now() - OVERHEARD_FOR,
            limit,
        };
        Ok(self.store.overheard(&listening).await?)
    }

    /// What an answered question may give rise to. Failing to note it must not fail the answer.
    pub(super) async fn afterwards(&self, case: &Case<'_>, conversation: ConversationId) {
        let event = case.event();
        let mut tasks = Vec::new();
        match self.overflows(case, conversation).await {
            Ok(true) => tasks.push((format!("summarise:{event}"), Task::Summarise { conversation })),
            Ok(false) => {}
            Err(error) => warn!(error = &error as &dyn std::error::Error, "the conversation's length is not known"),
        }
        if case.chat.follow_ups > 0 {
            tasks.push((format!("follow-up:{event}"), Task::FollowUp { of: event, conversation }));
        }
        for (name, task) in tasks {
            if let Err(error) = self.set(case.bot, &name, name.as_str().into(), task).await {
                warn!(error = &error as &dyn std::error::Error, task = name, "a task was not set");
            }
        }
    }
}

/// What is asked: the text, after the quoted text it speaks of.
fn question_text(message: &Message) -> String {
    let words = message.words();
    match message.quote.as_ref().and_then(|quote| quote.text.as_deref()) {
        Some(quoted) if !quoted.trim().is_empty() && !words.is_empty() => {
            let quoted: Vec<_> = quoted.trim().lines().map(|line| format!("> {line}")).collect();
            format!("{}\n\n{words}", quoted.join("\n"))
        }
        _ => words,
    }
}
