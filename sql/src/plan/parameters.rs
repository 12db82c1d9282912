//! Types that a statement gives its parameters where the client did not: `$1::int` is an integer,
//! `LIMIT $2` a bigint, `name = ANY ($3)` an array of what `name` is. The first use decides.

use std::ops::ControlFlow;
use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::DFSchema;
use datafusion::logical_expr::expr::{AggregateFunction, Case, Placeholder, ScalarFunction};
use datafusion::logical_expr::{Expr, ExprSchemable, Signature, TypeSignature, Values};
use datafusion::sql::sqlparser::ast::{
    Expr as Sql, LimitClause, Query, Statement, Value, Visit, Visitor,
};

/// The declared types, and those that casts and limits give the other parameters.
pub fn parameter_types(
    statement: &Statement,
    declared: Vec<Option<FieldRef>>,
) -> Vec<Option<FieldRef>> {
    let mut found = Found { types: declared };
    let _ = statement.visit(&mut found);
    found.types
}

struct Found {
    types: Vec<Option<FieldRef>>,
}

impl Found {
    fn is_of(&mut self, parameter: &Sql, field: impl FnOnce() -> Option<Field>) {
        let Some(index) = number(parameter).and_then(|number| number.checked_sub(1)) else {
            return;
        };
        if index >= usize::from(u16::MAX) || self.types.get(index).is_some_and(Option::is_some) {
            return;
        }
        let Some(field) = field() else { return };
        if self.types.len() <= index {
            self.types.resize(index + 1, None);
        }
        self.types[index] = Some(Arc::new(field));
    }
}

impl Visitor for Found {
    type Break = ();

    fn pre_visit_expr(&mut self, expression: &Sql) -> ControlFlow<()> {
        if let Sql::Cast { expr, data_type, .. } = expression {
            self.is_of(expr, || crate::types::field("", data_type).ok());
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<()> {
        let counts = match &query.limit_clause {
            Some(LimitClause::LimitOffset { limit, offset, .. }) => {
                [limit.as_ref(), offset.as_ref().map(|offset| &offset.value)]
            }
            Some(LimitClause::OffsetCommaLimit { offset, limit }) => [Some(offset), Some(limit)],
            None => [None, None],
        };
        for count in counts.into_iter().flatten() {
            self.is_of(count, || Some(Field::new("", DataType::Int64, true)));
        }
        ControlFlow::Continue(())
    }
}

/// `$3` is 3.
pub(super) fn number(expression: &Sql) -> Option<usize> {
    match expression {
        Sql::Nested(inner) => number(inner),
        Sql::Value(value) => match &value.value {
            Value::Placeholder(name) => name.strip_prefix('$')?.parse().ok(),
            _ => None,
        },
        _ => None,
    }
}

/// A call in which a parameter of no type gets that of the other arguments; None: it has none.
pub(super) fn in_call(call: &ScalarFunction, schema: &DFSchema) -> Option<Expr> {
    let args = &call.args;
    if !args.iter().any(is_open) {
        return None;
    }
    let typed = match (call.func.name(), args.as_slice()) {
        ("coalesce" | "nullif" | "greatest" | "least", args) => {
            let like = args.iter().find_map(|arg| known(arg, schema))?;
            args.iter().map(|arg| with(arg, &like)).collect()
        }
        ("array_has", [list, item]) if is_open(list) => {
            let item_field = known(item, schema)?.as_ref().clone().with_name("element");
            let list_type = DataType::List(Arc::new(item_field.with_nullable(true)));
            vec![with(list, &Arc::new(Field::new("", list_type, true))), item.clone()]
        }
        ("array_has", [list, item]) => match known(list, schema)?.data_type() {
            DataType::List(of) => vec![list.clone(), with(item, of)],
            _ => return None,
        },
        ("array_has_any" | "array_has_all", args) => {
            let like = args.iter().find_map(|arg| known(arg, schema))?;
            args.iter().map(|arg| with(arg, &like)).collect()
        }
        _ => return None,
    };
    Some(call.func.call(typed))
}

/// A call in which parameters get the types of the function's only form, or those that it decides
/// on; None: it has several.
pub(super) fn in_declared_call(call: &ScalarFunction, schema: &DFSchema) -> Option<Expr> {
    if !call.args.iter().any(is_open) {
        return None;
    }
    let Some(types) = declared(&call.func.signature().type_signature, call.args.len()) else {
        return in_own_call(call, schema);
    };
    let field = |of: &DataType| Arc::new(Field::new("", of.clone(), true));
    let typed = call.args.iter().zip(types).map(|(arg, of)| with(arg, &field(of)));
    Some(call.func.call(typed.collect()))
}

/// The same of a function that decides for itself what it takes: what NULL is for it.
fn in_own_call(call: &ScalarFunction, schema: &DFSchema) -> Option<Expr> {
    let decide = |given: &[DataType]| call.func.coerce_types(given).ok();
    let is_own = names_arguments(call.func.signature());
    let typed = decided(&call.args, schema, is_own.then_some(&decide))?;
    Some(call.func.call(typed))
}

/// The same of an aggregate.
pub(super) fn in_group(call: &AggregateFunction, schema: &DFSchema) -> Option<Expr> {
    let decide = |given: &[DataType]| call.func.coerce_types(given).ok();
    let is_own = names_arguments(call.func.signature());
    let mut typed = call.clone();
    typed.params.args = decided(&call.params.args, schema, is_own.then_some(&decide))?;
    Some(Expr::AggregateFunction(typed))
}

/// Whether it is one of ours, which decide on types and name their arguments.
fn names_arguments(signature: &Signature) -> bool {
    signature.parameter_names.is_some()
        && matches!(signature.type_signature, TypeSignature::UserDefined)
}

/// Arguments, the parameters among them of the types that a function decides on.
fn decided(
    args: &[Expr],
    schema: &DFSchema,
    decide: Option<&dyn Fn(&[DataType]) -> Option<Vec<DataType>>>,
) -> Option<Vec<Expr>> {
    if !args.iter().any(is_open) {
        return None;
    }
    let given = |arg: &Expr| match is_open(arg) {
        true => Some(DataType::Null),
        false => arg.get_type(schema).ok(),
    };
    let given: Vec<DataType> = args.iter().map(given).collect::<Option<_>>()?;
    let types = decide?(&given)?;
    let field = |of: &DataType| Arc::new(Field::new("", of.clone(), true));
    let typed = args.iter().zip(&types).map(|(arg, of)| match of {
        DataType::Null => arg.clone(),
        of => with(arg, &field(of)),
    });
    Some(typed.collect())
}

/// The types of the only form of a function that takes so many arguments.
fn declared(signature: &TypeSignature, count: usize) -> Option<&[DataType]> {
    match signature {
        TypeSignature::Exact(types) => (types.len() == count).then_some(types),
        TypeSignature::OneOf(forms) => {
            let mut fitting = forms.iter().filter_map(|form| declared(form, count));
            fitting.next().filter(|_| fitting.next().is_none())
        }
        _ => None,
    }
}

/// The same of the values that CASE gives.
pub(super) fn in_case(case: &Case, schema: &DFSchema) -> Option<Expr> {
    let values = || case.when_then_expr.iter().map(|(_, then)| then).chain(&case.else_expr);
    if !values().any(|value| is_open(value)) {
        return None;
    }
    let like = values().find_map(|value| known(value, schema))?;
    let mut typed = case.clone();
    let values = typed.when_then_expr.iter_mut().map(|(_, then)| then).chain(&mut typed.else_expr);
    values.for_each(|value| **value = with(value, &like));
    Some(Expr::Case(typed))
}

/// Rows of VALUES in which parameters of no type get that of their column; text if it has none.
pub(super) fn in_values(values: Values) -> Values {
    let empty = DFSchema::empty();
    let mut values = values;
    for column in 0..values.schema.fields().len() {
        let items = || values.values.iter().filter_map(|row| row.get(column));
        if !items().any(is_open) {
            continue;
        }
        let like = items().find_map(|item| known(item, &empty));
        let like = like.unwrap_or_else(|| Arc::new(Field::new("", DataType::Utf8, true)));
        for item in values.values.iter_mut().filter_map(|row| row.get_mut(column)) {
            *item = with(item, &like);
        }
    }
    values
}

fn is_open(expression: &Expr) -> bool {
    matches!(expression, Expr::Placeholder(Placeholder { field: None, .. }))
}

fn known(expression: &Expr, schema: &DFSchema) -> Option<FieldRef> {
    let (_, field) = expression.to_field(schema).ok()?;
    (*field.data_type() != DataType::Null).then_some(field)
}

fn with(expression: &Expr, like: &FieldRef) -> Expr {
    match expression {
        Expr::Placeholder(Placeholder { id, field: None }) => {
            let field = like.as_ref().clone().with_name("").with_nullable(true);
            Expr::Placeholder(Placeholder::new_with_field(id.clone(), Some(Arc::new(field))))
        }
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // PostgreSQL 15: PREPARE p AS …; SELECT parameter_types FROM pg_prepared_statements.
    #[test]
    fn casts_and_limits_tell_types() {
        let types = |sql: &str, declared: Vec<Option<FieldRef>>| {
            let query = crate::parse::parse_query(sql).unwrap();
            let found = parameter_types(&Statement::Query(Box::new(query)), declared);
            let name = |field: &FieldRef| crate::types::describe(field).udt_name;
            found.iter().map(|of| of.as_ref().map(name)).collect::<Vec<_>>()
        };
        let some = |text: &str| Some(text.to_owned());
        let sql = "select $1::int, a = $2, cast($3 as text[]) from t limit $4";
        assert_eq!(types(sql, vec![]), [some("int4"), None, some("_text"), some("int8")]);
        let declared = Some(Arc::new(Field::new("", DataType::Int64, true)));
        assert_eq!(types("select $1::int, $1::text", vec![declared]), [some("int8")]);
        assert_eq!(types("select $1::uuid, $1::text", vec![]), [some("uuid")]);
    }
}
