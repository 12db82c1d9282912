//! EXPLAIN [ANALYZE] as Postgres shows it: one column, "QUERY PLAN", a row a line; with FORMAT JSON
//! one row, an object a node.

use std::sync::Arc;
use std::time::{Duration, Instant};

use datafusion::arrow::array::StringArray;
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::arrow::record_batch::RecordBatch;
use datafusion::physical_plan::display::DisplayableExecutionPlan;
use datafusion::physical_plan::{ExecutionPlan, execute_stream, stream::RecordBatchStreamAdapter};
use datafusion::sql::sqlparser::ast::{self, AnalyzeFormatKind, Expr};
use futures::{StreamExt, stream};
use serde_json::{Value, json};
use sql::changes;
use sql::names::unmarked;
use sql::plan::{Environment, Lakes};

use crate::Error;
use crate::run::{Optimized, Outcome, Plan};

/// What EXPLAIN is asked to show.
#[derive(Debug, Clone, Default)]
pub(crate) struct Explain {
    analyze: bool,
    verbose: bool,
    json: bool,
}

impl Explain {
    /// The one column.
    pub(crate) fn schema(&self) -> SchemaRef {
        let column = Field::new("QUERY PLAN", DataType::Utf8, false);
        let tag = |name: &str| [(catalog::TYPE_KEY.to_owned(), name.to_owned())].into();
        Arc::new(Schema::new(vec![match self.json {
            true => column.with_metadata(tag("json")),
            false => column,
        }]))
    }

    fn set_format(&mut self, format: &str) -> Result<(), Error> {
        self.json = match format.to_ascii_lowercase().as_str() {
            "text" => false,
            "json" => true,
            "xml" | "yaml" => {
                return Err(Error::new("0A000", "EXPLAIN's formats here are TEXT and JSON"));
            }
            other => {
                let message =
                    format!("unrecognized value for EXPLAIN option \"format\": \"{other}\"");
                return Err(Error::new("22023", message));
            }
        };
        Ok(())
    }
}

/// EXPLAIN's options and the statement it is about; None for other statements.
pub(crate) fn parse(
    statement: &ast::Statement,
) -> Result<Option<(Explain, &ast::Statement)>, Error> {
    let ast::Statement::Explain { analyze, verbose, statement, format, options, .. } = statement
    else {
        return Ok(None);
    };
    let mut explain = Explain { analyze: *analyze, verbose: *verbose, json: false };
    if let Some(AnalyzeFormatKind::Keyword(format) | AnalyzeFormatKind::Assignment(format)) = format
    {
        explain.set_format(&format.to_string())?;
    }
    for option in options.iter().flatten() {
        let on = match &option.arg {
            None => true,
            Some(Expr::Identifier(word)) => !word.value.eq_ignore_ascii_case("off"),
            Some(value) => !value.to_string().eq_ignore_ascii_case("false"),
        };
        match option.name.value.to_lowercase().as_str() {
            "analyze" => explain.analyze = on,
            "verbose" => explain.verbose = on,
            "costs" | "timing" | "buffers" | "summary" | "settings" | "wal" | "memory" => {}
            "format" => {
                let format = option.arg.as_ref().map(ToString::to_string).unwrap_or_default();
                explain.set_format(format.trim_matches('\''))?;
            }
            other => {
                let message = format!("unrecognized EXPLAIN option \"{other}\"");
                return Err(Error::new("42601", message));
            }
        }
    }
    Ok(Some((explain, statement)))
}

/// The plan's lines; with ANALYZE after running it.
pub(crate) async fn run(
    environment: &Environment,
    lakes: &mut Lakes,
    explain: &Explain,
    plan: Plan,
) -> Result<Outcome, Error> {
    let started = Instant::now();
    let (title, logical, change) = match plan {
        Plan::Query(plan) | Plan::Optimized(Optimized { plan, .. }) | Plan::Cursor(_, plan) => {
            (None, plan, None)
        }
        Plan::Change(change) => {
            let word = change.tag.split(' ').next().unwrap_or_default();
            let title = format!("{word} on {}", change.table.name);
            (Some(title), change.plan.clone(), Some(change))
        }
        Plan::With(..) => {
            return Err(Error::new("0A000", "WITH queries that change rows cannot be explained")
                .with_hint("Explain each of them alone."));
        }
        Plan::Explain(..) | Plan::Command | Plan::Late | Plan::CopyIn(_) | Plan::CopyOut(..) => {
            return Err(Error::new("0A000", "this statement cannot be explained"));
        }
    };
    let mut told = sql::features::told(&logical);
    let optimized = environment.engine.optimize(&logical)?;
    told.extend(sql::nearest::told(&optimized, &environment.engine).await);
    let planner = environment.engine.query_planner();
    let physical = planner.create_physical_plan(&optimized, &environment.engine).await?;
    let planned = started.elapsed();
    let mut rows = None;
    if explain.analyze {
        match &change {
            // The change runs a plan of its own; its metrics are those of the writer.
            Some(change) => rows = Some(changes::apply(environment, lakes, change).await?.count),
            None => {
                let task = environment.engine.task_ctx();
                let mut stream = execute_stream(Arc::clone(&physical), task)?;
                let mut count = 0;
                while let Some(batch) = stream.next().await {
                    count += batch?.num_rows() as u64;
                }
                rows = Some(count);
            }
        }
    }
    let times = rows.map(|rows| (rows, planned, started.elapsed() - planned));
    let metrics = explain.analyze && change.is_none();
    let shown = sql::plan::uninterruptible(&physical);
    let lines = match explain.json {
        true => vec![as_json(shown.as_ref(), title, metrics, (told, times))],
        false => as_lines(explain, shown.as_ref(), title, metrics, (told, times)),
    };
    let schema = explain.schema();
    let batch =
        RecordBatch::try_new(Arc::clone(&schema), vec![Arc::new(StringArray::from(lines))])?;
    let rows = stream::iter([Ok(batch)]);
    let rows = Box::pin(RecordBatchStreamAdapter::new(Arc::clone(&schema), rows));
    Ok(Outcome::Rows { schema, rows, tag: "EXPLAIN", count: false, binary: false })
}

/// Rows, planning time, execution time.
type Times = (u64, Duration, Duration);

fn as_lines(
    explain: &Explain,
    physical: &dyn ExecutionPlan,
    title: Option<String>,
    metrics: bool,
    (told, times): (Vec<String>, Option<Times>),
) -> Vec<String> {
    let shown = match metrics {
        true => DisplayableExecutionPlan::with_metrics(physical),
        false => DisplayableExecutionPlan::new(physical),
    };
    let indent = if title.is_none() { "" } else { "  ->  " };
    let text = unmarked(&shown.indent(explain.verbose).to_string());
    let mut lines: Vec<String> = title.into_iter().collect();
    lines.extend(text.lines().map(|line| format!("{indent}{line}")));
    lines.extend(told);
    if let Some((rows, planning, execution)) = times {
        lines.push(format!("Rows: {rows}"));
        lines.push(format!("Planning Time: {:.3} ms", planning.as_secs_f64() * 1e3));
        lines.push(format!("Execution Time: {:.3} ms", execution.as_secs_f64() * 1e3));
    }
    lines
}

/// Postgres' form: a list of one object with the tree under "Plan".
fn as_json(
    physical: &dyn ExecutionPlan,
    title: Option<String>,
    metrics: bool,
    (told, times): (Vec<String>, Option<Times>),
) -> String {
    let mut plan = node(physical, metrics);
    if let Some(title) = title {
        plan = json!({ "Node Type": "ModifyTable", "Detail": title, "Plans": [plan] });
    }
    let mut whole = json!({ "Plan": plan });
    if !told.is_empty() {
        whole["Feature Views"] = told.into();
    }
    if let Some((rows, planning, execution)) = times {
        whole["Rows"] = rows.into();
        whole["Planning Time"] = (planning.as_secs_f64() * 1e3).into();
        whole["Execution Time"] = (execution.as_secs_f64() * 1e3).into();
    }
    format!("{:#}", json!([whole]))
}

fn node(plan: &dyn ExecutionPlan, metrics: bool) -> Value {
    let detail = unmarked(&DisplayableExecutionPlan::new(plan).one_line().to_string());
    let mut node = json!({ "Node Type": plan.name(), "Detail": detail.trim() });
    if let Some(found) = plan.metrics().filter(|_| metrics) {
        for metric in found.aggregate_by_name().iter() {
            node[metric.value().name()] = metric.value().as_usize().into();
        }
    }
    let children: Vec<Value> =
        plan.children().iter().map(|child| self::node(child.as_ref(), metrics)).collect();
    if !children.is_empty() {
        node["Plans"] = children.into();
    }
    node
}
