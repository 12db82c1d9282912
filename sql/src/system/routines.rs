//! Functions of `pg_proc` as text: their arguments, results and definitions.

use std::collections::HashMap;
use std::sync::LazyLock;

use super::functions::{Connection, OfObject};
use super::own_functions::OwnFunction;
use super::pg_catalog::built_in;
use super::{definitions, type_names};
use crate::error::{Error, Result};

struct Routine {
    cells: Vec<Option<String>>,
    types: Vec<i64>,
}

/// Columns of `pg_proc.txt`: those of `pg_proc`, and the arguments behind them.
mod column {
    pub const NAME: usize = 1;
    pub const LANGUAGE: usize = 4;
    pub const COST: usize = 5;
    pub const ROWS: usize = 6;
    pub const SUPPORT: usize = 8;
    pub const KIND: usize = 9;
    pub const LEAKPROOF: usize = 11;
    pub const STRICT: usize = 12;
    pub const SEVERAL: usize = 13;
    pub const VOLATILE: usize = 14;
    pub const PARALLEL: usize = 15;
    pub const RESULT: usize = 18;
    pub const TYPES: usize = 19;
    pub const SOURCE: usize = 25;
    pub const LIBRARY: usize = 26;
    pub const ARGUMENTS: usize = 30;
}

static ROUTINES: LazyLock<HashMap<i64, Routine>> = LazyLock::new(|| {
    let row = |cells: Vec<Option<String>>| {
        let types = cells.get(column::TYPES)?.as_deref()?.split_whitespace();
        let types = types.filter_map(|oid| oid.parse().ok()).collect();
        Some((cells.first()?.as_deref()?.parse().ok()?, Routine { cells, types }))
    };
    built_in::lines("pg_proc").filter_map(row).collect()
});

impl Routine {
    fn cell(&self, column: usize) -> &str {
        self.cells.get(column).and_then(Option::as_deref).unwrap_or_default()
    }

    fn is(&self, column: usize) -> bool {
        self.cell(column) == "t"
    }

    fn result(&self) -> Option<String> {
        let name = type_names::shown(self.cell(column::RESULT).parse().ok()?, None)?;
        Some(if self.is(column::SEVERAL) { format!("SETOF {name}") } else { name })
    }

    /// As `pg_get_functiondef` writes it.
    fn definition(&self) -> Option<String> {
        let name = definitions::quoted(self.cell(column::NAME));
        let language: i64 = self.cell(column::LANGUAGE).parse().ok()?;
        let language_name = built_in::names("pg_language").get(&language)?;
        let mut options = String::new();
        let mut say = |when: bool, word: &str| {
            if when {
                options.push(' ');
                options.push_str(word);
            }
        };
        say(self.cell(column::KIND) == "w", "WINDOW");
        say(self.cell(column::VOLATILE) == "i", "IMMUTABLE");
        say(self.cell(column::VOLATILE) == "s", "STABLE");
        say(self.cell(column::PARALLEL) == "s", "PARALLEL SAFE");
        say(self.cell(column::PARALLEL) == "r", "PARALLEL RESTRICTED");
        say(self.is(column::STRICT), "STRICT");
        say(self.is(column::LEAKPROOF), "LEAKPROOF");
        // What a function of the language costs unless it says so.
        let cost = if matches!(*language_name, "internal" | "c") { "1" } else { "100" };
        let given = self.cell(column::COST);
        say(given != cost, &format!("COST {given}"));
        let rows = self.cell(column::ROWS);
        say(!matches!(rows, "0" | "1000"), &format!("ROWS {rows}"));
        let support: i64 = self.cell(column::SUPPORT).parse().unwrap_or(0);
        if let Some(support) = built_in::names("pg_proc").get(&support) {
            say(true, &format!("SUPPORT {support}"));
        }
        if !options.is_empty() {
            options.push('\n');
        }
        let library = self.cells.get(column::LIBRARY).and_then(Option::as_deref);
        let library = library.map_or_else(String::new, |library| format!("'{library}', "));
        Some(format!(
            "CREATE OR REPLACE FUNCTION pg_catalog.{name}({})\n RETURNS {}\n LANGUAGE {language_name}\n\
             {options}AS {library}$function${}$function$\n",
            self.cell(column::ARGUMENTS),
            self.result()?,
            self.cell(column::SOURCE),
        ))
    }
}

/// The types of the arguments, as in `regprocedure`.
pub fn argument_types(oid: i64) -> Option<String> {
    Some(type_list(&ROUTINES.get(&oid)?.types))
}

/// An operator with the types of its sides, as in `regoperator`.
pub fn operator(oid: i64) -> Option<String> {
    static OPERATORS: LazyLock<HashMap<i64, (String, [i64; 2])>> = LazyLock::new(|| {
        let row = |cells: Vec<Option<String>>| {
            let cell = |index: usize| cells.get(index).and_then(Option::as_deref);
            let number = |index: usize| cell(index).and_then(|text| text.parse().ok());
            Some((number(0)?, (cell(1)?.to_owned(), [number(7)?, number(8)?])))
        };
        built_in::lines("pg_operator").filter_map(row).collect()
    });
    let (name, sides) = OPERATORS.get(&oid)?;
    let side = |of: i64| match of {
        0 => "NONE".to_owned(),
        of => type_names::shown(of, None).unwrap_or_default(),
    };
    Some(format!("{name}({},{})", side(sides[0]), side(sides[1])))
}

fn type_list(types: &[i64]) -> String {
    let names = types.iter().map(|oid| type_names::shown(*oid, None).unwrap_or_default());
    names.collect::<Vec<_>>().join(",")
}

/// The function that a text names, with the types of its arguments if they must be given.
pub fn named(own: &[OwnFunction], name: &str, types: Option<&[i64]>) -> Result<Option<i64>> {
    let built_in = ROUTINES.iter().filter(|(_, routine)| routine.cell(column::NAME) == name);
    let fits = |of: &[i64]| types.is_none_or(|types| types == of);
    let mut found: Vec<i64> =
        built_in.filter(|(_, routine)| fits(&routine.types)).map(|(oid, _)| *oid).collect();
    for function in own.iter().filter(|function| function.name == name) {
        let of: Vec<i64> = function.arguments.iter().map(|argument| argument.of).collect();
        if fits(&of) {
            found.push(function.oid());
        }
    }
    match found.as_slice() {
        [] => Ok(None),
        [only] => Ok(Some(*only)),
        _ => Err(Error::new("42725", format!("more than one function named \"{name}\""))),
    }
}

/// The functions about functions.
pub(super) fn functions(connection: &Connection) -> Vec<OfObject> {
    let of = |name: &'static str,
              own: fn(&OwnFunction) -> String,
              built_in: fn(&Routine) -> Result<Option<String>>| {
        let live = std::sync::Arc::clone(&connection.live);
        OfObject::text(name, connection, move |_, oid, _| {
            match live.functions().iter().find(|function| function.oid() == oid) {
                Some(function) => Ok(Some(own(function))),
                None => ROUTINES.get(&oid).map_or(Ok(None), built_in),
            }
        })
    };
    vec![
        of(
            "pg_get_function_arguments",
            |own| own.arguments(true),
            |routine| Ok(Some(routine.cell(column::ARGUMENTS).to_owned())),
        ),
        of(
            "pg_get_function_identity_arguments",
            |own| own.arguments(false),
            |routine| Ok(Some(without_defaults(routine.cell(column::ARGUMENTS)))),
        ),
        of("pg_get_function_result", own_result, |routine| Ok(routine.result())),
        of("pg_get_functiondef", own_definition, |routine| match routine.cell(column::KIND) {
            "a" => {
                let message =
                    format!("\"{}\" is an aggregate function", routine.cell(column::NAME));
                Err(Error::new("42809", message))
            }
            _ => Ok(routine.definition()),
        }),
    ]
}

fn without_defaults(arguments: &str) -> String {
    let plain = |argument: &str| argument.split(" DEFAULT ").next().map(str::to_owned);
    arguments.split(", ").filter_map(plain).collect::<Vec<_>>().join(", ")
}

fn own_result(function: &OwnFunction) -> String {
    let name = type_names::shown(function.result, None).unwrap_or_default();
    if function.several { format!("SETOF {name}") } else { name }
}

/// Ours are shown as Postgres shows its own; an aggregate too, since there is no other text of it.
fn own_definition(function: &OwnFunction) -> String {
    format!(
        "CREATE OR REPLACE FUNCTION pg_catalog.{name}({})\n RETURNS {}\n LANGUAGE internal\n\
         AS $function${name}$function$\n",
        function.arguments(true),
        own_result(function),
        name = function.name,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    // PostgreSQL 15: pg_get_function_arguments(oid) and its kin.
    #[test]
    fn as_postgres_writes_them() {
        let id = |name: &str| named(&[], name, None).unwrap().unwrap();
        let set = &ROUTINES[&id("jsonb_set")];
        assert_eq!(
            set.cell(column::ARGUMENTS),
            "jsonb_in jsonb, path text[], replacement jsonb, create_if_missing boolean DEFAULT true"
        );
        assert_eq!(
            without_defaults(set.cell(column::ARGUMENTS)),
            "jsonb_in jsonb, path text[], replacement jsonb, create_if_missing boolean"
        );
        assert_eq!(set.result().unwrap(), "jsonb");
        assert_eq!(ROUTINES[&id("pg_get_keywords")].result().unwrap(), "SETOF record");
        assert_eq!(argument_types(id("jsonb_set")).unwrap(), "jsonb,text[],jsonb,boolean");
        // 96 and 558 are `=` of integers and `-` of one.
        assert_eq!(operator(96).unwrap(), "=(integer,integer)");
        assert_eq!(operator(558).unwrap(), "-(NONE,integer)");
        assert_eq!(named(&[], "lower", Some(&[25])).unwrap(), Some(870));
        assert_eq!(named(&[], "lower", Some(&[16])).unwrap(), None);
        assert!(matches!(
            named(&[], "lower", None),
            Err(Error::Statement { sqlstate: "42725", .. })
        ));
    }
}
