//! `ann_recall('index', sample => 200, k => 10, recall => 0.95)`: the recall that the index gives,
//! measured on a sample of live rows; `ann_prewarm('index')`: fetches all of it, and its vectors
//! where a GPU searches them.

use std::sync::Arc;

use catalog::indexes::TableIndex;
use catalog::{LakeTable, Relation};
use datafusion::common::ScalarValue;
use datafusion::datasource::{MemTable, provider_as_source};
use datafusion::logical_expr::TableSource;
use datafusion::prelude::SessionConfig;
use kernels::cuda::Unavailable;

use super::ann_topk::{Found, find};
use super::exec::Failed;
use super::gpu;
use super::searches::Searches;
use crate::access::Privileges;
use crate::error::{Error, Result};
use crate::features::Call;
use crate::plan::{self, Environment, Lakes};
use crate::system::{Cell, Columns, batch};

pub(crate) const RECALL: &str = "ann_recall";
pub(crate) const PREWARM: &str = "ann_prewarm";

/// Name, arguments, what it is for.
pub(crate) const LISTED: [(&str, &[&str], &str); 2] = [
    (PREWARM, &["index"], "Fetches all of a vector index into memory."),
    (RECALL, &["index", "sample", "k", "recall"], "Measures the recall of a vector index."),
];

const RECALL_COLUMNS: Columns =
    &[("index_name", 't'), ("queries", 'l'), ("k", 'l'), ("asked", 'd'), ("recall", 'd')];
const PREWARM_COLUMNS: Columns = &[("index_name", 't'), ("segments", 'l'), ("bytes", 'l')];
/// Most rows that are searched for, and most that each search finds.
const MOST_SAMPLED: i64 = 10_000;
const MOST_FOUND: i64 = 1_000;

/// The rows that a call gives.
///
/// Errors: 42704 and 42809 for what is no vector index, 22023 for wrong arguments.
pub(crate) async fn load(
    environment: &Environment,
    lakes: &Lakes,
    (function, call): (&'static str, &Call),
) -> Result<Arc<dyn TableSource>> {
    let known = LISTED.iter().find(|(name, ..)| *name == function).map_or(&[][..], |known| known.1);
    let argument = |name: &'static str| {
        let place = known.iter().position(|known| *known == name);
        let positional = place.and_then(|place| call.arguments.get(place));
        let named = call.named.iter().find(|(given, _)| given == name).map(|(_, value)| value);
        let value = positional.or(named).cloned();
        value.map(|value| plan::constant(&environment.engine, value)).transpose()
    };
    let unknown = call.named.iter().find(|(name, _)| !known.contains(&name.as_str()));
    if unknown.is_some() || call.arguments.len() > known.len() {
        let message = format!("function {function} has no such argument");
        let hint = format!("Its arguments are {}.", known.join(", "));
        return Err(Error::new("42883", message).with_hint(hint));
    }
    let name = match argument("index")? {
        Some(ScalarValue::Utf8(Some(name)) | ScalarValue::Utf8View(Some(name))) => name,
        _ => {
            let message = format!("{function} needs the name of an index as constant text");
            return Err(Error::new("22023", message));
        }
    };
    let found = find(environment, lakes, &name)?;
    let (table, index) = opened(environment, lakes, &found).await?;
    let rows = match function == PREWARM {
        true => batch(PREWARM_COLUMNS, vec![prewarmed(environment, &index).await?])?,
        false => {
            let sample = whole(function, "sample", argument("sample")?, (200, MOST_SAMPLED))?;
            let k = whole(function, "k", argument("k")?, (10, MOST_FOUND))?;
            let recall = match argument("recall")?
                .map(|recall| recall.cast_to(&FLOAT))
                .transpose()?
            {
                None | Some(ScalarValue::Float64(None)) => index.of.recall,
                Some(ScalarValue::Float64(Some(recall))) if recall > 0.0 && recall <= 1.0 => recall,
                Some(_) => {
                    let message = format!("recall of {function} must be over 0 and at most 1");
                    return Err(Error::new("22023", message));
                }
            };
            let measured = table.measure(&index, (sample as usize, k as usize, recall)).await?;
            let (queries, measured) = match measured {
                Some(measured) => (measured.queries, Cell::Float(measured.recall)),
                None => (0, Cell::Null),
            };
            let queries = i64::try_from(queries).unwrap_or(i64::MAX).into();
            let row =
                vec![index.name.as_str().into(), queries, k.into(), Cell::Float(recall), measured];
            batch(RECALL_COLUMNS, vec![row])?
        }
    };
    let table = MemTable::try_new(rows.schema(), vec![vec![rows]])?;
    Ok(provider_as_source(Arc::new(table)))
}

const FLOAT: datafusion::arrow::datatypes::DataType =
    datafusion::arrow::datatypes::DataType::Float64;

/// A number from 1 on.
fn whole(
    function: &str,
    name: &str,
    given: Option<ScalarValue>,
    (usual, most): (i64, i64),
) -> Result<i64> {
    let integer = datafusion::arrow::datatypes::DataType::Int64;
    match given.map(|given| given.cast_to(&integer)).transpose()? {
        None | Some(ScalarValue::Int64(None)) => Ok(usual),
        Some(ScalarValue::Int64(Some(number))) if (1..=most).contains(&number) => Ok(number),
        Some(_) => {
            let message = format!("{name} of {function} must be from 1 to {most}");
            Err(Error::new("22023", message))
        }
    }
}

/// The table as it is now, and its index, for someone who may read it.
async fn opened(
    environment: &Environment,
    lakes: &Lakes,
    found: &Found,
) -> Result<(LakeTable, TableIndex)> {
    let relation = plan::Found::Relation(Relation::Table(Arc::clone(&found.table)));
    environment.require(lakes, &found.place, &relation, Privileges::SELECT)?;
    let table = plan::lake_table(lakes, &found.place, Arc::clone(&found.table), false).await?;
    let gone = || Error::new("42704", "the index has no segments");
    let table = table.downcast_ref::<LakeTable>().ok_or_else(gone)?;
    let index = table.indexes().iter().find(|index| index.of.uuid == found.of.uuid);
    Ok((table.clone(), index.ok_or_else(gone)?.clone()))
}

async fn prewarmed(environment: &Environment, index: &TableIndex) -> Result<Vec<Cell>> {
    let mut bytes = 0;
    for file in &index.segments.segments {
        bytes += index.lake.segment(file).await?.hold_all(&index.lake).await?;
    }
    index.lake.trim_segments();
    if let Err(reason) = held_by_gpu(environment.engine.config(), index).await?
        && let Some(searches) = environment.engine.config().get_extension::<Searches>()
    {
        searches.decline(&reason);
    }
    let segments = index.segments.segments.len() as i64;
    let bytes = i64::try_from(bytes).unwrap_or(i64::MAX);
    Ok(vec![index.name.as_str().into(), segments.into(), bytes.into()])
}

/// Brings all segments to the GPU; or says why there is none for them.
async fn held_by_gpu(
    config: &SessionConfig,
    index: &TableIndex,
) -> Result<std::result::Result<(), Unavailable>> {
    let (gpu, _) = match gpu::offered(config, index).await {
        Ok(offered) => offered,
        Err(reason) => return Ok(Err(reason)),
    };
    for file in &index.segments.segments {
        let segment = index.lake.segment(file).await?;
        match gpu.hold((&index.lake, &segment), index.of.measure.metric()).await {
            Ok(()) => {}
            Err(Failed::Device(reason)) => return Ok(Err(reason)),
            Err(Failed::Catalog(error)) => return Err(error.into()),
            Err(Failed::Engine(error)) => return Err(error.into()),
        }
    }
    Ok(Ok(()))
}
