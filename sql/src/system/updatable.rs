//! `pg_column_is_updatable(relation, column, triggers)`: whether UPDATE may change a column. Those
//! of tables may be changed, those of views not.

use std::sync::Arc;

use catalog::Relation;
use datafusion::arrow::array::{ArrayRef, BooleanArray};
use datafusion::arrow::datatypes::DataType;
use datafusion::logical_expr::{ColumnarValue, ScalarUDF, Volatility, create_udf};

use super::functions::{Connection, find, ids};

pub(super) fn function(connection: &Connection) -> ScalarUDF {
    let connection = connection.clone();
    let answer = move |arguments: &[ColumnarValue]| {
        let state = connection.state();
        let arrays = ColumnarValue::values_to_arrays(arguments)?;
        let of = |id: Option<i64>| {
            let place = state.as_deref().and_then(|state| find(state, id?));
            id.map(|_| {
                place.is_some_and(|place| match place.relation {
                    Relation::Table(table) => table.query.is_none(),
                    Relation::View(_) => false,
                })
            })
        };
        let answers: BooleanArray = ids(&arrays[0], state.as_deref())?.iter().map(of).collect();
        Ok(ColumnarValue::Array(Arc::new(answers) as ArrayRef))
    };
    let arguments = vec![DataType::Int64, DataType::Int16, DataType::Boolean];
    let name = "pg_column_is_updatable";
    create_udf(name, arguments, DataType::Boolean, Volatility::Stable, Arc::new(answer))
}
