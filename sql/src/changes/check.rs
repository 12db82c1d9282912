//! What a new row must satisfy: NOT NULL, the length of varchar(n), the dimension and finiteness
//! of vectors, CHECK.

use std::sync::Arc;

use catalog::types::VectorType;
use catalog::{Constraint, TYPE_KEY, Table};
use datafusion::arrow::array::{Array, ArrayRef, AsArray};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, Field, FieldRef, Float32Type};
use datafusion::arrow::record_batch::RecordBatch;
use datafusion::common::config::ConfigOptions;
use datafusion::common::{DFSchema, ScalarValue, ToDFSchema};
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDF};
use datafusion::physical_expr::PhysicalExpr;
use kernels::vectors::Kind;

use crate::error::{Error, ErrorObject, Result};
use crate::parse;
use crate::plan::{self, Environment, Place};

/// A table's constraints, ready to be evaluated on batches of its rows.
pub(crate) struct Checker {
    place: Place,
    table: Arc<Table>,
    checks: Vec<(String, Arc<dyn PhysicalExpr>)>,
    lengths: Vec<(usize, usize, String)>,
    output: Output,
}

impl Checker {
    pub(crate) fn new(
        environment: &Environment,
        place: &Place,
        table: &Arc<Table>,
    ) -> Result<Self> {
        let schema: DFSchema = table.arrow_schema().to_dfschema()?;
        let mut checks = Vec::new();
        for constraint in &table.constraints {
            let Constraint::Check { name, expression } = constraint else { continue };
            let expression =
                plan::expression(environment, parse::parse_expression(expression)?, &schema)?;
            let physical = environment.engine.create_physical_expr(expression, &schema)?;
            checks.push((name.clone(), physical));
        }
        let lengths = table.columns.iter().enumerate();
        let lengths =
            lengths.filter_map(|(i, c)| length_limit(i, c.field.metadata().get(TYPE_KEY)?));
        let (place, table) = (place.clone(), Arc::clone(table));
        let output = Output::of(environment);
        Ok(Self { place, table, checks, lengths: lengths.collect(), output })
    }

    /// Fails at the first row that breaks a constraint.
    pub(crate) fn check(&self, batch: &RecordBatch) -> Result<()> {
        for (column, values) in self.table.columns.iter().zip(batch.columns()) {
            if !column.nullable && values.null_count() > 0 {
                let row = (0..values.len()).find(|row| values.is_null(*row)).unwrap_or(0);
                let message = format!(
                    "null value in column \"{}\" of relation \"{}\" violates not-null constraint",
                    column.name, self.table.name
                );
                return Err(Error::new("23502", message)
                    .with_detail(self.output.failing(&self.table, batch, row))
                    .about(ErrorObject::column(&self.place, &column.name)));
            }
            if let Some(of) = VectorType::of(column.field.data_type()) {
                finite(of.kind, values)?;
            }
        }
        for (index, limit, spelled) in &self.lengths {
            let values = batch.column(*index).as_string::<i32>();
            if values.iter().flatten().any(|v| v.len() > *limit && v.chars().count() > *limit) {
                return Err(Error::new("22001", format!("value too long for type {spelled}")));
            }
        }
        for (name, expression) in &self.checks {
            let passed = expression.evaluate(batch)?.into_array(batch.num_rows())?;
            let passed = passed.as_boolean();
            let broken = (0..passed.len()).find(|row| passed.is_valid(*row) && !passed.value(*row));
            if let Some(row) = broken {
                let message = format!(
                    "new row for relation \"{}\" violates check constraint \"{name}\"",
                    self.table.name
                );
                return Err(Error::new("23514", message)
                    .with_detail(self.output.failing(&self.table, batch, row))
                    .about(ErrorObject::constraint(&self.place, name)));
            }
        }
        Ok(())
    }
}

/// What a model or another tool gives may be no vector.
fn finite(kind: Kind, vectors: &ArrayRef) -> Result<()> {
    let values = match vectors.as_fixed_size_list_opt() {
        Some(list) => list.values(),
        None => vectors.as_list::<i32>().values(),
    };
    let values = cast(values, &DataType::Float32).map_err(|e| Error::Engine(e.into()))?;
    let values = values.as_primitive::<Float32Type>();
    let name = kind.name();
    match values.iter().flatten().find(|v| !v.is_finite()) {
        None => Ok(()),
        Some(v) if v.is_nan() => Err(Error::new("22000", format!("NaN not allowed in {name}"))),
        Some(_) => Err(Error::new("22000", format!("infinite value not allowed in {name}"))),
    }
}

fn length_limit(index: usize, tag: &str) -> Option<(usize, usize, String)> {
    let (name, limit) = tag.strip_suffix(')')?.split_once('(')?;
    let spelled = match name {
        "varchar" => "character varying",
        "char" => "character",
        _ => return None,
    };
    Some((index, limit.parse().ok()?, format!("{spelled}({limit})")))
}

/// A value as a row's detail shows it: Postgres cuts it at so many bytes.
const SHOWN_BYTES: usize = 64;

/// How values are written as text.
struct Output {
    /// `text_output(value, zone)`.
    function: Option<Arc<ScalarUDF>>,
    options: Arc<ConfigOptions>,
}

impl Output {
    fn of(environment: &Environment) -> Self {
        let engine = &environment.engine;
        let function = engine.scalar_functions().get("text_output").cloned();
        Self { function, options: Arc::clone(engine.config_options()) }
    }

    /// Postgres' detail line.
    fn failing(&self, table: &Table, batch: &RecordBatch, row: usize) -> String {
        let values = table.columns.iter().zip(batch.columns()).map(|(column, array)| {
            let mut shown = match array.is_null(row) {
                true => return "null".to_owned(),
                false => self.text(&column.field, array, row).unwrap_or_default(),
            };
            if shown.len() > SHOWN_BYTES {
                shown.truncate(shown.floor_char_boundary(SHOWN_BYTES));
                shown.push_str("...");
            }
            shown
        });
        let values: Vec<String> = values.collect();
        format!("Failing row contains ({}).", values.join(", "))
    }

    fn text(&self, field: &FieldRef, array: &ArrayRef, row: usize) -> Option<String> {
        let zone = self.options.execution.time_zone.as_deref().unwrap_or("UTC");
        let zone = ColumnarValue::Scalar(ScalarValue::from(zone));
        let text = |name: &str| Arc::new(Field::new(name, DataType::Utf8, true));
        let written = self.function.as_ref()?.invoke_with_args(ScalarFunctionArgs {
            args: vec![ColumnarValue::Array(array.slice(row, 1)), zone],
            arg_fields: vec![Arc::clone(field), text("zone")],
            number_rows: 1,
            return_field: text("text"),
            config_options: Arc::clone(&self.options),
        });
        let written = written.and_then(|written| written.into_array(1)).ok()?;
        written.as_string_opt::<i32>().map(|written| written.value(0).to_owned())
    }
}
