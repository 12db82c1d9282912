//! Names of types as `format_type` and `regtype` write them, and the ids that such names mean.

use std::collections::HashMap;
use std::sync::LazyLock;

use datafusion::sql::sqlparser::ast::Expr;

use super::pg_catalog::built_in;
use crate::functions::identifier;
use crate::parse;
use crate::pg_type::PgType;

struct Type {
    name: String,
    namespace: i64,
    /// The element's id, of arrays only.
    element: i64,
}

static TYPES: LazyLock<HashMap<i64, Type>> = LazyLock::new(|| {
    let row = |cells: Vec<Option<String>>| {
        let cell = |index: usize| cells.get(index).cloned().flatten();
        let number = |index: usize| cell(index).and_then(|text| text.parse().ok());
        // `int2vector` and `oidvector` are of the category too.
        let element = number(13).filter(|_| cell(1).is_some_and(|name| name.starts_with('_')));
        let of = Type {
            name: cell(1)?,
            namespace: number(2).unwrap_or(0),
            element: element.unwrap_or(0),
        };
        Some((number(0)?, of))
    };
    let own = built_in::vectors().into_iter();
    built_in::lines("pg_type").chain(own).filter_map(row).collect()
});

/// By whether they are in `pg_catalog`, and name.
static IDS: LazyLock<HashMap<(bool, &'static str), i64>> = LazyLock::new(|| {
    let key = |of: &'static Type| (of.namespace == super::oid::PG_CATALOG, of.name.as_str());
    TYPES.iter().map(|(oid, of)| (key(of), *oid)).collect()
});

/// The type's name; None if there is no such type.
pub fn shown(oid: i64, modifier: Option<i32>) -> Option<String> {
    let of = TYPES.get(&oid)?;
    if of.element != 0 {
        return Some(format!("{}[]", shown(of.element, modifier)?));
    }
    let modifier = modifier.filter(|modifier| *modifier >= 0);
    let in_time = |word: &str, zone: &str| match modifier {
        Some(digits) => format!("{word}({digits}) {zone} time zone"),
        None => format!("{word} {zone} time zone"),
    };
    let sized = |name: &str, offset: i32| match modifier {
        Some(size) => format!("{name}({})", size - offset),
        None => name.to_owned(),
    };
    Some(match of.name.as_str() {
        "bool" => "boolean".into(),
        "int2" => "smallint".into(),
        "int4" => "integer".into(),
        "int8" => "bigint".into(),
        "float4" => "real".into(),
        "float8" => "double precision".into(),
        "varchar" => sized("character varying", 4),
        "bpchar" => sized("character", 4),
        "bit" => sized("bit", 0),
        "varbit" => sized("bit varying", 0),
        name @ ("vector" | "halfvec") => sized(name, 0),
        "numeric" => match modifier {
            Some(size) => format!("numeric({},{})", (size - 4) >> 16, (size - 4) & 0x7ff),
            None => "numeric".into(),
        },
        // An interval's fields and digits are not kept.
        "interval" => "interval".into(),
        "timestamp" => in_time("timestamp", "without"),
        "timestamptz" => in_time("timestamp", "with"),
        "time" => in_time("time", "without"),
        "timetz" => in_time("time", "with"),
        "char" => "\"char\"".into(),
        name if of.namespace == super::oid::PG_CATALOG => identifier(name),
        name => format!("information_schema.{}", identifier(name)),
    })
}

/// The type that a name means.
pub fn id(name: &str) -> Option<i64> {
    let spelled = || {
        let Ok(Expr::Cast { data_type, .. }) =
            parse::parse_expression(&format!("CAST(x AS {name})"))
        else {
            return None;
        };
        let field = crate::types::field("", &data_type).ok()?;
        Some(i64::from(PgType::of(&field).oid))
    };
    let plain = || {
        let bare = name.trim();
        let (bare, array) = match bare.strip_suffix("[]") {
            Some(element) => (element, "_"),
            None => (bare, ""),
        };
        let (bare, of_postgres) = match bare.rsplit_once('.') {
            Some(("pg_catalog", bare)) => (bare, true),
            Some(("information_schema", bare)) => (bare, false),
            Some(_) => return None,
            None => (bare, true),
        };
        let bare = match bare.strip_prefix('"').and_then(|bare| bare.strip_suffix('"')) {
            Some(quoted) => quoted.to_owned(),
            None => bare.to_lowercase(),
        };
        IDS.get(&(of_postgres, format!("{array}{bare}").as_str())).copied()
    };
    match name.contains('"') {
        true => plain(),
        false => spelled().or_else(plain),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // PostgreSQL 15: format_type(oid, modifier), 'name'::regtype::oid.
    #[test]
    fn names_and_ids() {
        for (name, oid, modifier, formatted) in [
            ("int4", 23, None, "integer"),
            ("integer[]", 1007, None, "integer[]"),
            ("character varying", 1043, Some(24), "character varying(20)"),
            ("_varchar", 1015, Some(24), "character varying(20)[]"),
            ("numeric", 1700, Some(655_366), "numeric(10,2)"),
            ("timestamp with time zone", 1184, None, "timestamp with time zone"),
            ("timestamptz", 1184, Some(3), "timestamp(3) with time zone"),
            ("\"char\"", 18, None, "\"char\""),
            ("char", 1042, Some(7), "character(3)"),
            ("pg_catalog.oid", 26, None, "oid"),
            ("anyelement", 2283, None, "anyelement"),
        ] {
            assert_eq!(id(name), Some(oid), "{name}");
            assert_eq!(shown(oid, modifier).as_deref(), Some(formatted));
        }
        assert_eq!(id("nosuch"), None);
        assert_eq!(shown(1, None), None);
    }
}
