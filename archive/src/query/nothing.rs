//! Leaves the side of a table out that has no rows: with one side only, the
//! planner knows what it knows of that.

use std::sync::Arc;

use datafusion::common::Result;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::empty::EmptyExec;
use datafusion::physical_plan::filter::FilterExec;
use datafusion::physical_plan::projection::ProjectionExec;
use datafusion::physical_plan::union::UnionExec;

#[derive(Debug)]
pub(super) struct WithoutNothing;

impl PhysicalOptimizerRule for WithoutNothing {
    fn optimize(
        &self,
        plan: Arc<dyn ExecutionPlan>,
        _: &ConfigOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        plan.transform_up(|plan| match without(&plan)? {
            Some(plan) => Ok(Transformed::yes(plan)),
            None => Ok(Transformed::no(plan)),
        })
        .data()
    }

    fn name(&self) -> &str {
        "without_nothing"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

fn without(plan: &Arc<dyn ExecutionPlan>) -> Result<Option<Arc<dyn ExecutionPlan>>> {
    let mut inputs: Vec<_> = plan.children().into_iter().cloned().collect();
    let before = inputs.len();
    inputs.retain(|input| !input.is::<EmptyExec>());

    let rows_of_inputs =
        plan.is::<FilterExec>() || plan.is::<ProjectionExec>() || plan.is::<UnionExec>();
    if !rows_of_inputs || inputs.len() == before {
        return Ok(None);
    }
    Ok(match inputs.as_slice() {
        [] => Some(Arc::new(EmptyExec::new(plan.schema()))),
        // A union allows what one of its inputs allows.
        [input] if input.schema() != plan.schema() => None,
        _ => Some(UnionExec::try_new(inputs)?),
    })
}
