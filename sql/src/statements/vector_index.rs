//! CREATE INDEX … USING ivf, and REINDEX: what an index over vectors may say, and its building.
//!
//! ```text
//!   USING ivf | hnsw | ivfflat (embedding vector_ip_ops | vector_l2_ops | vector_cosine_ops)
//!                              (embedding halfvec_ip_ops | …)
//!   WITH (recall = 0.95)
//! ```
//! pgvector's methods are taken for ours, their options read and not needed. The index is built
//! from the files that have been committed; kept rows and those of this transaction are scanned
//! beside it until upkeep has put them in.

use std::sync::Arc;

use catalog::indexes::{self, LEAST_INDEXED, Measure, Segments, VECTOR_INDEX, VectorIndex};
use catalog::types::VectorType;
use catalog::{Constraint, Index, IndexKey, Table};
use datafusion::arrow::datatypes::Field;
use datafusion::sql::sqlparser::ast::{BinaryOperator, CreateIndex, Expr, ObjectName, Value};
use kernels::vectors::Kind;
use uuid::Uuid;

use super::{Context, alter_table, index};
use crate::error::{Error, Result};
use crate::names::folded;
use crate::parse::Reindex;
use crate::plan::{self, Place};
use crate::{Notice, types};

/// The methods of indexes over vectors: ours, then pgvector's.
const METHOD: &str = "ivf";
const ALIASES: [&str; 2] = ["hnsw", "ivfflat"];
/// Parameters of pgvector's methods.
const IGNORED: [&str; 3] = ["lists", "m", "ef_construction"];
/// Dimensions that an index takes.
const DIMENSIONS: usize = 4096;
/// The recall of searches where CREATE INDEX says nothing.
const RECALL: f64 = 0.95;
/// Operator classes of pgvector that there are not.
const OTHER_OPERATORS: [&str; 4] =
    ["vector_l1_ops", "halfvec_l1_ops", "sparsevec_l2_ops", "bit_hamming_ops"];

/// Whether a method is one for vectors.
pub(super) fn is_method(method: &str) -> bool {
    method == METHOD || ALIASES.contains(&method)
}

/// The index without its name.
pub(super) fn definition(
    context: &mut Context<'_>,
    create: &CreateIndex,
    table: &Table,
    method: &str,
) -> Result<Index> {
    let refused =
        |what: &str| Error::new("0A000", format!("access method \"{method}\" does not {what}"));
    if create.unique {
        return Err(refused("support unique indexes"));
    }
    let [column] = create.columns.as_slice() else {
        return Err(refused("support multicolumn indexes"));
    };
    let Expr::Identifier(name) = &column.column.expr else {
        return Err(Error::unsupported("an index over an expression"));
    };
    let options = &column.column.options;
    if options.asc.is_some() || options.nulls_first.is_some() {
        return Err(refused("support ASC/DESC options"));
    }
    let id = index::id_of(table, name)?;
    let column_of = table.columns.iter().find(|column| column.id == id);
    let Some(field) = column_of.map(|column| &column.field) else {
        return Err(Error::new("42703", format!("column \"{name}\" does not exist")));
    };
    let of = VectorType::of(field.data_type());
    let (measure, kind) = measure(column.operator_class.as_ref(), method, field)?;
    if of.is_none_or(|of| of.kind != kind) {
        let (operators, found) = (measure.operators(kind), types::shown(field));
        let message = format!("operator class \"{operators}\" does not accept data type {found}");
        return Err(Error::new("42804", message));
    }
    let Some(dimension) = of.and_then(|of| of.dimension) else {
        let message = "column does not have dimensions";
        let hint = format!("ALTER TABLE … ALTER COLUMN … TYPE {}(n) gives it some.", kind.name());
        return Err(Error::new("22023", message).with_hint(hint));
    };
    if dimension > DIMENSIONS {
        let message =
            format!("column cannot have more than {DIMENSIONS} dimensions for {METHOD} index");
        return Err(Error::new("54000", message));
    }
    let recall = recall(create)?;
    let included = create.include.iter().map(|name| index::id_of(table, name));
    let included = included.collect::<Result<Vec<i64>>>()?;
    if method != METHOD {
        let message = format!("index is of method \"{METHOD}\", not \"{method}\"");
        let hint = "Its recall is given WITH (recall = 0.95), and needs no other parameter.";
        let notice = Notice::notice(message);
        context.notices.push(Notice { hint: Some(hint.into()), ..notice });
    }
    Ok(Index {
        name: String::new(),
        method: METHOD.to_owned(),
        unique: false,
        keys: vec![IndexKey { column: id, descending: false, nulls_first: false }],
        included,
        vectors: Some(VectorIndex { uuid: Uuid::now_v7().to_string(), measure, recall }),
    })
}

/// The measure of an operator class, and of which vectors it is.
fn measure(operators: Option<&ObjectName>, method: &str, field: &Field) -> Result<(Measure, Kind)> {
    let kind = VectorType::of(field.data_type()).map_or(Kind::Single, |of| of.kind);
    let all = [Measure::InnerProduct, Measure::L2, Measure::Cosine];
    let [one, other, last] = all.map(|measure| measure.operators(kind));
    let hint = format!("Use {one}, {other} or {last}.");
    let Some(operators) = operators else {
        // As pgvector has it.
        if method == "ivfflat" && kind == Kind::Single {
            return Ok((Measure::L2, kind));
        }
        let found = types::shown(field);
        let message = format!(
            "data type {found} has no default operator class for access method \"{method}\""
        );
        return Err(Error::new("42704", message).with_hint(hint));
    };
    let name = plan::parts(operators)?.pop().unwrap_or_default();
    if let Some(found) = Measure::of_operators(&name) {
        return Ok(found);
    }
    if OTHER_OPERATORS.contains(&name.as_str()) {
        return Err(Error::unsupported(format!("an index of {name}")).with_hint(hint));
    }
    let message =
        format!("operator class \"{name}\" does not exist for access method \"{method}\"");
    Err(Error::new("42704", message).with_hint(hint))
}

/// The recall that WITH asks for.
fn recall(create: &CreateIndex) -> Result<f64> {
    let mut recall = RECALL;
    for option in &create.with {
        let Expr::BinaryOp { left, op: BinaryOperator::Eq, right } = option else {
            return Err(Error::new("42601", format!("syntax error at or near \"{option}\"")));
        };
        let name = match left.as_ref() {
            Expr::Identifier(name) => folded(name),
            other => other.to_string(),
        };
        if IGNORED.contains(&name.as_str()) {
            continue;
        }
        if !["recall", "recall_target"].contains(&name.as_str()) {
            return Err(Error::new("22023", format!("unrecognized parameter \"{name}\""))
                .with_hint("The parameter is recall."));
        }
        let text = match right.as_ref() {
            Expr::Value(value) => match &value.value {
                Value::Number(text, _) | Value::SingleQuotedString(text) => text.clone(),
                other => other.to_string(),
            },
            other => other.to_string(),
        };
        let number = text.parse::<f64>().map_err(|_| {
            Error::new(
                "22023",
                format!("invalid value for floating point option \"recall\": {text}"),
            )
        })?;
        if !(number > 0.0 && number <= 1.0) {
            let message = format!("value {text} out of bounds for option \"recall\"");
            return Err(
                Error::new("22023", message).with_detail("Valid values are over 0 and at most 1.")
            );
        }
        recall = number;
    }
    Ok(recall)
}

/// Builds an index that the table has, and says what came of it.
pub(super) async fn build(context: &mut Context<'_>, place: &Place, name: &str) -> Result<()> {
    let table = alter_table::current(context, place)?;
    let engine = context.environment.engine.clone();
    let transaction = context.lakes.of(place);
    let is_named = |c: &&Constraint| matches!(c, Constraint::Index(index) if index.name == name);
    let Some(Constraint::Index(Index { vectors: Some(of), .. })) =
        table.constraints.iter().find(is_named)
    else {
        return Ok(());
    };
    if Segments::of(transaction.state(), &of.uuid).is_none() {
        let none = Segments { table: table.uuid.clone(), segments: Vec::new() };
        let body = serde_json::to_value(none);
        let body = body.map_err(|error| Error::new("XX000", error.to_string()))?;
        transaction.define(VECTOR_INDEX, &of.uuid, body, true)?;
    }
    let lake = Arc::clone(transaction.lake());
    let found = indexes::of_table(&lake, transaction.state(), &table);
    let Some(index) = found.into_iter().find(|index| index.name == name) else { return Ok(()) };
    let built = transaction.build_index(&engine, &table, &index, true).await?;
    let notice = match built.segments {
        0 => Notice {
            hint: Some(format!("It is built when files hold {LEAST_INDEXED} rows or more.")),
            ..Notice::notice(format!("index \"{name}\" is empty: the table is scanned"))
        },
        _ => Notice::notice(format!("index \"{name}\" holds {} vectors", built.rows)),
    };
    context.notices.push(notice);
    Ok(())
}

/// REINDEX: indexes over vectors are built anew, others need no building.
pub(super) async fn reindex(context: &mut Context<'_>, reindex: &Reindex) -> Result<String> {
    let tag = "REINDEX".to_owned();
    let names = match reindex.table {
        true => {
            let Some((place, table)) = context.table(&reindex.name, false)? else { return Ok(tag) };
            let found = plan::Found::Relation(catalog::Relation::Table(Arc::clone(&table)));
            context.environment.must_own(context.lakes, &place, &found)?;
            let names = table.constraints.iter().filter_map(|constraint| match constraint {
                Constraint::Index(index) => Some(index.name.clone()),
                _ => None,
            });
            names.map(|name| (place.clone(), name)).collect::<Vec<_>>()
        }
        false => {
            let found = index::expect(context, &reindex.name, false, "index")?;
            found.map(|(place, found)| (place, found.name().to_owned())).into_iter().collect()
        }
    };
    for (place, name) in names {
        build(context, &place, &name).await?;
    }
    Ok(tag)
}
