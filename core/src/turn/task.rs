//! Work that Magpie gave itself.

use futures::StreamExt;
use tracing::{Span, info, instrument, warn};

use super::ask::{Ending, pace};
use super::message::Case;
use super::press::origin;
use super::{Bot, Desk, MAX_ATTEMPTS, Turn, done};
use crate::card::{Card, CardState, Version};
use crate::conversation::{follow_up, summary, window};
use crate::engine::{Delta, Finish, Prompt, Role};
use crate::event::{Body, ContentKind, Message};
use crate::ids::{ConversationId, EventId};
use crate::inbox::worker::{Cancellation, Ended};
use crate::inbox::{Claim, Outcome};
use crate::platform::SendError;
use crate::reply::buttons::Buttons;
use crate::reply::{ANSWER, Draft, Reply, ReplyError, fixed_card};
use crate::settings::{ChatSettings, ModelChoice};
use crate::store::{Answer, Delivery, DeliveryState};
use crate::task::{Post, Task};
use crate::texts::Text;

/// Messages that a summary takes in at once.
const SUMMARISED: u32 = 400;

impl Turn {
    #[instrument(name = "task", skip_all, fields(conversation.id))]
    pub(super) async fn task(
        &self,
        claim: &Claim,
        bot: &Bot,
        task: &Task,
        cancel: &Cancellation,
    ) -> Result<Ended, ReplyError> {
        match task {
            Task::Regenerate { of, engine, .. } => self.regenerate(claim, bot, (*of, engine.as_deref()), cancel).await,
            Task::Summarise { conversation } => self.summarise(claim, bot, *conversation, cancel).await,
            Task::FollowUp { of, conversation } => self.follow_up(claim, bot, (*of, *conversation), cancel).await,
            Task::Post { to, post } => {
                let language = bot.settings.language_for(&post.text);
                self.send(claim, bot, to, posted(claim.fence.event, post, language)).await
            }
        }
    }

    /// Answers a question once more, in the card of its answer, or in one of its own where that can't be changed.
    async fn regenerate(
        &self,
        claim: &Claim,
        bot: &Bot,
        (of, engine): (EventId, Option<&str>),
        cancel: &Cancellation,
    ) -> Result<Ended, ReplyError> {
        let Some((root, stored)) = origin(self.store.as_ref(), of).await? else { return Ok(done("no_question")) };
        let (Body::Message(message), Some(conversation)) = (stored.event.body, stored.conversation) else {
            return Ok(done("no_question"));
        };
        let case = Case::new(claim, bot, &message);
        Span::current().record("conversation.id", tracing::field::display(conversation));
        let Some((question, answered)) = self.asked(conversation, root).await? else { return Ok(done("no_question")) };
        let (mut reply, mut draft) = match self.again(&case, of).await? {
            Again::Reply(reply, draft) => (*reply, *draft),
            Again::Ended(ended) => return Ok(ended),
        };
        let model = match engine {
            Some(name) => ModelChoice::Named(name.to_owned()),
            None => self.model(bot, case.chat, claim.scope.as_str()).await?,
        };
        let past = self.past(&bot.settings, case.chat, conversation, root).await?;
        let overheard = self.overheard(&case, root).await?;
        // The texts of files are part of the question as it was kept; pictures are not.
        let mut pictured = Message::clone(&message);
        pictured.content.resources.retain(|resource| resource.kind == ContentKind::Image);
        let images = self.material(&case, &pictured, self.router.sees(&model)).await.images;
        let prompt = Prompt { images, ..window::prompt(&past, &overheard, &question, conversation) };
        let deltas = self.router.answer(prompt, &model, cancel.token.clone());
        let end = reply.stream(deltas, &mut draft, pace(bot.platform.limits(), case.chat)).await?;

        draft.offer(self.other_engine(case.chat, draft.choice()));
        let ending = Ending::of(&end, &draft, cancel.cause(), case.language);
        self.note(claim, &end, &draft, ending.outcome).await;
        let by = draft.choice().cloned().zip(ending.completion);
        let card = match by {
            Some(_) => self.numbered(root, answered, ending.card).await?,
            None => restored(reply.delivery(), ending.card),
        };
        let answer = Answer {
            conversation,
            bot: bot.settings.id.clone(),
            user: message.sender.id.clone(),
            text: draft.text().to_owned(),
            reasoning: draft.reasoning().to_owned(),
            by,
            delivery: reply.end_with(card).clone(),
            now: self.now(),
        };
        if answer.by.is_some() {
            self.store.record_version(claim.fence, root, &answer).await?;
        } else {
            reply.save().await?;
        }
        self.show_end(claim, &mut reply, ending.reason).await
    }

    /// The question as it was asked, with everything that belonged to it, and whether it has an answer. `None` if it
    /// was never put to an engine.
    async fn asked(&self, conversation: ConversationId, of: EventId) -> Result<Option<(String, bool)>, ReplyError> {
        let next = EventId(uuid::Uuid::from_u128(of.0.as_u128().saturating_add(1)));
        let latest = self.store.history(conversation, next, 2).await?;
        let own = |role: Role| latest.iter().find(|message| message.event == Some(of) && message.role == role);
        Ok(own(Role::User).map(|question| (question.text.clone(), own(Role::Assistant).is_some())))
    }

    /// The reply that shows another answer, in the card of `of` or in one of its own, with the draft for it.
    async fn again(&self, case: &Case<'_>, of: EventId) -> Result<Again, ReplyError> {
        let desk = || self.desk(case.claim, case.bot, case.message.reply_to.clone());
        let own = Draft::new(case.event(), &case.words, case.language);
        let shared = Draft::new(of, &case.words, case.language).worked_on_by(case.event());
        let known = self.store.delivery(of, ANSWER).await?;
        // An earlier attempt had to begin a card of its own.
        let own_begun = self.store.delivery(case.event(), ANSWER).await?;
        let (delivery, draft, event) = match (own_begun, known) {
            (Some(own_begun), _) => (own_begun, own, case.event()),
            (None, Some(known)) if known.state != DeliveryState::Dropped => (known, shared, of),
            _ => return Again::begin(desk(), own).await,
        };
        let at = Desk { event, ..desk() };
        if case.claim.fence.attempt > MAX_ATTEMPTS {
            let card = restored(&delivery, draft.final_card(CardState::Failed, Some(Text::GivenUp)));
            return self.leave(case, Reply::resume(at, delivery).await?, card).await.map(Again::Ended);
        }
        match delivery.state {
            DeliveryState::Finishing => {
                let mut reply = Reply::resume(at, delivery).await?;
                self.show_end(case.claim, &mut reply, None).await.map(Again::Ended)
            }
            DeliveryState::Final => match Reply::reopen(at, delivery, &draft.opening_card()).await {
                Ok(reply) => Ok(Again::Reply(Box::new(reply), Box::new(draft))),
                Err(ReplyError::Send(SendError::Unchangeable { .. } | SendError::Gone { .. })) => {
                    let own = Draft::new(case.event(), &case.words, case.language);
                    Again::begin(desk(), own).await
                }
                Err(error) => Err(error),
            },
            _ => Again::begin(at, draft).await,
        }
    }

    /// The final card with its number among the versions of the answer to `root`.
    async fn numbered(&self, root: EventId, answered: bool, mut card: Card) -> Result<Card, ReplyError> {
        let versions = self.store.versions(root).await?;
        let known = versions.last().map_or(u32::from(answered), |last| last.number);
        let event = card.buttons.first().map_or(root, |button| button.event);
        let version = Version { number: known + 1, of: known + 1 };
        Buttons { event, language: card.language }.turn_pages(&mut card, version);
        Ok(card)
    }

    /// Folds what no longer fits into the conversation's summary.
    async fn summarise(
        &self,
        claim: &Claim,
        bot: &Bot,
        conversation: ConversationId,
        cancel: &Cancellation,
    ) -> Result<Ended, ReplyError> {
        let before = self.store.summary(conversation).await?;
        let mut history = self.store.history(conversation, EventId(uuid::Uuid::max()), SUMMARISED).await?;
        if let Some(before) = &before {
            history.retain(|message| message.event.is_none_or(|event| event > before.upto));
        }
        let budget = self.context_tokens(&bot.settings.model);
        let old = before.as_ref().map(|summary| summary.text.as_str());
        let Some(folding) = summary::fold(old, &history, bot.settings.chat.history_messages, budget) else {
            return Ok(done("nothing_to_summarise"));
        };
        let Some(text) = self.written(folding.prompt, &bot.settings.model, cancel).await else {
            return Ok(done("not_summarised"));
        };
        let summary = crate::store::Summary { text: summary::shorten(&text, budget), upto: folding.upto };
        self.store.save_summary(claim.fence, conversation, &summary).await?;
        info!(messages = folding.messages, "conversation summarised");
        Ok(Ended::Settle(Outcome::Done(None)))
    }

    /// Whether a conversation no longer fits whole into what an engine is given.
    pub(super) async fn overflows(&self, case: &Case<'_>, conversation: ConversationId) -> Result<bool, ReplyError> {
        let chat: &ChatSettings = case.chat;
        if !chat.summarise || chat.history_messages == 0 {
            return Ok(false);
        }
        let latest = EventId(uuid::Uuid::max());
        let past = self.past(&case.bot.settings, chat, conversation, latest).await?;
        let budget = self.context_tokens(&case.bot.settings.model);
        Ok(summary::overflows(&past.history, chat.history_messages, budget))
    }

    /// Proposes questions that could follow an answer, in its card.
    async fn follow_up(
        &self,
        claim: &Claim,
        bot: &Bot,
        (of, conversation): (EventId, ConversationId),
        cancel: &Cancellation,
    ) -> Result<Ended, ReplyError> {
        let Some((_, stored)) = origin(self.store.as_ref(), of).await? else { return Ok(done("no_question")) };
        let Body::Message(message) = stored.event.body else { return Ok(done("no_question")) };
        let chat = bot.settings.chat_in(&message.chat.id);
        let next = EventId(uuid::Uuid::from_u128(of.0.as_u128().saturating_add(1)));
        let turn = self.store.history(conversation, next, 2).await?;
        let Some(text) = self.written(follow_up::prompt(&turn, chat.follow_ups), &bot.settings.model, cancel).await
        else {
            return Ok(done("no_follow_up"));
        };
        let questions = follow_up::read(&text, chat.follow_ups);
        let Some(delivery) = self.store.delivery(of, ANSWER).await? else { return Ok(done("no_answer")) };
        self.propose(claim, bot, &message, (delivery, questions)).await
    }

    async fn propose(
        &self,
        claim: &Claim,
        bot: &Bot,
        message: &Message,
        (delivery, questions): (Delivery, Vec<String>),
    ) -> Result<Ended, ReplyError> {
        let Some(card) = delivery.final_card.clone().filter(|_| delivery.state == DeliveryState::Final) else {
            return Ok(done("card_changed"));
        };
        let buttons = Buttons { event: delivery.event, language: card.language };
        let card = Card { questions: buttons.questions(&questions), ..card };
        let before = delivery.card.sequence;
        let mut delivery = Delivery { final_card: Some(card), updated_at: self.now(), ..delivery };
        delivery.card.take_over();
        if questions.is_empty() || !self.store.revise_delivery(claim.fence, &delivery, before).await? {
            return Ok(done("card_changed"));
        }
        let reserved = delivery.card.sequence;
        let desk = Desk { event: delivery.event, ..self.desk(claim, bot, message.reply_to.clone()) };
        let mut reply = Reply::of(desk, delivery);
        match reply.revise().await {
            Ok(()) => drop(self.store.revise_delivery(claim.fence, reply.delivery(), reserved).await?),
            Err(ReplyError::Send(SendError::Unchangeable { .. })) => return Ok(done("unchangeable")),
            Err(error) => return Err(error),
        }
        Ok(Ended::Settle(Outcome::Done(None)))
    }

    /// What an engine writes, whole; `None` if none did. Nobody waits for it, so there is no second try.
    async fn written(&self, prompt: Prompt, model: &ModelChoice, cancel: &Cancellation) -> Option<String> {
        let mut text = String::new();
        let mut deltas = self.router.answer(prompt, model, cancel.token.clone());
        while let Some(delta) = deltas.next().await {
            match delta {
                Ok(Delta::Text(more)) => text.push_str(&more),
                Ok(Delta::Restart) => text.clear(),
                Ok(Delta::Done(completion)) if completion.finish == Finish::Cancelled => return None,
                Ok(Delta::Engine(_) | Delta::Reasoning(_) | Delta::Done(_)) => {}
                Err(error) => {
                    warn!(error = &error as &dyn std::error::Error, "an engine did not write what it was asked for");
                    return None;
                }
            }
        }
        Some(text.trim().to_owned()).filter(|text| !text.is_empty())
    }

    /// The context that all engines which may be asked can read.
    fn context_tokens(&self, model: &ModelChoice) -> usize {
        let contexts = self.router.candidates(model).into_iter().filter_map(|engine| engine.info().context_tokens);
        contexts.min().unwrap_or(summary::USUAL_CONTEXT_TOKENS)
    }
}

/// How a question is answered again.
enum Again {
    Reply(Box<Reply>, Box<Draft>),
    /// An earlier attempt had come so far that only the end was missing.
    Ended(Ended),
}

impl Again {
    async fn begin(desk: Desk, draft: Draft) -> Result<Self, ReplyError> {
        let reply = Reply::begin(desk, &draft.opening_card()).await?;
        Ok(Self::Reply(Box::new(reply), Box::new(draft)))
    }
}

/// What ended without a new answer shows the one before again, with the sentence that says why.
fn restored(delivery: &Delivery, ended: Card) -> Card {
    match &delivery.final_card {
        Some(before) if !before.text.is_empty() => {
            Card { notice: ended.notice.or_else(|| before.notice.clone()), ..before.clone() }
        }
        _ => ended,
    }
}

fn posted(event: EventId, post: &Post, language: crate::card::Language) -> Card {
    let buttons = Buttons { event, language };
    let title = if post.title.is_empty() { &post.text } else { &post.title };
    Card {
        state: CardState::Done,
        questions: buttons.questions(&post.questions),
        buttons: vec![buttons.command("/help", Text::HelpButton.of(language))],
        ..fixed_card(event, title, post.text.clone(), language)
    }
}
