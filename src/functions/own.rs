//! The functions that Postgres does not have, for `pg_proc`: those of `udfs`, relations, and those
//! that ask models.

use std::sync::LazyLock;

use datafusion::arrow::datatypes::{DataType, Field};
use sql::pg_type::PgType;
use sql::system::own_functions::{ANY, of_models, relations};
use sql::system::{OwnArgument, OwnFunction};

/// All of them, in the order of their names.
pub fn own() -> &'static [OwnFunction] {
    static ALL: LazyLock<Vec<OwnFunction>> = LazyLock::new(|| {
        let functions = udfs::functions();
        let others = relations().chain(of_models());
        let mut all: Vec<_> = functions.iter().map(described).chain(others).collect();
        all.sort_by_key(|function| function.name);
        all
    });
    &ALL
}

fn described(function: &udfs::Function) -> OwnFunction {
    let of = |of: DataType| i64::from(PgType::of(&Field::new("", of, true)).oid);
    let argument = |argument: &udfs::Argument| OwnArgument {
        name: argument.name,
        of: argument.kind.arrow().map_or(ANY, of),
        optional: !argument.required,
    };
    OwnFunction {
        name: function.call.name,
        kind: match function.engine {
            udfs::Engine::Scalar(_) => "f",
            udfs::Engine::Aggregate(_) => "a",
            udfs::Engine::Window(_) => "w",
        },
        arguments: function.call.arguments.iter().map(argument).collect(),
        result: of(function.answer.clone()),
        several: false,
        comment: function.call.doc.summary.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn each_has_an_id_of_its_own() {
        let ids: HashSet<i64> = own().iter().map(OwnFunction::oid).collect();
        assert_eq!(ids.len(), own().len());
        assert!(own().iter().any(|function| function.name == "ab_ttest" && function.kind == "a"));
    }
}
