//! `field(row)` of a row-valued subquery, for `SET (a, b) = (SELECT …)`. The engine's `get_field`
//! would be moved below the join that the subquery becomes, where the row has no name.

use std::sync::Arc;

use datafusion::arrow::array::{Array, AsArray, StructArray};
use datafusion::arrow::compute::is_null;
use datafusion::arrow::compute::kernels::nullif::nullif;
use datafusion::arrow::datatypes::{DataType, FieldRef};
use datafusion::common::{Result as EngineResult, internal_err};
use datafusion::logical_expr::{
    ColumnarValue, Expr, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
    Volatility,
};

/// The field at `index` of a row; NULL if there is no row.
pub(crate) fn row_field(row: Expr, index: usize) -> Expr {
    let signature = Signature::any(1, Volatility::Immutable);
    ScalarUDF::from(RowField { index, signature }).call(vec![row])
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct RowField {
    index: usize,
    signature: Signature,
}

impl ScalarUDFImpl for RowField {
    fn name(&self) -> &str {
        "row_field"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, arguments: &[DataType]) -> EngineResult<DataType> {
        match &arguments[0] {
            DataType::Struct(fields) => Ok(fields[self.index].data_type().clone()),
            other => internal_err!("{other} is not a row"),
        }
    }

    fn return_field_from_args(&self, arguments: ReturnFieldArgs) -> EngineResult<FieldRef> {
        match arguments.arg_fields[0].data_type() {
            DataType::Struct(fields) => {
                Ok(Arc::new(fields[self.index].as_ref().clone().with_nullable(true)))
            }
            other => internal_err!("{other} is not a row"),
        }
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> EngineResult<ColumnarValue> {
        let rows = arguments.args[0].to_array(arguments.number_rows)?;
        let rows: &StructArray = rows.as_struct();
        let field = rows.column(self.index);
        Ok(ColumnarValue::Array(match rows.null_count() {
            0 => Arc::clone(field),
            _ => nullif(field, &is_null(rows)?)?,
        }))
    }
}
