//! The planner: what it knows and may do.

use std::sync::Arc;

use datafusion::catalog::{
    CatalogProvider, CatalogProviderList, MemoryCatalogProvider, MemoryCatalogProviderList,
    MemorySchemaProvider, SchemaProvider, TableProvider,
};
use datafusion::error::Result;
use datafusion::execution::FunctionRegistry;
use datafusion::execution::config::SessionConfig;
use datafusion::execution::context::SessionState;
use datafusion::execution::runtime_env::RuntimeEnv;
use datafusion::execution::session_state::SessionStateBuilder;
use datafusion::optimizer::{Optimizer, OptimizerRule};
use datafusion::physical_optimizer::optimizer::PhysicalOptimizer;

use super::functions;
use super::nothing;
use super::rewrite::Rule;

const CATALOG: &str = "floodgate";
const SCHEMA: &str = "archive";

/// They make as much text or as long a list as they are told to, at once, in
/// memory that no limit knows of.
const WITHOUT_LIMIT: [&str; 7] = [
    "repeat",
    "lpad",
    "rpad",
    "range",
    "generate_series",
    "array_repeat",
    "array_resize",
];

/// How different values are counted.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Distinct {
    /// In a set for each group: ten million users by day in half of the time.
    InMemory,
    /// As groups of their own, which go to disk where memory does not suffice.
    Spilling,
}

/// Knows no table.
pub(super) fn base(
    runtime: Arc<RuntimeEnv>,
    cores: usize,
    distinct: Distinct,
) -> Result<SessionState> {
    let mut config = SessionConfig::new()
        .with_default_catalog_and_schema(CATALOG, SCHEMA)
        .with_create_default_catalog_and_schema(false)
        .with_information_schema(false)
        .with_target_partitions(cores);
    let options = config.options_mut();
    options.execution.time_zone = Some("UTC".to_owned());
    options.execution.parquet.pushdown_filters = true;
    options.execution.parquet.reorder_filters = true;
    let mut state = SessionStateBuilder::new()
        .with_config(config)
        .with_runtime_env(runtime)
        .with_default_features()
        // Every one of them opens a file that a statement names.
        .with_table_factories(Default::default())
        .with_file_formats(Vec::new())
        .with_optimizer_rules(rules(distinct))
        .with_physical_optimizer_rules(physical_rules())
        .build();
    datafusion_functions_json::register_all(&mut state)?;
    state.register_udf(Arc::new(functions::json_text()))?;
    for name in WITHOUT_LIMIT {
        state.deregister_udf(name)?;
    }
    Ok(state)
}

fn rules(distinct: Distinct) -> Vec<Arc<dyn OptimizerRule + Send + Sync>> {
    let mut rules = Optimizer::new().rules;
    if distinct == Distinct::InMemory {
        rules.retain(|rule| rule.name() != "single_distinct_aggregation_to_group_by");
    }
    rules
}

/// What has no rows is left out before anything is made of what is left.
fn physical_rules() -> Vec<Rule> {
    let mut rules: Vec<Rule> = vec![nothing::left_out()];
    rules.extend(PhysicalOptimizer::new().rules);
    rules
}

/// Knows one table.
pub(super) fn with_table(
    base: &SessionState,
    name: &str,
    table: Arc<dyn TableProvider>,
) -> Result<SessionState> {
    let schema = MemorySchemaProvider::new();
    schema.register_table(name.to_owned(), table)?;
    let catalog = MemoryCatalogProvider::new();
    catalog.register_schema(SCHEMA, Arc::new(schema))?;
    let catalogs = MemoryCatalogProviderList::new();
    catalogs.register_catalog(CATALOG.to_owned(), Arc::new(catalog));
    let state = SessionStateBuilder::new_from_existing(base.clone());
    let mut state = state.with_catalog_list(Arc::new(catalogs)).build();
    // What now() says.
    state.mark_start_execution();
    Ok(state)
}

/// Applies the rule to each plan, after all others.
pub(super) fn with_rule(state: SessionState, rule: Rule) -> SessionState {
    let state = SessionStateBuilder::new_from_existing(state);
    let mut state = state.with_physical_optimizer_rule(rule).build();
    state.mark_start_execution();
    state
}
