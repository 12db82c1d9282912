//! Statements to logical plans: names are looked up first (that waits), then DataFusion plans.
//!
//! ```text
//!   AST ──fold──▶ AST ──names──▶ AST ──references──▶ Scope{name → source} ──SqlToRel──▶ plan
//!        table versions,          ?column?, count     tables, views, files,
//!        read_parquet(…)                              system relations
//! ```

mod convert;
mod dependencies;
mod files;
mod fold;
mod interruptible;
mod interval;
mod large_join;
mod late;
mod life;
mod missing;
mod moment;
mod named;
mod natural;
mod once;
mod origin;
mod parameters;
mod physical;
pub mod place;
mod resolve;
mod rows;
mod scope;
mod series;
mod using;
mod view;
mod wildcard;

use std::sync::Arc;

use catalog::{Lake, Retention, Transaction};
use chrono::{DateTime, Utc};
use datafusion::arrow::datatypes::{DataType, Field, FieldRef, Schema};
use datafusion::arrow::record_batch::{RecordBatch, RecordBatchOptions};
use datafusion::common::{Column, DFSchema, ScalarValue};
use datafusion::execution::SessionState;
use datafusion::logical_expr::planner::TypePlanner;
use datafusion::logical_expr::simplify::SimplifyContext;
use datafusion::logical_expr::{
    Expr, LogicalPlan, LogicalPlanBuilder, ScalarUDF, TableSource, cast,
};
use datafusion::optimizer::simplify_expressions::ExprSimplifier;
use datafusion::sql::parser::Statement as EngineStatement;
use datafusion::sql::planner::{ParserOptions, PlannerContext, SqlToRel};
use datafusion::sql::sqlparser::ast;

use crate::access::{Authority, RoleId};
use crate::error::{Error, Result};
use crate::names;
use crate::system::Live;

pub use convert::{JsonOperators, KnownOperators, NumberOperators, read_text, read_vector};
pub(crate) use convert::{Rules, average, function, has_column};
pub(crate) use convert::{input_functions, read_texts};
pub use dependencies::Unkeyed;
pub(crate) use dependencies::framed;
pub use files::{ExternalFiles, Located, external_provider, located};
pub(crate) use fold::training_sets;
pub use interruptible::uninterruptible;
pub use interval::IntervalProducts;
pub use late::{awaits, with_literals};
pub use life::{Life, life, reads};
pub(crate) use moment::{snapshot, time_us};
pub use once::{answers, with_parameters};
pub use origin::{Origin, origins};
pub use parameters::parameter_types;
pub use physical::physical_rules;
pub(crate) use physical::planned;
pub use resolve::{Found, Place, TEMP_SCHEMA, near_relations, parts};
pub(crate) use resolve::{SEPARATOR, key, object_name, reference_place, table_factor};
pub(crate) use rows::ALL_FIELDS;
pub use scope::Scope;
pub(crate) use scope::lake_table;
pub use series::rows_of_series;
pub(crate) use view::{view_rows, windowed_rows};

/// Views inside views that are still planned.
const VIEW_DEPTH: usize = 32;

/// What planning needs to know of the connection.
#[derive(Clone)]
pub struct Environment {
    /// Functions, settings, memory: the connection's DataFusion state.
    pub engine: SessionState,
    pub lake: Arc<Lake>,
    pub database: String,
    pub user: String,
    /// Whose rights the statement has.
    pub authority: Arc<Authority>,
    /// The role that the connection logged in as.
    pub session_role: RoleId,
    /// What VACUUM keeps.
    pub retention: Retention,
    /// Schemas in which unqualified names are looked up, in order.
    pub search_path: Vec<String>,
    /// The statement is a transaction of its own: nothing was read before it, nothing comes after.
    pub alone: bool,
    /// Feature views are read from the rows that are kept of them, where there are.
    pub reads_kept: bool,
    /// When the transaction began by the server's clock, whatever `now()` answers: for records of
    /// who did what and when.
    pub clock: DateTime<Utc>,
    /// What the server knows of itself and of the connection.
    pub live: Option<Arc<dyn Live>>,
    /// Type names in casts.
    pub types: Arc<dyn TypePlanner>,
    /// Postgres spellings the engine's planner does not know, folded in the AST.
    pub rewrite: Arc<dyn Fn(ast::Statement) -> ast::Statement + Send + Sync>,
}

/// The lakes a statement sees: the shared one and, once it has temp tables, the connection's own.
pub struct Lakes {
    pub main: Transaction,
    pub temp: Option<Transaction>,
}

impl Lakes {
    /// The transaction that holds `place`.
    pub fn of(&mut self, place: &Place) -> &mut Transaction {
        match (&mut self.temp, place.temp) {
            (Some(temp), true) => temp,
            _ => &mut self.main,
        }
    }

    /// What is seen now, for planning apart.
    pub fn copy(&self) -> Self {
        Self { main: self.main.copy(), temp: self.temp.as_ref().map(Transaction::copy) }
    }

    /// See `of`.
    pub fn view(&self, place: &Place) -> &Transaction {
        match (&self.temp, place.temp) {
            (Some(temp), true) => temp,
            _ => &self.main,
        }
    }
}

/// What a statement brings along under a name.
#[derive(Clone)]
pub enum Given {
    /// A table, whatever it is called in the statement: `addressed` targets.
    Table(Arc<dyn TableSource>),
    /// Rows, as if WITH had named them; their columns may have qualifiers of their own.
    Plan(LogicalPlan),
    /// A function of this statement alone.
    Function(Arc<ScalarUDF>),
}

/// See `Given`.
pub type Overrides = Vec<(String, Given)>;

/// Plans a query (or EXPLAIN-less DML that has been turned into one).
pub async fn plan_query(
    environment: &Environment,
    lakes: &Lakes,
    query: ast::Query,
    types: &[Option<FieldRef>],
    overrides: Overrides,
) -> Result<LogicalPlan> {
    let statement = ast::Statement::Query(Box::new(query));
    // On the heap, as the futures of statements that plan some queries would be large.
    Box::pin(plan_at_depth(environment, lakes, statement, types, overrides, 0)).await
}

pub(crate) async fn plan_at_depth(
    environment: &Environment,
    lakes: &Lakes,
    statement: ast::Statement,
    types: &[Option<FieldRef>],
    overrides: Overrides,
    depth: usize,
) -> Result<LogicalPlan> {
    if depth > VIEW_DEPTH {
        return Err(Error::new("54001", "views are nested too deeply"));
    }
    let (mut statement, mut overrides) = (statement, overrides);
    Box::pin(crate::relations::expand(environment, lakes, &mut statement)).await?;
    crate::nearest::expand(environment, lakes, &mut statement)?;
    Box::pin(crate::models::rank_items(environment, lakes, &mut statement)).await?;
    names::assign(&mut statement);
    let models = Box::pin(crate::models::expand(environment, lakes, &mut statement));
    overrides.extend(models.await?);
    overrides.extend(crate::experiments::expand(environment, lakes, &mut statement)?);
    natural::spell_out(environment, lakes, &mut statement);
    convert::fold_casts(&mut statement);
    names::current_user(&mut statement);
    let mut statement = (environment.rewrite)(statement);
    crate::asof::nest(&mut statement)?;
    named::fill(&environment.engine, &mut statement)?;
    let unnested = rows::fold(&environment.engine, &mut statement);
    let special = fold::special_tables(&mut statement)?;
    environment.may_call(lakes, &statement)?;
    crate::system::sizes::load(environment, lakes, &statement).await?;
    let statement = EngineStatement::Statement(Box::new(statement));
    let scope = Scope::load(environment, lakes, &statement, special, &overrides, depth).await?;
    let EngineStatement::Statement(statement) = statement else {
        return Err(Error::unsupported("this statement"));
    };
    let plan = |statement| {
        let mut context = PlannerContext::new().with_prepare_param_data_types(types.to_vec());
        for (name, given) in &overrides {
            if let Given::Plan(plan) = given {
                context.insert_cte(name.clone(), plan.clone());
            }
        }
        let planner = SqlToRel::new_with_options(&scope, options(&environment.engine));
        planner.sql_statement_to_plan_with_context(statement, &mut context)
    };
    // `SELECT id, t.* FROM t`: which names meet is known only now.
    let marked = names::marked(&statement);
    let wildcards = wildcard::Wildcards::of(&statement);
    let plan = match (plan(*statement), marked) {
        (Err(error), Some(marked)) => plan(marked).map_err(|_| wildcards.locate(error))?,
        (planned, _) => planned.map_err(|error| wildcards.locate(error))?,
    };
    let plan = signed(Rules::new(&environment.engine, depth > 0).plan(plan)?)?;
    if unnested { rows::named(plan) } else { Ok(plan) }
}

/// Postgres has no unsigned integers: `row_number()` and its like are bigint.
fn signed(plan: LogicalPlan) -> Result<LogicalPlan> {
    let schema = Arc::clone(plan.schema());
    if !schema.fields().iter().any(|field| field.data_type() == &DataType::UInt64) {
        return Ok(plan);
    }
    let items = schema.iter().map(|(qualifier, field)| {
        let column = Expr::Column(Column::from((qualifier, field)));
        match field.data_type() {
            DataType::UInt64 => {
                cast(column, DataType::Int64).alias_qualified(qualifier.cloned(), field.name())
            }
            _ => column,
        }
    });
    Ok(LogicalPlanBuilder::from(plan).project(items.collect::<Vec<_>>())?.build()?)
}

/// An expression over `schema`'s columns.
pub fn expression(
    environment: &Environment,
    expression: ast::Expr,
    schema: &DFSchema,
) -> Result<Expr> {
    let mut expression = expression;
    convert::fold_casts(&mut expression);
    named::fill(&environment.engine, &mut expression)?;
    rows::fold(&environment.engine, &mut expression);
    let scope = Scope::empty(&environment.engine);
    let planner = SqlToRel::new_with_options(&scope, options(&environment.engine));
    let expression = planner.sql_to_expr(expression, schema, &mut PlannerContext::new())?;
    Ok(Rules::new(&environment.engine, false).expression(expression, schema)?)
}

/// A constant expression's value (`TIMESTAMP '…'`, `1 + 1`).
pub fn constant(engine: &SessionState, expression: ast::Expr) -> Result<ScalarValue> {
    let expression = planned_constant(engine, expression)?;
    folded(engine, Rules::new(engine, false).expression(expression, &DFSchema::empty())?)
}

fn planned_constant(engine: &SessionState, expression: ast::Expr) -> Result<Expr> {
    let mut expression = expression;
    convert::fold_casts(&mut expression);
    named::fill(engine, &mut expression)?;
    rows::fold(engine, &mut expression);
    let scope = Scope::empty(engine);
    let planner = SqlToRel::new_with_options(&scope, options(engine));
    Ok(planner.sql_to_expr(expression, &DFSchema::empty(), &mut PlannerContext::new())?)
}

/// The same as a value of a field's type, into which it is converted as on assignment: 42804 if
/// Postgres has no such conversion.
pub fn constant_of(
    engine: &SessionState,
    expression: ast::Expr,
    field: &Field,
) -> Result<ScalarValue> {
    let schema = DFSchema::empty();
    let rules = Rules::new(engine, false);
    let value = planned_constant(engine, expression)?;
    folded(engine, rules.assigned(rules.expression(value, &schema)?, field, &schema)?)
}

/// The value of an expression without columns.
pub(crate) fn folded(engine: &SessionState, expression: Expr) -> Result<ScalarValue> {
    folded_at(engine, engine.execution_props().query_execution_start_time, expression)
}

fn folded_at(
    engine: &SessionState,
    now: Option<DateTime<Utc>>,
    expression: Expr,
) -> Result<ScalarValue> {
    let context = SimplifyContext::builder()
        .with_config_options(Arc::clone(engine.config_options()))
        .with_query_execution_start_time(now)
        .build();
    let simplifier = ExprSimplifier::new(context);
    let schema = DFSchema::empty();
    let simple = simplifier.simplify(simplifier.coerce(expression, &schema)?)?;
    match simple.unalias() {
        Expr::Literal(value, _) => Ok(value),
        // What could not be folded says why when it is evaluated.
        other => {
            let physical = engine.create_physical_expr(other, &schema)?;
            let one = RecordBatchOptions::new().with_row_count(Some(1));
            let row = RecordBatch::try_new_with_options(Arc::new(Schema::empty()), vec![], &one);
            let row = row.map_err(|error| Error::Engine(error.into()))?;
            let value = physical.evaluate(&row)?.into_array(1)?;
            Ok(ScalarValue::try_from_array(&value, 0)?)
        }
    }
}

fn options(engine: &SessionState) -> ParserOptions {
    let settings = &engine.config_options().sql_parser;
    ParserOptions::new()
        .with_parse_float_as_decimal(settings.parse_float_as_decimal)
        .with_enable_ident_normalization(settings.enable_ident_normalization)
        .with_support_varchar_with_length(true)
        .with_map_string_types_to_utf8view(false)
        .with_collect_spans(true)
        .with_default_null_ordering(datafusion::sql::planner::NullOrdering::NullsMax)
}
