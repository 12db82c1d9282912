//! Functions that Postgres does not have, as `pg_proc` and `pg_description` show them. They are in
//! `pg_catalog`, because they are found under every search path.

use datafusion::common::ScalarValue;

use super::pg_catalog::Row;
use super::{oid, type_names};

/// A function of Sextant's own.
#[derive(Debug, Clone)]
pub struct OwnFunction {
    pub name: &'static str,
    /// `f` of a row, `a` of a group, `w` of a window.
    pub kind: &'static str,
    pub arguments: Vec<OwnArgument>,
    /// Type of the answer.
    pub result: i64,
    /// Whether it stands in FROM.
    pub several: bool,
    /// What it does.
    pub comment: String,
}

/// An argument of a function.
#[derive(Debug, Clone)]
pub struct OwnArgument {
    pub name: &'static str,
    /// The type's id.
    pub of: i64,
    /// It may be left out, or NULL, for its default.
    pub optional: bool,
}

/// Postgres' type of what may be of several types.
pub const ANY: i64 = 2276;
/// Postgres' type of rows.
const RECORD: i64 = 2249;
/// `internal`, the language of what is not written in SQL.
const INTERNAL: i64 = 12;

/// The relations that stand in FROM and take named arguments.
pub fn relations() -> impl Iterator<Item = OwnFunction> {
    let listed = crate::relations::listed().chain(crate::nearest::listed());
    let listed = listed.chain([crate::models::listed()]).chain(crate::features::LISTED);
    listed.map(|(name, arguments, comment)| OwnFunction {
        name,
        kind: "f",
        arguments: arguments
            .iter()
            .map(|name| OwnArgument { name, of: ANY, optional: true })
            .collect(),
        result: RECORD,
        several: true,
        comment: comment.to_owned(),
    })
}

/// The functions that ask models, which are rewritten before a statement is planned.
pub fn of_models() -> impl Iterator<Item = OwnFunction> {
    crate::models::FUNCTIONS.iter().map(|(name, arguments, comment)| OwnFunction {
        name,
        kind: "f",
        arguments: arguments
            .iter()
            .map(|name| OwnArgument { name, of: ANY, optional: false })
            .collect(),
        result: ANY,
        several: false,
        comment: (*comment).to_owned(),
    })
}

impl OwnFunction {
    /// Its id in `pg_proc`.
    pub fn oid(&self) -> i64 {
        oid::of_name(self.name)
    }

    /// The arguments, as `pg_get_function_arguments` gives them.
    pub(super) fn arguments(&self, defaults: bool) -> String {
        let argument = |argument: &OwnArgument| {
            let of = type_names::shown(argument.of, None).unwrap_or_default();
            let default = if defaults && argument.optional { " DEFAULT NULL" } else { "" };
            format!("{} {of}{default}", crate::functions::identifier(argument.name))
        };
        self.arguments.iter().map(argument).collect::<Vec<_>>().join(", ")
    }

    /// The row of `pg_proc`.
    pub(super) fn row(&self) -> Row {
        let text = |text: &str| ScalarValue::Utf8(Some(text.to_owned()));
        let of = |value: usize| ScalarValue::Int64(i64::try_from(value).ok());
        let types: Vec<ScalarValue> =
            self.arguments.iter().map(|argument| argument.of.into()).collect();
        let names: Vec<ScalarValue> =
            self.arguments.iter().map(|argument| text(argument.name)).collect();
        let list = |values: &[ScalarValue], of| {
            ScalarValue::List(ScalarValue::new_list_nullable(values, &of))
        };
        use datafusion::arrow::datatypes::DataType::{Int64, Utf8};
        vec![
            ("oid", self.oid().into()),
            ("proname", text(self.name)),
            ("pronamespace", oid::PG_CATALOG.into()),
            ("proowner", oid::OWNER.into()),
            ("prolang", INTERNAL.into()),
            ("procost", ScalarValue::Float32(Some(1.0))),
            ("prorows", ScalarValue::Float32(Some(if self.several { 1000.0 } else { 0.0 }))),
            ("prokind", text(self.kind)),
            ("proretset", self.several.into()),
            ("provolatile", text(if self.several { "s" } else { "i" })),
            ("proparallel", text("s")),
            ("pronargs", of(self.arguments.len())),
            ("pronargdefaults", of(self.arguments.iter().filter(|a| a.optional).count())),
            ("prorettype", self.result.into()),
            ("proargtypes", list(&types, Int64)),
            ("proargnames", list(&names, Utf8)),
            ("prosrc", text(self.name)),
        ]
    }
}
