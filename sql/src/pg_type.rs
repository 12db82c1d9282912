//! Arrow types and Postgres types: object ids, sizes, modifiers.

use catalog::types::VectorType;
use datafusion::arrow::datatypes::{DataType, Field, IntervalUnit, TimeUnit};

use crate::system::references::KINDS;

/// Postgres has no fixed id for `vector`; ours is above its reserved range.
pub const VECTOR_OID: u32 = 16_400;
/// `vector[]`.
pub const VECTOR_ARRAY_OID: u32 = 16_401;
/// `halfvec` and `halfvec[]`.
pub const HALFVEC_OID: u32 = 16_402;
pub const HALFVEC_ARRAY_OID: u32 = 16_403;

/// Name, id, id of the array, size in bytes (-1: varies).
type Base = (&'static str, u32, u32, i16);

const BASES: &[Base] = &[
    ("bool", 16, 1000, 1),
    ("bytea", 17, 1001, -1),
    ("\"char\"", 18, 1002, 1),
    ("name", 19, 1003, 64),
    ("int8", 20, 1016, 8),
    ("int2", 21, 1005, 2),
    ("int2vector", 22, 1006, -1),
    ("int4", 23, 1007, 4),
    ("regproc", 24, 1008, 4),
    ("text", 25, 1009, -1),
    ("oid", 26, 1028, 4),
    ("xid", 28, 1011, 4),
    ("oidvector", 30, 1013, -1),
    ("json", 114, 199, -1),
    ("float4", 700, 1021, 4),
    ("float8", 701, 1022, 8),
    ("inet", 869, 1041, -1),
    ("bpchar", 1042, 1014, -1),
    ("varchar", 1043, 1015, -1),
    ("date", 1082, 1182, 4),
    ("time", 1083, 1183, 8),
    ("timestamp", 1114, 1115, 8),
    ("timestamptz", 1184, 1185, 8),
    ("interval", 1186, 1187, 16),
    ("numeric", 1700, 1231, -1),
    ("regprocedure", 2202, 2207, 4),
    ("regoper", 2203, 2208, 4),
    ("regoperator", 2204, 2209, 4),
    ("regclass", 2205, 2210, 4),
    ("regtype", 2206, 2211, 4),
    ("record", 2249, 2287, -1),
    ("void", 2278, 0, 4),
    ("uuid", 2950, 2951, 16),
    ("regconfig", 3734, 3735, 4),
    ("regdictionary", 3769, 3770, 4),
    ("jsonb", 3802, 3807, -1),
    ("regnamespace", 4089, 4090, 4),
    ("regrole", 4096, 4097, 4),
    ("regcollation", 4191, 4192, 4),
    ("vector", VECTOR_OID, VECTOR_ARRAY_OID, -1),
    ("halfvec", HALFVEC_OID, HALFVEC_ARRAY_OID, -1),
];

/// What RowDescription says about a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PgType {
    pub oid: u32,
    pub size: i16,
    pub modifier: i32,
}

impl PgType {
    /// The Postgres type of a field, by its metadata where Arrow cannot tell.
    pub fn of(field: &Field) -> Self {
        let tagged = field.metadata().get(catalog::TYPE_KEY).and_then(|text| tagged(text));
        tagged.unwrap_or_else(|| Self::of_arrow(field.data_type()))
    }

    fn of_arrow(of: &DataType) -> Self {
        let name = match of {
            DataType::Boolean => "bool",
            DataType::Int8 | DataType::UInt8 | DataType::Int16 => "int2",
            DataType::UInt16 | DataType::Int32 => "int4",
            DataType::UInt32 | DataType::Int64 => "int8",
            DataType::Float16 | DataType::Float32 => "float4",
            DataType::Float64 => "float8",
            DataType::Decimal32(precision, scale)
            | DataType::Decimal64(precision, scale)
            | DataType::Decimal128(precision, scale)
            | DataType::Decimal256(precision, scale) => {
                let modifier = match (precision, u8::try_from(*scale)) {
                    // What `numeric` without precision is.
                    (38, Ok(9)) | (_, Err(_)) => -1,
                    (_, Ok(scale)) => (i32::from(*precision) << 16 | i32::from(scale)) + 4,
                };
                return Self { modifier, ..Self::named("numeric") };
            }
            DataType::UInt64 => "numeric",
            DataType::Binary
            | DataType::LargeBinary
            | DataType::BinaryView
            | DataType::FixedSizeBinary(_) => "bytea",
            DataType::Date32 => "date",
            DataType::Time32(_) | DataType::Time64(_) => "time",
            DataType::Date64 | DataType::Timestamp(_, None) => "timestamp",
            DataType::Timestamp(_, Some(_)) => "timestamptz",
            DataType::Interval(_) | DataType::Duration(_) => "interval",
            DataType::Struct(_) => "record",
            DataType::Null | DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => "text",
            of if VectorType::of(of).is_some() => {
                VectorType::of(of).map_or("", |of| of.kind.name())
            }
            // Of another tool's making.
            DataType::FixedSizeList(item, _) if is_float(item.data_type()) => "vector",
            DataType::List(item)
            | DataType::LargeList(item)
            | DataType::ListView(item)
            | DataType::LargeListView(item)
            | DataType::FixedSizeList(item, _)
            | DataType::Map(item, _) => return Self::array_of(item),
            DataType::Dictionary(_, value) => return Self::of_arrow(value),
            DataType::RunEndEncoded(_, values) => return Self::of(values),
            DataType::Union(_, _) => "text",
        };
        Self::named(name)
    }

    /// An array has as many dimensions as it likes under one id.
    fn array_of(item: &Field) -> Self {
        let item = Self::of(item);
        let found = BASES.iter().find(|base| base.1 == item.oid || base.2 == item.oid);
        Self { oid: found.map_or(2287, |base| base.2), size: -1, modifier: item.modifier }
    }

    fn named(name: &str) -> Self {
        let found = BASES.iter().find(|base| base.0 == name);
        let (oid, size) = found.map_or((25, -1), |base| (base.1, base.3));
        Self { oid, size, modifier: -1 }
    }
}

/// `varchar(20)` → its id with modifier 24; None for a name that is not Postgres'.
fn tagged(text: &str) -> Option<PgType> {
    let (name, length) = match text.split_once('(') {
        Some((name, rest)) => (name.trim(), rest.trim_end_matches(')').trim().parse::<i32>().ok()),
        None => (text.trim(), None),
    };
    let name = match name {
        "char" | "character" => "bpchar",
        "character varying" => "varchar",
        name => name,
    };
    BASES.iter().any(|base| base.0 == name).then(|| {
        let modifier = match (name, length) {
            ("varchar" | "bpchar", Some(length)) => length + 4,
            (_, Some(length)) => length,
            (_, None) => -1,
        };
        PgType { modifier, ..PgType::named(name) }
    })
}

/// Types that are numbers of objects: 64 bits in the engine, 32 to clients.
pub fn is_object_id(oid: u32) -> bool {
    matches!(oid, 24 | 26 | 28 | 2202..=2206 | 3734 | 3769 | 4089 | 4096 | 4191)
}

/// The type of references with an id, as `regclass`: its values are written as names.
pub fn reference_kind(oid: u32) -> Option<&'static str> {
    let base = BASES.iter().find(|base| base.1 == oid)?;
    KINDS.iter().find(|kind| **kind == base.0).copied()
}

/// Elements of a vector are floats.
pub fn is_float(of: &DataType) -> bool {
    matches!(of, DataType::Float16 | DataType::Float32 | DataType::Float64)
}

/// The Postgres name of a type id, for messages.
pub fn type_name(oid: u32) -> String {
    let spelled = |name: &str| -> String {
        match name {
            "bool" => "boolean",
            "int2" => "smallint",
            "int4" => "integer",
            "int8" => "bigint",
            "float4" => "real",
            "float8" => "double precision",
            "bpchar" => "character",
            "varchar" => "character varying",
            "timestamp" => "timestamp without time zone",
            "timestamptz" => "timestamp with time zone",
            "time" => "time without time zone",
            other => other,
        }
        .to_owned()
    };
    if let Some(base) = BASES.iter().find(|base| base.1 == oid) {
        return spelled(base.0);
    }
    let array = BASES.iter().find(|base| base.2 == oid);
    array.map_or_else(|| oid.to_string(), |base| format!("{}[]", spelled(base.0)))
}

/// The element's id of an array's id.
pub fn element_oid(oid: u32) -> Option<u32> {
    BASES.iter().find(|base| base.2 == oid).map(|base| base.1)
}

/// The engine's type for a declared parameter; None leaves it to be inferred.
pub fn from_oid(oid: u32) -> Option<DataType> {
    let plain = match oid {
        16 => DataType::Boolean,
        17 => DataType::Binary,
        21 => DataType::Int16,
        23 => DataType::Int32,
        20 => DataType::Int64,
        oid if is_object_id(oid) => DataType::Int64,
        700 => DataType::Float32,
        701 => DataType::Float64,
        19 | 25 | 114 | 1042 | 1043 | 2950 | 3802 => DataType::Utf8,
        1082 => DataType::Date32,
        1083 => DataType::Time64(TimeUnit::Microsecond),
        1114 => DataType::Timestamp(TimeUnit::Microsecond, None),
        1184 => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
        1186 => DataType::Interval(IntervalUnit::MonthDayNano),
        // 18 digits on both sides of the point.
        1700 => DataType::Decimal128(38, 18),
        _ => return from_oid(element_oid(oid)?).map(|item| DataType::new_list(item, true)),
    };
    Some(plain)
}

/// A name as clients see it: the planner keeps equal names apart by a suffix after `\u{1}`.
pub fn shown_name(name: &str) -> &str {
    name.split('\u{1}').next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashMap;

    // Ids and modifiers: pg_type and pg_attribute of PostgreSQL 15.
    #[test]
    fn fields_have_the_ids_of_pg_type() {
        let field = |of: DataType| Field::new("c", of, true);
        let oid = |of: DataType| PgType::of(&field(of)).oid;
        assert_eq!(oid(DataType::Int32), 23);
        assert_eq!(oid(DataType::new_list(DataType::Utf8, true)), 1009);
        let nested = DataType::new_list(DataType::new_list(DataType::Int32, true), true);
        assert_eq!(oid(nested), 1007);
        assert_eq!(PgType::of(&field(DataType::Decimal128(10, 2))).modifier, 655_366);
        assert_eq!(PgType::of(&field(crate::types::NUMERIC)).modifier, -1);
        let tag = |text: &str| HashMap::from([(catalog::TYPE_KEY.to_owned(), text.to_owned())]);
        let varchar = field(DataType::Utf8).with_metadata(tag("varchar(20)"));
        assert_eq!(PgType::of(&varchar), PgType { oid: 1043, size: -1, modifier: 24 });
        assert_eq!(PgType::of(&field(DataType::Utf8).with_metadata(tag("uuid"))).oid, 2950);
    }
}
