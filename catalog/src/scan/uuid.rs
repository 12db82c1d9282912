//! Sixteen bytes as the text of a uuid.

use std::sync::Arc;

use datafusion::arrow::array::{Array, AsArray, StringArray};
use datafusion::arrow::datatypes::{DataType, Field};
use datafusion::common::config::ConfigOptions;
use datafusion::error::Result;
use datafusion::logical_expr::{ColumnarValue, Volatility, create_udf};
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_expr::{PhysicalExpr, ScalarFunctionExpr};

/// The text of a file's uuid column.
pub(super) fn text(index: usize, field: &Field) -> Result<Arc<dyn PhysicalExpr>> {
    let bytes = DataType::FixedSizeBinary(16);
    let function = create_udf(
        "uuid_text",
        vec![bytes],
        DataType::Utf8,
        Volatility::Immutable,
        Arc::new(|arguments: &[ColumnarValue]| {
            let array = arguments[0].to_array(1)?;
            let array = array.as_fixed_size_binary();
            let text = |row: usize| {
                let bytes = array.is_valid(row).then(|| array.value(row))?;
                uuid::Uuid::from_slice(bytes).ok().map(|id| id.to_string())
            };
            let texts: StringArray = (0..array.len()).map(text).collect();
            Ok(ColumnarValue::Array(Arc::new(texts)))
        }),
    );
    let column: Arc<dyn PhysicalExpr> = Arc::new(Column::new(field.name(), index));
    let result = Arc::new(Field::new(field.name(), DataType::Utf8, true));
    Ok(Arc::new(ScalarFunctionExpr::new(
        "uuid_text",
        Arc::new(function),
        vec![column],
        result,
        Arc::new(ConfigOptions::default()),
    )))
}
