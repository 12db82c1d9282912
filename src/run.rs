//! The path: text → parse → plan → execute → stream. Every statement of every client walks it.

mod constants;
mod copy;
mod parameters;
mod place;

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use datafusion::arrow::datatypes::{FieldRef, SchemaRef};
use datafusion::common::ParamValues;
use datafusion::common::metadata::ScalarAndMetadata;
use datafusion::common::runtime::SpawnedTask;
use datafusion::execution::{SendableRecordBatchStream, SessionState, TaskContext};
use datafusion::logical_expr::{Expr, LogicalPlan};
use datafusion::optimizer::Optimizer;
use datafusion::optimizer::simplify_expressions::SimplifyExpressions;
use datafusion::physical_plan::execute_stream;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::scalar::ScalarValue;
use datafusion::sql::sqlparser::ast;
use futures::stream;
use sql::changes::{self, Change, Kept, Returning, Step, Touched};
use sql::copy::{CopyIn, CopyOut};
use sql::parse::CopyPlace;
use sql::plan::{self, Environment, Lakes, Life, Origin, Overrides};
use sql::{Notice, Own, Parsed, statements};
use tokio::runtime::Handle;

use crate::session::Planned;
use crate::{Error, explain};

pub use copy::{CopyingIn, CopyingOut};
pub(crate) use parameters::parameters;
pub(crate) use place::placed;
pub use sql::Statement;

/// A planned statement: what its parameters and columns are.
#[derive(Clone)]
pub struct Prepared {
    /// One field a parameter, in order.
    pub parameters: Vec<FieldRef>,
    /// None: the statement returns no rows.
    pub columns: Option<SchemaRef>,
    /// The columns of tables that those of a query are.
    pub origins: Arc<[Option<Origin>]>,
    pub(crate) statement: Statement,
    pub(crate) types: Vec<Option<FieldRef>>,
    pub(crate) changes: bool,
    pub(crate) late: bool,
    pub(crate) planned: Arc<Mutex<Planned>>,
}

impl Prepared {
    /// Whether running it may change the lake.
    pub fn changes(&self) -> bool {
        self.changes
    }

    /// Whether it is planned only with the values of its parameters.
    pub(crate) fn is_late(&self) -> bool {
        self.late
    }

    /// Whether it asks and does nothing else.
    pub(crate) fn is_query(&self) -> bool {
        match &self.statement.parsed {
            Parsed::Sql(sql) => matches!(sql.as_ref(), ast::Statement::Query(_)),
            Parsed::Own(_) => false,
        }
    }
}

/// A query that is optimized for all later runs.
#[derive(Debug, Clone)]
pub(crate) struct Optimized {
    pub plan: LogicalPlan,
    /// The columns that it had before.
    pub schema: SchemaRef,
    /// What its parameters after the client's ask for: `plan::with_parameters`.
    pub calls: Arc<[Expr]>,
}

/// What is to be done.
#[derive(Debug, Clone)]
pub(crate) enum Plan {
    Query(LogicalPlan),
    Optimized(Optimized),
    Change(Box<Change>),
    /// Changes in WITH, and what is done after them.
    With(Vec<Step>, Box<Plan>),
    Explain(explain::Explain, Box<Plan>),
    /// DECLARE's query; the session keeps its rows.
    Cursor(Box<ast::Declare>, LogicalPlan),
    CopyIn(Box<CopyIn>),
    /// COPY TO, and the plan of its rows.
    CopyOut(CopyOut, Box<Plan>),
    /// Definitions, settings, transaction control: run from the syntax tree.
    Command,
    /// What it is the values of its parameters say: `plan::awaits`.
    Late,
}

impl Plan {
    /// A lake's tables that it reads as they are now.
    pub fn reads(&self, lake: &catalog::Lake) -> Result<Vec<catalog::ObjectId>, Error> {
        Ok(match self {
            Self::Query(plan) | Self::Optimized(Optimized { plan, .. }) | Self::Cursor(_, plan) => {
                plan::reads(plan, lake)?
            }
            Self::Change(change) => plan::reads(&change.plan, lake)?,
            Self::With(steps, rest) => {
                let mut read = rest.reads(lake)?;
                for step in steps {
                    read.extend(plan::reads(&step.change.plan, lake)?);
                }
                read
            }
            Self::Explain(_, plan) | Self::CopyOut(_, plan) => plan.reads(lake)?,
            Self::CopyIn(_) | Self::Command | Self::Late => Vec::new(),
        })
    }

    pub fn changes(&self) -> bool {
        match self {
            Self::Query(_) | Self::Optimized(..) | Self::Cursor(..) | Self::Late => false,
            Self::Change(_) | Self::With(..) | Self::Command | Self::Explain(..) => true,
            // The client's data comes later: the session is told when it has.
            Self::CopyIn(copy) => copy.place != CopyPlace::Client,
            Self::CopyOut(_, inner) => inner.changes(),
        }
    }

    /// How long it holds.
    pub fn life(&self) -> Result<Life, Error> {
        Ok(match self {
            Self::Query(plan) | Self::Optimized(Optimized { plan, .. }) | Self::Cursor(_, plan) => {
                plan::life(plan)?
            }
            Self::Change(change) => life_of(change)?,
            Self::With(steps, rest) => {
                let mut life = rest.life()?;
                for step in steps {
                    life = life.min(life_of(&step.change)?);
                }
                life
            }
            Self::Explain(_, inner) => inner.life()?,
            // What is fed is fed once.
            Self::CopyIn(_) | Self::Late => Life::Once,
            Self::CopyOut(_, inner) => inner.life()?,
            Self::Command => Life::Snapshot,
        })
    }
}

fn life_of(change: &Change) -> Result<Life, Error> {
    let returning = change.returning.as_ref().map(|r| plan::life(&r.plan));
    Ok(plan::life(&change.plan)?.min(returning.transpose()?.unwrap_or(Life::Snapshot)))
}

/// What a statement answers.
pub enum Outcome {
    /// `tag` is the command before the row count; without `count` it is the whole tag.
    /// `binary` is the format where the client's message does not say.
    Rows {
        schema: SchemaRef,
        rows: SendableRecordBatchStream,
        tag: &'static str,
        count: bool,
        binary: bool,
    },
    /// The client's data is awaited, or goes out.
    CopyIn(CopyingIn),
    CopyOut(CopyingOut),
    /// A command's tag.
    Done {
        tag: String,
    },
    /// Nothing was asked.
    Empty,
}

/// That a statement has no columns before its parameters have values.
pub(crate) fn late() -> Error {
    Error::new("42P18", "the statement's columns depend on the values of its parameters")
        .with_hint("Write the text that the function is given into the statement.")
}

/// Text from this length on is planned on a task of its own, bytes: a cancel reaches the connection
/// while a very long expression is planned, which never waits.
const LONG: usize = 4 << 10;

/// Plans a statement against the lakes.
pub(crate) async fn plan(
    environment: &Environment,
    lakes: &Lakes,
    statement: &Statement,
    types: &[Option<FieldRef>],
) -> Result<Plan, Error> {
    if statement.text.len() < LONG {
        return plan_here(environment, lakes, statement, types).await;
    }
    let (environment, lakes) = (environment.clone(), lakes.copy());
    let (statement, types) = (statement.clone(), types.to_vec());
    apart(async move { plan_here(&environment, &lakes, &statement, &types).await }).await
}

/// Runs work on a thread of its own: a worker that is kept busy would let nobody wake up for what
/// arrives, a cancel included. What it does when the caller has gone is thrown away.
async fn apart<T: Send + 'static>(
    work: impl Future<Output = Result<T, Error>> + Send + 'static,
) -> Result<T, Error> {
    let runtime = Handle::current();
    let done = SpawnedTask::spawn_blocking(move || runtime.block_on(work)).join().await;
    done.unwrap_or_else(|failed| Err(Error::new("XX000", format!("planning failed: {failed}"))))
}

async fn plan_here(
    environment: &Environment,
    lakes: &Lakes,
    statement: &Statement,
    types: &[Option<FieldRef>],
) -> Result<Plan, Error> {
    match &statement.parsed {
        Parsed::Sql(sql) => plan_sql(environment, lakes, sql, types).await,
        Parsed::Own(own) => match own.as_ref() {
            Own::Copy(copy) => copy::plan(environment, lakes, copy).await,
            _ => Ok(Plan::Command),
        },
    }
}

async fn plan_sql(
    environment: &Environment,
    lakes: &Lakes,
    sql: &ast::Statement,
    types: &[Option<FieldRef>],
) -> Result<Plan, Error> {
    if let ast::Statement::Query(query) = sql
        && let Some(parts) = changes::parts(environment, lakes, query, types).await?
    {
        let rest = plan_rows(environment, lakes, &parts.rest, types, parts.given).await?;
        return Ok(Plan::With(parts.steps, Box::new(rest)));
    }
    let planned = plan_rows(environment, lakes, sql, types, Vec::new()).await?;
    if !matches!(planned, Plan::Command) {
        return Ok(planned);
    }
    if let ast::Statement::Declare { stmts } = sql
        && let [declare] = stmts.as_slice()
        && let Some(query) = &declare.for_query
    {
        let query = query.as_ref().clone();
        let plan = plan::plan_query(environment, lakes, query, types, Vec::new()).await?;
        return Ok(Plan::Cursor(Box::new(declare.clone()), plan));
    }
    if let Some((explain, inner)) = explain::parse(sql)? {
        let inner = Box::pin(plan_sql(environment, lakes, inner, types)).await?;
        if matches!(inner, Plan::Command) {
            return Err(Error::new("0A000", "this statement cannot be explained"));
        }
        return Ok(Plan::Explain(explain, Box::new(inner)));
    }
    Ok(Plan::Command)
}

/// Plans a query or a change, to which rows are given under names of WITH.
async fn plan_rows(
    environment: &Environment,
    lakes: &Lakes,
    sql: &ast::Statement,
    types: &[Option<FieldRef>],
    given: Overrides,
) -> Result<Plan, Error> {
    if let Some(change) = changes::plan_change(environment, lakes, sql, types, &given).await? {
        return Ok(Plan::Change(Box::new(change)));
    }
    let ast::Statement::Query(query) = sql else { return Ok(Plan::Command) };
    let query = query.as_ref().clone();
    Ok(Plan::Query(plan::plan_query(environment, lakes, query, types, given).await?))
}

/// The columns that a plan returns.
pub(crate) fn columns(plan: &Plan) -> Option<SchemaRef> {
    match plan {
        Plan::Query(plan) => Some(Arc::clone(plan.schema().inner())),
        Plan::Optimized(Optimized { schema, .. }) => Some(Arc::clone(schema)),
        Plan::Change(change) => change.returning.as_ref().map(Returning::schema),
        Plan::With(_, rest) => columns(rest),
        Plan::Explain(explain, _) => Some(explain.schema()),
        Plan::Command | Plan::Late | Plan::Cursor(..) | Plan::CopyIn(_) | Plan::CopyOut(..) => None,
    }
}

/// A value of a parameter of a type: that a number is of a `regclass` only its field tells.
pub(crate) fn parameter(value: &ScalarValue, of: Option<&FieldRef>) -> ScalarAndMetadata {
    let reference = of.filter(|field| sql::system::references::reference(field).is_some());
    ScalarAndMetadata::new(value.clone(), reference.map(|field| field.metadata().into()))
}

/// The plan with its parameters filled in.
pub(crate) fn bind(
    engine: &SessionState,
    plan: Plan,
    values: Vec<ScalarAndMetadata>,
) -> Result<Plan, Error> {
    if values.is_empty() {
        return Ok(plan);
    }
    let filled = |plan: LogicalPlan| {
        let plan = plan.with_param_values(ParamValues::List(values.clone()))?;
        Ok::<_, Error>(plan::rows_of_series(plan, engine)?)
    };
    Ok(match plan {
        Plan::Query(plan) => Plan::Query(filled(plan)?),
        Plan::Optimized(mut optimized) => {
            // What the values make constant can prune files.
            let simplify = Optimizer::with_rules(vec![Arc::new(SimplifyExpressions::new())]);
            optimized.plan = simplify.optimize(filled(optimized.plan)?, engine, |_, _| {})?;
            Plan::Optimized(optimized)
        }
        Plan::Cursor(declare, plan) => Plan::Cursor(declare, filled(plan)?),
        Plan::Change(mut change) => {
            fill(&mut change, filled)?;
            Plan::Change(change)
        }
        Plan::With(mut steps, rest) => {
            for step in &mut steps {
                fill(&mut step.change, filled)?;
            }
            Plan::With(steps, Box::new(bind(engine, *rest, values)?))
        }
        Plan::Explain(explain, inner) => {
            Plan::Explain(explain, Box::new(bind(engine, *inner, values)?))
        }
        Plan::Command | Plan::Late | Plan::CopyIn(_) | Plan::CopyOut(..) => plan,
    })
}

fn fill(
    change: &mut Change,
    filled: impl Fn(LogicalPlan) -> Result<LogicalPlan, Error>,
) -> Result<(), Error> {
    change.plan = filled(std::mem::take(&mut change.plan))?;
    if let Some(returning) = &mut change.returning {
        returning.plan = filled(std::mem::take(&mut returning.plan))?;
    }
    Ok(())
}

/// Runs a bound plan; None for a command that is not about the lake.
pub(crate) async fn execute(
    environment: &Environment,
    lakes: &mut Lakes,
    notices: &mut Vec<Notice>,
    statement: &Statement,
    plan: Plan,
) -> Result<Option<Outcome>, Error> {
    match plan {
        Plan::Query(plan) | Plan::Cursor(_, plan) if statement.text.len() < LONG => {
            query(&environment.engine, plan).await.map(Some)
        }
        Plan::Query(plan) | Plan::Cursor(_, plan) => {
            let engine = environment.engine.clone();
            apart(async move { query(&engine, plan).await }).await.map(Some)
        }
        Plan::Optimized(Optimized { plan, schema, .. }) => {
            optimized(&environment.engine, &plan, schema).await.map(Some)
        }
        Plan::Change(change) => {
            change_rows(environment, lakes, &change, &mut Touched::default()).await.map(Some)
        }
        Plan::With(steps, rest) => {
            let outcome = with(environment, lakes, &steps, *rest).await;
            steps.iter().for_each(Step::clear);
            outcome.map(Some)
        }
        Plan::Explain(explain, inner) => {
            explain::run(environment, lakes, &explain, *inner).await.map(Some)
        }
        Plan::CopyIn(copy) => copy::run_in(environment, lakes, copy).await.map(Some),
        Plan::CopyOut(copy, inner) => {
            let rows = Box::pin(execute(environment, lakes, notices, statement, *inner)).await?;
            match rows {
                Some(Outcome::Rows { schema, rows, .. }) => {
                    copy::run_out(environment, copy, schema, rows).await.map(Some)
                }
                _ => Err(Error::new("XX000", "COPY's query returned no rows")),
            }
        }
        Plan::Late => Err(late()),
        Plan::Command => {
            let mut context = statements::Context { environment, lakes, notices };
            let tag = statements::run(&mut context, statement).await?;
            Ok(tag.map(|tag| Outcome::Done { tag }))
        }
    }
}

async fn query(engine: &SessionState, plan: LogicalPlan) -> Result<Outcome, Error> {
    let schema = Arc::clone(plan.schema().inner());
    let plan = engine.optimize(&plan)?;
    optimized(engine, &plan, schema).await
}

/// Runs a plan that the optimizer has seen.
pub(crate) async fn optimized(
    engine: &SessionState,
    plan: &LogicalPlan,
    schema: SchemaRef,
) -> Result<Outcome, Error> {
    if let Some(row) = constants::row(plan) {
        let rows = stream::iter([Ok(row)]);
        let rows = Box::pin(RecordBatchStreamAdapter::new(Arc::clone(&schema), rows));
        return Ok(Outcome::Rows { schema, rows, tag: "SELECT", count: true, binary: false });
    }
    let physical = engine.query_planner().create_physical_plan(plan, engine).await?;
    let rows = execute_stream(physical, task(engine))?;
    Ok(Outcome::Rows { schema, rows, tag: "SELECT", count: true, binary: false })
}

/// What operators run with; functions are in the plan already, so none are looked up.
fn task(engine: &SessionState) -> Arc<TaskContext> {
    Arc::new(TaskContext::new(
        None,
        engine.session_id().to_owned(),
        engine.config().clone(),
        HashMap::new(),
        HashMap::new(),
        HashMap::new(),
        HashMap::new(),
        Arc::clone(engine.runtime_env()),
    ))
}

async fn change_rows(
    environment: &Environment,
    lakes: &mut Lakes,
    change: &Change,
    touched: &mut Touched,
) -> Result<Outcome, Error> {
    let applied = changes::apply_after(environment, lakes, change, touched).await?;
    match (applied.returned, &change.returning) {
        (Some(rows), Some(returning)) => {
            let (schema, rows) = (returning.schema(), rows.into_stream());
            Ok(Outcome::Rows { schema, rows, tag: change.tag, count: true, binary: false })
        }
        _ => Ok(Outcome::Done { tag: format!("{} {}", change.tag, applied.count) }),
    }
}

/// The changes in WITH, then the rest; all of its rows are there before anything is committed.
async fn with(
    environment: &Environment,
    lakes: &mut Lakes,
    steps: &[Step],
    rest: Plan,
) -> Result<Outcome, Error> {
    let (mut touched, mut memory) = (Touched::default(), Vec::new());
    for step in steps {
        let applied = changes::apply_after(environment, lakes, &step.change, &mut touched).await?;
        memory.extend(step.fill(applied.returned));
    }
    let plan = match rest {
        Plan::Query(plan) => plan,
        Plan::Change(change) => {
            return change_rows(environment, lakes, &change, &mut touched).await;
        }
        _ => return Err(Error::new("XX000", "WITH before a statement that takes none")),
    };
    match query(&environment.engine, plan).await? {
        Outcome::Rows { schema, rows, tag, count, binary } => {
            let task = environment.engine.task_ctx();
            let rows = Kept::collect(rows, &schema, &task).await?.into_stream();
            Ok(Outcome::Rows { schema, rows, tag, count, binary })
        }
        other => Ok(other),
    }
}
