//! The budgets of the bots: counted in the database as soon as it is there, and told of when they are used up.

use std::sync::Arc;
use std::time::Duration;

use magpie_core::budget::{Budget, Meter};
use magpie_core::cancel::CancelToken;
use magpie_core::clock::Clock;
use magpie_core::ids::BotId;
use magpie_core::store::{ErrorRow, Store, StoreError};
use serde_json::json;
use tokio::time::sleep;
use tracing::warn;

/// What other instances have used is asked for this often, where a bot's own calls do not tell.
const LOOK_EVERY: Duration = Duration::from_secs(60);

/// What the watch works with.
pub struct Watch {
    pub budgets: Vec<(BotId, Arc<Budget>)>,
    pub meter: Arc<dyn Meter>,
    pub store: Arc<dyn Store>,
    pub clock: Arc<dyn Clock>,
}

impl Watch {
    /// Connects every budget and looks after it until `stop`.
    pub async fn run(self, stop: CancelToken) {
        for (_, budget) in &self.budgets {
            budget.connect(Arc::clone(&self.meter));
        }
        while !stop.is_cancelled() {
            self.look().await;
            tokio::select! {
                () = sleep(LOOK_EVERY) => {}
                () = stop.cancelled() => {}
            }
        }
    }

    async fn look(&self) {
        for (bot, budget) in &self.budgets {
            budget.refresh().await;
            if let Err(error) = self.report(bot, budget).await {
                warn!(bot.id = %bot, error = &error as &dyn std::error::Error,
                    "that the month's budget is used up was not recorded");
            }
        }
    }

    /// One row a day in `bot_error_logs` while a month's budget is used up, whichever instance notices.
    async fn report(&self, bot: &BotId, budget: &Budget) -> Result<(), StoreError> {
        let spent = budget.spent();
        if !spent.is_used_up() || !budget.is_first_to_tell().await? {
            return Ok(());
        }
        warn!(bot.id = %bot, calls = spent.calls, limit = spent.limit, "the month's budget of calls is used up");
        let row = ErrorRow {
            error_code: "budget_used_up".to_owned(),
            bot: bot.clone(),
            // No request led to it.
            request_id: String::new(),
            message: "the month's budget of calls is used up".to_owned(),
            detail: json!({ "calls": spent.calls, "calls_per_month": spent.limit }),
            now: self.clock.now(),
        };
        self.store.log_error(&row).await
    }
}

#[cfg(test)]
mod tests {
    use magpie_core::budget::{BudgetSettings, CallClass};
    use magpie_core::testkit::ManualClock;
    use magpie_store::{Database, StoreConfig};
    use sqlx::{Connection, SqliteConnection};

    use super::*;

    async fn instance(database: &Database, clock: &Arc<ManualClock>) -> Watch {
        let settings = BudgetSettings {
            bot: "helpdesk".into(),
            app: "feishu/cli_a".to_owned(),
            calls_per_second: 0,
            calls_per_month: 10,
        };
        let budget = Budget::new(settings, Arc::clone(clock) as _);
        budget.connect(database.meter());
        Watch {
            budgets: vec![("helpdesk".into(), budget)],
            meter: database.meter(),
            store: database.store(),
            clock: Arc::clone(clock) as _,
        }
    }

    #[tokio::test]
    async fn a_used_up_month_is_recorded_once_a_day_over_all_instances() {
        let (folder, clock) = (tempfile::tempdir().unwrap(), Arc::new(ManualClock::default()));
        let url = format!("sqlite://{}", folder.path().join("test.db").display());
        let config = StoreConfig { url: url.clone(), max_connections: 2, clock: Arc::clone(&clock) as _ };
        let database = Database::connect(&config).await.unwrap();
        database.migrate().await.unwrap();
        let instances = [instance(&database, &clock).await, instance(&database, &clock).await];
        let mut looking = SqliteConnection::connect(&url).await.unwrap();
        let mut rows = Vec::new();
        for (calls, days) in [(9, 0), (1, 0), (0, 0), (0, 1)] {
            clock.advance(Duration::from_secs(days * 86_400));
            for _ in 0..calls {
                instances[0].budgets[0].1.permit(CallClass::Cards).await;
            }
            for instance in &instances {
                instance.look().await;
            }
            let count = "SELECT count(*) FROM bot_error_logs WHERE error_code = 'budget_used_up'";
            rows.push(sqlx::query_scalar::<_, i64>(count).fetch_one(&mut looking).await.unwrap());
        }
        assert_eq!(rows, [0, 1, 1, 2]);
    }
}
