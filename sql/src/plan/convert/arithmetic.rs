//! `+ - * / %` of numbers as calls of `Arithmetic`, a chain of terms as one call.

use std::sync::Arc;

use datafusion::arrow::datatypes::DataType;
use datafusion::common::tree_node::Transformed;
use datafusion::common::{DFSchema, Result as EngineResult, ScalarValue};
use datafusion::logical_expr::expr::{BinaryExpr, ScalarFunction};
use datafusion::logical_expr::planner::{ExprPlanner, PlannerResult, RawBinaryExpr};
use datafusion::logical_expr::sqlparser::ast::BinaryOperator;
use datafusion::logical_expr::{Expr, ExprSchemable, Operator, ScalarUDF, cast};

use super::unify;
use crate::functions::arithmetic::{Arithmetic, Step};

/// Plans them when they are read: the engine's rules refuse products of many decimals.
#[derive(Debug)]
pub struct NumberOperators;

impl ExprPlanner for NumberOperators {
    fn plan_binary_op(
        &self,
        expr: RawBinaryExpr,
        schema: &DFSchema,
    ) -> EngineResult<PlannerResult<RawBinaryExpr>> {
        let op = match expr.op {
            BinaryOperator::Plus => Operator::Plus,
            BinaryOperator::Minus => Operator::Minus,
            BinaryOperator::Multiply => Operator::Multiply,
            BinaryOperator::Divide => Operator::Divide,
            BinaryOperator::Modulo => Operator::Modulo,
            _ => return Ok(PlannerResult::Original(expr)),
        };
        let RawBinaryExpr { left, right, op: written } = expr;
        let left = read(left, &right, schema);
        let right = read(right, &left, schema);
        let expr = RawBinaryExpr { left, right, op: written };
        Ok(match step(&expr.left, op, &expr.right, schema) {
            Some(step) => PlannerResult::Planned(chained(expr.left, step, expr.right)),
            None => PlannerResult::Original(expr),
        })
    }
}

/// A literal in quotes beside a number is one of its type.
fn read(value: Expr, other: &Expr, schema: &DFSchema) -> Expr {
    match (&value, type_of(other, schema)) {
        (Expr::Literal(literal @ ScalarValue::Utf8(Some(_)), _), Some(of)) if of.is_numeric() => {
            let to = unify::beside(literal, &of);
            cast(value, to)
        }
        _ => value,
    }
}

/// `left operator right` of two numbers; anything else is left as it is.
///
/// The name of the result is that of the expression: no alias is needed.
pub(super) fn operated(expression: Expr, schema: &DFSchema) -> Transformed<Expr> {
    let Expr::BinaryExpr(BinaryExpr { left, op, right }) = expression else {
        return Transformed::no(expression);
    };
    match step(&left, op, &right, schema) {
        Some(step) => Transformed::yes(chained(*left, step, *right)),
        None => Transformed::no(Expr::BinaryExpr(BinaryExpr { left, op, right })),
    }
}

/// A chain whose terms have got other types than when it was planned; None: they have not.
pub(super) fn typed_anew(call: &ScalarFunction, schema: &DFSchema) -> Option<Expr> {
    let steps = call.func.inner().downcast_ref::<Arithmetic>()?.steps();
    let mut types = call.args.iter().map(|term| type_of(term, schema));
    let mut left = types.next()??;
    let mut anew = Vec::with_capacity(steps.len());
    for (step, right) in steps.iter().zip(types) {
        let step = step.between(&left, &right?)?;
        left = step.to().clone();
        anew.push(step);
    }
    (anew != steps).then(|| call_of(anew, call.args.clone()))
}

/// `left operator right` of two values of numeric types that are known; None: not numbers.
pub(super) fn between(
    (left, of_left): (Expr, &DataType),
    operator: Operator,
    (right, of_right): (Expr, &DataType),
) -> Option<Expr> {
    let step = Step::of(operator, of_left, of_right)?;
    Some(chained(left, step, right))
}

fn step(left: &Expr, op: Operator, right: &Expr, schema: &DFSchema) -> Option<Step> {
    Step::of(op, &type_of(left, schema)?, &type_of(right, schema)?)
}

fn type_of(value: &Expr, schema: &DFSchema) -> Option<DataType> {
    match chain(value) {
        Some(chain) => chain.to().cloned(),
        None => value.get_type(schema).ok(),
    }
}

fn chained(left: Expr, step: Step, right: Expr) -> Expr {
    let steps = chain(&left).map(|chain| chain.steps().to_vec()).unwrap_or_default();
    let same = steps.last().is_some_and(|last| last.adds() == step.adds());
    let (mut steps, mut terms) = match left {
        Expr::ScalarFunction(call) if same => (steps, call.args),
        left => (Vec::new(), vec![left]),
    };
    steps.push(step);
    terms.push(right);
    call_of(steps, terms)
}

fn call_of(steps: Vec<Step>, terms: Vec<Expr>) -> Expr {
    let function = Arc::new(ScalarUDF::from(Arithmetic::new(steps)));
    Expr::ScalarFunction(ScalarFunction::new_udf(function, terms))
}

/// The chain that an expression is.
pub(super) fn chain(expression: &Expr) -> Option<&Arithmetic> {
    match expression {
        Expr::ScalarFunction(call) => call.func.inner().downcast_ref::<Arithmetic>(),
        _ => None,
    }
}
