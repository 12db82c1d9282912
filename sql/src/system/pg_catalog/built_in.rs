//! What Postgres is built with: types, functions, operators, casts and what is said about them.
//!
//! The files of `built_in/` are PostgreSQL 15's own catalog as `COPY … TO` writes it, a row a line.
//! Columns are those of `relations.txt`; `regproc` is written as the number. `pg_proc` has one
//! more, the arguments as `pg_get_function_arguments` gives them. `classes.txt` lists the system
//! relations.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, LazyLock, OnceLock};

use datafusion::arrow::array::{
    ArrayRef, BooleanArray, Int16Builder, Int64Builder, ListBuilder, StringArray, StringBuilder,
};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, SchemaRef};
use datafusion::arrow::record_batch::{RecordBatch, RecordBatchOptions};

use super::SCHEMAS;
use crate::error::{Error, Result};
use crate::pg_type::{HALFVEC_ARRAY_OID, HALFVEC_OID, VECTOR_ARRAY_OID, VECTOR_OID};

const FILES: &[(&str, &str)] = &[
    ("pg_aggregate", include_str!("built_in/pg_aggregate.txt")),
    ("pg_am", include_str!("built_in/pg_am.txt")),
    ("pg_amop", include_str!("built_in/pg_amop.txt")),
    ("pg_amproc", include_str!("built_in/pg_amproc.txt")),
    ("pg_cast", include_str!("built_in/pg_cast.txt")),
    ("pg_collation", include_str!("built_in/pg_collation.txt")),
    ("pg_conversion", include_str!("built_in/pg_conversion.txt")),
    ("pg_description", include_str!("built_in/pg_description.txt")),
    ("pg_get_keywords", include_str!("built_in/pg_get_keywords.txt")),
    ("pg_language", include_str!("built_in/pg_language.txt")),
    ("pg_opclass", include_str!("built_in/pg_opclass.txt")),
    ("pg_operator", include_str!("built_in/pg_operator.txt")),
    ("pg_opfamily", include_str!("built_in/pg_opfamily.txt")),
    ("pg_proc", include_str!("built_in/pg_proc.txt")),
    ("pg_range", include_str!("built_in/pg_range.txt")),
    ("pg_tablespace", include_str!("built_in/pg_tablespace.txt")),
    ("pg_ts_config", include_str!("built_in/pg_ts_config.txt")),
    ("pg_ts_config_map", include_str!("built_in/pg_ts_config_map.txt")),
    ("pg_ts_dict", include_str!("built_in/pg_ts_dict.txt")),
    ("pg_ts_parser", include_str!("built_in/pg_ts_parser.txt")),
    ("pg_ts_template", include_str!("built_in/pg_ts_template.txt")),
    ("pg_type", include_str!("built_in/pg_type.txt")),
];

/// The id of our own index method: above Postgres' reserved range.
pub const IVF: i64 = 16_410;

const CLASSES: &str = include_str!("built_in/classes.txt");

/// A system relation.
#[derive(Debug)]
pub struct Class {
    pub oid: i64,
    pub name: &'static str,
    pub schema: &'static str,
    pub kind: &'static str,
    pub columns: i64,
    pub shared: bool,
    pub row_type: i64,
}

static ALL_CLASSES: LazyLock<Vec<Class>> = LazyLock::new(|| {
    let class = |line: &'static str| {
        let words: Vec<&'static str> = line.split('\t').collect();
        let [oid, name, schema, kind, columns, _indexed, shared, row_type] = words[..] else {
            return None;
        };
        Some(Class {
            oid: oid.parse().ok()?,
            name,
            schema,
            kind,
            columns: columns.parse().ok()?,
            shared: shared == "t",
            row_type: row_type.parse().ok()?,
        })
    };
    let own = crate::system::own_relations().map(|(schema, name, oid, columns)| Class {
        oid,
        name,
        schema,
        kind: "v",
        columns: i64::try_from(columns.fields().len()).unwrap_or(0),
        shared: false,
        row_type: 0,
    });
    CLASSES.lines().filter_map(class).chain(own).collect()
});

/// Every relation of `pg_catalog` and `information_schema`, and those of `lake` and `ml`.
pub fn classes() -> &'static [Class] {
    &ALL_CLASSES
}

/// The system relation with an id.
pub fn class(oid: i64) -> Option<&'static Class> {
    static BY_ID: LazyLock<HashMap<i64, &'static Class>> =
        LazyLock::new(|| classes().iter().map(|class| (class.oid, class)).collect());
    BY_ID.get(&oid).copied()
}

type Names = HashMap<i64, &'static str>;

/// Names of a relation's objects by id: the first column is the id, the second the name.
pub fn names(relation: &str) -> &'static Names {
    static ALL: LazyLock<HashMap<&'static str, Names>> = LazyLock::new(|| {
        let named = |line: &'static str| {
            let (oid, rest) = line.split_once('\t')?;
            Some((oid.parse().ok()?, rest.split('\t').next()?))
        };
        let mut all: HashMap<_, Names> = FILES
            .iter()
            .filter(|(name, _)| !matches!(*name, "pg_description" | "pg_settings"))
            .map(|(name, text)| (*name, text.lines().filter_map(named).collect()))
            .collect();
        if let Some(types) = all.get_mut("pg_type") {
            types.insert(i64::from(VECTOR_OID), "vector");
            types.insert(i64::from(VECTOR_ARRAY_OID), "_vector");
            types.insert(i64::from(HALFVEC_OID), "halfvec");
            types.insert(i64::from(HALFVEC_ARRAY_OID), "_halfvec");
        }
        all
    });
    static NONE: LazyLock<Names> = LazyLock::new(HashMap::new);
    ALL.get(relation).unwrap_or(&NONE)
}

/// Whether a type that Postgres comes with is in another schema than `pg_catalog`.
pub fn type_is_hidden(oid: i64) -> bool {
    static HIDDEN: LazyLock<HashSet<i64>> = LazyLock::new(|| {
        let hidden = |line: Vec<Option<String>>| match line.as_slice() {
            [Some(oid), _, Some(schema), ..] if schema != "11" => oid.parse().ok(),
            _ => None,
        };
        lines("pg_type").filter_map(hidden).collect()
    });
    HIDDEN.contains(&oid)
}

/// What is said about an object; with the name of its catalog, about one of that catalog.
pub fn description(oid: i64, catalog: Option<&str>) -> Option<String> {
    type Said = HashMap<i64, Vec<(i64, String)>>;
    static BY_ID: LazyLock<Said> = LazyLock::new(|| {
        let mut said = Said::new();
        for line in lines("pg_description") {
            let [Some(oid), Some(class), Some(part), Some(text)] = line.as_slice() else {
                continue;
            };
            if let (Ok(oid), Ok(class), "0") = (oid.parse(), class.parse(), part.as_str()) {
                said.entry(oid).or_default().push((class, text.clone()));
            }
        }
        said
    });
    let named = |of: i64| {
        catalog.is_none_or(|catalog| class(of).is_some_and(|class| class.name == catalog))
    };
    let said = BY_ID.get(&oid)?.iter().find(|(class, _)| named(*class));
    said.map(|(_, text)| text.clone())
}

/// A line's cells, without the escapes of COPY.
pub fn lines(relation: &str) -> impl Iterator<Item = Vec<Option<String>>> + use<> {
    let text = FILES.iter().find(|(name, _)| *name == relation).map_or("", |(_, text)| text);
    text.lines().map(|line| line.split('\t').map(unescaped).collect())
}

fn unescaped(cell: &str) -> Option<String> {
    match cell {
        "\\N" => None,
        cell if !cell.contains('\\') => Some(cell.to_owned()),
        cell => {
            let mut text = String::with_capacity(cell.len());
            let mut rest = cell.chars();
            while let Some(c) = rest.next() {
                match c {
                    '\\' => match rest.next() {
                        Some('n') => text.push('\n'),
                        Some('t') => text.push('\t'),
                        Some(other) => text.push(other),
                        None => {}
                    },
                    other => text.push(other),
                }
            }
            Some(text)
        }
    }
}

/// The rows of a relation, decoded once; None if it has none of these.
pub fn batch(relation: &str) -> Result<Option<RecordBatch>> {
    static DECODED: LazyLock<HashMap<&'static str, OnceLock<RecordBatch>>> =
        LazyLock::new(|| FILES.iter().map(|(name, _)| (*name, OnceLock::new())).collect());
    // Values of settings are the connection's.
    let cell = DECODED.get(relation).filter(|_| relation != "pg_settings");
    let (Some(cell), Some(schema)) = (cell, SCHEMAS.get(relation)) else { return Ok(None) };
    if let Some(batch) = cell.get() {
        return Ok(Some(batch.clone()));
    }
    let mut rows: Vec<Vec<Option<String>>> = lines(relation).collect();
    if relation == "pg_type" {
        rows.extend(vectors());
    }
    if relation == "pg_am" {
        let own = [IVF.to_string(), "ivf".into(), "0".into(), "i".into()];
        rows.push(own.map(Some).into());
    }
    let decoded = decode(schema, &rows)?;
    Ok(Some(cell.get_or_init(|| decoded).clone()))
}

/// `vector`, `halfvec` and their arrays, in the columns of `pg_type`.
pub fn vectors() -> [Vec<Option<String>>; 4] {
    let row = |oid: u32, name: &str, category: &str, element: u32, array: u32, functions: &str| {
        let text = format!(
            "{oid} {name} 11 10 -1 f b {category} f t , 0 0 {element} {array} {functions} \
             0 0 0 i x f 0 -1 0 0 \\N \\N \\N"
        );
        text.split(' ').map(unescaped).collect()
    };
    // The array's functions are those of every array.
    let (own, of_arrays) = ("0 0 0 0", "750 751 2400 2401");
    [
        row(VECTOR_OID, "vector", "U", 0, VECTOR_ARRAY_OID, own),
        row(VECTOR_ARRAY_OID, "_vector", "A", VECTOR_OID, 0, of_arrays),
        row(HALFVEC_OID, "halfvec", "U", 0, HALFVEC_ARRAY_OID, own),
        row(HALFVEC_ARRAY_OID, "_halfvec", "A", HALFVEC_OID, 0, of_arrays),
    ]
}

fn decode(schema: &SchemaRef, rows: &[Vec<Option<String>>]) -> Result<RecordBatch> {
    let engine = |error: datafusion::arrow::error::ArrowError| Error::Engine(error.into());
    let column = |(index, field): (usize, &Arc<_>)| -> Result<ArrayRef> {
        let field: &datafusion::arrow::datatypes::Field = field;
        let cells = || rows.iter().map(|row| row.get(index).and_then(Option::as_deref));
        let array: ArrayRef = match field.data_type() {
            DataType::Boolean => {
                Arc::new(cells().map(|cell| cell.map(|text| text == "t")).collect::<BooleanArray>())
            }
            DataType::List(item) => lists(cells(), item.data_type()),
            _ => Arc::new(cells().collect::<StringArray>()),
        };
        cast(&array, field.data_type()).map_err(engine)
    };
    let columns: Vec<ArrayRef> =
        schema.fields().iter().enumerate().map(column).collect::<Result<_>>()?;
    let options = RecordBatchOptions::new().with_row_count(Some(rows.len()));
    RecordBatch::try_new_with_options(Arc::clone(schema), columns, &options).map_err(engine)
}

/// `{a,"b c"}` of an array, `1 2 3` of a vector.
fn lists<'a>(cells: impl Iterator<Item = Option<&'a str>>, item: &DataType) -> ArrayRef {
    let parsed = cells.map(|cell| cell.map(items));
    match item {
        DataType::Int16 => {
            let mut list = ListBuilder::new(Int16Builder::new());
            parsed.for_each(|items| {
                list.append_option(items.map(|items| {
                    items.into_iter().map(|item| item.parse::<i16>().ok()).collect::<Vec<_>>()
                }));
            });
            Arc::new(list.finish())
        }
        DataType::Int64 => {
            let mut list = ListBuilder::new(Int64Builder::new());
            parsed.for_each(|items| {
                list.append_option(items.map(|items| {
                    items.into_iter().map(|item| item.parse::<i64>().ok()).collect::<Vec<_>>()
                }));
            });
            Arc::new(list.finish())
        }
        _ => {
            let mut list = ListBuilder::new(StringBuilder::new());
            parsed.for_each(|items| {
                list.append_option(
                    items.map(|items| items.into_iter().map(Some).collect::<Vec<_>>()),
                );
            });
            Arc::new(list.finish())
        }
    }
}

fn items(text: &str) -> Vec<String> {
    let Some(inner) = text.strip_prefix('{').and_then(|text| text.strip_suffix('}')) else {
        return text.split_whitespace().map(str::to_owned).collect();
    };
    let mut found = Vec::new();
    let (mut item, mut quoted) = (String::new(), false);
    for c in inner.chars() {
        match c {
            '"' => quoted = !quoted,
            ',' if !quoted => found.push(std::mem::take(&mut item)),
            other => item.push(other),
        }
    }
    if !inner.is_empty() {
        found.push(item);
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_is_read() {
        for (name, text) in FILES.iter().filter(|(name, _)| *name != "pg_settings") {
            let rows = batch(name).unwrap().unwrap().num_rows();
            assert!(rows >= text.lines().count(), "{name}");
        }
        assert!(classes().iter().any(|class| class.oid == 1259 && class.name == "pg_class"));
        assert_eq!(names("pg_type")[&23], "int4");
    }

    #[test]
    fn items_of_arrays_and_vectors() {
        assert_eq!(items("{a,\"b, c\",\"\"}"), ["a", "b, c", ""]);
        assert_eq!(items("1 22"), ["1", "22"]);
        assert!(items("{}").is_empty());
    }
}
