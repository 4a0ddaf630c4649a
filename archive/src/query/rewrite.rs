//! Rules of the optimizer that put something else in the place of a node.

use std::fmt;
use std::sync::Arc;

use datafusion::common::Result;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::ExecutionPlan;

pub(super) type Rule = Arc<dyn PhysicalOptimizerRule + Send + Sync>;
pub(super) type Plan = Arc<dyn ExecutionPlan>;

/// `instead` is asked of each node once those below it are done; `None` leaves
/// it as it is.
pub(super) fn rule<F>(name: &'static str, instead: F) -> Rule
where
    F: Fn(&Plan) -> Result<Option<Plan>> + Send + Sync + 'static,
{
    Arc::new(Rewrite { name, instead })
}

struct Rewrite<F> {
    name: &'static str,
    instead: F,
}

impl<F> fmt::Debug for Rewrite<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

impl<F> PhysicalOptimizerRule for Rewrite<F>
where
    F: Fn(&Plan) -> Result<Option<Plan>> + Send + Sync + 'static,
{
    fn optimize(&self, plan: Plan, _: &ConfigOptions) -> Result<Plan> {
        plan.transform_up(|plan| match (self.instead)(&plan)? {
            Some(plan) => Ok(Transformed::yes(plan)),
            None => Ok(Transformed::no(plan)),
        })
        .data()
    }

    fn name(&self) -> &str {
        self.name
    }

    fn schema_check(&self) -> bool {
        true
    }
}
