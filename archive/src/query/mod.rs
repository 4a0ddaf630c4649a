//! SQL over a flow's cold files and hot rows together, as one table. Reads and
//! never writes; takes no more time and memory than it is given.

mod answer;
mod attempt;
mod cache;
mod cold_table;
mod entry;
mod error;
mod extent;
mod files;
mod functions;
mod hot_table;
mod interrupt;
mod limits;
mod nothing;
mod parameters;
mod rewrite;
mod rows;
mod scanned;
mod session;
mod shares;
mod statement;
mod table;
mod wanted;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use datafusion::datasource::object_store::ObjectStoreUrl;
use datafusion::execution::context::SessionState;
use metrics::{counter, histogram};
use tokio::sync::Semaphore;
use tokio_util::task::AbortOnDropHandle;

pub use self::answer::Answer;
use self::attempt::Attempt;
use self::cache::{Answers, Key};
use self::error::Failure;
pub use self::error::{Error, Wrong};
pub use self::extent::STACK;
use self::files::Files;
use self::interrupt::Waiting;
pub use self::limits::Limits;
pub use self::parameters::{Kind, Parameter, Parameters};
use self::rewrite::Rule;
pub use self::rows::Column;
pub use self::scanned::{Scanned, Skipped};
use self::session::Distinct;
pub use self::wanted::DAY;
use crate::cold::Store;
use crate::columns;
use crate::flows::{self, Flow};
use crate::ledger::Ledger;

/// Under it DataFusion knows the cold tier, wherever that is.
const STORE: &str = "cold://tier";

/// A question to a flow's table.
#[derive(Clone, Debug)]
pub struct Question {
    pub flow: String,
    pub sql: String,
    pub parameters: Parameters,
    /// How long the answer may take.
    pub timeout: Duration,
    /// How old it may be; zero: it is made anew.
    pub cache: Duration,
    /// How it was found is told, too.
    pub explain: bool,
}

/// Answers questions.
#[derive(Clone)]
pub struct Engine(Arc<Inner>);

struct Inner {
    ledger: Arc<dyn Ledger>,
    files: Arc<Files>,
    flows: PathBuf,
    base: SessionState,
    /// Slower, for what the other one has not enough memory for.
    spilling: SessionState,
    store: ObjectStoreUrl,
    answers: Answers,
    at_once: Semaphore,
}

impl Engine {
    /// `flows` is the directory of the flow files, which are read anew for each
    /// question.
    ///
    /// # Errors
    /// Where there is no room to spill to.
    pub fn new(
        ledger: Arc<dyn Ledger>,
        cold: Store,
        flows: PathBuf,
        limits: &Limits,
    ) -> Result<Self, datafusion::error::DataFusionError> {
        let runtime = limits.runtime()?;
        let store = ObjectStoreUrl::parse(STORE)?;
        runtime.register_object_store(store.as_ref(), cold.objects().clone());
        let footers = runtime.cache_manager.get_file_metadata_cache();
        Ok(Self(Arc::new(Inner {
            ledger,
            files: Arc::new(Files::new(cold, footers)),
            flows,
            base: session::base(runtime.clone(), limits.cores, Distinct::InMemory)?,
            spilling: session::base(runtime, limits.cores, Distinct::Spilling)?,
            store,
            answers: Answers::new(),
            at_once: Semaphore::new(limits.at_once),
        })))
    }

    /// Answers a question, and says whether the answer was there.
    ///
    /// # Errors
    /// Also where the statement does more than read.
    pub async fn answer(&self, question: Question) -> Result<(Arc<Answer>, bool), Error> {
        let (started, timeout) = (Instant::now(), question.timeout);
        // Beside the caller: a plan that computes for long without a pause must
        // not hold up the connection that it is for.
        let engine = self.clone();
        let waiting = Waiting::default();
        let rule = waiting.rule();
        let answer = async move { engine.cached(question, rule).await };
        let answer = AbortOnDropHandle::new(tokio::spawn(answer));
        let answer = match tokio::time::timeout(timeout, answer).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(error)) => Err(Error::Internal(format!("query task: {error}"))),
            Err(_) => Err(Error::TooLong(timeout)),
        };
        let outcome = match &answer {
            Ok((_, true)) => "cached",
            Ok((_, false)) => "answered",
            Err(Error::TooLong(_)) => "too_long",
            Err(Error::Memory(_) | Error::Disk(_)) => "too_big",
            Err(Error::Away(_) | Error::Internal(_)) => "failed",
            Err(_) => "refused",
        };
        counter!("floodgate_archive_queries_total", "outcome" => outcome).increment(1);
        histogram!("floodgate_archive_query_seconds").record(started.elapsed().as_secs_f64());
        answer
    }

    /// Looks at a statement without running it, and without the ledger.
    ///
    /// # Errors
    /// As [`Self::answer`].
    pub async fn check(&self, flow: &str, sql: &str, parameters: &Parameters) -> Result<(), Error> {
        let flow = self.flow(flow).await?;
        let statement = statement::read(sql, parameters)?;
        let checked = async {
            let table = table::empty(&flow.columns);
            let state = session::with_table(&self.0.base, &flow.name, table)?;
            let plan = statement::plan(&state, statement).await?;
            state.create_physical_plan(&plan).await?;
            Ok::<_, Failure>(())
        };
        checked.await.map_err(|failure| match failure {
            Failure::Final(error) => error,
            Failure::Files(text) => Error::Internal(text),
        })
    }

    /// Drops every answer that is kept.
    pub fn forget(&self) {
        self.0.answers.forget();
    }

    async fn cached(&self, question: Question, rule: Rule) -> Result<(Arc<Answer>, bool), Error> {
        if question.cache.is_zero() || question.explain {
            return Ok((self.fresh(&question, rule).await?, false));
        }
        let parameters = serde_json::to_string(&question.parameters);
        let key = Key {
            flow: question.flow.clone(),
            sql: question.sql.clone(),
            parameters: parameters.map_err(|error| Error::Internal(error.to_string()))?,
            lasts: question.cache,
            epoch: self.0.answers.epoch(),
        };
        self.0.answers.get(key, self.fresh(&question, rule)).await
    }

    async fn fresh(&self, question: &Question, rule: Rule) -> Result<Arc<Answer>, Error> {
        let flow = self.flow(&question.flow).await?;
        let statement = statement::read(&question.sql, &question.parameters)?;
        // The semaphore is never closed.
        let _permit = self.0.at_once.acquire().await.ok();
        let attempt = |base| Attempt {
            ledger: &self.0.ledger,
            files: &self.0.files,
            base,
            store: &self.0.store,
            flow: &flow,
            rule: rule.clone(),
            explain: question.explain,
        };
        let answer = match attempt(&self.0.base).until_answered(&statement).await {
            Err(Error::Memory(_)) => {
                let attempt = attempt(&self.0.spilling);
                attempt.until_answered(&statement).await
            }
            answer => answer,
        };
        answer.map(Arc::new)
    }

    /// Read anew: what a person writes into a flow file shows at once.
    async fn flow(&self, name: &str) -> Result<Flow, Error> {
        let (dir, wanted) = (self.0.flows.clone(), name.to_owned());
        let flow = tokio::task::spawn_blocking(move || flows::find(&dir, &wanted)).await;
        let flow = flow.map_err(|error| Error::Internal(format!("read flow file: {error}")))?;
        let flow = flow.map_err(Arc::new)?;
        let mut flow = flow.ok_or_else(|| Error::NoFlow(name.to_owned()))?;
        // The host refuses such names; a table cannot have a column twice.
        let base = columns::base();
        flow.columns
            .retain(|column| column.name != DAY && base.index_of(&column.name).is_err());
        Ok(flow)
    }
}
