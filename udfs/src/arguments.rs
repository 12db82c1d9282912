//! What a function takes: names, kinds, defaults; and the constants it was given.
//!
//! Options may be given by position or by name (`alpha => 0.1`). One that is left out before
//! another is NULL, and NULL stands for the default.

use std::ops::Range;
use std::sync::Arc;

use datafusion::arrow::array::{Array, AsArray, RecordBatch, RecordBatchOptions};
use datafusion::arrow::datatypes::{DataType, Field, FieldRef, Float64Type, Schema};
use datafusion::common::ScalarValue;
use datafusion::error::Result as EngineResult;
use datafusion::logical_expr::{ColumnarValue, Signature, TypeSignature, Volatility};
use datafusion::physical_plan::PhysicalExpr;

use crate::Error;
use crate::vectors::VectorType;

/// The reference entry of a function; a test runs its example.
#[derive(Debug)]
pub struct Doc {
    /// One or two sentences: what, units, NULL rule, formula's source.
    pub summary: &'static str,
    /// A statement and the text of its only answer.
    pub example: (&'static str, &'static str),
}

/// What an argument may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Any number; a boolean is 0 or 1.
    Number,
    /// A number or a category: stays a number, or becomes text.
    Value,
    /// An arm: text, integer or boolean.
    Arm,
    /// Text, or what can be written as text.
    Text,
    /// A boolean.
    Flag,
    /// Whole numbers.
    Integer,
    /// An array of numbers.
    Numbers,
    /// An array of whole numbers.
    Integers,
    /// An array of text.
    Texts,
    /// A vector, an array of numbers, or text that is read as a vector.
    Vector,
    /// A state that another function made.
    State,
    /// As `Number`, or a state.
    NumberOrState,
    /// As `Arm`, or a state.
    ArmOrState,
    /// As `Value`, or an array of counts.
    ValueOrCounts,
    /// As `Flag`, or an array of counts.
    FlagOrCounts,
    /// As `Arm`, or an array of counts.
    ArmOrCounts,
}

/// One argument.
#[derive(Debug)]
pub struct Argument {
    /// The name it can be given by.
    pub name: &'static str,
    /// What it may be.
    pub kind: Kind,
    /// Whether it must be given.
    pub required: bool,
    /// For the reference.
    pub meaning: &'static str,
}

/// An argument that must be given.
pub const fn required(name: &'static str, kind: Kind, meaning: &'static str) -> Argument {
    Argument { name, kind, required: true, meaning }
}

/// An argument with a default.
pub const fn option(name: &'static str, kind: Kind, meaning: &'static str) -> Argument {
    Argument { name, kind, required: false, meaning }
}

/// A function as callers see it.
#[derive(Debug)]
pub struct Call {
    /// Its name.
    pub name: &'static str,
    /// What it takes, in order.
    pub arguments: Vec<Argument>,
    /// What it is.
    pub doc: Doc,
}

impl Call {
    /// The engine's signature: types are ours to decide, names may be used.
    pub fn signature(&self) -> Signature {
        let mut signature = Signature::new(TypeSignature::UserDefined, Volatility::Immutable);
        let names = self.arguments.iter().map(|argument| argument.name.to_string());
        signature.parameter_names = Some(names.collect());
        signature
    }

    /// The types that arguments of the given types are cast to.
    pub fn coerce(&self, given: &[DataType]) -> Result<Vec<DataType>, Error> {
        let required = self.arguments.iter().filter(|argument| argument.required).count();
        let fits = (required..=self.arguments.len()).contains(&given.len());
        let pairs = self.arguments.iter().zip(given);
        let types: Option<Vec<DataType>> =
            pairs.map(|(argument, given)| argument.kind.coerce(given)).collect();
        types.filter(|_| fits).ok_or_else(|| Error::NoSuchFunction {
            function: self.name,
            given: given.iter().map(sql_name).collect::<Vec<_>>().join(", "),
            usage: self.usage(),
        })
    }

    /// `ab_ttest(y, variant [, control, …])`.
    pub fn usage(&self) -> String {
        let mut text = format!("{}(", self.name);
        let mut optional = false;
        for (index, argument) in self.arguments.iter().enumerate() {
            if !argument.required && !optional {
                optional = true;
                text.push_str(if index > 0 { " [" } else { "[" });
            }
            if index > 0 {
                text.push_str(", ");
            }
            text.push_str(argument.name);
        }
        text.push_str(if optional { "])" } else { ")" });
        text
    }

    /// The constants among the arguments of an aggregate.
    pub fn given<'a>(&'a self, expressions: &'a [Arc<dyn PhysicalExpr>]) -> Given<'a> {
        Given { call: self, values: Values::Expressions(expressions) }
    }

    /// The constants among the arguments of a scalar function.
    pub fn given_values<'a>(&'a self, values: &'a [ColumnarValue]) -> Given<'a> {
        Given { call: self, values: Values::Columns(values) }
    }
}

impl Kind {
    fn coerce(self, given: &DataType) -> Option<DataType> {
        let text = matches!(
            given,
            DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View | DataType::Null
        );
        let dictionary = matches!(given, DataType::Dictionary(_, value) if value.is_string());
        let number = given.is_numeric() || matches!(given, DataType::Null);
        let list = |item: DataType| DataType::List(Arc::new(Field::new_list_field(item, true)));
        let is_list = matches!(
            given,
            DataType::List(_)
                | DataType::LargeList(_)
                | DataType::FixedSizeList(..)
                | DataType::Null
        );
        match self {
            Self::Number => (number || *given == DataType::Boolean).then_some(DataType::Float64),
            Self::Value if number => Some(DataType::Float64),
            Self::Value => (!given.is_nested()).then_some(DataType::Utf8),
            Self::Arm if *given == DataType::Boolean => Some(DataType::Boolean),
            Self::Arm if given.is_integer() => Some(DataType::Int64),
            Self::Arm => (text || dictionary).then_some(DataType::Utf8),
            Self::Text => (!given.is_nested()).then_some(DataType::Utf8),
            Self::Flag => {
                matches!(given, DataType::Boolean | DataType::Null).then_some(DataType::Boolean)
            }
            Self::Integer => {
                (given.is_integer() || *given == DataType::Null).then_some(DataType::Int64)
            }
            Self::Vector => match given {
                _ if VectorType::of(given).is_some() => Some(given.clone()),
                _ if text => Some(DataType::Utf8),
                _ => is_list.then(|| list(DataType::Float32)),
            },
            Self::Numbers => is_list.then(|| list(DataType::Float64)),
            Self::Integers => match given {
                // Fractions would be cut off.
                DataType::List(item)
                | DataType::LargeList(item)
                | DataType::FixedSizeList(item, _)
                    if !item.data_type().is_integer() && !item.data_type().is_null() =>
                {
                    None
                }
                _ => is_list.then(|| list(DataType::Int64)),
            },
            Self::Texts => is_list.then(|| list(DataType::Utf8)),
            Self::State => matches!(
                given,
                DataType::Binary | DataType::LargeBinary | DataType::BinaryView | DataType::Null
            )
            .then_some(DataType::Binary),
            Self::NumberOrState => Self::Number.or(Self::State, given),
            Self::ArmOrState => Self::Arm.or(Self::State, given),
            Self::ValueOrCounts => Self::Value.or(Self::Integers, given),
            Self::FlagOrCounts => Self::Flag.or(Self::Integers, given),
            Self::ArmOrCounts => Self::Arm.or(Self::Integers, given),
        }
    }
}

impl Kind {
    /// The type that an argument is cast to; None if it may be of several.
    pub fn arrow(self) -> Option<DataType> {
        let list = |item: DataType| DataType::List(Arc::new(Field::new_list_field(item, true)));
        match self {
            Self::Number => Some(DataType::Float64),
            Self::Text => Some(DataType::Utf8),
            Self::Flag => Some(DataType::Boolean),
            Self::Integer => Some(DataType::Int64),
            Self::Numbers => Some(list(DataType::Float64)),
            Self::Integers => Some(list(DataType::Int64)),
            Self::Texts => Some(list(DataType::Utf8)),
            Self::State => Some(DataType::Binary),
            Self::Value
            | Self::Vector
            | Self::Arm
            | Self::NumberOrState
            | Self::ArmOrState
            | Self::ValueOrCounts
            | Self::FlagOrCounts
            | Self::ArmOrCounts => None,
        }
    }

    fn or(self, other: Self, given: &DataType) -> Option<DataType> {
        self.coerce(given).or_else(|| other.coerce(given))
    }
}

/// How Postgres calls a type, for messages.
fn sql_name(of: &DataType) -> String {
    match of {
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => "text".into(),
        DataType::Null => "unknown".into(),
        DataType::Boolean => "boolean".into(),
        DataType::Int16 => "smallint".into(),
        DataType::Int32 => "integer".into(),
        DataType::Int64 => "bigint".into(),
        DataType::Float32 => "real".into(),
        DataType::Float64 => "double precision".into(),
        DataType::Decimal128(..) | DataType::Decimal256(..) => "numeric".into(),
        DataType::Binary => "bytea".into(),
        DataType::Date32 => "date".into(),
        of if VectorType::of(of).is_some() => {
            VectorType::of(of).map_or("", |of| of.kind.name()).into()
        }
        DataType::List(item) => format!("{}[]", sql_name(item.data_type())),
        other => other.to_string().to_lowercase(),
    }
}

#[derive(Clone, Copy)]
enum Values<'a> {
    Expressions(&'a [Arc<dyn PhysicalExpr>]),
    Columns(&'a [ColumnarValue]),
}

/// The constants of a call, by name.
pub struct Given<'a> {
    call: &'a Call,
    values: Values<'a>,
}

impl Given<'_> {
    /// The name of the function, for messages.
    pub fn function(&self) -> &'static str {
        self.call.name
    }

    /// Reads the call as one of another function: the same columns, so many of them, and a part
    /// of the arguments as that function's options.
    pub fn part<T>(
        &self,
        call: &Call,
        columns: usize,
        options: Range<usize>,
        read: impl FnOnce(&Given<'_>) -> T,
    ) -> T {
        fn taken<V: Clone>(all: &[V], columns: usize, options: Range<usize>) -> Vec<V> {
            let options = all.iter().take(options.end).skip(options.start);
            all.iter().take(columns).chain(options).cloned().collect()
        }
        match self.values {
            Values::Expressions(all) => read(&call.given(&taken(all, columns, options))),
            Values::Columns(all) => read(&call.given_values(&taken(all, columns, options))),
        }
    }

    /// None if it was left out or NULL.
    fn value(&self, name: &'static str) -> EngineResult<Option<ScalarValue>> {
        let Some(index) = self.call.arguments.iter().position(|a| a.name == name) else {
            return Ok(None);
        };
        let value = match &self.values {
            Values::Expressions(expressions) => match expressions.get(index) {
                Some(expression) => constant(expression, name)?,
                None => return Ok(None),
            },
            Values::Columns(values) => match values.get(index) {
                Some(ColumnarValue::Scalar(value)) => value.clone(),
                Some(ColumnarValue::Array(array)) if array.len() == 1 => {
                    ScalarValue::try_from_array(array, 0)?
                }
                Some(ColumnarValue::Array(_)) => return Err(Error::NotConstant { name }.into()),
                None => return Ok(None),
            },
        };
        Ok(Some(value).filter(|value| !value.is_null()))
    }

    /// A number.
    pub fn number(&self, name: &'static str) -> EngineResult<Option<f64>> {
        let value = self.value(name)?.map(|value| value.cast_to(&DataType::Float64)).transpose()?;
        Ok(match value {
            Some(ScalarValue::Float64(number)) => number,
            Some(_) | None => None,
        })
    }

    /// A number between two bounds, both excluded.
    pub fn between(
        &self,
        name: &'static str,
        low: f64,
        high: f64,
        default: f64,
    ) -> EngineResult<f64> {
        let number = self.number(name)?.unwrap_or(default);
        if number > low && number < high {
            return Ok(number);
        }
        let allowed = match high.is_infinite() {
            true => format!("greater than {low}"),
            false => format!("between {low} and {high}"),
        };
        Err(Error::InvalidArgument { name, allowed, given: number.to_string() }.into())
    }

    /// A whole number, at least `low`.
    pub fn whole(&self, name: &'static str, low: i64, default: i64) -> EngineResult<i64> {
        let number = self.number(name)?.map_or(default, |number| number as i64);
        if number >= low {
            return Ok(number);
        }
        let allowed = format!("at least {low}");
        Err(Error::InvalidArgument { name, allowed, given: number.to_string() }.into())
    }

    /// The argument `seed`; its bits count.
    pub fn seed(&self) -> EngineResult<i64> {
        Ok(match self.value("seed")? {
            Some(ScalarValue::Int64(Some(seed))) => seed,
            Some(_) | None => 0,
        })
    }

    /// A text.
    pub fn text(&self, name: &'static str) -> EngineResult<Option<String>> {
        let value = self.value(name)?.map(|value| value.cast_to(&DataType::Utf8)).transpose()?;
        Ok(match value {
            Some(ScalarValue::Utf8(text)) => text,
            Some(_) | None => None,
        })
    }

    /// One of the named choices; the first is the default.
    pub fn choice<T: Copy>(&self, name: &'static str, choices: &[(&str, T)]) -> EngineResult<T> {
        let given = self.text(name)?;
        let found = match &given {
            None => choices.first(),
            Some(given) => choices.iter().find(|(word, _)| word.eq_ignore_ascii_case(given)),
        };
        found.map(|(_, choice)| *choice).ok_or_else(|| {
            let words: Vec<String> = choices.iter().map(|(word, _)| format!("'{word}'")).collect();
            let given = format!("'{}'", given.unwrap_or_default());
            Error::InvalidArgument { name, allowed: words.join(" or "), given }.into()
        })
    }

    /// A boolean.
    pub fn flag(&self, name: &'static str, default: bool) -> EngineResult<bool> {
        Ok(match self.value(name)? {
            Some(ScalarValue::Boolean(Some(flag))) => flag,
            Some(_) | None => default,
        })
    }

    /// An array of text without NULLs.
    pub fn texts(&self, name: &'static str) -> EngineResult<Option<Vec<String>>> {
        let Some(ScalarValue::List(list)) = self.value(name)? else { return Ok(None) };
        let items = list.value(0);
        let texts = items.as_string::<i32>();
        Ok(Some(texts.iter().map(|text| text.unwrap_or_default().to_string()).collect()))
    }

    /// An array of numbers without NULLs.
    pub fn numbers(&self, name: &'static str) -> EngineResult<Option<Vec<f64>>> {
        let Some(ScalarValue::List(list)) = self.value(name)? else { return Ok(None) };
        let items = list.value(0);
        let numbers = items.as_primitive::<Float64Type>();
        if numbers.null_count() > 0 {
            let allowed = "without NULL".into();
            return Err(Error::InvalidArgument { name, allowed, given: "NULL".into() }.into());
        }
        Ok(Some(numbers.values().to_vec()))
    }
}

/// The value of an expression that no column takes part in.
fn constant(expression: &Arc<dyn PhysicalExpr>, name: &'static str) -> EngineResult<ScalarValue> {
    let one = RecordBatchOptions::new().with_row_count(Some(1));
    let row = RecordBatch::try_new_with_options(Arc::new(Schema::empty()), vec![], &one)?;
    let columns = datafusion::physical_expr::utils::collect_columns(expression);
    if !columns.is_empty() {
        return Err(Error::NotConstant { name }.into());
    }
    ScalarValue::try_from_array(&expression.evaluate(&row)?.into_array(1)?, 0)
}

/// A nullable field.
pub fn field(name: &str, of: DataType) -> FieldRef {
    Arc::new(Field::new(name, of, true))
}
