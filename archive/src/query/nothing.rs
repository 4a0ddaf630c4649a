//! Leaves the side of a table out that has no rows: with one side only, the
//! planner knows what it knows of that.

use std::sync::Arc;

use datafusion::common::Result;
use datafusion::physical_plan::empty::EmptyExec;
use datafusion::physical_plan::filter::FilterExec;
use datafusion::physical_plan::projection::ProjectionExec;
use datafusion::physical_plan::union::UnionExec;

use super::rewrite::{Plan, Rule, rule};

pub(super) fn left_out() -> Rule {
    rule("without_nothing", without)
}

fn without(plan: &Plan) -> Result<Option<Plan>> {
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
