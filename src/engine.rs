//! The DataFusion state that connections start from, and what Postgres has that it does not.

use std::path::Path;
use std::sync::Arc;

use datafusion::catalog::MemoryCatalogProviderList;
use datafusion::execution::FunctionRegistry;
use datafusion::execution::runtime_env::RuntimeEnv;
use datafusion::execution::{SessionState, SessionStateBuilder};
use datafusion::optimizer::OptimizerRule;
use datafusion::prelude::{SessionConfig, SessionContext};
use datafusion::sql::sqlparser::ast::Statement;
use datafusion_pg_catalog::pg_catalog::context::EmptyContextProvider;
use datafusion_pg_catalog::sql::rules::{
    CurrentUserVariableToSessionUserFunctionCall, RewriteArrayAnyAllOperation,
    RewritePgCatalogOperator, SqlStatementRewriteRule, StripCallableQualifier, StripCollate,
};
use sql::nearest::Gpu;

use crate::Error;
use crate::config::Config;
use crate::functions;

/// Rows in a batch between operators.
const BATCH_ROWS: usize = 8192;

/// What all connections share: functions and rewrites.
pub struct Engine {
    state: SessionState,
    rules: Vec<Box<dyn SqlStatementRewriteRule>>,
}

impl Engine {
    /// Built once, when the server starts.
    pub fn new(runtime: Arc<RuntimeEnv>, config: &Config) -> Result<Self, Error> {
        let (database, memory_limit) = (&config.database, config.memory_limit_bytes);
        let gpu = Arc::new(gpu(config));
        let mut config = SessionConfig::new()
            .with_target_partitions(config.threads)
            .with_batch_size(BATCH_ROWS)
            .with_information_schema(false)
            .with_create_default_catalog_and_schema(false)
            .with_default_catalog_and_schema(database, "public");
        config.set_extension(gpu);
        let options = config.options_mut();
        options.sql_parser.dialect = datafusion::common::config::Dialect::PostgreSQL;
        options.sql_parser.map_string_types_to_utf8view = false;
        options.execution.parquet.pushdown_filters = true;
        options.execution.parquet.schema_force_view_types = false;
        options.sql_parser.parse_float_as_decimal = true;
        options.execution.time_zone = Some("UTC".into());
        // What a field says beside its type differs between plans over UNION, to no effect.
        options.execution.skip_physical_aggregate_schema_check = true;
        let state = SessionStateBuilder::new()
            .with_config(config)
            .with_runtime_env(runtime)
            // Before the engine's own, which take a value of jsonb for text.
            .with_expr_planners(vec![
                Arc::new(sql::plan::JsonOperators),
                Arc::new(udfs::vectors::Operators::default()),
                Arc::new(sql::plan::KnownOperators),
            ])
            .with_default_features()
            .with_query_planner(Arc::new(sql::asof::AsOfQueries))
            .with_relation_planners(vec![
                Arc::new(sql::plan::Unkeyed),
                Arc::new(sql::asof::AsOfRelations),
                Arc::new(sql::features::FeatureRelations),
            ])
            .with_optimizer_rules(optimizer_rules())
            .with_physical_optimizer_rules(sql::plan::physical_rules(memory_limit))
            .build();
        let context = SessionContext::new_with_state(state);
        postgres_functions(&context, database)?;
        let rules: Vec<Box<dyn SqlStatementRewriteRule>> = vec![
            Box::new(RewriteArrayAnyAllOperation),
            Box::new(StripCallableQualifier),
            Box::new(CurrentUserVariableToSessionUserFunctionCall),
            Box::new(StripCollate),
            Box::new(RewritePgCatalogOperator),
        ];
        // The functions stay; the catalog they were registered with is no connection's.
        let mut state = SessionStateBuilder::new_from_existing(context.state())
            .with_catalog_list(Arc::new(MemoryCatalogProviderList::new()))
            .build();
        own_functions(&mut state)?;
        FunctionRegistry::register_expr_planner(&mut state, Arc::new(sql::plan::NumberOperators))?;
        FunctionRegistry::register_expr_planner(&mut state, Arc::new(sql::plan::IntervalProducts))?;
        Ok(Self { state, rules })
    }

    /// A copy for one connection.
    pub fn session_state(&self) -> SessionState {
        self.state.clone()
    }

    /// Postgres spellings that the planner does not know, in the AST.
    pub fn rewrite(&self, statement: Statement) -> Statement {
        self.rules.iter().fold(statement, |s, rule| rule.rewrite(s))
    }
}

/// The GPU of all connections; its kernels are kept where the server has a folder of its own.
fn gpu(config: &Config) -> Gpu {
    let local = !config.data.contains("://");
    let kernels = local.then(|| Path::new(&config.data).join("cubins"));
    Gpu::new(kernels, config.gpu_memory_limit_bytes, config.threads)
}

/// The engine's rules and ours.
fn optimizer_rules() -> Vec<Arc<dyn OptimizerRule + Send + Sync>> {
    let mut rules = sql::asof::optimizer_rules();
    rules.push(Arc::new(sql::nearest::NearestRule));
    rules.push(Arc::new(udfs::SharedRanks::default()));
    rules
}

/// The functions of `datafusion-pg-catalog`.
fn postgres_functions(context: &SessionContext, database: &str) -> Result<(), Error> {
    // Registers into a catalog of its own that no connection sees: each has its own `pg_catalog`.
    context.register_catalog(database, Arc::new(datafusion::catalog::MemoryCatalogProvider::new()));
    datafusion_pg_catalog::setup_pg_catalog(context, database, EmptyContextProvider)
        .map_err(|error| Error::from(*error))?;
    Ok(())
}

/// Registered last: another function's alias may be one of these names.
fn own_functions(state: &mut SessionState) -> Result<(), Error> {
    let scalar = functions::constant().into_iter().chain(sql::functions::scalar());
    let scalar = scalar.chain(sql::system::functions::constant());
    for function in scalar.chain([crate::wire::output::function()]) {
        state.register_udf(Arc::new(function))?;
    }
    for function in sql::functions::aggregate() {
        state.register_udaf(Arc::new(function))?;
    }
    for function in udfs::functions() {
        match function.engine {
            udfs::Engine::Scalar(function) => drop(state.register_udf(Arc::new(function))?),
            udfs::Engine::Aggregate(function) => drop(state.register_udaf(Arc::new(function))?),
            udfs::Engine::Window(function) => drop(state.register_udwf(Arc::new(function))?),
        }
    }
    Ok(())
}
