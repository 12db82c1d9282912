//! `text_output(value, zone)`: what casts to text give, written as the wire writes it.

use std::sync::Arc;

use bytes::BytesMut;
use datafusion::arrow::array::StringBuilder;
use datafusion::arrow::datatypes::{DataType, Field};
use datafusion::error::Result as EngineResult;
use datafusion::logical_expr::{
    ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};

use crate::wire::text;
use crate::wire::value::{Cells, Zone};

/// The function. The planner puts it where a value becomes text.
pub fn function() -> ScalarUDF {
    ScalarUDF::from(TextOutput { signature: Signature::any(2, Volatility::Immutable) })
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct TextOutput {
    signature: Signature,
}

impl ScalarUDFImpl for TextOutput {
    fn name(&self) -> &str {
        "text_output"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> EngineResult<DataType> {
        Ok(DataType::Utf8)
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> EngineResult<ColumnarValue> {
        let rows = arguments.number_rows;
        let zone = match &arguments.args[1] {
            ColumnarValue::Scalar(zone) => {
                Zone::parse(zone.try_as_str().flatten().unwrap_or("UTC"))
            }
            ColumnarValue::Array(_) => Zone::Utc,
        };
        let field: &Field = &arguments.arg_fields[0];
        let cells = Cells::new(&arguments.args[0].to_array(rows)?, field, zone)?;
        let mut written = StringBuilder::new();
        let mut buffer = BytesMut::new();
        for row in 0..rows {
            if cells.is_null(row) {
                written.append_null();
                continue;
            }
            buffer.clear();
            text::write(&mut buffer, &cells, row);
            written.append_value(String::from_utf8_lossy(&buffer));
        }
        Ok(ColumnarValue::Array(Arc::new(written.finish())))
    }
}
