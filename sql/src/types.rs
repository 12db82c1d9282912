//! Postgres types ↔ engine types.
//!
//! The engine's type carries the values; what it cannot tell (`uuid`, `jsonb`, `varchar(20)`,
//! `vector(3)`) stands beside it in the field's metadata under `catalog::TYPE_KEY`.

use std::sync::Arc;

use catalog::TYPE_KEY;
use catalog::types::VectorType;
use datafusion::arrow::datatypes::{DataType, Field, FieldRef, Fields, IntervalUnit, TimeUnit};
use datafusion::common::Result as EngineResult;
use datafusion::logical_expr::planner::TypePlanner;
use datafusion::sql::sqlparser::ast::{
    ArrayElemTypeDef, CharacterLength, DataType as Sql, ExactNumberInfo, TimezoneInfo,
};
use kernels::vectors::{DIMENSIONS, Kind};

use crate::error::{Error, Result};
use crate::system::references;

/// `numeric` without precision: Decimal128 is the widest the engine computes in.
pub(crate) const NUMERIC: DataType = DataType::Decimal128(38, NUMERIC_SCALE);
pub(crate) const NUMERIC_SCALE: i8 = 9;

/// `timestamptz`: microseconds, UTC.
pub fn timestamptz() -> DataType {
    DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))
}

/// The field of a column declared `name sql_type`.
pub fn field(name: &str, sql: &Sql) -> Result<Field> {
    let (data_type, tag) = planned(sql)?;
    let mut field = Field::new(name, data_type, true);
    if let Some(tag) = tag {
        field.set_metadata([(TYPE_KEY.to_string(), tag)].into());
    }
    Ok(field)
}

/// The engine type, and the tag that tells it from its like.
fn planned(sql: &Sql) -> Result<(DataType, Option<String>)> {
    let plain = |data_type| Ok((data_type, None));
    match sql {
        Sql::Bool | Sql::Boolean => plain(DataType::Boolean),
        Sql::Int2(_) | Sql::SmallInt(_) => plain(DataType::Int16),
        Sql::Int4(_) | Sql::Int(_) | Sql::Integer(_) => plain(DataType::Int32),
        Sql::Int8(_) | Sql::BigInt(_) => plain(DataType::Int64),
        Sql::Real | Sql::Float4 => plain(DataType::Float32),
        Sql::Double(_) | Sql::DoublePrecision | Sql::Float8 => plain(DataType::Float64),
        Sql::Float(ExactNumberInfo::Precision(bits)) if *bits <= 24 => plain(DataType::Float32),
        Sql::Float(_) => plain(DataType::Float64),
        Sql::Numeric(info) | Sql::Decimal(info) | Sql::Dec(info) => plain(decimal(info)?),
        Sql::Text | Sql::String(None) => plain(DataType::Utf8),
        Sql::Varchar(n) | Sql::CharVarying(n) | Sql::CharacterVarying(n) => {
            Ok((DataType::Utf8, Some(with_length("varchar", n))))
        }
        Sql::Char(n) | Sql::Character(n) => {
            let n = n.unwrap_or(CharacterLength::IntegerLength { length: 1, unit: None });
            Ok((DataType::Utf8, Some(with_length("char", &Some(n)))))
        }
        Sql::Bytea => plain(DataType::Binary),
        Sql::Date => plain(DataType::Date32),
        Sql::Time(_, TimezoneInfo::None | TimezoneInfo::WithoutTimeZone) => {
            plain(DataType::Time64(TimeUnit::Microsecond))
        }
        Sql::Timestamp(_, TimezoneInfo::None | TimezoneInfo::WithoutTimeZone) => {
            plain(DataType::Timestamp(TimeUnit::Microsecond, None))
        }
        Sql::Timestamp(_, _) => plain(timestamptz()),
        Sql::Interval { .. } => plain(DataType::Interval(IntervalUnit::MonthDayNano)),
        Sql::Regclass => Ok((DataType::Int64, Some("regclass".into()))),
        Sql::Uuid => Ok((DataType::Utf8, Some("uuid".into()))),
        Sql::JSON => Ok((DataType::Utf8, Some("json".into()))),
        Sql::JSONB => Ok((DataType::Utf8, Some("jsonb".into()))),
        Sql::Array(ArrayElemTypeDef::SquareBracket(element, _))
        | Sql::Array(ArrayElemTypeDef::AngleBracket(element)) => {
            let element = self::field("element", element)?;
            plain(DataType::List(Arc::new(element)))
        }
        Sql::Struct(fields, _) => {
            let fields: Result<Vec<Field>> = fields
                .iter()
                .map(|f| {
                    let name = f.field_name.as_ref().map_or("", |n| n.value.as_str());
                    self::field(name, &f.field_type)
                })
                .collect();
            plain(DataType::Struct(Fields::from(fields?)))
        }
        Sql::Custom(name, arguments) => custom(&name.to_string(), arguments),
        other => Err(undefined_type(&other.to_string())),
    }
}

fn custom(name: &str, arguments: &[String]) -> Result<(DataType, Option<String>)> {
    let bare = name.to_lowercase();
    let bare = bare.trim_start_matches("pg_catalog.").trim_matches('"');
    match bare {
        "vector" => vector(Kind::Single, arguments),
        "halfvec" => vector(Kind::Half, arguments),
        "bpchar" => Ok((DataType::Utf8, Some("bpchar".into()))),
        "name" => Ok((DataType::Utf8, Some("name".into()))),
        "text" | "varchar" => Ok((DataType::Utf8, None)),
        "bool" => Ok((DataType::Boolean, None)),
        "int2" => Ok((DataType::Int16, None)),
        "int4" => Ok((DataType::Int32, None)),
        "int8" => Ok((DataType::Int64, None)),
        "float4" => Ok((DataType::Float32, None)),
        "float8" => Ok((DataType::Float64, None)),
        "timestamptz" => Ok((timestamptz(), None)),
        name if references::kind(name).is_some() => Ok((DataType::Int64, Some(name.to_owned()))),
        _ if ELSEWHERE.contains(&bare) => Err(Error::unsupported(format!("type {bare}"))),
        _ => Err(undefined_type(bare)),
    }
}

/// Types of Postgres that are none here.
const ELSEWHERE: &[&str] = &[
    "bit",
    "box",
    "cidr",
    "circle",
    "daterange",
    "hstore",
    "inet",
    "int4range",
    "int8range",
    "line",
    "lseg",
    "macaddr",
    "money",
    "numrange",
    "path",
    "point",
    "polygon",
    "timetz",
    "tsquery",
    "tsrange",
    "tstzrange",
    "tsvector",
    "varbit",
    "xml",
];

fn undefined_type(name: &str) -> Error {
    Error::new("42704", format!("type \"{}\" does not exist", name.to_lowercase()))
}

fn vector(kind: Kind, arguments: &[String]) -> Result<(DataType, Option<String>)> {
    let name = kind.name();
    let wrong = |message: String| {
        let hint = format!("Write {name}(n) with n from 1 to {DIMENSIONS}.");
        Error::new("22023", message).with_hint(hint)
    };
    let dimension = match arguments {
        [] => None,
        [n] => match n.trim().parse::<i64>() {
            Ok(n) if n < 1 => {
                return Err(wrong(format!("dimensions for type {name} must be at least 1")));
            }
            Ok(n) if n > DIMENSIONS as i64 => {
                return Err(wrong(format!(
                    "dimensions for type {name} cannot exceed {DIMENSIONS}"
                )));
            }
            Ok(n) => usize::try_from(n).ok(),
            Err(_) => return Err(wrong("invalid type modifier".into())),
        },
        _ => return Err(wrong("invalid type modifier".into())),
    };
    let of = VectorType { kind, dimension };
    Ok((of.data_type(), Some(of.name())))
}

/// Whether it is `vector` or `halfvec` without a dimension.
pub fn is_any_vector(sql: &Sql) -> bool {
    let Sql::Custom(name, arguments) = sql else { return false };
    let name = name.to_string();
    let is_named = |kind: Kind| name.eq_ignore_ascii_case(kind.name());
    arguments.is_empty() && (is_named(Kind::Single) || is_named(Kind::Half))
}

fn with_length(name: &str, length: &Option<CharacterLength>) -> String {
    match length {
        Some(CharacterLength::IntegerLength { length, .. }) => format!("{name}({length})"),
        _ => name.to_string(),
    }
}

fn decimal(info: &ExactNumberInfo) -> Result<DataType> {
    let (precision, scale) = match info {
        ExactNumberInfo::None => return Ok(NUMERIC),
        ExactNumberInfo::Precision(precision) => (*precision, 0),
        ExactNumberInfo::PrecisionAndScale(precision, scale) => (*precision, *scale),
    };
    if !(1..=38).contains(&precision) || !(0..=precision as i64).contains(&scale) {
        return Err(Error::new("22023", format!("numeric({precision},{scale}) is out of range"))
            .with_hint("Precision is 1 to 38, scale 0 to the precision."));
    }
    Ok(DataType::Decimal128(precision as u8, scale as i8))
}

/// Types in casts; without metadata, which the engine cannot carry through a cast.
#[derive(Debug)]
pub struct PostgresTypes {
    /// Asked for what is not a type of ours (`regclass`, …).
    pub fallback: Option<Arc<dyn TypePlanner>>,
}

impl TypePlanner for PostgresTypes {
    fn plan_type_field(&self, sql: &Sql) -> EngineResult<Option<FieldRef>> {
        let error = match planned(sql) {
            Ok((data_type, _)) => return Ok(Some(Arc::new(Field::new("", data_type, true)))),
            Err(error) => error,
        };
        match &self.fallback {
            Some(fallback) => fallback.plan_type_field(sql)?.map(Some).ok_or(error.into()),
            None => Err(error.into()),
        }
    }
}

/// A type as `information_schema.columns` describes it.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Described {
    pub data_type: String,
    pub udt_name: String,
    pub character_maximum_length: Option<i32>,
    pub numeric_precision: Option<i32>,
    pub numeric_scale: Option<i32>,
    pub datetime_precision: Option<i32>,
}

/// Postgres' names of a field's type.
pub fn describe(field: &Field) -> Described {
    let tag = field.metadata().get(TYPE_KEY).map(String::as_str);
    match tag {
        Some(tag) => describe_tag(tag),
        None => describe_type(field.data_type()),
    }
}

/// The name that errors give a field's type: `integer[]`, where the catalog says ARRAY.
pub fn shown(field: &Field) -> String {
    match field.data_type() {
        of if VectorType::of(of).is_some() => {
            VectorType::of(of).map_or("", |of| of.kind.name()).into()
        }
        DataType::List(element) | DataType::LargeList(element) => format!("{}[]", shown(element)),
        _ => describe(field).data_type,
    }
}

fn named(data_type: &str, udt_name: &str) -> Described {
    Described { data_type: data_type.into(), udt_name: udt_name.into(), ..Default::default() }
}

fn describe_tag(tag: &str) -> Described {
    let (name, argument) = match tag.split_once('(') {
        Some((name, rest)) => (name, rest.trim_end_matches(')').parse().ok()),
        None => (tag, None),
    };
    let sized =
        |data_type, udt| Described { character_maximum_length: argument, ..named(data_type, udt) };
    match name {
        "varchar" => sized("character varying", "varchar"),
        "char" | "bpchar" => sized("character", "bpchar"),
        "vector" | "halfvec" => named("USER-DEFINED", name),
        other => named(other, other),
    }
}

fn describe_type(data_type: &DataType) -> Described {
    let number = |name, udt, precision, scale| Described {
        numeric_precision: Some(precision),
        numeric_scale: scale,
        ..named(name, udt)
    };
    let time = |name, udt| Described { datetime_precision: Some(6), ..named(name, udt) };
    match data_type {
        DataType::Boolean => named("boolean", "bool"),
        DataType::Int8 | DataType::Int16 | DataType::UInt8 => {
            number("smallint", "int2", 16, Some(0))
        }
        DataType::Int32 | DataType::UInt16 => number("integer", "int4", 32, Some(0)),
        DataType::Int64 | DataType::UInt32 => number("bigint", "int8", 64, Some(0)),
        DataType::UInt64 => number("numeric", "numeric", 20, Some(0)),
        DataType::Float16 | DataType::Float32 => number("real", "float4", 24, None),
        DataType::Float64 => number("double precision", "float8", 53, None),
        DataType::Decimal128(p, s) | DataType::Decimal256(p, s) => {
            number("numeric", "numeric", i32::from(*p), Some(i32::from(*s)))
        }
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView => named("bytea", "bytea"),
        DataType::Date32 | DataType::Date64 => {
            Described { datetime_precision: Some(0), ..named("date", "date") }
        }
        DataType::Time32(_) | DataType::Time64(_) => time("time without time zone", "time"),
        DataType::Timestamp(_, None) => time("timestamp without time zone", "timestamp"),
        DataType::Timestamp(_, Some(_)) => time("timestamp with time zone", "timestamptz"),
        DataType::Interval(_) | DataType::Duration(_) => time("interval", "interval"),
        of if VectorType::of(of).is_some() => {
            named("USER-DEFINED", VectorType::of(of).map_or("", |of| of.kind.name()))
        }
        DataType::List(e) | DataType::LargeList(e) | DataType::FixedSizeList(e, _) => {
            named("ARRAY", &format!("_{}", describe(e).udt_name))
        }
        DataType::Struct(_) => named("record", "record"),
        DataType::Dictionary(_, values) => describe_type(values),
        _ => named("text", "text"),
    }
}

/// Whether it is text, varchar or char.
pub fn is_text(field: &Field) -> bool {
    ["text", "varchar", "bpchar"].contains(&describe(field).udt_name.as_str())
}

/// Whether every value of `from` is a value of `to`: what ALTER COLUMN TYPE may do in place.
pub fn widens(from: &Field, to: &Field) -> bool {
    let (old, new) = (describe(from), describe(to));
    let is_char = |field: &Field| describe(field).udt_name == "bpchar";
    let same = match is_text(from) && is_text(to) && !is_char(from) && !is_char(to) {
        true => new.character_maximum_length.is_none_or(|length| {
            old.character_maximum_length.is_some_and(|shorter| shorter <= length)
        }),
        false => from.metadata().get(TYPE_KEY) == to.metadata().get(TYPE_KEY),
    };
    same && holds(from.data_type(), to.data_type())
}

fn holds(from: &DataType, to: &DataType) -> bool {
    use DataType::{Decimal128, Float32, Float64, Int8, Int16, Int32, Int64};
    match (from, to) {
        (a, b) if a == b => true,
        (Int8, Int16 | Int32 | Int64)
        | (Int16, Int32 | Int64)
        | (Int32, Int64)
        | (Float32, Float64) => true,
        (Decimal128(p, s), Decimal128(q, t)) => s == t && q >= p,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse::{Parsed, parse};
    use datafusion::sql::sqlparser::ast::Statement;

    fn column(sql: &str) -> Result<Field> {
        let statement = parse(&format!("create table t (c {sql})")).unwrap().remove(0);
        let Parsed::Sql(statement) = statement.parsed else { panic!("not SQL") };
        let Statement::CreateTable(table) = Arc::unwrap_or_clone(statement) else {
            panic!("not a table")
        };
        field("c", &table.columns[0].data_type)
    }

    // Names from information_schema.columns of PostgreSQL 15.
    #[test]
    fn names_are_postgres_names() {
        for (sql, data_type, udt) in [
            ("int", "integer", "int4"),
            ("float(24)", "real", "float4"),
            ("float", "double precision", "float8"),
            ("numeric(10,2)", "numeric", "numeric"),
            ("varchar(20)", "character varying", "varchar"),
            ("character varying", "character varying", "varchar"),
            ("char(3)", "character", "bpchar"),
            ("timestamp with time zone", "timestamp with time zone", "timestamptz"),
            ("timestamptz", "timestamp with time zone", "timestamptz"),
            ("uuid", "uuid", "uuid"),
            ("jsonb", "jsonb", "jsonb"),
            ("int[]", "ARRAY", "_int4"),
            ("text[]", "ARRAY", "_text"),
            ("bytea", "bytea", "bytea"),
            ("vector(3)", "USER-DEFINED", "vector"),
            ("vector", "USER-DEFINED", "vector"),
            ("halfvec(3)", "USER-DEFINED", "halfvec"),
            ("vector[]", "ARRAY", "_vector"),
        ] {
            let found = describe(&column(sql).unwrap());
            assert_eq!((found.data_type.as_str(), found.udt_name.as_str()), (data_type, udt));
        }
        assert_eq!(describe(&column("varchar(20)").unwrap()).character_maximum_length, Some(20));
    }

    #[test]
    fn unknown_and_impossible_types_are_errors() {
        for sql in ["intt", "numeric(99)", "vector(0)", "halfvec(16001)", "vector(1, 2)"] {
            assert!(column(sql).is_err(), "{sql}");
        }
    }
}
