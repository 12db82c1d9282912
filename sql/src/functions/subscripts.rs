//! `generate_subscripts(array, dimension [, reverse])`: the list of an array's subscripts, which
//! the planner unnests. NULL, an empty array and a dimension that is not there give none;
//! `int2vector` and `oidvector` count from 0: `vector_element(vector, number)` is their item.

use std::sync::Arc;

use catalog::TYPE_KEY;
use datafusion::arrow::array::{Array, ArrayRef, AsArray, Int32Builder, Int64Array, ListBuilder};
use datafusion::arrow::compute::{cast, take};
use datafusion::arrow::datatypes::{DataType, Field, FieldRef, Int32Type, Int64Type};
use datafusion::common::Result as EngineResult;
use datafusion::logical_expr::{
    ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
    TypeSignature, Volatility,
};

/// Its name.
pub(crate) const NAME: &str = "generate_subscripts";

pub(super) fn function() -> ScalarUDF {
    let forms = vec![TypeSignature::Any(2), TypeSignature::Any(3)];
    ScalarUDF::from(Subscripts { signature: Signature::one_of(forms, Volatility::Immutable) })
}

/// An item of an `int2vector` or `oidvector`.
pub(crate) fn vector_element() -> ScalarUDF {
    ScalarUDF::from(VectorElement { signature: Signature::any(2, Volatility::Immutable) })
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct VectorElement {
    signature: Signature,
}

impl ScalarUDFImpl for VectorElement {
    fn name(&self) -> &str {
        "vector_element"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, arguments: &[DataType]) -> EngineResult<DataType> {
        Ok(match arguments.first() {
            Some(DataType::List(item)) => item.data_type().clone(),
            _ => DataType::Null,
        })
    }

    fn return_field_from_args(&self, arguments: ReturnFieldArgs) -> EngineResult<FieldRef> {
        let field = match arguments.arg_fields.first().map(|field| field.data_type()) {
            Some(DataType::List(item)) => item.as_ref().clone().with_name(self.name()),
            _ => Field::new(self.name(), DataType::Null, true),
        };
        Ok(Arc::new(field.with_nullable(true)))
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> EngineResult<ColumnarValue> {
        let arrays = ColumnarValue::values_to_arrays(&arguments.args)?;
        let (list, numbers) = (arrays[0].as_list::<i32>(), cast(&arrays[1], &DataType::Int64)?);
        let numbers = numbers.as_primitive::<Int64Type>();
        let place = |row: usize| {
            let number =
                (list.is_valid(row) && numbers.is_valid(row)).then(|| numbers.value(row))?;
            let held = (0..i64::from(list.value_length(row))).contains(&number);
            held.then(|| i64::from(list.value_offsets()[row]) + number)
        };
        let places: Int64Array = (0..list.len()).map(place).collect();
        Ok(ColumnarValue::Array(take(list.values(), &places, None)?))
    }
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Subscripts {
    signature: Signature,
}

impl ScalarUDFImpl for Subscripts {
    fn name(&self) -> &str {
        NAME
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> EngineResult<DataType> {
        Ok(DataType::List(Arc::new(Field::new_list_field(DataType::Int32, true))))
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> EngineResult<ColumnarValue> {
        let tag = arguments.arg_fields.first().and_then(|field| field.metadata().get(TYPE_KEY));
        let from_zero = tag.is_some_and(|tag| tag == "int2vector" || tag == "oidvector");
        let arrays = ColumnarValue::values_to_arrays(&arguments.args)?;
        let dimensions = cast(&arrays[1], &DataType::Int32)?;
        let dimensions = dimensions.as_primitive::<Int32Type>();
        let reverse = arrays.get(2).map(|array| array.as_boolean());
        let mut lists = ListBuilder::new(Int32Builder::new());
        for row in 0..arrays[0].len() {
            let known = dimensions.is_valid(row) && reverse.is_none_or(|array| array.is_valid(row));
            let length = match known {
                true => length(&arrays[0], row, dimensions.value(row)),
                false => 0,
            };
            let first = i32::from(!from_zero);
            let all = first..first + i32::try_from(length).unwrap_or(0);
            match reverse.is_some_and(|array| array.value(row)) {
                true => lists.append_value(all.rev().map(Some)),
                false => lists.append_value(all.map(Some)),
            }
        }
        Ok(ColumnarValue::Array(Arc::new(lists.finish()) as ArrayRef))
    }
}

/// How long an array is in a dimension, counted from 1.
fn length(array: &ArrayRef, row: usize, dimension: i32) -> usize {
    let Some(list) = array.as_list_opt::<i32>().filter(|list| list.is_valid(row)) else { return 0 };
    let held = list.value(row);
    match dimension {
        ..=0 => 0,
        1 => held.len(),
        _ if held.is_empty() => 0,
        deeper => length(&held, 0, deeper - 1),
    }
}
