//! One question, asked until it is answered: a file that is gone may have been
//! replaced since the ledger was asked, and one that is damaged shows while it
//! is read. What was replaced is nobody's fault: the next snapshot knows what
//! has its rows, and that is no attempt less.

use std::sync::Arc;
use std::time::Instant;

use datafusion::datasource::object_store::ObjectStoreUrl;
use datafusion::execution::context::SessionState;
use datafusion::physical_plan::display::DisplayableExecutionPlan;
use datafusion::physical_plan::{ExecutionPlan, execute_stream};
use datafusion::sql::parser::Statement;
use futures_util::StreamExt;
use tracing::debug;

use super::answer::Answer;
use super::cold_table::ColdTable;
use super::error::{Error, Failure};
use super::files::{Files, overtaken};
use super::hot_table::HotTable;
use super::rewrite::Rule;
use super::rows::{self, Rows};
use super::scanned::Tally;
use super::{session, statement, table};
use crate::cold::{ColdFile, State};
use crate::flows::Flow;
use crate::ledger::{Ledger, Snapshot};

/// Enough to ask the ledger anew, and then to leave out what is damaged.
const ATTEMPTS: usize = 3;

pub(super) struct Attempt<'a> {
    pub ledger: &'a Arc<dyn Ledger>,
    pub files: &'a Arc<Files>,
    pub base: &'a SessionState,
    pub store: &'a ObjectStoreUrl,
    pub flow: &'a Flow,
    /// Ends what nobody waits for.
    pub rule: Rule,
    pub explain: bool,
}

impl Attempt<'_> {
    pub async fn until_answered(&self, statement: &Statement) -> Result<Answer, Error> {
        let started = Instant::now();
        let mut why = String::new();
        let mut attempt = 0;
        while attempt < ATTEMPTS {
            let tally = Arc::new(Tally::default());
            match self.once(statement, attempt > 0, &tally).await {
                Ok(mut answer) => {
                    answer.elapsed_ms = started.elapsed().as_secs_f64() * 1e3;
                    return Ok(answer);
                }
                Err(Failure::Final(error)) => return Err(error),
                Err(Failure::Files(error)) => {
                    debug!(
                        flow = self.flow.name,
                        error, "query goes on without what is at fault"
                    );
                    why = error;
                }
            }
            if attempt > 0 {
                if self.overtaken(&tally.looked_at()).await? {
                    continue;
                }
                let guilty = self.files.verify(tally.read()).await;
                let guilty = guilty.map_err(Error::Away)?;
                if guilty.is_empty() {
                    break;
                }
                let files: Vec<ColdFile> = guilty.iter().map(|(file, _)| file.clone()).collect();
                if self.overtaken(&files).await? {
                    continue;
                }
                for (file, fault) in &guilty {
                    self.files.remember(file, fault).await;
                }
            }
            attempt += 1;
        }
        Err(Error::Away(format!("the cold tier did not answer: {why}")))
    }

    async fn overtaken(&self, files: &[ColdFile]) -> Result<bool, Error> {
        Ok(overtaken(&**self.ledger, &self.flow.name, files).await?)
    }

    async fn once(
        &self,
        statement: &Statement,
        lenient: bool,
        tally: &Arc<Tally>,
    ) -> Result<Answer, Failure> {
        let snapshot: Arc<dyn Snapshot> = Arc::from(self.ledger.snapshot().await?);
        let state = self.state(snapshot, lenient, tally).await?;
        let state = session::with_rule(state, self.rule.clone());
        let plan = statement::plan(&state, statement.clone()).await?;
        let plan = state.create_physical_plan(&plan).await?;
        let mut batches = execute_stream(plan.clone(), state.task_ctx())?;
        let columns = rows::columns(&batches.schema());
        let mut rows = Rows::new(&state.runtime_env().memory_pool);
        while let Some(batch) = batches.next().await {
            rows.add(&batch?)?;
        }
        Ok(Answer {
            columns,
            rows: rows.finish()?,
            skipped: tally.skipped(),
            scanned: tally.scanned(&plan),
            elapsed_ms: 0.0,
            plan: self.explain.then(|| explained(&plan)),
        })
    }

    /// The flow's table at the instant of the snapshot.
    async fn state(
        &self,
        snapshot: Arc<dyn Snapshot>,
        lenient: bool,
        tally: &Arc<Tally>,
    ) -> Result<SessionState, Failure> {
        let counting = snapshot.files(&self.flow.name).await?;
        let schema = table::schema(&self.flow.columns);
        let mut moving = counting.clone();
        moving.retain(|file| file.state == State::Moving);
        let cold = ColdTable {
            declared: self.flow.columns.clone(),
            schema: schema.clone(),
            counting,
            ledger: self.ledger.clone(),
            files: self.files.clone(),
            store: self.store.clone(),
            lenient,
            tally: tally.clone(),
        };
        let hot = HotTable {
            flow: self.flow.name.clone(),
            declared: self.flow.columns.clone(),
            schema,
            snapshot,
            files: self.files.clone(),
            moving,
            tally: tally.clone(),
        };
        let table = table::of(Arc::new(cold), Arc::new(hot))?;
        Ok(session::with_table(
            self.base,
            &self.flow.name,
            Arc::new(table),
        )?)
    }
}

fn explained(plan: &Arc<dyn ExecutionPlan>) -> String {
    DisplayableExecutionPlan::with_metrics(plan.as_ref())
        .indent(false)
        .to_string()
}
