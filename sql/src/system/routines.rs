//! Functions of `pg_proc` as text: their arguments and results.

use std::collections::HashMap;
use std::sync::LazyLock;

use super::pg_catalog::built_in;
use super::type_names;

struct Routine {
    /// With names, modes and defaults.
    arguments: String,
    types: Vec<i64>,
    result: i64,
    several: bool,
}

/// The column of `pg_proc.txt` behind those of `pg_proc`.
const ARGUMENTS: usize = 30;

static ROUTINES: LazyLock<HashMap<i64, Routine>> = LazyLock::new(|| {
    let row = |cells: Vec<Option<String>>| {
        let cell = |index: usize| cells.get(index).cloned().flatten();
        let types = cell(19)?;
        let routine = Routine {
            arguments: cell(ARGUMENTS)?,
            types: types.split_whitespace().filter_map(|oid| oid.parse().ok()).collect(),
            result: cell(18)?.parse().ok()?,
            several: cell(13)? == "t",
        };
        Some((cell(0)?.parse().ok()?, routine))
    };
    built_in::lines("pg_proc").filter_map(row).collect()
});

/// What `pg_get_function_arguments` gives.
pub fn arguments(oid: i64) -> Option<String> {
    Some(ROUTINES.get(&oid)?.arguments.clone())
}

/// The same without defaults.
pub fn identity_arguments(oid: i64) -> Option<String> {
    let arguments = &ROUTINES.get(&oid)?.arguments;
    let plain = |argument: &str| argument.split(" DEFAULT ").next().map(str::to_owned);
    Some(arguments.split(", ").filter_map(plain).collect::<Vec<_>>().join(", "))
}

/// What `pg_get_function_result` gives.
pub fn result(oid: i64) -> Option<String> {
    let routine = ROUTINES.get(&oid)?;
    let name = type_names::shown(routine.result, None)?;
    Some(if routine.several { format!("SETOF {name}") } else { name })
}

/// The types of the arguments, as in `regprocedure`.
pub fn argument_types(oid: i64) -> Option<String> {
    let types = &ROUTINES.get(&oid)?.types;
    let names = types.iter().map(|oid| type_names::shown(*oid, None).unwrap_or_default());
    Some(names.collect::<Vec<_>>().join(","))
}

#[cfg(test)]
mod tests {
    use super::*;

    // PostgreSQL 15: pg_get_function_arguments(oid) and its kin.
    #[test]
    fn as_postgres_writes_them() {
        let found = built_in::names("pg_proc");
        let id = |name: &str| *found.iter().find(|(_, n)| **n == name).unwrap().0;
        assert_eq!(
            arguments(id("jsonb_set")).unwrap(),
            "jsonb_in jsonb, path text[], replacement jsonb, create_if_missing boolean DEFAULT true"
        );
        assert_eq!(
            identity_arguments(id("jsonb_set")).unwrap(),
            "jsonb_in jsonb, path text[], replacement jsonb, create_if_missing boolean"
        );
        assert_eq!(result(id("jsonb_set")).unwrap(), "jsonb");
        assert_eq!(result(id("pg_get_keywords")).unwrap(), "SETOF record");
        assert_eq!(argument_types(id("jsonb_set")).unwrap(), "jsonb,text[],jsonb,boolean");
    }
}
