//! Functions of Postgres' catalogs that give rows: lists that the planner unnests.
//!
//! | function                     | a row is                                                     |
//! |------------------------------|--------------------------------------------------------------|
//! | `_pg_expandarray(array)`     | `x`, an item, and `n`, its number from 1                      |
//! | `pg_options_to_table(array)` | `option_name` and `option_value` of an item `name=value`      |
//! | `pg_partition_ancestors(t)`  | none: no table has partitions                                 |
//! | `pg_partition_tree(t)`       | none                                                          |
//! | `ts_token_type(parser)`      | `tokid`, `alias` and `description` of the default parser      |

use std::sync::Arc;

use catalog::TYPE_KEY;
use datafusion::arrow::array::{
    Array, ArrayBuilder, ArrayRef, AsArray, Int32Array, ListArray, StringArray, StringBuilder,
    StructArray, new_empty_array,
};
use datafusion::arrow::buffer::OffsetBuffer;
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, Field, FieldRef, Fields};
use datafusion::common::Result as EngineResult;
use datafusion::logical_expr::{
    ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
    Volatility,
};

use crate::error::Error;

pub(crate) const EXPAND_ARRAY: &str = "_pg_expandarray";
pub(crate) const OPTIONS: &str = "pg_options_to_table";
pub(crate) const PARTITION_ANCESTORS: &str = "pg_partition_ancestors";
pub(crate) const PARTITION_TREE: &str = "pg_partition_tree";
pub(crate) const TOKEN_TYPES: &str = "ts_token_type";

/// The tokens of the default parser: PostgreSQL 15, `SELECT * FROM ts_token_type('default')`.
const TOKENS: &[(&str, &str)] = &[
    ("asciiword", "Word, all ASCII"),
    ("word", "Word, all letters"),
    ("numword", "Word, letters and digits"),
    ("email", "Email address"),
    ("url", "URL"),
    ("host", "Host"),
    ("sfloat", "Scientific notation"),
    ("version", "Version number"),
    ("hword_numpart", "Hyphenated word part, letters and digits"),
    ("hword_part", "Hyphenated word part, all letters"),
    ("hword_asciipart", "Hyphenated word part, all ASCII"),
    ("blank", "Space symbols"),
    ("tag", "XML tag"),
    ("protocol", "Protocol head"),
    ("numhword", "Hyphenated word, letters and digits"),
    ("asciihword", "Hyphenated word, all ASCII"),
    ("hword", "Hyphenated word, all letters"),
    ("url_path", "URL path"),
    ("file", "File or path name"),
    ("float", "Decimal notation"),
    ("int", "Signed integer"),
    ("uint", "Unsigned integer"),
    ("entity", "XML entity"),
];

/// The fields of the records that a function gives; none if it gives values.
pub(crate) fn fields(function: &str) -> &'static [&'static str] {
    match function {
        EXPAND_ARRAY => &["x", "n"],
        OPTIONS => &["option_name", "option_value"],
        PARTITION_TREE => &["relid", "parentrelid", "isleaf", "level"],
        TOKEN_TYPES => &["tokid", "alias", "description"],
        _ => &[],
    }
}

pub(super) fn functions() -> Vec<ScalarUDF> {
    let function = |name| {
        ScalarUDF::from(Set { name, signature: Signature::variadic_any(Volatility::Immutable) })
    };
    [EXPAND_ARRAY, OPTIONS, PARTITION_ANCESTORS, PARTITION_TREE, TOKEN_TYPES].map(function).into()
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Set {
    name: &'static str,
    signature: Signature,
}

fn nullable(name: &str, of: DataType) -> Field {
    Field::new(name, of, true)
}

fn relation(name: &str) -> Field {
    let tag = (TYPE_KEY.to_owned(), "regclass".to_owned());
    nullable(name, DataType::Int64).with_metadata([tag].into())
}

impl Set {
    /// What an item of the list is.
    fn item(&self, argument: Option<&DataType>) -> Option<Field> {
        let row = |fields: Vec<Field>| {
            Field::new_list_field(DataType::Struct(Fields::from(fields)), true)
        };
        Some(match self.name {
            EXPAND_ARRAY => {
                let DataType::List(item) = argument? else { return None };
                let x = item.as_ref().clone().with_name("x").with_nullable(true);
                row(vec![x, nullable("n", DataType::Int32)])
            }
            OPTIONS => row(vec![
                nullable("option_name", DataType::Utf8),
                nullable("option_value", DataType::Utf8),
            ]),
            PARTITION_ANCESTORS => relation("item"),
            PARTITION_TREE => row(vec![
                relation("relid"),
                relation("parentrelid"),
                nullable("isleaf", DataType::Boolean),
                nullable("level", DataType::Int32),
            ]),
            _ => row(vec![
                nullable("tokid", DataType::Int32),
                nullable("alias", DataType::Utf8),
                nullable("description", DataType::Utf8),
            ]),
        })
    }

    fn field(&self, argument: Option<&DataType>) -> EngineResult<FieldRef> {
        let Some(item) = self.item(argument) else {
            let message = format!("function {} does not exist for these arguments", self.name);
            return Err(Error::new("42883", message).into());
        };
        Ok(Arc::new(nullable(self.name, DataType::List(Arc::new(item)))))
    }
}

impl ScalarUDFImpl for Set {
    fn name(&self) -> &str {
        self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, arguments: &[DataType]) -> EngineResult<DataType> {
        Ok(self.field(arguments.first())?.data_type().clone())
    }

    fn return_field_from_args(&self, arguments: ReturnFieldArgs) -> EngineResult<FieldRef> {
        self.field(arguments.arg_fields.first().map(|field| field.data_type()))
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> EngineResult<ColumnarValue> {
        let DataType::List(item) = arguments.return_field.data_type() else {
            return Err(Error::unsupported("this list").into());
        };
        let rows = arguments.number_rows;
        let list: ListArray = match (self.name, arguments.args.first(), item.data_type()) {
            (EXPAND_ARRAY, Some(array), DataType::Struct(fields)) => {
                expanded(&array.to_array(rows)?, item, fields)?
            }
            (OPTIONS, Some(array), DataType::Struct(fields)) => {
                options(&array.to_array(rows)?, item, fields)?
            }
            (TOKEN_TYPES, _, DataType::Struct(fields)) => tokens(rows, item, fields)?,
            _ => {
                let offsets = OffsetBuffer::from_lengths(std::iter::repeat_n(0, rows));
                ListArray::try_new(
                    Arc::clone(item),
                    offsets,
                    new_empty_array(item.data_type()),
                    None,
                )?
            }
        };
        Ok(ColumnarValue::Array(Arc::new(list)))
    }
}

/// Every item of each list with its number; of NULL, none.
fn expanded(array: &ArrayRef, item: &FieldRef, fields: &Fields) -> EngineResult<ListArray> {
    let list = array.as_list::<i32>();
    let lengths: Vec<usize> = (0..list.len())
        .map(|row| if list.is_valid(row) { list.value_length(row) as usize } else { 0 })
        .collect();
    let parts: Vec<ArrayRef> =
        (0..list.len()).filter(|row| list.is_valid(*row)).map(|row| list.value(row)).collect();
    let parts: Vec<&dyn Array> = parts.iter().map(AsRef::as_ref).collect();
    let items = match parts.is_empty() {
        true => new_empty_array(list.values().data_type()),
        false => datafusion::arrow::compute::concat(&parts)?,
    };
    let numbers: Int32Array = lengths.iter().flat_map(|length| 1..=*length as i32).collect();
    let records = StructArray::try_new(fields.clone(), vec![items, Arc::new(numbers)], None)?;
    let offsets = OffsetBuffer::from_lengths(lengths);
    Ok(ListArray::try_new(Arc::clone(item), offsets, Arc::new(records), None)?)
}

/// Names and values of the options in each list; an option without a value has NULL.
fn options(array: &ArrayRef, item: &FieldRef, fields: &Fields) -> EngineResult<ListArray> {
    let lists = cast(array, &DataType::new_list(DataType::Utf8, true))?;
    let (mut names, mut values) = (StringBuilder::new(), StringBuilder::new());
    let mut lengths = Vec::new();
    for list in lists.as_list::<i32>().iter() {
        let list = list.unwrap_or_else(|| new_empty_array(&DataType::Utf8));
        let before = names.len();
        for option in list.as_string::<i32>().iter().flatten() {
            let (name, value) =
                option.split_once('=').map_or((option, None), |(n, v)| (n, Some(v)));
            names.append_value(name);
            values.append_option(value);
        }
        lengths.push(names.len() - before);
    }
    let columns: Vec<ArrayRef> = vec![Arc::new(names.finish()), Arc::new(values.finish())];
    let records = StructArray::try_new(fields.clone(), columns, None)?;
    let offsets = OffsetBuffer::from_lengths(lengths);
    Ok(ListArray::try_new(Arc::clone(item), offsets, Arc::new(records), None)?)
}

fn tokens(rows: usize, item: &FieldRef, fields: &Fields) -> EngineResult<ListArray> {
    let all = || std::iter::repeat_n(TOKENS, rows).flatten();
    let ids: Int32Array = (0..rows).flat_map(|_| 1..=TOKENS.len() as i32).collect();
    let aliases: StringArray = all().map(|(alias, _)| Some(*alias)).collect();
    let texts: StringArray = all().map(|(_, text)| Some(*text)).collect();
    let columns: Vec<ArrayRef> = vec![Arc::new(ids), Arc::new(aliases), Arc::new(texts)];
    let records = StructArray::try_new(fields.clone(), columns, None)?;
    let offsets = OffsetBuffer::from_lengths(std::iter::repeat_n(TOKENS.len(), rows));
    Ok(ListArray::try_new(Arc::clone(item), offsets, Arc::new(records), None)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use datafusion::arrow::array::Int16Builder;
    use datafusion::arrow::array::ListBuilder;

    #[test]
    fn items_are_numbered_from_one() {
        let mut lists = ListBuilder::new(Int16Builder::new());
        lists.append_value([Some(7), None]);
        lists.append_null();
        lists.append_value([]);
        lists.append_value([Some(9)]);
        let lists: ArrayRef = Arc::new(lists.finish());
        let set =
            Set { name: EXPAND_ARRAY, signature: Signature::variadic_any(Volatility::Immutable) };
        let item = set.item(Some(lists.data_type())).unwrap();
        let DataType::Struct(fields) = item.data_type().clone() else { panic!() };
        let found = expanded(&lists, &Arc::new(item), &fields).unwrap();
        let lengths: Vec<usize> = found.iter().map(|row| row.unwrap().len()).collect();
        assert_eq!(lengths, [2, 0, 0, 1]);
        let numbers = found.values().as_struct().column(1);
        let numbers = numbers.as_primitive::<datafusion::arrow::datatypes::Int32Type>();
        assert_eq!(numbers.values().to_vec(), [1, 2, 1]);
    }
}
