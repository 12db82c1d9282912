//! Operators, casts and conditional expressions of `json` and `jsonb`, planned by what their
//! operands are tagged as.
//!
//! What the engine's planner would do without asking (a cast, CASE, a whole row as an argument) is
//! folded in the syntax tree to an operator of our own (`fold.rs`), which asks here.

mod fold;

use datafusion::arrow::datatypes::DataType;
use datafusion::common::{Column, DFSchema, Result as EngineResult, ScalarValue};
use datafusion::logical_expr::expr::{Case, Cast, Sort as SortKey};
use datafusion::logical_expr::planner::{
    ExprPlanner, PlannerResult, RawBinaryExpr, RawFieldAccessExpr,
};
use datafusion::logical_expr::sqlparser::ast::BinaryOperator;
use datafusion::logical_expr::{
    BinaryExpr, Expr, ExprSchemable, GetFieldAccess, LogicalPlan, Operator, Sort, cast, lit,
};

use super::{intervals, is_text, tagged};
use crate::error::Error;
use crate::functions::json;

pub(super) use fold::{fold, gives_rows};

/// `'t' whole_row t`: the row of table `t`, unless `t` is a column.
const WHOLE_ROW: &str = "whole_row";
/// `x typed NULL`: a cast, CASE or COALESCE, with the type that Postgres gives it.
const TYPED: &str = "typed";

/// See the module.
#[derive(Debug)]
pub struct JsonOperators;

impl ExprPlanner for JsonOperators {
    fn plan_binary_op(
        &self,
        expr: RawBinaryExpr,
        schema: &DFSchema,
    ) -> EngineResult<PlannerResult<RawBinaryExpr>> {
        if let BinaryOperator::Custom(name) = &expr.op {
            return Ok(PlannerResult::Planned(match name.as_str() {
                WHOLE_ROW => whole_row(&expr.left, expr.right, schema),
                TYPED => typed(expr.left, schema)?,
                _ => return Ok(PlannerResult::Original(expr)),
            }));
        }
        let (left, right) = (Kind::of(&expr.left, schema), Kind::of(&expr.right, schema));
        match call(&expr, left, right)? {
            Some((name, [first, second])) => {
                Ok(PlannerResult::Planned(json::call(name, vec![first, second])))
            }
            None => compared(expr, left, right),
        }
    }

    fn plan_field_access(
        &self,
        expr: RawFieldAccessExpr,
        schema: &DFSchema,
    ) -> EngineResult<PlannerResult<RawFieldAccessExpr>> {
        match Kind::of(&expr.expr, schema) {
            Kind::Jsonb => {}
            Kind::Json => {
                let message = "cannot subscript type json because it does not support subscripting";
                return Err(Error::new("42804", message).into());
            }
            Kind::Unknown | Kind::Other => return Ok(PlannerResult::Original(expr)),
        }
        let key = match expr.field_access {
            GetFieldAccess::NamedStructField { name } => lit(name),
            GetFieldAccess::ListIndex { key } => *key,
            GetFieldAccess::ListRange { .. } => {
                let message = "jsonb subscript does not support slices";
                return Err(Error::new("0A000", message).into());
            }
        };
        Ok(PlannerResult::Planned(json::call("jsonb_get", vec![expr.expr, key])))
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Json,
    Jsonb,
    /// A literal or a parameter, whose type its place decides.
    Unknown,
    Other,
}

impl Kind {
    fn of(expr: &Expr, schema: &DFSchema) -> Self {
        match expr {
            Expr::Literal(ScalarValue::Utf8(_) | ScalarValue::Null, None)
            | Expr::Placeholder(_) => {
                return Self::Unknown;
            }
            Expr::BinaryExpr(_) => return Self::Other,
            _ => {}
        }
        let of = expr.get_type(schema);
        if !of.as_ref().is_ok_and(is_text) {
            return Self::Other;
        }
        match super::tag(expr, schema).as_deref() {
            Some("json") => Self::Json,
            Some("jsonb") => Self::Jsonb,
            _ => Self::Other,
        }
    }

    fn is_json(self) -> bool {
        matches!(self, Self::Json | Self::Jsonb)
    }

    fn tag(self) -> Option<&'static str> {
        match self {
            Self::Json => Some("json"),
            Self::Jsonb => Some("jsonb"),
            _ => None,
        }
    }
}

/// The function of an operator, and its arguments; None: the operator is not one of json's.
fn call(
    expr: &RawBinaryExpr,
    left: Kind,
    right: Kind,
) -> EngineResult<Option<(&'static str, [Expr; 2])>> {
    use BinaryOperator as Op;
    // A parameter is taken for jsonb.
    let binary = left != Kind::Json;
    let either = |json, jsonb| if binary { jsonb } else { json };
    let jsonb =
        |one: Kind, other: Kind| one == Kind::Jsonb && matches!(other, Kind::Jsonb | Kind::Unknown);
    let both = jsonb(left, right) || jsonb(right, left);
    let name = match (&expr.op, left) {
        (Op::Arrow, _) => either("json_get", "jsonb_get"),
        (Op::LongArrow, _) => either("json_get_text", "jsonb_get_text"),
        (Op::HashArrow, _) => either("json_path", "jsonb_path"),
        (Op::HashLongArrow, _) => either("json_path_text", "jsonb_path_text"),
        (Op::AtArrow, _) if both => "jsonb_contains",
        (Op::ArrowAt, _) if both => "jsonb_contained",
        (Op::StringConcat, _) if both => "jsonb_concat",
        (Op::Minus, Kind::Jsonb) => "jsonb_delete",
        (Op::HashMinus, _) => "jsonb_delete_path",
        (Op::Question, _) => "jsonb_exists",
        (Op::QuestionPipe, _) => "jsonb_exists_any",
        (Op::QuestionAnd, _) => "jsonb_exists_all",
        (Op::AtQuestion, _) => "jsonb_path_exists_opr",
        (Op::AtAt, _) => "jsonb_path_match_opr",
        (Op::AtArrow | Op::ArrowAt, _) if left.is_json() || right.is_json() => {
            return Err(undefined(expr, left, right));
        }
        _ => return Ok(None),
    };
    let of_json = name.starts_with("json_") && left == Kind::Json;
    let fits = of_json || left == Kind::Jsonb || left == Kind::Unknown;
    if !fits && !both {
        return Err(undefined(expr, left, right));
    }
    Ok(Some((name, [expr.left.clone(), expr.right.clone()])))
}

fn undefined(expr: &RawBinaryExpr, left: Kind, right: Kind) -> datafusion::error::DataFusionError {
    let name = |kind: Kind| match kind {
        Kind::Unknown => "unknown",
        kind => kind.tag().unwrap_or("text"),
    };
    let op = &expr.op;
    let message = format!("operator does not exist: {} {op} {}", name(left), name(right));
    let hint = "No operator matches the given name and argument types. You might need to add \
                explicit type casts.";
    Error::new("42883", message).with_hint(hint).into()
}

/// jsonb compares by its sort keys, json does not.
fn compared(
    expr: RawBinaryExpr,
    left: Kind,
    right: Kind,
) -> EngineResult<PlannerResult<RawBinaryExpr>> {
    if !left.is_json() && !right.is_json() {
        return Ok(PlannerResult::Original(expr));
    }
    let op = match &expr.op {
        BinaryOperator::Eq => Operator::Eq,
        BinaryOperator::NotEq => Operator::NotEq,
        BinaryOperator::Lt => Operator::Lt,
        BinaryOperator::LtEq => Operator::LtEq,
        BinaryOperator::Gt => Operator::Gt,
        BinaryOperator::GtEq => Operator::GtEq,
        _ => return Ok(PlannerResult::Original(expr)),
    };
    let fits = |kind| matches!(kind, Kind::Jsonb | Kind::Unknown);
    if !fits(left) || !fits(right) {
        return Err(undefined(&expr, left, right));
    }
    let (left, right) = (json::sort_key(expr.left), json::sort_key(expr.right));
    Ok(PlannerResult::Planned(Expr::BinaryExpr(BinaryExpr::new(left.into(), op, right.into()))))
}

/// The columns of the table whose name is the left side, as one value.
fn whole_row(name: &Expr, value: Expr, schema: &DFSchema) -> Expr {
    let Expr::Literal(ScalarValue::Utf8(Some(name)), _) = name else { return value };
    if !matches!(&value, Expr::Column(column) if schema.index_of_column(column).is_err()) {
        return value;
    }
    let fields = schema.iter().filter(|(qualifier, _)| {
        qualifier.is_some_and(|qualifier| qualifier.table() == name.as_str())
    });
    let arguments: Vec<Expr> = fields
        .flat_map(|(qualifier, field)| {
            let column = Column::from((qualifier, field));
            [lit(crate::pg_type::shown_name(field.name())), Expr::Column(column)]
        })
        .collect();
    match arguments.is_empty() {
        true => value,
        false => json::whole_row().call(arguments),
    }
}

fn typed(expr: Expr, schema: &DFSchema) -> EngineResult<Expr> {
    match expr {
        Expr::Cast(Cast { expr, field }) => converted(*expr, Kind::of, field.data_type(), schema)
            .map(|found| match found {
                Ok(converted) => converted,
                Err(expr) => Expr::Cast(Cast { expr: Box::new(expr), field }),
            }),
        Expr::Case(Case { expr, when_then_expr, else_expr }) => {
            let branches = when_then_expr.iter().map(|(_, then)| then).chain(&else_expr);
            let tag = common(branches.map(AsRef::as_ref), schema);
            let branch = |e: Box<Expr>| Box::new(read(*e, tag));
            let case = Expr::Case(Case {
                expr,
                when_then_expr: when_then_expr.into_iter().map(|(w, t)| (w, branch(t))).collect(),
                else_expr: else_expr.map(branch),
            });
            Ok(tag.map_or(case.clone(), |tag| json::tagged(tag, case)))
        }
        Expr::ScalarFunction(call) => {
            let tag = common(call.args.iter(), schema);
            let arguments = call.args.into_iter().map(|e| read(e, tag)).collect();
            let call = call.func.call(arguments);
            Ok(tag.map_or(call.clone(), |tag| json::tagged(tag, call)))
        }
        other => Ok(other),
    }
}

/// The tag of values of which one has a tag.
fn common<'e>(
    mut values: impl Iterator<Item = &'e Expr>,
    schema: &DFSchema,
) -> Option<&'static str> {
    values.find_map(|value| Kind::of(value, schema).tag())
}

/// A literal as a value of its neighbours' type.
fn read(value: Expr, tag: Option<&str>) -> Expr {
    match (&value, tag) {
        (Expr::Literal(ScalarValue::Utf8(Some(_)), None), Some(tag)) => {
            tagged::input(value.clone(), tag).unwrap_or(value)
        }
        _ => value,
    }
}

/// A cast of json; the value again if it is none.
fn converted(
    value: Expr,
    kind: impl Fn(&Expr, &DFSchema) -> Kind,
    to: &DataType,
    schema: &DFSchema,
) -> EngineResult<Result<Expr, Expr>> {
    let kind = kind(&value, schema);
    if !kind.is_json() {
        return Ok(Err(value));
    }
    if is_text(to) {
        return Ok(Ok(tagged::plain(value)));
    }
    let scalar = match kind {
        Kind::Jsonb => json::scalar_cast(value, to),
        _ => None,
    };
    match (scalar, to) {
        (Some(scalar), DataType::Boolean) => Ok(Ok(scalar)),
        (Some(scalar), of) if of.is_integer() => {
            Ok(Ok(cast(cast(scalar, DataType::Decimal128(38, 9)), of.clone())))
        }
        (Some(scalar), of) => Ok(Ok(cast(scalar, of.clone()))),
        (None, of) => {
            let field = datafusion::arrow::datatypes::Field::new("", of.clone(), true);
            let to = crate::types::describe(&field).data_type;
            let from = kind.tag().unwrap_or_default();
            Err(Error::new("42846", format!("cannot cast type {from} to {to}")).into())
        }
    }
}

/// A sort whose keys sort as jsonb does.
pub(super) fn sorted(plan: LogicalPlan) -> EngineResult<LogicalPlan> {
    let LogicalPlan::Sort(Sort { expr, input, fetch }) = plan else { return Ok(plan) };
    let keys = expr.into_iter().map(|key| sort_key(key, input.schema(), json::sort_key));
    let expr = keys.collect::<EngineResult<Vec<_>>>()?;
    Ok(LogicalPlan::Sort(Sort { expr, input, fetch }))
}

/// A window or an aggregate whose rows come in jsonb's order; None: it needs nothing.
pub(super) fn ordered(expression: &Expr, schema: &DFSchema) -> EngineResult<Option<Expr>> {
    let mut ordered = expression.clone();
    let keys = match &mut ordered {
        Expr::WindowFunction(call) => &mut call.params.order_by,
        Expr::AggregateFunction(call) => &mut call.params.order_by,
        _ => return Ok(None),
    };
    let is_other = |key: &SortKey| {
        Kind::of(&key.expr, schema).is_json() || intervals::key(&key.expr, schema).is_some()
    };
    if !keys.iter().any(is_other) {
        return Ok(None);
    }
    for key in keys {
        *key = sort_key(key.clone(), schema, json::sort_text)?;
    }
    Ok(Some(ordered))
}

fn sort_key(key: SortKey, schema: &DFSchema, by: fn(Expr) -> Expr) -> EngineResult<SortKey> {
    if let Some(expr) = intervals::key(&key.expr, schema) {
        return Ok(SortKey { expr, ..key });
    }
    match Kind::of(&key.expr, schema) {
        Kind::Jsonb => Ok(SortKey { expr: by(key.expr), ..key }),
        Kind::Json => {
            let message = "could not identify an ordering operator for type json";
            let hint = "Use an explicit ordering operator or modify the query.";
            Err(Error::new("42883", message).with_hint(hint).into())
        }
        Kind::Unknown | Kind::Other => Ok(key),
    }
}
