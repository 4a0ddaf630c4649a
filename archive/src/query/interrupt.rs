//! Joins that end when nobody waits for them any longer. A task is only stopped
//! where it pauses, and a join of everything with everything computes for hours
//! without a pause.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use datafusion::arrow::datatypes::{DataType, Schema};
use datafusion::arrow::record_batch::RecordBatch;
use datafusion::common::{Result, exec_err};
use datafusion::logical_expr::ColumnarValue;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_plan::coop::CooperativeExec;
use datafusion::physical_plan::joins::utils::JoinFilter;
use datafusion::physical_plan::joins::{
    CrossJoinExec, HashJoinExec, NestedLoopJoinExec, SortMergeJoinExec,
};

use super::rewrite::{Plan, Rule, rule};

/// Whoever waits for a query holds it, outside of the task that computes: that
/// one cannot look.
#[derive(Debug, Default)]
pub(super) struct Waiting(Arc<AtomicBool>);

impl Waiting {
    pub fn rule(&self) -> Rule {
        let joins = Joins(self.0.clone());
        rule("interruptible_joins", move |plan| joins.interruptible(plan))
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Of a query that is over once this says so.
struct Joins(Arc<AtomicBool>);

impl Joins {
    fn interruptible(&self, plan: &Plan) -> Result<Option<Plan>> {
        if let Some(join) = plan.downcast_ref::<NestedLoopJoinExec>() {
            let join = NestedLoopJoinExec::try_new(
                join.left().clone(),
                join.right().clone(),
                join.filter().map(|filter| self.filter(filter)),
                join.join_type(),
                join.projection().as_ref().map(|columns| columns.to_vec()),
            )?;
            return Ok(Some(Arc::new(CooperativeExec::new(Arc::new(join)))));
        }
        let joins = plan.is::<CrossJoinExec>()
            || plan.is::<HashJoinExec>()
            || plan.is::<SortMergeJoinExec>();
        Ok(match joins {
            true => Some(Arc::new(CooperativeExec::new(plan.clone()))),
            false => None,
        })
    }

    fn filter(&self, filter: &JoinFilter) -> JoinFilter {
        let expr = WhileWaiting {
            expr: filter.expression().clone(),
            over: self.0.clone(),
        };
        JoinFilter::new(
            Arc::new(expr),
            filter.column_indices().to_vec(),
            filter.schema().clone(),
        )
    }
}

/// Looks with each batch whether somebody still waits.
#[derive(Debug)]
struct WhileWaiting {
    expr: Arc<dyn PhysicalExpr>,
    over: Arc<AtomicBool>,
}

impl PartialEq for WhileWaiting {
    fn eq(&self, other: &Self) -> bool {
        self.expr.eq(&other.expr)
    }
}

impl Eq for WhileWaiting {}

impl Hash for WhileWaiting {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.expr.hash(state);
    }
}

impl fmt::Display for WhileWaiting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.expr.fmt(f)
    }
}

impl PhysicalExpr for WhileWaiting {
    fn data_type(&self, input_schema: &Schema) -> Result<DataType> {
        self.expr.data_type(input_schema)
    }

    fn nullable(&self, input_schema: &Schema) -> Result<bool> {
        self.expr.nullable(input_schema)
    }

    fn evaluate(&self, batch: &RecordBatch) -> Result<ColumnarValue> {
        if self.over.load(Ordering::Relaxed) {
            return exec_err!("nobody waits for it");
        }
        self.expr.evaluate(batch)
    }

    fn children(&self) -> Vec<&Arc<dyn PhysicalExpr>> {
        vec![&self.expr]
    }

    fn with_new_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn PhysicalExpr>>,
    ) -> Result<Arc<dyn PhysicalExpr>> {
        let expr = children.into_iter().next();
        Ok(Arc::new(Self {
            expr: expr.unwrap_or_else(|| self.expr.clone()),
            over: self.over.clone(),
        }))
    }

    fn fmt_sql(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.expr.fmt_sql(f)
    }
}
