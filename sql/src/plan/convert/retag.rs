//! What is selected keeps the type that only its field tells (`uuid`, `jsonb`, `oid`, …) through
//! CASE, COALESCE and its kin, and aggregates, where the engine keeps none.
//!
//! ```text
//!   SELECT coalesce(u, v), array_agg(u)   ──▶   Projection as_field(coalesce(u, v)),
//!                                                          as_field(array_agg(u)) …
//! ```
//! Of several values the type is theirs if all have the same; literals and NULL have none yet.

use std::sync::Arc;

use catalog::TYPE_KEY;
use datafusion::arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::tree_node::Transformed;
use datafusion::common::{Column, Result as EngineResult, ScalarValue};
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::{Expr, ExprSchemable, LogicalPlan};

use super::as_field;

/// The tag of a value, or that of the items of a list.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Tag {
    Value(String),
    Items(String),
}

/// What is known of a value's type.
enum Known {
    /// It takes that of its neighbours.
    Nothing,
    /// Its Arrow type says all.
    Plain,
    Tagged(Tag),
}

/// A selected item with its type.
pub(super) fn projected(item: Expr, input: &LogicalPlan) -> EngineResult<Transformed<Expr>> {
    let bare = match &item {
        Expr::Alias(alias) => alias.expr.as_ref(),
        other => other,
    };
    if !loses(bare, input) {
        return Ok(Transformed::no(item));
    }
    let Known::Tagged(tag) = known(bare, input) else { return Ok(Transformed::no(item)) };
    let (_, of) = bare.to_field(input.schema())?;
    let call = |value| as_field::call(value, field(&of, tag));
    Ok(Transformed::yes(match item {
        Expr::Alias(mut alias) => {
            alias.expr = Box::new(call(*alias.expr));
            Expr::Alias(alias)
        }
        other => {
            let name = other.schema_name().to_string();
            call(other).alias(name)
        }
    }))
}

/// Whether the item is of a kind that the engine forgets the type of.
fn loses(item: &Expr, input: &LogicalPlan) -> bool {
    match item {
        Expr::Case(_) => true,
        Expr::ScalarFunction(call) => unifies(call).is_some(),
        Expr::Column(column) => aggregate(column, input).is_some(),
        _ => false,
    }
}

fn known(item: &Expr, input: &LogicalPlan) -> Known {
    match item {
        Expr::Alias(alias) => known(&alias.expr, input),
        Expr::Literal(ScalarValue::Utf8(_) | ScalarValue::Null, None) => Known::Nothing,
        Expr::Case(case) => {
            let branches = case.when_then_expr.iter().map(|(_, then)| then).chain(&case.else_expr);
            common(branches.map(|branch| known(branch, input)))
        }
        Expr::ScalarFunction(call) => match unifies(call) {
            Some(count) => common(call.args.iter().take(count).map(|arg| known(arg, input))),
            None => of_field(item, input),
        },
        Expr::Column(column) => match aggregate(column, input) {
            Some((call, below)) => of_aggregate(call, below),
            None => of_field(item, input),
        },
        _ => of_field(item, input),
    }
}

/// How many of the call's arguments its type is of.
fn unifies(call: &ScalarFunction) -> Option<usize> {
    match call.func.name() {
        "coalesce" | "greatest" | "least" => Some(call.args.len()),
        "nullif" => Some(1),
        _ => None,
    }
}

/// The aggregate that a column of the input is, and the aggregate's input.
fn aggregate<'p>(column: &Column, input: &'p LogicalPlan) -> Option<(&'p Expr, &'p LogicalPlan)> {
    match input {
        LogicalPlan::Filter(having) => aggregate(column, &having.input),
        LogicalPlan::Aggregate(node) => {
            let mut calls = node.aggr_expr.iter();
            let call = calls.find(|call| call.schema_name().to_string() == column.name)?;
            Some((call, &node.input))
        }
        _ => None,
    }
}

fn of_aggregate(call: &Expr, input: &LogicalPlan) -> Known {
    let call = match call {
        Expr::Alias(alias) => alias.expr.as_ref(),
        other => other,
    };
    let Expr::AggregateFunction(call) = call else { return Known::Plain };
    let Some(value) = call.params.args.first() else { return Known::Plain };
    match (call.func.name(), known(value, input)) {
        ("array_agg", Known::Tagged(Tag::Value(tag))) => Known::Tagged(Tag::Items(base(&tag))),
        ("first_value" | "last_value" | "nth_value" | "only_value", found) => found,
        // Of other types Postgres takes the greatest as text, or not at all.
        ("min" | "max", Known::Tagged(Tag::Value(tag))) if tag == "oid" => {
            Known::Tagged(Tag::Value(tag))
        }
        _ => Known::Plain,
    }
}

fn of_field(item: &Expr, input: &LogicalPlan) -> Known {
    let Ok((_, field)) = item.to_field(input.schema()) else { return Known::Plain };
    let tag = |field: &Field| field.metadata().get(TYPE_KEY).cloned();
    let found = tag(&field).map(Tag::Value).or_else(|| match field.data_type() {
        DataType::List(item) => tag(item).map(Tag::Items),
        _ => None,
    });
    match (found, field.data_type()) {
        (Some(tag), _) => Known::Tagged(tag),
        (None, DataType::Null) => Known::Nothing,
        (None, _) => Known::Plain,
    }
}

/// The type of values of which each may be the result.
fn common(values: impl Iterator<Item = Known>) -> Known {
    let mut whole = Known::Nothing;
    for value in values {
        whole = match (whole, value) {
            (known, Known::Nothing) | (Known::Nothing, known) => known,
            (Known::Tagged(one), Known::Tagged(other)) => match both(one, &other) {
                Some(tag) => Known::Tagged(tag),
                None => return Known::Plain,
            },
            (Known::Plain, _) | (_, Known::Plain) => return Known::Plain,
        };
    }
    whole
}

/// Of `varchar(3)` and `varchar(5)` it is `varchar`.
fn both(one: Tag, other: &Tag) -> Option<Tag> {
    if one == *other {
        return Some(one);
    }
    match (&one, other) {
        (Tag::Value(one), Tag::Value(other)) if base(one) == base(other) => {
            Some(Tag::Value(base(one)))
        }
        _ => None,
    }
}

/// The type without its length.
fn base(tag: &str) -> String {
    match tag.split_once('(') {
        Some(("char" | "character", _)) => "bpchar".into(),
        Some((name, _)) => name.to_owned(),
        None => tag.to_owned(),
    }
}

/// The field of a value with a tag.
fn field(of: &Field, tag: Tag) -> FieldRef {
    let (nullable, data_type) = (of.is_nullable(), of.data_type().clone());
    let tagged = |field: Field, tag: String| {
        let tag = [(TYPE_KEY.to_owned(), tag)];
        Arc::new(field.with_metadata(tag.into()))
    };
    match (tag, data_type) {
        (Tag::Items(tag), DataType::List(item)) => {
            let item = tagged(Field::clone(&item), tag);
            Arc::new(Field::new("value", DataType::List(item), nullable))
        }
        (Tag::Value(tag) | Tag::Items(tag), data_type) => {
            tagged(Field::new("value", data_type, nullable), tag)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(tags: &[Option<&str>]) -> Option<Tag> {
        let known = |tag: &Option<&str>| match tag {
            Some("") => Known::Plain,
            Some(tag) => Known::Tagged(Tag::Value((*tag).to_owned())),
            None => Known::Nothing,
        };
        match common(tags.iter().map(known)) {
            Known::Tagged(tag) => Some(tag),
            Known::Nothing | Known::Plain => None,
        }
    }

    // PostgreSQL 15: pg_typeof(coalesce(…)).
    #[test]
    fn values_of_one_type_have_it_together() {
        let value = |tag: &str| Some(Tag::Value(tag.to_owned()));
        assert_eq!(of(&[Some("uuid"), None, Some("uuid")]), value("uuid"));
        assert_eq!(of(&[Some("varchar(3)"), Some("varchar(5)")]), value("varchar"));
        assert_eq!(of(&[Some("varchar(3)"), Some("varchar(3)")]), value("varchar(3)"));
        assert_eq!(of(&[Some("uuid"), Some("")]), None);
        assert_eq!(of(&[Some("json"), Some("jsonb")]), None);
        assert_eq!(of(&[None]), None);
    }
}
