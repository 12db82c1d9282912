//! `gcd`, `lcm`, `factorial`, `to_hex`, `chr`, `scale`, `min_scale` and `trim_scale` in the types
//! that Postgres has them in, and `num_nulls`, `num_nonnulls`. NULL gives NULL, but to these two.

use std::sync::Arc;

use datafusion::arrow::array::{
    Array, ArrayRef, AsArray, Decimal128Array, Int32Array, Int64Array, StringArray,
};
use datafusion::arrow::datatypes::{DataType, Decimal128Type, Int32Type, Int64Type};
use datafusion::common::Result as EngineResult;
use datafusion::logical_expr::{
    ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, TypeSignature,
    Volatility, create_udf,
};

use super::arithmetic::out_of_range;
use crate::error::Error;

pub(super) fn functions() -> Vec<ScalarUDF> {
    let typed = [Task::Gcd, Task::Lcm, Task::Hex, Task::Scale, Task::MinScale, Task::TrimScale];
    let mut all: Vec<ScalarUDF> = typed.into_iter().map(typed_function).collect();
    all.extend([factorial(), chr(), nulls("num_nulls", true), nulls("num_nonnulls", false)]);
    all
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Task {
    Gcd,
    Lcm,
    Hex,
    Scale,
    MinScale,
    TrimScale,
}

fn typed_function(task: Task) -> ScalarUDF {
    ScalarUDF::from(Typed { task, signature: Signature::user_defined(Volatility::Immutable) })
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Typed {
    task: Task,
    signature: Signature,
}

impl ScalarUDFImpl for Typed {
    fn name(&self) -> &str {
        match self.task {
            Task::Gcd => "gcd",
            Task::Lcm => "lcm",
            Task::Hex => "to_hex",
            Task::Scale => "scale",
            Task::MinScale => "min_scale",
            Task::TrimScale => "trim_scale",
        }
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, given: &[DataType]) -> EngineResult<Vec<DataType>> {
        let arity = if matches!(self.task, Task::Gcd | Task::Lcm) { 2 } else { 1 };
        let undefined = || {
            Error::new("42883", format!("function {} of these types does not exist", self.name()))
        };
        if given.len() != arity {
            return Err(undefined().into());
        }
        let of_numeric = matches!(self.task, Task::Scale | Task::MinScale | Task::TrimScale);
        let numerics = given.iter().filter_map(|of| match of {
            DataType::Decimal128(_, scale) => Some(*scale),
            _ => None,
        });
        let whole = |of: &DataType| of.is_integer() || of.is_null();
        let scale = numerics.max();
        if !given.iter().all(|of| whole(of) || of.is_decimal())
            || (scale.is_some() && self.task == Task::Hex)
        {
            return Err(undefined().into());
        }
        let wide = given.iter().any(|of| matches!(of, DataType::Int64 | DataType::UInt64));
        let to = match scale {
            Some(scale) => DataType::Decimal128(38, scale),
            None if of_numeric => DataType::Decimal128(20, 0),
            None if wide => DataType::Int64,
            None => DataType::Int32,
        };
        Ok(vec![to; arity])
    }

    fn return_type(&self, given: &[DataType]) -> EngineResult<DataType> {
        Ok(match self.task {
            Task::Gcd | Task::Lcm | Task::TrimScale => given[0].clone(),
            Task::Hex => DataType::Utf8,
            Task::Scale | Task::MinScale => DataType::Int32,
        })
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> EngineResult<ColumnarValue> {
        let arrays = ColumnarValue::values_to_arrays(&arguments.args)?;
        let array: ArrayRef = match self.task {
            Task::Gcd | Task::Lcm => self.divisors(&arrays[0], &arrays[1])?,
            Task::Hex => Arc::new(match arrays[0].data_type() {
                DataType::Int32 => {
                    let numbers = arrays[0].as_primitive::<Int32Type>().iter();
                    numbers.map(|n| n.map(|n| format!("{n:x}"))).collect::<StringArray>()
                }
                _ => {
                    let numbers = arrays[0].as_primitive::<Int64Type>().iter();
                    numbers.map(|n| n.map(|n| format!("{n:x}"))).collect::<StringArray>()
                }
            }),
            Task::TrimScale => Arc::clone(&arrays[0]),
            Task::Scale | Task::MinScale => {
                let numbers = arrays[0].as_primitive::<Decimal128Type>();
                let scale = i32::from(numbers.scale());
                let least = |n: i128| {
                    let (mut n, mut left) = (n, scale);
                    while left > 0 && n % 10 == 0 {
                        (n, left) = (n / 10, left - 1);
                    }
                    left
                };
                let of = |n| if self.task == Task::Scale { scale } else { least(n) };
                Arc::new(numbers.iter().map(|n| n.map(of)).collect::<Int32Array>())
            }
        };
        Ok(ColumnarValue::Array(array))
    }
}

impl Typed {
    fn divisors(&self, left: &ArrayRef, right: &ArrayRef) -> EngineResult<ArrayRef> {
        let of = left.data_type();
        let wide = |array: &ArrayRef| -> Vec<Option<i128>> {
            match array.data_type() {
                DataType::Int32 => {
                    array.as_primitive::<Int32Type>().iter().map(|n| n.map(i128::from)).collect()
                }
                DataType::Int64 => {
                    array.as_primitive::<Int64Type>().iter().map(|n| n.map(i128::from)).collect()
                }
                _ => array.as_primitive::<Decimal128Type>().iter().collect(),
            }
        };
        let one = |(a, b): (Option<i128>, Option<i128>)| {
            let (Some(a), Some(b)) = (a, b) else { return Ok(None) };
            let divisor = gcd(a, b);
            let answer = match self.task {
                Task::Gcd => Some(divisor),
                _ if divisor == 0 => Some(0),
                _ => (a / divisor).checked_mul(b).map(i128::abs),
            };
            answer.ok_or_else(|| out_of_range(of)).map(Some)
        };
        let answers = wide(left).into_iter().zip(wide(right)).map(one);
        let answers = answers.collect::<Result<Vec<Option<i128>>, Error>>()?;
        let narrow =
            |n: Option<i128>| n.map(|n| i64::try_from(n).map_err(|_| out_of_range(of))).transpose();
        Ok(match of {
            DataType::Int32 => {
                let int = |n: Option<i128>| {
                    n.map(|n| i32::try_from(n).map_err(|_| out_of_range(of))).transpose()
                };
                Arc::new(answers.into_iter().map(int).collect::<Result<Int32Array, Error>>()?)
            }
            DataType::Int64 => {
                Arc::new(answers.into_iter().map(narrow).collect::<Result<Int64Array, Error>>()?)
            }
            _ => Arc::new(
                answers.into_iter().collect::<Decimal128Array>().with_data_type(of.clone()),
            ),
        })
    }
}

fn gcd(a: i128, b: i128) -> i128 {
    let (mut a, mut b) = (a.abs(), b.abs());
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}

/// `factorial(n)` as a numeric.
fn factorial() -> ScalarUDF {
    let all = |arguments: &[ColumnarValue]| -> EngineResult<ColumnarValue> {
        let arrays = ColumnarValue::values_to_arrays(arguments)?;
        let one = |n: Option<i64>| {
            let Some(n) = n else { return Ok(None) };
            if n < 0 {
                return Err(Error::new("22003", "factorial of a negative number is undefined"));
            }
            let product = (1..=n).try_fold(1_i128, |product, k| product.checked_mul(i128::from(k)));
            let fits = product.filter(|product| *product < 10_i128.pow(38));
            fits.ok_or_else(|| Error::new("22003", "value overflows numeric format")).map(Some)
        };
        let numbers = arrays[0].as_primitive::<Int64Type>().iter().map(one);
        let numbers = numbers.collect::<Result<Decimal128Array, Error>>()?;
        Ok(ColumnarValue::Array(Arc::new(numbers.with_precision_and_scale(38, 0)?)))
    };
    let to = DataType::Decimal128(38, 0);
    create_udf("factorial", vec![DataType::Int64], to, Volatility::Immutable, Arc::new(all))
}

/// `chr(n)`: the character of a number.
fn chr() -> ScalarUDF {
    let all = |arguments: &[ColumnarValue]| -> EngineResult<ColumnarValue> {
        let arrays = ColumnarValue::values_to_arrays(arguments)?;
        let one = |n: Option<i32>| match n {
            None => Ok(None),
            Some(0) => Err(Error::new("54000", "null character not permitted")),
            Some(n) if n < 0 => Err(Error::new("22023", "character number must be positive")),
            Some(n) => {
                let character = u32::try_from(n).ok().and_then(char::from_u32);
                let wrong = || {
                    let message = format!("requested character not valid for encoding: {n}");
                    Error::new("54000", message)
                };
                character.map(|c| Some(c.to_string())).ok_or_else(wrong)
            }
        };
        let texts = arrays[0].as_primitive::<Int32Type>().iter().map(one);
        let texts = texts.collect::<Result<StringArray, Error>>()?;
        Ok(ColumnarValue::Array(Arc::new(texts) as ArrayRef))
    };
    let text = DataType::Utf8;
    create_udf("chr", vec![DataType::Int32], text, Volatility::Immutable, Arc::new(all))
}

/// How many arguments are NULL, or are not.
fn nulls(name: &'static str, null: bool) -> ScalarUDF {
    let any = TypeSignature::OneOf(vec![TypeSignature::VariadicAny]);
    ScalarUDF::from(Nulls { name, null, signature: Signature::new(any, Volatility::Immutable) })
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Nulls {
    name: &'static str,
    null: bool,
    signature: Signature,
}

impl ScalarUDFImpl for Nulls {
    fn name(&self) -> &str {
        self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> EngineResult<DataType> {
        Ok(DataType::Int32)
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> EngineResult<ColumnarValue> {
        let rows = arguments.number_rows;
        let mut counts = vec![0; rows];
        for value in &arguments.args {
            let array = value.to_array(rows)?;
            let nulls = array.logical_nulls();
            let is_null = |row| match &nulls {
                Some(nulls) => nulls.is_null(row),
                None => *array.data_type() == DataType::Null,
            };
            for (row, count) in counts.iter_mut().enumerate() {
                *count += i32::from(is_null(row) == self.null);
            }
        }
        Ok(ColumnarValue::Array(Arc::new(Int32Array::from(counts))))
    }
}
