//! Values that meet become of one type: branches of CASE, arguments of COALESCE, items of ARRAY,
//! rows of VALUES, the sides of UNION, INTERSECT and EXCEPT.
//!
//! ```text
//!   smallint → integer → bigint → numeric → real → double precision
//!   date → timestamp → timestamp with time zone
//! ```
//!
//! The type is the one furthest to the right; types of different kinds do not meet (42804). A
//! literal in quotes has no type and is read as what the others are; among its like it is text.

use catalog::types::VectorType;
use datafusion::arrow::datatypes::{DataType, Field};
use datafusion::common::tree_node::Transformed;
use datafusion::common::{DFSchema, NullEquality, Result as EngineResult, ScalarValue};
use datafusion::logical_expr::expr::{Case, ScalarFunction};
use datafusion::logical_expr::type_coercion::binary::type_union_resolution;
use datafusion::logical_expr::{
    Distinct, Expr, ExprSchemable, Join, JoinType, LogicalPlan, LogicalPlanBuilder, Union, Values,
    cast,
};

use super::super::parameters;
use super::assign::{Kind, kind};
use super::operators::{is_open, undefined};
use super::{Rules, numeric, tag, tagged, text, vectors};
use crate::error::Error;
use crate::types::shown;

/// Whether the arguments of the function become of one type.
pub(super) fn unifies(function: &str) -> bool {
    UNIFYING.iter().any(|(name, _)| *name == function)
}

/// Functions whose arguments become of one type, and what Postgres calls them in errors.
const UNIFYING: &[(&str, &str)] = &[
    ("coalesce", "COALESCE"),
    ("greatest", "GREATEST"),
    ("least", "LEAST"),
    ("make_array", "ARRAY"),
    ("nullif", "NULLIF"),
];

/// One of the values that meet.
struct Side {
    of: DataType,
    tag: Option<String>,
    /// A literal that has no type yet: text in quotes or NULL.
    open: Option<ScalarValue>,
}

/// What they become.
struct Target {
    of: DataType,
    tag: Option<String>,
}

impl Side {
    fn of(value: &Expr, schema: &DFSchema) -> Option<Self> {
        let of = value.get_type(schema).ok()?;
        let open = match value {
            Expr::Literal(literal, _) if is_open(value) => Some(literal.clone()),
            _ if of.is_null() => Some(ScalarValue::Null),
            _ => None,
        };
        Some(Self { of, tag: tag(value, schema), open })
    }

    fn shown(&self) -> String {
        let field = Field::new("", self.of.clone(), true);
        self.tag.clone().unwrap_or_else(|| shown(&field))
    }
}

/// The type of all; None: nothing is to be done. `context` is the word for them in errors.
fn target(sides: &[Side], context: &str) -> Result<Option<Target>, Error> {
    // A column of NULLs is of a type too.
    let column = ["UNION", "INTERSECT", "EXCEPT"].contains(&context);
    let mut typed = sides.iter().filter(|side| side.open.is_none());
    let Some(first) = typed.next() else { return Ok(None) };
    let mut target = Target { of: first.of.clone(), tag: first.tag.clone() };
    let mut widest = first;
    for next in typed {
        let Some(wider) = wider(&target.of, &next.of) else {
            let (left, right) = (widest.shown(), next.shown());
            let message = format!("{context} types {left} and {right} cannot be matched");
            return Err(Error::new("42804", message));
        };
        if wider != target.of {
            widest = next;
        }
        target.of = wider;
        target.tag = target.tag.filter(|tag| Some(tag) == next.tag.as_ref());
    }
    for literal in sides.iter().filter_map(|side| side.open.as_ref()) {
        let ScalarValue::Utf8(Some(text)) = literal else { continue };
        if let (DataType::Decimal128(..), Some(digits)) = (&target.of, numeric::type_of(text)) {
            target.of = number(&target.of, &digits).unwrap_or(target.of);
        }
    }
    let read = |side: &Side| matches!(side.open, Some(ScalarValue::Utf8(_)));
    let done = sides.iter().all(|side| match side.open {
        None => side.of == target.of,
        Some(ScalarValue::Null) => !column,
        Some(_) => !read(side) || (target.of == DataType::Utf8 && target.tag.is_none()),
    });
    Ok((!done).then_some(target))
}

/// The type to which values of two types can be cast; None: they are of different kinds.
fn wider(left: &DataType, right: &DataType) -> Option<DataType> {
    if left == right {
        return Some(left.clone());
    }
    if let (Some(one), Some(other)) = (VectorType::of(left), VectorType::of(right)) {
        return Some(vectors::common(one, other).data_type());
    }
    let (of_left, of_right) = (kind(left), kind(right));
    if of_left != of_right {
        return None;
    }
    match of_left {
        Kind::Number => {
            number(left, right).or_else(|| type_union_resolution(&[left.clone(), right.clone()]))
        }
        Kind::Time => time(left, right),
        Kind::Text => Some(DataType::Utf8),
        _ => Some(type_union_resolution(&[left.clone(), right.clone()]).unwrap_or(left.clone())),
    }
}

fn time(left: &DataType, right: &DataType) -> Option<DataType> {
    let rank = |of: &DataType| match of {
        DataType::Date32 => Some(0),
        DataType::Timestamp(_, None) => Some(1),
        DataType::Timestamp(_, Some(_)) => Some(2),
        _ => None,
    };
    Some(if rank(left)? >= rank(right)? { left.clone() } else { right.clone() })
}

/// The wider of two types of numbers; of numerics, one with room for the digits of both.
fn number(left: &DataType, right: &DataType) -> Option<DataType> {
    let rank = |of: &DataType| match of {
        DataType::Int16 => Some(0),
        DataType::Int32 => Some(1),
        DataType::Int64 => Some(2),
        DataType::Decimal128(..) => Some(3),
        DataType::Float32 => Some(4),
        DataType::Float64 => Some(5),
        _ => None,
    };
    let digits = |of: &DataType| match of {
        DataType::Int16 => (5, 0),
        DataType::Int32 => (10, 0),
        DataType::Decimal128(precision, scale) => (*precision, *scale),
        _ => (19, 0),
    };
    let (of_left, of_right) = (rank(left)?, rank(right)?);
    if of_left.max(of_right) != 3 {
        return Some(if of_left >= of_right { left.clone() } else { right.clone() });
    }
    let ((p, s), (q, t)) = (digits(left), digits(right));
    let whole = (i16::from(p) - i16::from(s)).max(i16::from(q) - i16::from(t));
    let scale = s.max(t);
    let precision = u8::try_from(whole + i16::from(scale)).unwrap_or(38).min(38);
    Some(DataType::Decimal128(precision, scale))
}

/// The type as which a literal is read beside a number of a type: a numeric keeps all its digits.
pub(super) fn beside(literal: &ScalarValue, of: &DataType) -> DataType {
    match (of, literal) {
        (DataType::Decimal128(..), ScalarValue::Utf8(Some(text))) => {
            numeric::type_of(text).unwrap_or_else(|| of.clone())
        }
        _ => of.clone(),
    }
}

impl Rules<'_> {
    /// A value as one of the type that all become.
    fn unified(&self, value: Expr, side: &Side, to: &Target) -> Expr {
        match &side.open {
            Some(ScalarValue::Utf8(_)) => self.read(value, &to.of, to.tag.as_deref()),
            Some(ScalarValue::Null) => cast(value, to.of.clone()),
            None if side.of != to.of => {
                let new = self.cast_from(value.clone(), &side.of, &to.of);
                new.unwrap_or_else(|| cast(value, to.of.clone()))
            }
            _ => value,
        }
    }

    /// Text without a type as a value of one.
    pub(super) fn read(&self, value: Expr, to: &DataType, tag: Option<&str>) -> Expr {
        match tag.and_then(|tag| tagged::input(value.clone(), tag)) {
            Some(read) => read,
            None if text::reads(to) => text::input(value, to, self.zone),
            None => cast(value, to.clone()),
        }
    }

    /// A call of a function that unifies its arguments.
    pub(super) fn unified_call(
        &self,
        call: &ScalarFunction,
        schema: &DFSchema,
    ) -> EngineResult<Option<Expr>> {
        let Some((_, context)) = UNIFYING.iter().find(|(name, _)| *name == call.func.name()) else {
            return Ok(None);
        };
        let sides: Option<Vec<Side>> = call.args.iter().map(|arg| Side::of(arg, schema)).collect();
        let Some(sides) = sides else { return Ok(None) };
        let target = target(&sides, context).map_err(|error| match call.args.as_slice() {
            [left, right] if *context == "NULLIF" => undefined(left, "=", right, schema),
            _ => error,
        })?;
        Ok(target.map(|target| {
            let arguments = call.args.iter().cloned().zip(&sides);
            call.func.call(arguments.map(|(arg, side)| self.unified(arg, side, &target)).collect())
        }))
    }

    /// CASE with branches of one type.
    pub(super) fn unified_case(
        &self,
        case: &Case,
        schema: &DFSchema,
    ) -> EngineResult<Option<Expr>> {
        // Postgres begins with ELSE.
        let branches = case.else_expr.iter().chain(case.when_then_expr.iter().map(|(_, t)| t));
        let sides: Option<Vec<Side>> = branches.map(|value| Side::of(value, schema)).collect();
        let Some(sides) = sides else { return Ok(None) };
        let Some(target) = target(&sides, "CASE")? else { return Ok(None) };
        let mut case = case.clone();
        let thens = case.when_then_expr.iter_mut().map(|(_, then)| then);
        for (value, side) in case.else_expr.iter_mut().chain(thens).zip(&sides) {
            **value = self.unified(value.as_ref().clone(), side, &target);
        }
        Ok(Some(Expr::Case(case)))
    }

    /// Rows from VALUES and set operations, of one type each column.
    pub(super) fn unified_rows(&self, node: LogicalPlan) -> EngineResult<Transformed<LogicalPlan>> {
        match node {
            LogicalPlan::Values(values) => self.listed(parameters::in_values(values)),
            LogicalPlan::Union(union) => self.united(union),
            LogicalPlan::Join(join) if is_set_operation(&join) => self.met(join),
            other => Ok(Transformed::no(other)),
        }
    }

    fn listed(&self, values: Values) -> EngineResult<Transformed<LogicalPlan>> {
        let empty = DFSchema::empty();
        let mut rows = values.values;
        let mut changed = false;
        for column in 0..values.schema.fields().len() {
            let items = rows.iter().filter_map(|row| row.get(column));
            let sides: Option<Vec<Side>> = items.map(|item| Side::of(item, &empty)).collect();
            let Some(sides) = sides else { continue };
            let target = target(&sides, "VALUES")?;
            let of = target.as_ref().map(|target| &target.of);
            let of = of.or_else(|| sides.iter().find(|s| s.open.is_none()).map(|s| &s.of));
            changed |= of.is_some_and(|of| of != values.schema.field(column).data_type());
            let Some(target) = target else { continue };
            changed = true;
            for (row, side) in rows.iter_mut().zip(&sides) {
                row[column] = self.unified(row[column].clone(), side, &target);
            }
        }
        Ok(match changed {
            true => Transformed::yes(LogicalPlanBuilder::values(rows)?.build()?),
            false => {
                let schema = values.schema;
                Transformed::no(LogicalPlan::Values(Values { schema, values: rows }))
            }
        })
    }

    fn united(&self, union: Union) -> EngineResult<Transformed<LogicalPlan>> {
        let inputs: Vec<&LogicalPlan> = union.inputs.iter().map(AsRef::as_ref).collect();
        let columns = columns(&inputs, "UNION")?;
        if columns.iter().all(|(_, target)| target.is_none()) {
            // The planner took the types of the first input, which may have got others.
            let types = |schema: &DFSchema| {
                schema.fields().iter().map(|f| f.data_type().clone()).collect::<Vec<_>>()
            };
            let first = inputs.first().map(|input| types(input.schema()));
            if first.is_some_and(|first| first == types(&union.schema)) {
                return Ok(Transformed::no(LogicalPlan::Union(union)));
            }
            let union = Union::try_new_with_loose_types(union.inputs)?;
            return Ok(Transformed::yes(LogicalPlan::Union(union)));
        }
        let mut new = Vec::with_capacity(inputs.len());
        for (index, input) in inputs.into_iter().enumerate() {
            new.push(self.retyped(input.clone(), index, &columns)?.into());
        }
        Ok(Transformed::yes(LogicalPlan::Union(Union::try_new_with_loose_types(new)?)))
    }

    /// INTERSECT and EXCEPT, which are joins on all columns.
    fn met(&self, join: Join) -> EngineResult<Transformed<LogicalPlan>> {
        let word = if join.join_type == JoinType::LeftSemi { "INTERSECT" } else { "EXCEPT" };
        let (distinct, left) = match join.left.as_ref() {
            LogicalPlan::Distinct(Distinct::All(input)) => (true, input.as_ref()),
            other => (false, other),
        };
        let columns = columns(&[left, join.right.as_ref()], word)?;
        if columns.iter().all(|(_, target)| target.is_none()) {
            return Ok(Transformed::no(LogicalPlan::Join(join)));
        }
        let left = self.retyped(left.clone(), 0, &columns)?;
        let right = self.retyped(join.right.as_ref().clone(), 1, &columns)?;
        let left = LogicalPlanBuilder::from(left);
        let left = if distinct { left.distinct()? } else { left };
        let keys = (left.schema().columns(), right.schema().columns());
        let equal = NullEquality::NullEqualsNull;
        let met = left.join_detailed(right, join.join_type, keys, None, equal)?;
        Ok(Transformed::yes(met.build()?))
    }

    /// The input of a set operation under the types of all.
    fn retyped(
        &self,
        input: LogicalPlan,
        index: usize,
        columns: &[(Vec<Side>, Option<Target>)],
    ) -> EngineResult<LogicalPlan> {
        let fields =
            input.schema().iter().map(|(qualifier, field)| (qualifier.cloned(), field.name()));
        let items = fields.zip(columns).map(|((qualifier, name), (sides, target))| {
            let column = datafusion::common::Column::new(qualifier.clone(), name);
            let column = Expr::Column(column);
            match target {
                None => column,
                Some(target) => {
                    self.unified(column, &sides[index], target).alias_qualified(qualifier, name)
                }
            }
        });
        let items = items.collect::<Vec<_>>();
        LogicalPlanBuilder::from(input).project(items)?.build()
    }
}

/// Of every column of a set operation, its sides and what they become.
fn columns(inputs: &[&LogicalPlan], word: &str) -> EngineResult<Vec<(Vec<Side>, Option<Target>)>> {
    let width = inputs.first().map_or(0, |input| input.schema().fields().len());
    let mut columns = Vec::with_capacity(width);
    for column in 0..width {
        let sides: Vec<Side> = inputs.iter().map(|input| selected(input, column)).collect();
        let target = target(&sides, word)?;
        columns.push((sides, target));
    }
    Ok(columns)
}

/// A column of a SELECT; a literal in its list has no type yet.
fn selected(input: &LogicalPlan, column: usize) -> Side {
    let field = input.schema().field(column);
    let of = field.data_type().clone();
    let mut input = input;
    while let LogicalPlan::SubqueryAlias(alias) = input {
        input = alias.input.as_ref();
    }
    let mut item = match input {
        LogicalPlan::Projection(select) => select.expr.get(column),
        _ => None,
    };
    while let Some(Expr::Alias(alias)) = item {
        item = Some(&alias.expr);
    }
    let open = match item {
        Some(value @ Expr::Literal(literal, _)) if is_open(value) => Some(literal.clone()),
        _ => None,
    };
    let open = open.or_else(|| of.is_null().then_some(ScalarValue::Null));
    let tag = field.metadata().get(catalog::TYPE_KEY).cloned();
    Side { of, tag, open }
}

/// Whether a join stands for INTERSECT or EXCEPT: only there is NULL equal to NULL.
fn is_set_operation(join: &Join) -> bool {
    matches!(join.join_type, JoinType::LeftSemi | JoinType::LeftAnti)
        && join.null_equality == NullEquality::NullEqualsNull
}

/// VALUES before the planner made numerics of floats beside numerics.
pub(super) fn with_floats(mut node: LogicalPlan) -> LogicalPlan {
    if let LogicalPlan::Values(values) = &mut node {
        values.values.iter_mut().flatten().for_each(keep_float);
    }
    node
}

fn keep_float(item: &mut Expr) {
    let Expr::Cast(outer) = item else { return };
    let Ok(from) = outer.expr.get_type(&DFSchema::empty()) else { return };
    let to = outer.field.data_type();
    if matches!(
        (&from, to),
        (DataType::Float64, DataType::Decimal128(30, 15))
            | (DataType::Float32, DataType::Decimal128(14, 7))
    ) {
        *item = outer.expr.as_ref().clone();
    }
}
