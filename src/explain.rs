//! EXPLAIN [ANALYZE] as Postgres shows it: one text column, "QUERY PLAN", a row a line.

use std::sync::Arc;
use std::time::Instant;

use datafusion::arrow::array::StringArray;
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::arrow::record_batch::RecordBatch;
use datafusion::physical_plan::display::DisplayableExecutionPlan;
use datafusion::physical_plan::{execute_stream, stream::RecordBatchStreamAdapter};
use datafusion::sql::sqlparser::ast::{self, AnalyzeFormat, AnalyzeFormatKind, Expr};
use futures::{StreamExt, stream};
use sql::changes;
use sql::plan::{Environment, Lakes};

use crate::Error;
use crate::run::{Outcome, Plan};

/// What EXPLAIN is asked to show.
#[derive(Debug, Clone, Default)]
pub(crate) struct Explain {
    analyze: bool,
    verbose: bool,
}

/// The one column.
pub(crate) fn schema() -> SchemaRef {
    Arc::new(Schema::new(vec![Field::new("QUERY PLAN", DataType::Utf8, false)]))
}

/// EXPLAIN's options and the statement it is about; None for other statements.
pub(crate) fn parse(
    statement: &ast::Statement,
) -> Result<Option<(Explain, &ast::Statement)>, Error> {
    let ast::Statement::Explain { analyze, verbose, statement, format, options, .. } = statement
    else {
        return Ok(None);
    };
    let mut explain = Explain { analyze: *analyze, verbose: *verbose };
    if let Some(AnalyzeFormatKind::Keyword(format) | AnalyzeFormatKind::Assignment(format)) = format
        && *format != AnalyzeFormat::TEXT
    {
        return Err(unsupported_format());
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
            "format" => match &option.arg {
                Some(value) if value.to_string().eq_ignore_ascii_case("text") => {}
                _ => return Err(unsupported_format()),
            },
            other => {
                let message = format!("unrecognized EXPLAIN option \"{other}\"");
                return Err(Error::new("42601", message));
            }
        }
    }
    Ok(Some((explain, statement)))
}

fn unsupported_format() -> Error {
    Error::new("0A000", "only EXPLAIN (FORMAT TEXT) is supported")
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
        Plan::Query(plan) | Plan::Optimized(plan, _) | Plan::Cursor(_, plan) => (None, plan, None),
        Plan::Change(change) => {
            let word = change.tag.split(' ').next().unwrap_or_default();
            let title = format!("{word} on {}", change.table.name);
            (Some(title), change.plan.clone(), Some(change))
        }
        Plan::Explain(..) | Plan::Command | Plan::CopyIn(_) | Plan::CopyOut(..) => {
            return Err(Error::new("0A000", "this statement cannot be explained"));
        }
    };
    let physical = environment.engine.create_physical_plan(&logical).await?;
    let planned = started.elapsed();
    let mut lines: Vec<String> = title.into_iter().collect();
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
    let shown = match explain.analyze && change.is_none() {
        true => DisplayableExecutionPlan::with_metrics(physical.as_ref()),
        false => DisplayableExecutionPlan::new(physical.as_ref()),
    };
    let indent = if lines.is_empty() { "" } else { "  ->  " };
    let text = shown.indent(explain.verbose).to_string();
    lines.extend(text.lines().map(|line| format!("{indent}{line}")));
    if let Some(rows) = rows {
        lines.push(format!("Rows: {rows}"));
        lines.push(format!("Planning Time: {:.3} ms", planned.as_secs_f64() * 1e3));
        let total = started.elapsed() - planned;
        lines.push(format!("Execution Time: {:.3} ms", total.as_secs_f64() * 1e3));
    }
    let batch = RecordBatch::try_new(schema(), vec![Arc::new(StringArray::from(lines))])?;
    let rows = stream::iter([Ok(batch)]);
    let rows = Box::pin(RecordBatchStreamAdapter::new(schema(), rows));
    Ok(Outcome::Rows { schema: schema(), rows, tag: "EXPLAIN", count: false, binary: false })
}
