//! Values that files hold in another form than the engine: other tools' uuids are sixteen bytes
//! and become text, intervals are text (Parquet's own have no microseconds) and become intervals.

use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, StringArray};
use datafusion::arrow::datatypes::{DataType, Field, IntervalUnit};
use datafusion::common::config::ConfigOptions;
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::{ColumnarValue, Volatility, create_udf};
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_expr::{PhysicalExpr, ScalarFunctionExpr};

use crate::types;

const INTERVAL: DataType = DataType::Interval(IntervalUnit::MonthDayNano);

/// The file's column in the engine's form; None if it has that form already.
pub(super) fn converted(
    index: usize,
    found: &Field,
    wanted: &Field,
) -> Option<Arc<dyn PhysicalExpr>> {
    match (found.data_type(), wanted.data_type()) {
        (DataType::FixedSizeBinary(16), DataType::Utf8) => {
            Some(function("uuid_text", (index, found), DataType::Utf8, uuid_text))
        }
        (DataType::Utf8, wanted) if *wanted == INTERVAL => {
            Some(function("text_interval", (index, found), INTERVAL, text_interval))
        }
        _ => None,
    }
}

fn uuid_text(array: &ArrayRef) -> Result<ArrayRef> {
    let array = array.as_fixed_size_binary();
    let text = |row: usize| {
        let bytes = array.is_valid(row).then(|| array.value(row))?;
        uuid::Uuid::from_slice(bytes).ok().map(|id| id.to_string())
    };
    let texts: StringArray = (0..array.len()).map(text).collect();
    Ok(Arc::new(texts))
}

fn text_interval(array: &ArrayRef) -> Result<ArrayRef> {
    let texts: Vec<Option<String>> =
        array.as_string::<i32>().iter().map(|text| text.map(str::to_owned)).collect();
    let parsed = types::parse_values(&texts, &Field::new("", INTERVAL, true));
    parsed.map_err(|error| DataFusionError::External(Box::new(error)))
}

fn function(
    name: &'static str,
    (index, field): (usize, &Field),
    result: DataType,
    convert: fn(&ArrayRef) -> Result<ArrayRef>,
) -> Arc<dyn PhysicalExpr> {
    let function = create_udf(
        name,
        vec![field.data_type().clone()],
        result.clone(),
        Volatility::Immutable,
        Arc::new(move |arguments: &[ColumnarValue]| {
            Ok(ColumnarValue::Array(convert(&arguments[0].to_array(1)?)?))
        }),
    );
    let column: Arc<dyn PhysicalExpr> = Arc::new(Column::new(field.name(), index));
    Arc::new(ScalarFunctionExpr::new(
        name,
        Arc::new(function),
        vec![column],
        Arc::new(Field::new(field.name(), result, true)),
        Arc::new(ConfigOptions::default()),
    ))
}
