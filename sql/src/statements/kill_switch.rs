//! ALTER EXPERIMENT e STOP IF BREACHED IN 'table or query': the kill switch, for jobs.
//!
//! It is a statement and no function: what it does is seen in its text, it runs once and not once a
//! row, EXPLAIN does not run it, and a read-only transaction refuses it. Reading the guardrails and
//! stopping are one transaction: if somebody moves the experiment on meanwhile, the commit fails
//! (40001), nothing has been done, and the next run of the job looks again. The test is the
//! always-valid one, so that looking every minute does not stop what is harmless.

use datafusion::arrow::array::AsArray;
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::DataType;
use datafusion::physical_plan::collect;

use super::{Context, experiment};
use crate::error::{Error, Result};
use crate::experiments::{Experiment, now};
use crate::functions::{identifier, literal};
use crate::plan::Place;
use crate::{Notice, parse, plan};

pub(super) async fn run(
    context: &mut Context<'_>,
    (place, mut experiment): (Place, Experiment),
    rows: &str,
    alpha: Option<f64>,
) -> Result<String> {
    let tag = "ALTER EXPERIMENT".to_owned();
    let status = experiment.status(now(context.environment));
    if status != "running" {
        let message = format!("experiment \"{}\" is {status}, not running", place.name);
        context.notices.push(Notice::notice(message));
        return Ok(tag);
    }
    let breaches = breaches(context, &place, rows, alpha).await?;
    if breaches.is_empty() {
        let message = format!("no guardrail of experiment \"{}\" is breached", place.name);
        context.notices.push(Notice::notice(message));
        return Ok(tag);
    }
    let reason = breaches.join("; ");
    let message = format!("experiment \"{}\" is stopped: {reason}", place.name);
    context.notices.push(Notice::warning("01000", message));
    experiment::stop(context, &place, &mut experiment, &Some(reason))?;
    experiment.keep(&mut context.lakes.main, &place)?;
    Ok(tag)
}

/// What is wrong with each arm that breaches a guardrail.
async fn breaches(
    context: &Context<'_>,
    place: &Place,
    rows: &str,
    alpha: Option<f64>,
) -> Result<Vec<String>> {
    let name = format!("{}.{}", identifier(&place.schema), identifier(&place.name));
    let alpha = alpha.map_or(String::new(), |alpha| format!(", alpha => {alpha}"));
    let text = format!(
        "SELECT DISTINCT treatment || ': ' || reason FROM ab_decision({}, experiment => {}{alpha}) \
         WHERE breached ORDER BY 1",
        literal(rows),
        literal(&name),
    );
    let query = parse::parse_query(&text)?;
    let (environment, engine) = (context.environment, &context.environment.engine);
    let plan = plan::plan_query(environment, context.lakes, query, &[], Vec::new()).await?;
    let physical = engine.create_physical_plan(&plan).await?;
    let mut found = Vec::new();
    for batch in collect(physical, engine.task_ctx()).await? {
        let texts = cast(batch.column(0), &DataType::Utf8).map_err(|e| Error::Engine(e.into()))?;
        found.extend(texts.as_string::<i32>().iter().flatten().map(str::to_owned));
    }
    Ok(found)
}
