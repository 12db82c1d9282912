//! The types of relations' rows and of arrays of them, as rows of `pg_type`. Functions are those of
//! every row and of every array, by their ids in Postgres.

use catalog::State;

use super::{Objects, Placed, text};
use crate::plan::TEMP_SCHEMA;
use crate::system::oid;
use crate::system::pg_catalog::Row;

impl Objects<'_> {
    pub(super) fn row_types(&self) -> Vec<Row> {
        self.relations().iter().flat_map(|placed| [of_rows(placed), of_arrays(placed)]).collect()
    }
}

fn of_rows(placed: &Placed<'_>) -> Row {
    let id = oid::of_row_type(placed.oid);
    let mut row = common(placed, id, placed.name.to_owned());
    row.extend([
        ("typtype", text("c")),
        ("typcategory", text("C")),
        ("typrelid", placed.oid.into()),
        ("typarray", (id + 1).into()),
        ("typinput", 2290_i64.into()),
        ("typoutput", 2291_i64.into()),
        ("typreceive", 2402_i64.into()),
        ("typsend", 2403_i64.into()),
    ]);
    row
}

fn of_arrays(placed: &Placed<'_>) -> Row {
    let id = oid::of_row_type(placed.oid);
    let mut row = common(placed, id + 1, format!("_{}", placed.name));
    row.extend([
        ("typtype", text("b")),
        ("typcategory", text("A")),
        ("typsubscript", 6179_i64.into()),
        ("typelem", id.into()),
        ("typinput", 750_i64.into()),
        ("typoutput", 751_i64.into()),
        ("typreceive", 2400_i64.into()),
        ("typsend", 2401_i64.into()),
        ("typanalyze", 3816_i64.into()),
    ]);
    row
}

fn common(placed: &Placed<'_>, id: i64, name: String) -> Row {
    vec![
        ("oid", id.into()),
        ("typname", text(name)),
        ("typnamespace", placed.namespace.into()),
        ("typowner", oid::OWNER.into()),
        ("typlen", (-1_i32).into()),
        ("typisdefined", true.into()),
        ("typdelim", text(",")),
        ("typalign", text("d")),
        ("typstorage", text("x")),
        ("typtypmod", (-1_i32).into()),
    ]
}

/// Schema and name of the relation whose rows, or arrays of them, are of a type; true: arrays.
pub(in crate::system) fn relation_of(state: &State, id: i64) -> Option<(&str, &str, bool)> {
    state.schemas.iter().find_map(|(schema, held)| {
        held.relations.iter().find_map(|(name, relation)| {
            let of_rows = oid::of_row_type(oid::of(relation.id(), schema == TEMP_SCHEMA));
            (of_rows == id || of_rows + 1 == id).then_some((
                schema.as_str(),
                name.as_str(),
                of_rows != id,
            ))
        })
    })
}
