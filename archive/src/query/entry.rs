//! One entry that was moved, by its id.

use std::sync::Arc;

use datafusion::datasource::provider_as_source;
use datafusion::logical_expr::LogicalPlanBuilder;
use datafusion::physical_plan::execute_stream;
use datafusion::prelude::{col, lit};
use futures_util::StreamExt;
use serde_json::{Map, Value};

use super::cold_table::ColdTable;
use super::error::{Error, Failure};
use super::rows::{self, Rows};
use super::scanned::Tally;
use super::{Engine, table};
use crate::cold::{ColdFile, State};

/// Columns whose text is JSON.
const JSON: [&str; 3] = ["oracles", "attributes", "deliveries"];

impl Engine {
    /// The entry, as the host keeps it; `None`: no file has it. `file` is where it
    /// was when the caller asked the ledger; it may have been merged since.
    ///
    /// # Errors
    /// Where the file cannot be read.
    pub async fn entry(
        &self,
        flow: &str,
        file: i64,
        id: &str,
    ) -> Result<Option<Map<String, Value>>, Error> {
        let mut file = file;
        loop {
            let found = self.entry_in(flow, file, id).await;
            if let Ok(Some(entry)) = found {
                return Ok(Some(entry));
            }
            match (self.0.ledger.moved(flow, id).await?, found) {
                (Some(now), Ok(_) | Err(Failure::Files(_))) if now != file => file = now,
                (_, Ok(_)) => return Ok(None),
                (_, Err(Failure::Final(error))) => return Err(error),
                (_, Err(Failure::Files(why))) => {
                    return Err(Error::Away(format!(
                        "cold file {file} of {flow} cannot be read: {why}"
                    )));
                }
            }
        }
    }

    async fn entry_in(
        &self,
        flow: &str,
        number: i64,
        id: &str,
    ) -> Result<Option<Map<String, Value>>, Failure> {
        let files = self.0.ledger.files(Some(flow)).await?;
        // One that was replaced is there until all ids of the other are noted.
        let written = |file: &ColdFile| file.state != State::Writing;
        let file = files
            .into_iter()
            .find(|file| file.number == number && written(file));
        match file {
            Some(file) => self.row(file, id).await,
            None => Ok(None),
        }
    }

    async fn row(&self, file: ColdFile, id: &str) -> Result<Option<Map<String, Value>>, Failure> {
        let cold = ColdTable {
            declared: Vec::new(),
            schema: table::schema(&[]),
            counting: vec![file],
            ledger: self.0.ledger.clone(),
            files: self.0.files.clone(),
            store: self.0.store.clone(),
            lenient: false,
            tally: Arc::new(Tally::default()),
        };
        let plan = LogicalPlanBuilder::scan("cold", provider_as_source(Arc::new(cold)), None)?
            .filter(col("id").eq(lit(id)))?
            .build()?;
        let state = &self.0.base;
        let plan = state.create_physical_plan(&plan).await?;
        let mut batches = execute_stream(plan, state.task_ctx())?;
        let columns = rows::columns(&batches.schema());
        let mut rows = Rows::new(&state.runtime_env().memory_pool);
        while let Some(batch) = batches.next().await {
            rows.add(&batch?)?;
        }
        let no_json = |error: serde_json::Error| Error::Internal(error.to_string());
        let rows: Vec<Vec<Value>> = serde_json::from_str(rows.finish()?.get()).map_err(no_json)?;
        let Some(row) = rows.into_iter().next() else {
            return Ok(None);
        };
        let named = columns.into_iter().map(|column| column.name).zip(row);
        Ok(Some(
            named
                .map(|(name, value)| {
                    let value = match value {
                        Value::String(text) if JSON.contains(&name.as_str()) => parsed(text),
                        value => value,
                    };
                    (name, value)
                })
                .collect(),
        ))
    }
}

fn parsed(text: String) -> Value {
    serde_json::from_str(&text).unwrap_or(Value::String(text))
}
