//! A message whose turn has not come: what its writer sees meanwhile.

use std::time::Duration;

use tracing::{debug, instrument};

use super::ask::Ending;
use super::message::Case;
use super::{Bot, Turn, done};
use crate::conversation::policy::Verdict;
use crate::engine::{Completion, Finish};
use crate::event::{Body, Message};
use crate::inbox::worker::Ended;
use crate::inbox::{CancelCause, Claim, OpenEvent, Outcome};
use crate::reply::{ANSWER, Draft, End, Reply, ReplyError};
use crate::settings::BusyPolicy;
use crate::store::DeliveryState;

/// How often it is looked whether the cards of earlier questions are on show; together about two seconds.
const LOOKS: u32 = 40;
const BETWEEN_LOOKS: Duration = Duration::from_millis(50);

impl Turn {
    /// Shows a waiting message's place, or moves its card up. What needs no engine and what is not to be answered at
    /// all does not wait for its turn to be ended.
    #[instrument(name = "turn.wait", skip_all, fields(ahead = claim.ahead))]
    pub(super) async fn wait(&self, claim: &Claim, bot: &Bot, mut message: Message) -> Result<Ended, ReplyError> {
        let verdict = self.judge(claim, bot, &mut message).await?;
        let case = Case::new(claim, bot, &message);
        if let Some(cause) = claim.cancel {
            return self.end_waiting(&case, cause).await;
        }
        let begun = self.store.delivery(case.event(), ANSWER).await?;
        if let (true, Some(ended)) = (begun.is_none(), self.turn_away(&case, verdict).await?) {
            return Ok(ended);
        }
        let waits = Ok(Ended::Settle(Outcome::Waits { ahead: claim.ahead }));
        if case.command().is_some() || verdict != Verdict::Answer {
            return waits;
        }
        match case.chat.busy {
            BusyPolicy::Queue => self.show_place(&case).await,
            BusyPolicy::Merge if self.will_be_merged(&case).await? => {}
            BusyPolicy::Merge => self.show_place(&case).await,
            BusyPolicy::Interrupt => self.interrupt(&case).await?,
        }
        waits
    }

    /// Ends the card of a message that is not to be answered any more, before its turn has come.
    async fn end_waiting(&self, case: &Case<'_>, cause: CancelCause) -> Result<Ended, ReplyError> {
        let Some(delivery) = self.store.delivery(case.event(), ANSWER).await? else {
            return Ok(done(cause.reason()));
        };
        let draft = Draft::new(case.event(), &case.words, case.language);
        let nothing = Completion { prompt_tokens: 0, completion_tokens: 0, finish: Finish::Cancelled };
        let ending = Ending::of(&End::Answered(nothing), &draft, Some(cause), case.language);
        let desk = self.desk(case.claim, case.bot, case.message.reply_to.clone());
        let mut reply = Reply::resume(desk, delivery).await?;
        reply.end_with(ending.card);
        reply.save().await?;
        self.show_end(case.claim, &mut reply, ending.reason).await
    }

    /// A platform that is away now will be asked again when the turn has come.
    async fn show_place(&self, case: &Case<'_>) {
        if let Err(error) = self.try_to_show_place(case).await {
            debug!(error = &error as &dyn std::error::Error, "a waiting message's place is not shown");
        }
    }

    async fn try_to_show_place(&self, case: &Case<'_>) -> Result<(), ReplyError> {
        let mut draft = Draft::new(case.event(), &case.words, case.language);
        draft.wait_for(case.claim.ahead);
        let card = draft.opening_card();
        let desk = self.desk(case.claim, case.bot, case.message.reply_to.clone());
        let known = self.store.delivery(case.event(), ANSWER).await?;
        if known.is_none() && !self.older_ones_show(case).await? {
            return Ok(());
        }
        let mut reply = Reply::begin(desk, &card).await?;
        match known.map(|delivery| delivery.state) {
            Some(DeliveryState::Open) => reply.update(&card).await,
            _ => Ok(()),
        }
    }

    /// Waits a little until everything before it in the conversation is on show, so that cards stand in the order of
    /// the questions. False if that takes longer: the process that has the one before may be dead.
    async fn older_ones_show(&self, case: &Case<'_>) -> Result<bool, ReplyError> {
        for _ in 0..LOOKS {
            let open = self.inbox.open_in_scope(&case.bot.settings.id, &case.claim.scope).await?;
            let mut hidden = false;
            for older in open.iter().filter(|older| older.id < case.event()) {
                let delivery = self.store.delivery(older.id, ANSWER).await?;
                let waits_unseen = delivery.is_none_or(|delivery| delivery.state == DeliveryState::Prepared);
                hidden |= waits_unseen && matches!(older.event.body, Body::Message(_));
            }
            if !hidden {
                return Ok(true);
            }
            tokio::time::sleep(BETWEEN_LOOKS).await;
        }
        Ok(false)
    }

    /// Whether it follows so closely on a message of the same person that the two will be one question.
    async fn will_be_merged(&self, case: &Case<'_>) -> Result<bool, ReplyError> {
        let older = self.older_of_the_same_person(case).await?;
        let close = |event: &OpenEvent| case.claim.received_at.since(event.received_at) <= case.chat.debounce;
        Ok(older.last().is_some_and(close))
    }

    async fn interrupt(&self, case: &Case<'_>) -> Result<(), ReplyError> {
        for older in self.older_of_the_same_person(case).await? {
            self.inbox.cancel(older.id, CancelCause::Interrupted).await?;
        }
        Ok(())
    }

    async fn older_of_the_same_person(&self, case: &Case<'_>) -> Result<Vec<OpenEvent>, ReplyError> {
        let mut open = self.inbox.open_in_scope(&case.bot.settings.id, &case.claim.scope).await?;
        open.retain(|event| match &event.event.body {
            Body::Message(message) => event.id < case.event() && message.sender.id == case.message.sender.id,
            _ => false,
        });
        Ok(open)
    }
}
