//! From deltas to paced updates.
//!
//! At most one update of a card is in flight. While it is, deltas collect in the draft; when it has come back and the
//! interval has passed, the whole text as it is then goes out as the next one. So a slow platform means fewer updates,
//! never a queue of them, and the latest text always wins. An update that fails for now is not repeated as it was:
//! the next one carries more. A card that nothing was sent to for long is touched, so that the platform keeps it open.

use std::time::Duration;

use futures::StreamExt;
use futures::future::BoxFuture;
use futures::stream::BoxStream;
use tokio::time::{Instant, sleep_until};
use tracing::{debug, instrument, warn};

use super::{Draft, Reply, ReplyError};
use crate::budget::scope::Frame;
use crate::engine::{Completion, Delta, EngineError, Finish};
use crate::platform::{CardRef, SEQUENCE_STRIDE, SendError};

/// How often a card may change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    pub interval: Duration,
    pub max_silence: Duration,
}

/// How a stream of deltas ended.
#[derive(Debug)]
pub enum End {
    Answered(Completion),
    /// No engine finished it; the draft holds what came before.
    Failed(EngineError),
}

type Sent = (CardRef, Result<(), SendError>);

/// An update on its way.
struct Flight {
    frame: Frame,
    sending: BoxFuture<'static, Sent>,
}

impl Reply {
    /// Streams an answer into the card until the deltas end. Does not show the final card.
    ///
    /// # Errors
    /// [`ReplyError`] when going on makes no sense: the card is gone, or another worker has it.
    #[instrument(name = "reply.stream", skip_all, fields(card.id = self.delivery.card.card.as_ref().map(tracing::field::display)))]
    pub async fn stream(
        &mut self,
        mut deltas: BoxStream<'static, Result<Delta, EngineError>>,
        draft: &mut Draft,
        pace: Pace,
    ) -> Result<End, ReplyError> {
        let mut in_flight: Option<Flight> = None;
        let mut timing = Timing::new(pace);
        timing.dirty = std::mem::take(&mut self.outdated);
        let end = loop {
            tokio::select! {
                biased;
                sent = next(&mut in_flight), if in_flight.is_some() => {
                    in_flight = None;
                    self.note(sent, &mut timing).await?;
                }
                () = sleep_until(timing.due()), if in_flight.is_none() && !timing.muted => {
                    timing.sending();
                    // With little left of the month, its start and its end are all that a card may cost.
                    if !self.desk.budget.is_short() {
                        in_flight = Some(self.send(draft));
                    }
                }
                delta = deltas.next() => match delta {
                    Some(Ok(Delta::Done(completion))) => {
                        draft.apply(Delta::Done(completion));
                        break End::Answered(completion);
                    }
                    Some(Ok(delta)) => timing.dirty |= draft.apply(delta),
                    Some(Err(error)) => break End::Failed(error),
                    None => break End::Answered(nothing_said()),
                },
            }
        };
        // The final card must not overtake an update; but one that still stands in line has nothing to add to it.
        if in_flight.as_ref().is_some_and(|flight| !flight.frame.is_unsent()) {
            let sent = next(&mut in_flight).await;
            self.note(sent, &mut timing).await?;
        }
        Ok(end)
    }

    fn send(&self, draft: &Draft) -> Flight {
        let (platform, to) = (self.desk.platform.clone(), self.desk.to.clone());
        let (card, mut at) = (draft.running_card(), self.delivery.card.clone());
        let frame = Frame::default();
        let its = frame.clone();
        let sending = Box::pin(async move {
            let result = its.run(platform.update(&to, &card, &mut at)).await;
            (at, result)
        });
        Flight { frame, sending }
    }

    /// Takes in what an update brought back.
    async fn note(&mut self, (at, result): Sent, timing: &mut Timing) -> Result<(), ReplyError> {
        let changed = at.form != self.delivery.card.form || at.message != self.delivery.card.message;
        self.delivery.card = at;
        self.count(&result);
        match result {
            Ok(()) => timing.sent(),
            Err(SendError::Retry { call, code, after, .. }) => {
                debug!(call, code, "card update postponed");
                timing.postpone(after);
            }
            Err(error @ (SendError::Gone { .. } | SendError::Superseded { .. })) => return Err(error.into()),
            Err(error) => {
                warn!(error = &error as &dyn std::error::Error, "card updates stop; the answer will come at the end");
                timing.muted = true;
            }
        }
        if changed || self.delivery.card.sequence - self.saved_sequence >= SEQUENCE_STRIDE / 4 {
            self.save().await?;
        }
        Ok(())
    }
}

/// A stream that ends without saying so; the router never does that, a faulty engine might.
fn nothing_said() -> Completion {
    Completion { prompt_tokens: 0, completion_tokens: 0, finish: Finish::Stop }
}

async fn next(in_flight: &mut Option<Flight>) -> Sent {
    match in_flight {
        Some(flight) => (&mut flight.sending).await,
        None => futures::future::pending().await,
    }
}

/// When the next update is due.
struct Timing {
    pace: Pace,
    /// The card lags behind the draft.
    dirty: bool,
    /// The platform refuses updates; only the end will be shown.
    muted: bool,
    not_before: Instant,
    last_sent: Instant,
}

impl Timing {
    fn new(pace: Pace) -> Self {
        let now = Instant::now();
        Self { pace, dirty: false, muted: false, not_before: now + pace.interval, last_sent: now }
    }

    fn due(&self) -> Instant {
        let touch = (self.last_sent + self.pace.max_silence).max(self.not_before);
        if self.dirty { self.not_before.min(touch) } else { touch }
    }

    fn sending(&mut self) {
        self.dirty = false;
        self.last_sent = Instant::now();
    }

    fn sent(&mut self) {
        self.not_before = self.last_sent.max(Instant::now() - self.pace.interval) + self.pace.interval;
    }

    fn postpone(&mut self, after: Option<Duration>) {
        self.dirty = true;
        self.not_before = Instant::now() + after.unwrap_or_default().max(self.pace.interval * 2);
    }
}
