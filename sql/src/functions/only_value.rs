//! The value of a group's only row: what a scalar subquery is. A second row is an error (21000);
//! without rows, NULL.

use datafusion::arrow::array::{Array, ArrayRef, BooleanArray};
use datafusion::arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::{Result as EngineResult, ScalarValue};
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::{
    Accumulator, AggregateUDF, AggregateUDFImpl, Signature, Volatility,
};

use crate::error::Error;

/// The function.
pub(crate) fn function() -> AggregateUDF {
    AggregateUDF::from(OnlyValue { signature: Signature::any(1, Volatility::Immutable) })
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct OnlyValue {
    signature: Signature,
}

impl AggregateUDFImpl for OnlyValue {
    fn name(&self) -> &str {
        "only_value"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, arguments: &[DataType]) -> EngineResult<DataType> {
        Ok(arguments[0].clone())
    }

    fn return_field(&self, arguments: &[FieldRef]) -> EngineResult<FieldRef> {
        let field = arguments[0].as_ref().clone();
        Ok(field.with_name(self.name()).with_nullable(true).into())
    }

    fn state_fields(&self, arguments: StateFieldsArgs) -> EngineResult<Vec<FieldRef>> {
        let of = arguments.return_field.data_type().clone();
        Ok(vec![
            Field::new("value", of, true).into(),
            Field::new("seen", DataType::Boolean, false).into(),
        ])
    }

    fn accumulator(&self, arguments: AccumulatorArgs) -> EngineResult<Box<dyn Accumulator>> {
        let value = ScalarValue::try_from(arguments.return_field.data_type())?;
        Ok(Box::new(Only { value, seen: false }))
    }
}

#[derive(Debug)]
struct Only {
    value: ScalarValue,
    seen: bool,
}

impl Only {
    fn take(&mut self, values: &ArrayRef, row: usize) -> EngineResult<()> {
        if self.seen {
            let message = "more than one row returned by a subquery used as an expression";
            return Err(Error::new("21000", message).into());
        }
        self.seen = true;
        self.value = ScalarValue::try_from_array(values, row)?;
        Ok(())
    }
}

impl Accumulator for Only {
    fn update_batch(&mut self, values: &[ArrayRef]) -> EngineResult<()> {
        (0..values[0].len()).try_for_each(|row| self.take(&values[0], row))
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> EngineResult<()> {
        let seen = states[1].as_any().downcast_ref::<BooleanArray>();
        let seen = seen.map(|seen| (0..seen.len()).filter(|row| seen.value(*row)));
        seen.into_iter().flatten().try_for_each(|row| self.take(&states[0], row))
    }

    fn evaluate(&mut self) -> EngineResult<ScalarValue> {
        Ok(self.value.clone())
    }

    fn state(&mut self) -> EngineResult<Vec<ScalarValue>> {
        Ok(vec![self.value.clone(), ScalarValue::Boolean(Some(self.seen))])
    }

    fn size(&self) -> usize {
        size_of_val(self) + self.value.size()
    }
}
