//! `pg_relation_size` and its kin: bytes of the files that a table has at the statement's snapshot.
//!
//! Files are listed only for statements that ask: `load` runs while one is planned, the functions
//! answer from what it found. A plan never outlives its snapshot, so the sizes are still right when
//! it runs again. Rows that are inlined in the catalog, indexes and views take no files.

use std::collections::HashMap;
use std::ops::ControlFlow;
use std::sync::{Arc, RwLock};

use catalog::{Relation, TableRows};
use datafusion::arrow::array::{ArrayRef, Int64Array};
use datafusion::arrow::datatypes::DataType;
use datafusion::common::Result as EngineResult;
use datafusion::logical_expr::expr_fn::SimpleScalarUDF;
use datafusion::logical_expr::{ColumnarValue, ScalarUDF, Signature, Volatility};
use datafusion::sql::sqlparser::ast::{Expr, Statement, visit_expressions};

use super::functions::{Connection, constraint, find, ids};
use super::oid;
use crate::error::Result;
use crate::names::folded;
use crate::plan::{Environment, Lakes};

/// Bytes by relation.
pub type Sizes = RwLock<HashMap<i64, i64>>;

const OF_RELATIONS: &[&str] =
    &["pg_relation_size", "pg_table_size", "pg_total_relation_size", "pg_indexes_size"];
const OF_ALL: &[&str] = &["pg_database_size", "pg_tablespace_size"];

/// Finds the sizes, if the statement has one of the functions.
pub(crate) async fn load(
    environment: &Environment,
    lakes: &Lakes,
    statement: &Statement,
) -> Result<()> {
    let Some(live) = environment.live.as_ref().filter(|_| asks(statement)) else { return Ok(()) };
    let mut found = HashMap::new();
    for (transaction, temp) in [(Some(&lakes.main), false), (lakes.temp.as_ref(), true)] {
        let Some(transaction) = transaction else { continue };
        for relation in transaction.state().schemas.values().flat_map(|s| s.relations.values()) {
            let Relation::Table(table) = relation else { continue };
            let rows = transaction.rows(table).await?;
            found.insert(oid::of(table.id, temp), bytes(&rows));
        }
    }
    if let Ok(mut sizes) = live.sizes().write() {
        *sizes = found;
    }
    Ok(())
}

/// Bytes of a table's files.
pub(crate) fn bytes(rows: &TableRows) -> i64 {
    let bytes: u64 = rows.files.iter().map(|file| file.size).sum();
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

fn asks(statement: &Statement) -> bool {
    let found = visit_expressions(statement, |e| {
        let Expr::Function(call) = e else { return ControlFlow::Continue(()) };
        let name = call.name.0.last().and_then(|part| part.as_ident()).map(folded);
        let name = name.unwrap_or_default();
        match OF_RELATIONS.contains(&name.as_str()) || OF_ALL.contains(&name.as_str()) {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        }
    });
    found.is_break()
}

/// The functions of a connection.
pub(super) fn functions(connection: &Connection) -> Vec<ScalarUDF> {
    let of_relations = OF_RELATIONS.iter().map(|name| of_relation(name, connection.clone()));
    of_relations.chain(OF_ALL.iter().map(|name| of_all(name, connection.clone()))).collect()
}

type Body = dyn Fn(&[ColumnarValue]) -> EngineResult<ColumnarValue> + Send + Sync;

fn function(name: &str, body: Arc<Body>) -> ScalarUDF {
    let signature = Signature::variadic_any(Volatility::Stable);
    ScalarUDF::from(SimpleScalarUDF::new_with_signature(name, signature, DataType::Int64, body))
}

fn of_relation(name: &'static str, connection: Connection) -> ScalarUDF {
    let answer = move |arguments: &[ColumnarValue]| {
        let arrays = ColumnarValue::values_to_arrays(arguments)?;
        let state = connection.state();
        let Some(objects) = arrays.first() else { return Ok(none(1)) };
        let objects = ids(objects, state.as_deref())?;
        let sizes = connection.live.sizes().read();
        let size =
            |id: Option<i64>| {
                let (id, state) = (id?, state.as_deref()?);
                let known = find(state, id).is_some() || constraint(state, id - 1).is_some();
                let bytes = sizes.as_ref().ok()?.get(&id).copied().unwrap_or(0);
                (known || super::pg_catalog::is_built_in(id))
                    .then_some(if name == "pg_indexes_size" { 0 } else { bytes })
            };
        let sizes: Int64Array = objects.iter().map(size).collect();
        Ok(ColumnarValue::Array(Arc::new(sizes) as ArrayRef))
    };
    function(name, Arc::new(answer))
}

/// There is one database, and one place for all of it.
fn of_all(name: &'static str, connection: Connection) -> ScalarUDF {
    let answer = move |arguments: &[ColumnarValue]| {
        let rows = ColumnarValue::values_to_arrays(arguments)?.first().map_or(1, |a| a.len());
        let Ok(sizes) = connection.live.sizes().read() else { return Ok(none(rows)) };
        let all = Int64Array::from(vec![sizes.values().sum::<i64>(); rows]);
        Ok(ColumnarValue::Array(Arc::new(all) as ArrayRef))
    };
    function(name, Arc::new(answer))
}

fn none(rows: usize) -> ColumnarValue {
    ColumnarValue::Array(Arc::new(Int64Array::new_null(rows)))
}
