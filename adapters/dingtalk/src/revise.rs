//! Finished cards that change once more: another version of the answer, an open form, a new answer.
//!
//! Frames into a card that was closed are unreliable (protocol of AI cards, "regenerate"), so from here on the card is
//! updated whole: its state goes back to running by an update, further updates carry the text, and one more ends it.
//! Updates are no more frequent than [`crate::config::Timing::update_gap`]. Messages can't be changed at all.

use magpie_core::platform::SendError;

use crate::answer::Class;
use crate::api::Call;
use crate::calls::update_card;
use crate::card::Making;
use crate::deliver::Delivery;
use crate::form::{Form, Stage};

impl Delivery<'_> {
    /// Shows another finished card in place of the finished one. One that has not come to its end yet comes to it.
    pub async fn revise(&mut self) -> Result<(), SendError> {
        match self.stage() {
            None => Err(SendError::Unchangeable { call: "revise" }),
            Some(Stage::Finished) => self.put("revise").await,
            Some(_) => self.finish().await,
        }
    }

    /// Brings a finished card back to running.
    pub async fn reopen(&mut self) -> Result<(), SendError> {
        match self.stage() {
            None => return Err(SendError::Unchangeable { call: "reopen" }),
            Some(Stage::Prepared | Stage::Waiting | Stage::Writing) => return self.update().await,
            Some(Stage::Closed | Stage::Finished | Stage::Reopened) => self.put("reopen").await?,
        }
        if let Form::Card(form) = &mut self.form {
            // What went on in messages belongs to the answer before.
            form.rest = None;
            form.end_fails_since = None;
            form.shown_notice.clone_from(&self.card.notice);
        }
        self.note(Stage::Reopened);
        Ok(())
    }

    fn stage(&self) -> Option<Stage> {
        match &self.form {
            Form::Card(form) => Some(form.stage),
            Form::Messages(_) => None,
        }
    }

    /// One whole update. What fails for good leaves the card as it was, and the caller to another one.
    async fn put(&mut self, what: &'static str) -> Result<(), SendError> {
        self.keep_gap().await;
        let face = self.face(Making::Streamed)?;
        let out_track_id = self.out_track_id();
        let body = update_card(&out_track_id, &face.variables);
        match self.courier.api.insist(Call::UpdateCard, || body.clone()).await {
            Ok(_) => {
                self.courier.gaps.note(&out_track_id);
                Ok(())
            }
            Err(failure) if failure.passes() || failure.class == Class::ContentRejected => Err(failure.into()),
            Err(failure) => {
                tracing::warn!(platform = "dingtalk", code = %failure.code, what, "a finished card can't be changed");
                Err(SendError::Unchangeable { call: what })
            }
        }
    }
}
