//! `embedding_map('query, table or index', …)`: a place in the plane for each vector, for plots.
//!
//! ```text
//!   embedding_map('items_emb',
//!       key => 'item_id',         a column; of an index the primary key, else the first column
//!       embedding => 'v',         a column; the index's, else the first vector
//!       neighbours => 15,         rows that are near, itself counted
//!       min_dist => 0.1,          how near points may come, from 0 to 1
//!       metric => 'l2',           or cosine, inner_product; without it the index's own
//!       epochs => 200, seed => 0)
//!   ─▶ key, x, y
//! ```
//! Rows without a vector are left out; a NULL key stays. Inner products are mapped as cosines, as
//! they are no distance. It reads the source as the statement's own queries do, with the same
//! rights, and computes when it is executed.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use catalog::Constraint;
use catalog::indexes::Measure;
use catalog::types::VectorType;
use datafusion::arrow::datatypes::{DataType, Field, FieldRef, Fields, Schema, SchemaRef};
use datafusion::catalog::Session;
use datafusion::common::{Result as EngineResult, ScalarValue};
use datafusion::datasource::{TableProvider, TableType, provider_as_source};
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder, TableSource};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::sql::sqlparser::ast;
use kernels::maps::{self, Nearness, Options};

use super::ann_topk::{Found, find};
use super::embedding_map_exec::EmbeddingMapExec;
use crate::error::{Error, Result, near_names};
use crate::features::Call;
use crate::names::shown;
use crate::parse;
use crate::plan::{self, Environment, Lakes};
use crate::system::definitions::quoted;
use crate::types;

pub(crate) const NAME: &str = "embedding_map";
/// In order.
const ARGUMENTS: &[&str] =
    &["source", "key", "embedding", "neighbours", "min_dist", "metric", "epochs", "seed"];

/// Name, arguments, what it is for.
pub(crate) const LISTED: (&str, &[&str], &str) =
    (NAME, ARGUMENTS, "A place in the plane for each vector, near where its neighbours are.");

/// The relation that a call stands for.
///
/// Errors: those of the source; 42883 for arguments that there are not, 22023 for wrong ones, 42703
/// for columns that the source lacks, 42804 for what is no vector.
pub(crate) async fn load(
    environment: &Environment,
    lakes: &Lakes,
    call: &Call,
    depth: usize,
) -> Result<Arc<dyn TableSource>> {
    let given = Given::read(environment, call)?;
    let Some(text) = given.text("source")? else {
        return Err(Error::new("22023", format!("{NAME} needs a query, a table or an index"))
            .with_hint(format!("Write {NAME}('SELECT id, v FROM items').")));
    };
    let index = index_of(environment, lakes, &text)?;
    let query = match (&index, parse::name_parts(&text)) {
        (Some(Found { place, .. }), _) => {
            let (schema, table) = (quoted(place.schema_name()), quoted(&place.name));
            format!("SELECT * FROM {schema}.{table}")
        }
        (None, Some(_)) => format!("SELECT * FROM {text}"),
        (None, None) => text,
    };
    let options = given.options(index.as_ref())?;
    let query = ast::Statement::Query(Box::new(parse::parse_query(&query)?));
    let planned = plan::plan_at_depth(environment, lakes, query, &[], Vec::new(), depth + 1);
    let input = columns(Box::pin(planned).await?, &given, index.as_ref())?;
    let number = |name: &str| -> FieldRef { Field::new(name, DataType::Float64, false).into() };
    let key = Arc::clone(input.schema().field(0));
    let schema = Arc::new(Schema::new(vec![key, number("x"), number("y")]));
    Ok(provider_as_source(Arc::new(EmbeddingMap { input, options, schema })))
}

/// The vector index of this name; None for a query, or a name of something else.
fn index_of(environment: &Environment, lakes: &Lakes, text: &str) -> Result<Option<Found>> {
    if parse::name_parts(text).is_none() {
        return Ok(None);
    }
    match find(environment, lakes, text) {
        Ok(found) => Ok(Some(found)),
        Err(error) if error.sqlstate() == Some("42704") => Ok(None),
        Err(error) => Err(error),
    }
}

/// The key and the vector of the source, under names of their own.
fn columns(source: LogicalPlan, given: &Given, index: Option<&Found>) -> Result<LogicalPlan> {
    let fields = source.schema().fields().clone();
    let of_index = index.map(|found| found.table.columns[found.column].name.clone());
    let embedding = match given.text("embedding")?.or(of_index) {
        Some(name) => named(&fields, "embedding", &name)?,
        None => fields.iter().position(|field| is_vector(field)).ok_or_else(|| {
            Error::new("42804", format!("the source of {NAME} has no column of type vector"))
                .with_hint("Cast an array in the query: SELECT id, v::vector(3) FROM items.")
        })?,
    };
    if !is_vector(&fields[embedding]) {
        let (name, of) = (shown(fields[embedding].name()), types::shown(&fields[embedding]));
        let message = format!("column \"{name}\" is of type {of}, not a vector");
        let hint = "Cast it in a query: SELECT id, v::vector(3) FROM items.";
        return Err(Error::new("42804", message).with_hint(hint));
    }
    let key = match given.text("key")?.or(index.and_then(primary_key)) {
        Some(name) => named(&fields, "key", &name)?,
        None => (0..fields.len()).find(|place| *place != embedding).ok_or_else(|| {
            Error::new("42703", format!("the source of {NAME} has no column beside the vector"))
                .with_hint("Give it a key: SELECT id, v FROM items.")
        })?,
    };
    let all = source.schema().columns();
    let column = |place: usize, name: &str| Expr::Column(all[place].clone()).alias(name);
    let wanted = vec![column(key, "key"), column(embedding, "embedding")];
    Ok(LogicalPlanBuilder::from(source).project(wanted)?.build()?)
}

fn is_vector(field: &Field) -> bool {
    VectorType::of(field.data_type()).is_some()
}

/// The place of a column that an argument names.
fn named(fields: &Fields, argument: &str, name: &str) -> Result<usize> {
    fields.iter().position(|field| shown(field.name()) == name).ok_or_else(|| {
        let message = format!("column \"{name}\" of argument \"{argument}\" does not exist");
        let error = Error::new("42703", message);
        let names: Vec<&str> = fields.iter().map(|field| shown(field.name())).collect();
        let near = near_names(name, names.iter().copied());
        error.with_hint(near.unwrap_or(format!("The source's columns are {}.", names.join(", "))))
    })
}

/// The primary key of an index's table, if it is one column.
fn primary_key(found: &Found) -> Option<String> {
    let table = &found.table;
    let columns = table.constraints.iter().find_map(|constraint| match constraint {
        Constraint::Unique { columns, primary: true, .. } => Some(columns),
        _ => None,
    })?;
    let [id] = columns.as_slice() else { return None };
    table.columns.iter().find(|column| column.id == *id).map(|column| column.name.clone())
}

/// Constant arguments by name, NULLs left out.
struct Given(BTreeMap<&'static str, ScalarValue>);

impl Given {
    fn read(environment: &Environment, call: &Call) -> Result<Self> {
        let unknown = || {
            Error::new("42883", format!("function {NAME} has no such argument"))
                .with_hint(format!("Its arguments are {}.", ARGUMENTS.join(", ")))
        };
        let mut values = BTreeMap::new();
        let mut add = |name: Option<&&'static str>, value: &ast::Expr| -> Result<()> {
            let name = *name.ok_or_else(unknown)?;
            let value = plan::constant(&environment.engine, value.clone())?;
            if !value.is_null() {
                values.insert(name, value);
            }
            Ok(())
        };
        for (place, value) in call.arguments.iter().enumerate() {
            add(ARGUMENTS.get(place), value)?;
        }
        for (name, value) in &call.named {
            add(ARGUMENTS.iter().find(|known| *known == name), value)?;
        }
        Ok(Self(values))
    }

    fn text(&self, name: &str) -> Result<Option<String>> {
        match self.0.get(name) {
            None => Ok(None),
            Some(ScalarValue::Utf8(text) | ScalarValue::Utf8View(text)) => Ok(text.clone()),
            Some(_) => Err(wrong(name, "text")),
        }
    }

    fn whole(&self, name: &str) -> Result<Option<i64>> {
        match self.0.get(name).filter(|value| value.data_type().is_integer()) {
            Some(value) => match value.cast_to(&DataType::Int64)? {
                ScalarValue::Int64(number) => Ok(number),
                _ => Err(wrong(name, "a whole number")),
            },
            None if self.0.contains_key(name) => Err(wrong(name, "a whole number")),
            None => Ok(None),
        }
    }

    fn number(&self, name: &str) -> Result<Option<f64>> {
        match self.0.get(name).filter(|value| value.data_type().is_numeric()) {
            Some(value) => match value.cast_to(&DataType::Float64)? {
                ScalarValue::Float64(number) => Ok(number),
                _ => Err(wrong(name, "a number")),
            },
            None if self.0.contains_key(name) => Err(wrong(name, "a number")),
            None => Ok(None),
        }
    }

    fn options(&self, index: Option<&Found>) -> Result<Options> {
        let nearness = match (self.text("metric")?.as_deref(), index) {
            (Some("l2"), _) | (None, None) => Nearness::L2,
            (Some("cosine" | "inner_product"), _) => Nearness::Angle,
            (Some(_), _) => return Err(wrong("metric", "l2, cosine or inner_product")),
            (None, Some(found)) => match found.of.measure {
                Measure::L2 => Nearness::L2,
                Measure::Cosine | Measure::InnerProduct => Nearness::Angle,
            },
        };
        let mut options = Options { nearness, ..Options::default() };
        // Zero is out of both ranges, as a negative number is.
        let count = |number: i64| usize::try_from(number).unwrap_or(0);
        if let Some(neighbours) = self.whole("neighbours")? {
            options.neighbours = count(neighbours);
        }
        options.epochs = self.whole("epochs")?.map(count);
        if let Some(min_dist) = self.number("min_dist")? {
            options.min_dist = min_dist;
        }
        if let Some(seed) = self.whole("seed")? {
            options.seed = seed.cast_unsigned();
        }
        options.check().map_err(|error| refused(&error))?;
        Ok(options)
    }
}

fn wrong(name: &str, allowed: &str) -> Error {
    Error::new("22023", format!("{name} of {NAME} must be {allowed}"))
}

/// A kernel's refusal in SQL's words.
pub(super) fn refused(error: &maps::Error) -> Error {
    match error {
        maps::Error::Option { name, allowed } => wrong(name, allowed),
        maps::Error::Vector(error) => Error::new(error.sqlstate(), error.to_string()),
        maps::Error::TooMany => Error::new("54000", error.to_string()),
        maps::Error::Cancelled => Error::new("57014", "canceling statement due to user request"),
        maps::Error::Index(_) => Error::new("XX000", error.to_string()),
    }
}

/// See the module.
#[derive(Debug)]
struct EmbeddingMap {
    /// Keys and vectors.
    input: LogicalPlan,
    options: Options,
    schema: SchemaRef,
}

#[async_trait]
impl TableProvider for EmbeddingMap {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::View
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        _filters: &[Expr],
        _limit: Option<usize>,
    ) -> EngineResult<Arc<dyn ExecutionPlan>> {
        let input = state.create_physical_plan(&self.input).await?;
        let schema = Arc::clone(&self.schema);
        let map = EmbeddingMapExec::new(input, self.options, schema, projection.cloned())?;
        Ok(Arc::new(map))
    }
}
