//! `json` and `jsonb` as Postgres has them. Both are text in the engine and tagged as what they
//! are: `json` as it was written, `jsonb` in the normal form of `document.rs`.
//!
//! | file                                      | what is in it                                  |
//! |-------------------------------------------|------------------------------------------------|
//! | `read` `document` `scan` `number` `change` | the pure part: text in, text out              |
//! | `access` `test` `modify` `cast` `rows`    | parts, questions, changes, scalars, sets        |
//! | `output` `build`                          | values of the engine as JSON                    |
//! | `path/`                                   | the jsonpath language                           |
//!
//! Of NULL the answer is NULL, except where a function makes JSON's null of it.

mod access;
mod build;
mod cast;
mod change;
mod document;
mod modify;
mod number;
mod output;
mod path;
mod read;
mod rows;
mod scan;
mod test;

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use catalog::TYPE_KEY;
use datafusion::arrow::array::{Array, ArrayRef, AsArray, BooleanArray, StringArray};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::{Result as EngineResult, ScalarValue};
use datafusion::logical_expr::{
    ColumnarValue, Expr, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
    TypeSignature, Volatility,
};

use crate::error::Error;

pub(crate) use build::whole_row;
pub(crate) use cast::scalar as scalar_cast;

type Result<T> = std::result::Result<T, Error>;

/// Every function, under the names that statements and folded expressions call them by.
pub(super) fn functions() -> Vec<ScalarUDF> {
    let all = [
        access::FUNCTIONS,
        build::FUNCTIONS,
        modify::FUNCTIONS,
        path::FUNCTIONS,
        rows::FUNCTIONS,
        test::FUNCTIONS,
        &[
            Definition::new("as_json", (1, 1), Gives::Json, as_is),
            Definition::new("as_jsonb", (1, 1), Gives::Jsonb, as_is),
        ],
    ];
    all.into_iter().flatten().map(Definition::function).chain([whole_row()]).collect()
}

/// A call of a function by its name.
pub(crate) fn call(name: &str, arguments: Vec<Expr>) -> Expr {
    let families = [access::FUNCTIONS, modify::FUNCTIONS, test::FUNCTIONS, path::FUNCTIONS];
    let found = families.into_iter().flatten().find(|definition| definition.name == name);
    found.unwrap_or(&test::SORT_KEY).function().call(arguments)
}

/// `argument` tagged as what its text is.
pub(crate) fn tagged(tag: &str, argument: Expr) -> Expr {
    let (name, gives) = match tag {
        "jsonb" => ("as_jsonb", Gives::Jsonb),
        _ => ("as_json", Gives::Json),
    };
    Definition::new(name, (1, 1), gives, as_is).function().call(vec![argument])
}

/// Bytes that compare as jsonb does.
pub(crate) fn sort_key(argument: Expr) -> Expr {
    test::SORT_KEY.function().call(vec![argument])
}

/// The same in text, for windows.
pub(crate) fn sort_text(argument: Expr) -> Expr {
    test::SORT_TEXT.function().call(vec![argument])
}

fn as_is(call: &Call) -> Result<ArrayRef> {
    Ok(Arc::new(call.text(0)?))
}

/// A text as `json` takes it: as it is, if it is JSON.
pub(crate) fn check(text: &str) -> Result<()> {
    read::check(text)
}

/// A text as `jsonb` takes it.
pub(crate) fn normal(text: &str) -> Result<String> {
    document::normal(text)
}

/// What a function gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Gives {
    Text,
    Json,
    Jsonb,
    Boolean,
    Integer,
    Bytes,
    Texts,
    Jsons,
    Jsonbs,
    /// `(key, value)`, the value of this tag or text.
    Pairs(Option<&'static str>),
}

impl Gives {
    fn field(self, name: &str) -> Field {
        let text = DataType::Utf8;
        match self {
            Self::Text => Field::new(name, text, true),
            Self::Json => field(name, Some("json")),
            Self::Jsonb => field(name, Some("jsonb")),
            Self::Boolean => Field::new(name, DataType::Boolean, true),
            Self::Integer => Field::new(name, DataType::Int32, true),
            Self::Bytes => Field::new(name, DataType::Binary, true),
            Self::Texts => list(name, field("item", None)),
            Self::Jsons => list(name, field("item", Some("json"))),
            Self::Jsonbs => list(name, field("item", Some("jsonb"))),
            Self::Pairs(tag) => {
                let of = DataType::Struct(vec![field("key", None), field("value", tag)].into());
                list(name, Field::new("item", of, true))
            }
        }
    }
}

fn list(name: &str, item: Field) -> Field {
    Field::new(name, DataType::List(Arc::new(item)), true)
}

fn field(name: &str, tag: Option<&str>) -> Field {
    let field = Field::new(name, DataType::Utf8, true);
    match tag {
        Some(tag) => field.with_metadata([(TYPE_KEY.to_owned(), tag.to_owned())].into()),
        None => field,
    }
}

fn tag(field: &Field) -> Option<&str> {
    field.metadata().get(TYPE_KEY).map(String::as_str).filter(|tag| tag.starts_with("json"))
}

/// A function: its name, how many arguments it takes, what it gives, and how.
#[derive(Debug, Clone, Copy)]
struct Definition {
    name: &'static str,
    arguments: (usize, usize),
    gives: Gives,
    run: fn(&Call) -> Result<ArrayRef>,
}

/// As many arguments as one likes.
const MANY: usize = usize::MAX;

impl Definition {
    const fn new(
        name: &'static str,
        arguments: (usize, usize),
        gives: Gives,
        run: fn(&Call) -> Result<ArrayRef>,
    ) -> Self {
        Self { name, arguments, gives, run }
    }

    fn function(&self) -> ScalarUDF {
        let (least, most) = self.arguments;
        let kinds = match most {
            MANY => vec![TypeSignature::VariadicAny],
            most => (least.max(1)..=most).map(TypeSignature::Any).collect(),
        };
        let none = (least == 0).then_some(TypeSignature::Nullary);
        let kinds = kinds.into_iter().chain(none).collect();
        let signature = Signature::one_of(kinds, Volatility::Stable);
        ScalarUDF::from(Function { definition: *self, signature })
    }
}

#[derive(Debug)]
struct Function {
    definition: Definition,
    signature: Signature,
}

impl PartialEq for Function {
    fn eq(&self, other: &Self) -> bool {
        self.definition.name == other.definition.name
    }
}

impl Eq for Function {}

impl Hash for Function {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.definition.name.hash(state);
    }
}

impl ScalarUDFImpl for Function {
    fn name(&self) -> &str {
        self.definition.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> EngineResult<DataType> {
        Ok(self.definition.gives.field("").data_type().clone())
    }

    fn return_field_from_args(&self, arguments: ReturnFieldArgs) -> EngineResult<FieldRef> {
        // A function of jsonb does not take json, nor the other way round.
        let own = self.definition.name.split('_').next().unwrap_or_default();
        let first = arguments.arg_fields.first().and_then(|field| tag(field));
        let strict = self.definition.arguments.1 < MANY && own.starts_with("json");
        if let Some(first) = first.filter(|first| strict && *first != own) {
            let name = self.definition.name;
            let message = format!("function {name}({first}) does not exist");
            return Err(Error::new("42883", message)
                .with_hint("Cast the argument, or call the function of its type.")
                .into());
        }
        Ok(Arc::new(self.definition.gives.field(self.name())))
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> EngineResult<ColumnarValue> {
        let constant = arguments.args.iter().all(|a| matches!(a, ColumnarValue::Scalar(_)));
        let rows = if constant { 1 } else { arguments.number_rows };
        let binary = self.definition.name.starts_with("jsonb");
        let call = Call { arguments: &arguments, rows, binary };
        let array = (self.definition.run)(&call)?;
        Ok(match (constant, array.as_list_opt::<i32>()) {
            (false, _) => ColumnarValue::Array(array),
            // Taken out of its array, a list would forget what its items are tagged as.
            (true, Some(list)) => ColumnarValue::Scalar(ScalarValue::List(list.clone().into())),
            (true, None) => ColumnarValue::Scalar(ScalarValue::try_from_array(&array, 0)?),
        })
    }
}

/// One call over a batch.
struct Call<'a> {
    arguments: &'a ScalarFunctionArgs,
    rows: usize,
    /// Whether it is a function of jsonb.
    binary: bool,
}

impl Call<'_> {
    fn count(&self) -> usize {
        self.arguments.args.len()
    }

    fn array(&self, index: usize) -> Result<ArrayRef> {
        let missing = || Error::new("42883", "an argument is missing");
        let argument = self.arguments.args.get(index).ok_or_else(missing)?;
        Ok(argument.to_array(self.rows)?)
    }

    fn field(&self, index: usize) -> &Field {
        &self.arguments.arg_fields[index]
    }

    /// The one value of a constant text argument.
    fn constant(&self, index: usize) -> Option<&str> {
        match self.arguments.args.get(index) {
            Some(ColumnarValue::Scalar(value)) => value.try_as_str().flatten(),
            _ => None,
        }
    }

    fn text(&self, index: usize) -> Result<StringArray> {
        let array = self.array(index)?;
        Ok(match array.data_type() {
            DataType::Utf8 => array.as_string::<i32>().clone(),
            _ => converted(&array, &DataType::Utf8)?.as_string::<i32>().clone(),
        })
    }

    /// Texts that are JSON: what is not tagged is read first, as Postgres reads a literal.
    fn json(&self, index: usize) -> Result<StringArray> {
        let texts = self.text(index)?;
        if tag(self.field(index)).is_some() {
            return Ok(texts);
        }
        if !self.binary {
            texts.iter().flatten().try_for_each(read::check)?;
            return Ok(texts);
        }
        texts.iter().map(|text| text.map(document::normal).transpose()).collect()
    }

    fn boolean(&self, index: usize) -> Result<BooleanArray> {
        Ok(converted(&self.array(index)?, &DataType::Boolean)?.as_boolean().clone())
    }

    /// Arrays of text: `'{a,b}'`, or an array.
    fn texts(&self, index: usize) -> Result<Vec<Option<Vec<Option<String>>>>> {
        let array = self.array(index)?;
        let of = DataType::new_list(DataType::Utf8, true);
        let array = match array.data_type() {
            DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => {
                crate::plan::read_texts(&converted(&array, &DataType::Utf8)?, &of)?
            }
            _ => converted(&array, &of)?,
        };
        let Some(lists) = array.as_list_opt::<i32>() else {
            return Ok(vec![None; self.rows]);
        };
        let texts = |row: ArrayRef| {
            let row = row.as_string::<i32>().iter().map(|text| text.map(str::to_owned));
            row.collect()
        };
        Ok(lists.iter().map(|row| row.map(texts)).collect())
    }

    /// The answer to each row whose arguments are there.
    fn each<T, C: FromIterator<Option<T>>>(
        &self,
        column: &StringArray,
        mut answer: impl FnMut(usize, &str) -> Result<Option<T>>,
    ) -> Result<C> {
        let row = |(row, text): (usize, Option<&str>)| match text {
            Some(text) => answer(row, text),
            None => Ok(None),
        };
        column.iter().enumerate().map(row).collect()
    }
}

fn converted(array: &ArrayRef, to: &DataType) -> Result<ArrayRef> {
    cast(array, to).map_err(|error| Error::Engine(error.into()))
}
