//! `+ - * / %` of numbers as Postgres computes them: what does not fit is an error.
//!
//! ```text
//!   integers   the wider type; 22003 on overflow, 22012 on division by zero
//!   floats     22003 when finite numbers give infinity, or others than zero give zero
//!   numeric    exact while 38 digits hold it, otherwise rounded half away from zero to
//!              18 decimals (a product); a quotient has 16 to 20 decimals, Postgres' 16 or more
//! ```
//!
//! NULL gives NULL. A chain of terms is one call: names and types of nested calls would be worked
//! out again at every level.

mod decimal;

use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, Datum};
use datafusion::arrow::compute::kernels::numeric::{add, div, mul, rem, sub};
use datafusion::arrow::datatypes::{
    DataType, Decimal128Type, DecimalType, Field, FieldRef, Float32Type, Float64Type,
};
use datafusion::arrow::error::ArrowError;
use datafusion::common::{Result as EngineResult, ScalarValue};
use datafusion::logical_expr::{
    ColumnarValue, Expr, Operator, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDFImpl, Signature,
    Volatility,
};

use crate::error::Error;

use decimal::{pairs, power, product, quotient};

/// Digits of a numeric.
const DIGITS: u8 = 38;

/// Decimals that a product keeps when its digits are more than a numeric has.
const PRODUCT_SCALE: i8 = 18;

/// Decimals of a quotient, if the digits before the point leave room for them, and the fewest.
const QUOTIENT_SCALE: i8 = 20;
const LEAST_SCALE: i8 = 16;

/// Digits and decimals of a numeric declared without them: most of its values are short.
const PLAIN: (u8, i8) = (38, 9);

/// `… operation right`, with a result of type `to`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Step {
    operation: Operation,
    to: DataType,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Operation {
    Add,
    Subtract,
    Multiply,
    Divide,
    Remainder,
}

impl Operation {
    fn of(operator: Operator) -> Option<Self> {
        Some(match operator {
            Operator::Plus => Self::Add,
            Operator::Minus => Self::Subtract,
            Operator::Multiply => Self::Multiply,
            Operator::Divide => Self::Divide,
            Operator::Modulo => Self::Remainder,
            _ => return None,
        })
    }

    fn symbol(self) -> char {
        match self {
            Self::Add => '+',
            Self::Subtract => '-',
            Self::Multiply => '*',
            Self::Divide => '/',
            Self::Remainder => '%',
        }
    }
}

/// `a + b - c`: the first argument and a step for each of the others, from the left.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(crate) struct Arithmetic {
    steps: Vec<Step>,
    signature: Signature,
}

impl Arithmetic {
    pub(crate) fn new(steps: Vec<Step>) -> Self {
        Self { steps, signature: Signature::variadic_any(Volatility::Immutable) }
    }

    pub(crate) fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// The type of the result.
    pub(crate) fn to(&self) -> Option<&DataType> {
        self.steps.last().map(|step| &step.to)
    }

    /// Whether a value of the right kind may be refused: a divisor of zero.
    pub(crate) fn divides(&self) -> bool {
        let divides =
            |step: &Step| matches!(step.operation, Operation::Divide | Operation::Remainder);
        self.steps.iter().any(divides)
    }

    fn written(&self, mut arguments: impl Iterator<Item = String>) -> String {
        let mut text = arguments.next().unwrap_or_default();
        for (step, argument) in self.steps.iter().zip(arguments) {
            text.push(' ');
            text.push(step.operation.symbol());
            text.push(' ');
            text.push_str(&argument);
        }
        text
    }
}

impl Step {
    /// `left operator right`; None if they are not two numbers.
    pub(crate) fn of(operator: Operator, left: &DataType, right: &DataType) -> Option<Self> {
        Self::made(Operation::of(operator)?, left, right)
    }

    /// The same operation between values of other types.
    pub(crate) fn between(&self, left: &DataType, right: &DataType) -> Option<Self> {
        Self::made(self.operation, left, right)
    }

    /// The type of the result.
    pub(crate) fn to(&self) -> &DataType {
        &self.to
    }

    fn made(operation: Operation, left: &DataType, right: &DataType) -> Option<Self> {
        let to = match (Number::of(left)?, Number::of(right)?) {
            (Number::Integer(a), Number::Integer(b)) => match a.max(b) {
                16 => DataType::Int16,
                32 => DataType::Int32,
                _ => DataType::Int64,
            },
            (Number::Real, Number::Real) => DataType::Float32,
            (Number::Real | Number::Double, _) | (_, Number::Real | Number::Double) => {
                DataType::Float64
            }
            (a, b) => {
                let (precision, scale) = operation.numeric(a.digits(), b.digits());
                DataType::Decimal128(precision, scale)
            }
        };
        Some(Self { operation, to })
    }

    /// Whether it is a sum or a difference, not a product or a quotient.
    pub(crate) fn adds(&self) -> bool {
        matches!(self.operation, Operation::Add | Operation::Subtract)
    }

    fn run(&self, left: &ColumnarValue, right: &ColumnarValue) -> EngineResult<ColumnarValue> {
        match self.to {
            DataType::Decimal128(..) => {
                both(&numeric(left)?, &numeric(right)?, |l, r| self.decimals(l, r))
            }
            DataType::Float32 | DataType::Float64 => {
                both(&left.cast_to(&self.to, None)?, &right.cast_to(&self.to, None)?, |l, r| {
                    self.floats(l, r)
                })
            }
            _ => both(&left.cast_to(&self.to, None)?, &right.cast_to(&self.to, None)?, |l, r| {
                self.integers(l, r)
            }),
        }
    }

    fn engine(&self, left: &dyn Datum, right: &dyn Datum) -> Result<ArrayRef, ArrowError> {
        match self.operation {
            Operation::Add => add(left, right),
            Operation::Subtract => sub(left, right),
            Operation::Multiply => mul(left, right),
            Operation::Divide => div(left, right),
            Operation::Remainder => rem(left, right),
        }
    }

    fn integers(&self, left: &dyn Datum, right: &dyn Datum) -> EngineResult<ArrayRef> {
        self.engine(left, right).map_err(|error| match error {
            ArrowError::ArithmeticOverflow(_) => out_of_range(&self.to).into(),
            ArrowError::DivideByZero => by_zero().into(),
            other => other.into(),
        })
    }

    fn floats(&self, left: &dyn Datum, right: &dyn Datum) -> EngineResult<ArrayRef> {
        let result = self.engine(left, right)?;
        if self.to == DataType::Float32 {
            let special = |value: f32| !value.is_finite() || value == 0.0;
            if !result.as_primitive::<Float32Type>().values().iter().copied().any(special) {
                return Ok(result);
            }
        }
        let double = |array: &dyn Array| cast_array(array, &DataType::Float64);
        let results = double(&result)?;
        let results = results.as_primitive::<Float64Type>();
        let special = |value: f64| !value.is_finite() || value == 0.0;
        if !results.values().iter().copied().any(special) {
            return Ok(result);
        }
        let ((left, one_left), (right, one_right)) = (left.get(), right.get());
        let (left, right) = (double(left)?, double(right)?);
        let (left, right) =
            (left.as_primitive::<Float64Type>(), right.as_primitive::<Float64Type>());
        for row in (0..results.len()).filter(|row| results.is_valid(*row)) {
            let l = left.value(if one_left { 0 } else { row });
            let r = right.value(if one_right { 0 } else { row });
            self.check_float(l, r, results.value(row))?;
        }
        Ok(result)
    }

    fn check_float(&self, left: f64, right: f64, result: f64) -> Result<(), Error> {
        let divides = matches!(self.operation, Operation::Divide | Operation::Remainder);
        if divides && right == 0.0 && !left.is_nan() {
            return Err(by_zero());
        }
        if result.is_infinite() && left.is_finite() && right.is_finite() {
            return Err(Error::new("22003", "value out of range: overflow"));
        }
        let lost = match self.operation {
            Operation::Multiply => left != 0.0 && right != 0.0,
            Operation::Divide => left != 0.0 && right.is_finite(),
            _ => false,
        };
        match result == 0.0 && lost {
            true => Err(Error::new("22003", "value out of range: underflow")),
            false => Ok(()),
        }
    }

    fn decimals(&self, left: &dyn Datum, right: &dyn Datum) -> EngineResult<ArrayRef> {
        let DataType::Decimal128(precision, scale) = self.to else {
            return Err(overflow().into());
        };
        let (of_left, of_right) = (scale_of(left), scale_of(right));
        let operation = self.operation;
        let result = match operation {
            Operation::Multiply => {
                let extra = of_left + of_right - scale;
                pairs(left, right, |l, r| product(l, r, extra))
            }
            Operation::Divide => {
                let shift = u32::try_from(scale + of_right - of_left).unwrap_or(0);
                pairs(left, right, |l, r| quotient(l, r, shift))
            }
            _ => {
                let (by_left, by_right) = (power(scale - of_left), power(scale - of_right));
                pairs(left, right, |l, r| {
                    let l = l.checked_mul(by_left).ok_or_else(overflow)?;
                    let r = r.checked_mul(by_right).ok_or_else(overflow)?;
                    match operation {
                        Operation::Add => l.checked_add(r).ok_or_else(overflow),
                        Operation::Subtract => l.checked_sub(r).ok_or_else(overflow),
                        _ if r == 0 => Err(by_zero()),
                        _ => Ok(l.checked_rem(r).unwrap_or(0)),
                    }
                })
            }
        }?;
        if precision == DIGITS {
            let most = Decimal128Type::MAX_FOR_EACH_PRECISION[usize::from(DIGITS)];
            let values = result.iter().flatten();
            if values.into_iter().any(|value| value.unsigned_abs() > most.unsigned_abs()) {
                return Err(overflow().into());
            }
        }
        Ok(Arc::new(result.with_precision_and_scale(precision, scale)?))
    }
}

impl ScalarUDFImpl for Arithmetic {
    fn name(&self) -> &str {
        "arithmetic"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> EngineResult<DataType> {
        Ok(self.to().cloned().unwrap_or(DataType::Null))
    }

    fn return_field_from_args(&self, arguments: ReturnFieldArgs) -> EngineResult<FieldRef> {
        let nullable = arguments.arg_fields.iter().any(|field| field.is_nullable());
        let to = self.return_type(&[])?;
        Ok(Arc::new(Field::new(self.name(), to, nullable)))
    }

    /// Shown as what was written.
    fn display_name(&self, arguments: &[Expr]) -> EngineResult<String> {
        Ok(self.written(arguments.iter().map(ToString::to_string)))
    }

    fn schema_name(&self, arguments: &[Expr]) -> EngineResult<String> {
        Ok(self.written(arguments.iter().map(|argument| argument.schema_name().to_string())))
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> EngineResult<ColumnarValue> {
        let mut arguments = arguments.args.into_iter();
        let first = arguments.next().unwrap_or(ColumnarValue::Scalar(ScalarValue::Null));
        let mut steps = self.steps.iter().zip(arguments);
        steps.try_fold(first, |left, (step, right)| step.run(&left, &right))
    }
}

/// Kinds of numbers.
enum Number {
    /// Bits.
    Integer(u8),
    Real,
    Double,
    /// Digits, and how many of them are decimals.
    Numeric(u8, i8),
}

impl Number {
    fn of(data_type: &DataType) -> Option<Self> {
        Some(match data_type {
            DataType::Int8 | DataType::UInt8 | DataType::Int16 => Self::Integer(16),
            DataType::UInt16 | DataType::Int32 => Self::Integer(32),
            DataType::UInt32 | DataType::UInt64 | DataType::Int64 => Self::Integer(64),
            DataType::Float32 => Self::Real,
            DataType::Float64 => Self::Double,
            DataType::Decimal128(precision, scale) => Self::Numeric(*precision, *scale),
            _ => return None,
        })
    }

    fn digits(&self) -> (u8, i8) {
        match self {
            Self::Numeric(precision, scale) => (*precision, *scale),
            Self::Integer(16) => (5, 0),
            Self::Integer(32) => (10, 0),
            _ => (19, 0),
        }
    }
}

impl Operation {
    /// Digits and decimals of the result of two numerics.
    fn numeric(self, (left, of_left): (u8, i8), (right, of_right): (u8, i8)) -> (u8, i8) {
        let scale = of_left.max(of_right);
        let whole = |precision: u8, scale: i8| i16::from(precision) - i16::from(scale);
        let most = whole(left, of_left).max(whole(right, of_right));
        let digits = |count: i16| u8::try_from(count).unwrap_or(DIGITS).min(DIGITS);
        match self {
            Self::Add | Self::Subtract => (digits(most + i16::from(scale) + 1), scale),
            Self::Remainder => (digits(most + i16::from(scale)), scale),
            Self::Divide => {
                let digits = whole(left, of_left) + i16::from(of_right);
                let room = i16::from(DIGITS) - digits;
                let decimals = i8::try_from(room).unwrap_or(0).clamp(LEAST_SCALE, QUOTIENT_SCALE);
                let plain = (left, of_left) == PLAIN;
                (DIGITS, scale.max(if plain { QUOTIENT_SCALE } else { decimals }))
            }
            Self::Multiply => {
                let all = i16::from(left) + i16::from(right);
                let exact = of_left + of_right;
                match all <= i16::from(DIGITS) {
                    true => (digits(all), exact),
                    false => (DIGITS, exact.min(scale.max(PRODUCT_SCALE))),
                }
            }
        }
    }
}

/// Runs a kernel over two values, each of which may be one for all rows.
fn both(
    left: &ColumnarValue,
    right: &ColumnarValue,
    kernel: impl Fn(&dyn Datum, &dyn Datum) -> EngineResult<ArrayRef>,
) -> EngineResult<ColumnarValue> {
    use ColumnarValue::{Array, Scalar};
    Ok(Array(match (left, right) {
        (Array(left), Array(right)) => kernel(left, right)?,
        (Array(left), Scalar(right)) => kernel(left, &right.to_scalar()?)?,
        (Scalar(left), Array(right)) => kernel(&left.to_scalar()?, right)?,
        (Scalar(left), Scalar(right)) => {
            let one = kernel(&left.to_scalar()?, &right.to_scalar()?)?;
            return Ok(Scalar(ScalarValue::try_from_array(&one, 0)?));
        }
    }))
}

/// An integer as a numeric without decimals.
fn numeric(value: &ColumnarValue) -> EngineResult<ColumnarValue> {
    match Number::of(&value.data_type()) {
        Some(number @ Number::Integer(_)) => {
            let (precision, scale) = number.digits();
            let wide = value.cast_to(&DataType::Int64, None)?;
            wide.cast_to(&DataType::Decimal128(precision.max(19), scale), None)
        }
        _ => Ok(value.clone()),
    }
}

fn cast_array(array: &dyn Array, to: &DataType) -> EngineResult<ArrayRef> {
    Ok(datafusion::arrow::compute::cast(array, to)?)
}

fn scale_of(value: &dyn Datum) -> i8 {
    match value.get().0.data_type() {
        DataType::Decimal128(_, scale) => *scale,
        _ => 0,
    }
}

fn by_zero() -> Error {
    Error::new("22012", "division by zero")
}

fn overflow() -> Error {
    Error::new("22003", "value overflows numeric format")
        .with_detail("A numeric has 38 digits, those after the point included.")
}

/// `integer out of range` and its like.
pub(crate) fn out_of_range(of: &DataType) -> Error {
    let name = match of {
        DataType::Int16 => "smallint",
        DataType::Int32 => "integer",
        DataType::Float32 => "real",
        _ => "bigint",
    };
    Error::new("22003", format!("{name} out of range"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_of_results() {
        let step = |operator, left: &DataType, right: &DataType| {
            Step::of(operator, left, right).map(|step| step.to)
        };
        use DataType::*;
        let money = Decimal128(12, 2);
        assert_eq!(step(Operator::Plus, &Int16, &Int64), Some(Int64));
        assert_eq!(step(Operator::Divide, &Float32, &Float32), Some(Float32));
        assert_eq!(step(Operator::Multiply, &Float32, &money), Some(Float64));
        assert_eq!(step(Operator::Plus, &money, &Int32), Some(Decimal128(13, 2)));
        assert_eq!(step(Operator::Multiply, &money, &money), Some(Decimal128(24, 4)));
        let plain = Decimal128(38, 9);
        assert_eq!(step(Operator::Multiply, &plain, &plain), Some(Decimal128(38, 18)));
        assert_eq!(step(Operator::Divide, &Int32, &money), Some(Decimal128(38, 20)));
        assert_eq!(step(Operator::Modulo, &money, &Int16), Some(Decimal128(12, 2)));
        assert_eq!(step(Operator::Plus, &Date32, &Int32), None);
        assert_eq!(step(Operator::BitwiseAnd, &Int32, &Int32), None);
    }
}
