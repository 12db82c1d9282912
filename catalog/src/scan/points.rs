//! Values that a filter asks a column for: `k = 7`, `k IN (1, 2)`, and what a join has found on its
//! other side by the time its rows are read.

use std::collections::HashSet;
use std::sync::Arc;

use datafusion::arrow::array::ArrayRef;
use datafusion::arrow::compute::sort;
use datafusion::common::ScalarValue;
use datafusion::logical_expr::Operator;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::{
    BinaryExpr, CaseExpr, Column, DynamicFilterPhysicalExpr, InListExpr, Literal,
};
use datafusion::physical_expr::utils::split_conjunction;

/// More values are not worth a search for each.
const MOST: usize = 1024;

/// What one condition of a filter asks for.
#[derive(Debug)]
pub(super) struct Points {
    pub column: String,
    /// Ascending, each once, without NULLs, which equal nothing.
    pub values: ArrayRef,
}

/// The conditions of a filter that ask for a few values of one column.
pub(super) fn points(filter: &Arc<dyn PhysicalExpr>) -> Vec<Points> {
    let mut found = Vec::new();
    for condition in split_conjunction(filter) {
        let Some((column, values)) = asked(condition) else { continue };
        let values: HashSet<_> = values.into_iter().filter(|value| !value.is_null()).collect();
        if values.is_empty() || values.len() > MOST {
            continue;
        }
        let values = ScalarValue::iter_to_array(values).map(|values| sort(&values, None));
        let Ok(Ok(values)) = values else { continue };
        found.push(Points { column: column.to_owned(), values });
    }
    found
}

/// Whether a filter asks for a few values, or may by the time that rows are read.
pub(super) fn may_ask(filter: &Arc<dyn PhysicalExpr>) -> bool {
    split_conjunction(filter).into_iter().any(|condition| {
        condition.downcast_ref::<DynamicFilterPhysicalExpr>().is_some()
            || asked(condition).is_some()
    })
}

fn asked(condition: &Arc<dyn PhysicalExpr>) -> Option<(&str, Vec<ScalarValue>)> {
    if let Some(list) = condition.downcast_ref::<InListExpr>() {
        let column = list.expr().downcast_ref::<Column>()?;
        if list.negated() {
            return None;
        }
        let values: Option<Vec<_>> = list.list().iter().map(literal).collect();
        return Some((column.name(), values?));
    }
    if let Some(case) = condition.downcast_ref::<CaseExpr>() {
        return asked_in_case(case);
    }
    let binary = condition.downcast_ref::<BinaryExpr>()?;
    match binary.op() {
        Operator::Eq => {
            let (left, right) = (binary.left(), binary.right());
            let (column, value) = match left.downcast_ref::<Column>() {
                Some(column) => (column, literal(right)?),
                None => (right.downcast_ref::<Column>()?, literal(left)?),
            };
            Some((column.name(), vec![value]))
        }
        // Short lists are written so.
        Operator::Or => {
            let (column, mut values) = asked(binary.left())?;
            let (other, more) = asked(binary.right())?;
            values.extend(more);
            (column == other).then_some((column, values))
        }
        _ => None,
    }
}

/// What a join asks for whose rows are in parts: the values of any part.
///
/// `CASE part WHEN 0 THEN k >= 1 AND k IN (1, 2) WHEN 1 THEN k IN (5) ELSE false END`
fn asked_in_case(case: &CaseExpr) -> Option<(&str, Vec<ScalarValue>)> {
    let parts = case.when_then_expr().iter().map(|(_, part)| part);
    let mut found: Option<(&str, Vec<ScalarValue>)> = None;
    for part in parts.chain([case.else_expr()?]) {
        if literal(part) == Some(ScalarValue::Boolean(Some(false))) {
            continue;
        }
        let (column, values) = split_conjunction(part).into_iter().find_map(asked)?;
        match &mut found {
            None => found = Some((column, values)),
            Some((first, all)) if *first == column => all.extend(values),
            Some(_) => return None,
        }
    }
    found
}

fn literal(expression: &Arc<dyn PhysicalExpr>) -> Option<ScalarValue> {
    expression.downcast_ref::<Literal>().map(|literal| literal.value().clone())
}
