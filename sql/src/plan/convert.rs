//! Conversions that Postgres does otherwise than the engine, put into a plan where it converts.
//!
//! | where                               | what it becomes                                     |
//! |-------------------------------------|-----------------------------------------------------|
//! | text cast to a type, or compared to | the type's input function: `text.rs`, `time.rs`     |
//! | a value cast to text, or `||` to it | the type's output function, as the wire writes it   |
//! | a number cast to an integer         | rounding, an error when out of range: `number.rs`   |
//! | arithmetic                          | errors on overflow and `/ 0`: `arithmetic.rs`       |
//! | `avg` of integers and numerics      | a numeric, `sum / count`: `average.rs`              |
//! | `x <> 0 AND 1 / x > 0`              | a division after what guards it: `guard.rs`         |
//! | text that is a uuid or json         | checked, and known as such: `tagged.rs`             |
//! | COALESCE, array_agg of such         | known as such too: `retag.rs`                       |
//! | `char(n)`                           | text without its blanks: `character.rs`             |
//! | operators and casts of json         | functions: `json.rs`                                |
//! | times with a zone                   | the session's clock, in views UTC's: `zone.rs`      |
//! | a numeric compared with a float     | a float: `mixed.rs`                                 |
//! | values of several types that meet   | values of one: `unify.rs`                           |
//! | casts, lists and sums of vectors    | functions: `vectors.rs`                             |
//! | `text = integer`                    | an error: `operators.rs`                            |
//! | `text ~ pattern`                    | Postgres' regular expressions: `matching.rs`        |
//! | subqueries that are values          | aggregates, which can be decorrelated: `subquery.rs` |
//! | other correlated subqueries, LATERAL | joins: `dependent.rs`                              |
//!
//! NULL stays NULL everywhere.

mod arithmetic;
mod as_field;
mod assign;
mod average;
mod calls;
mod character;
mod dependent;
mod fold;
mod guard;
mod intervals;
mod json;
mod matching;
mod mixed;
mod number;
mod numeric;
mod operators;
mod quantified;
mod retag;
mod set_operations;
mod subquery;
mod tagged;
mod text;
mod time;
mod unify;
mod vectors;
mod words;
mod zone;

use std::sync::Arc;

use catalog::TYPE_KEY;
use catalog::types::VectorType;
use datafusion::arrow::datatypes::{DataType, Field};
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{DFSchema, Result as EngineResult, ScalarValue};
use datafusion::execution::SessionState;
use datafusion::logical_expr::expr::{AggregateFunction, Between, BinaryExpr, Cast, InList};
use datafusion::logical_expr::utils::merge_schema;
use datafusion::logical_expr::{Expr, ExprSchemable, Like, LogicalPlan, Operator, cast, lit};
use datafusion::sql::sqlparser::ast::VisitMut;

use super::parameters;
use crate::functions::{as_type, assigned_to, interval, unknown};
use crate::system::references;
use crate::types::{NUMERIC, NUMERIC_SCALE};

pub use arithmetic::NumberOperators;
pub(crate) use average::average;
pub(crate) use fold::{function, has_column};
pub use json::JsonOperators;
pub use operators::KnownOperators;
pub(crate) use tagged::functions as input_functions;
pub(crate) use text::read_texts;
pub use text::{read_text, read_vector};
pub(crate) use vectors::summed;

/// Folds what the planner would take for something else.
pub(crate) fn fold_casts<T: VisitMut>(tree: &mut T) {
    fold::casts(tree);
    json::fold(tree);
}

/// Digits before the point of the quotient of a plain numeric.
const QUOTIENT_DIGITS: i16 = 18;

/// What conversions depend on.
pub(crate) struct Rules<'a> {
    engine: &'a SessionState,
    /// In which times without a zone are meant.
    zone: &'a str,
    /// Whether the engine means UTC by what is left to it: it goes by the session, in views too.
    engine_is_utc: bool,
}

impl<'a> Rules<'a> {
    /// Of a statement, or of a view inside it.
    pub(crate) fn new(engine: &'a SessionState, in_view: bool) -> Self {
        let session = engine.config_options().execution.time_zone.as_deref().unwrap_or("UTC");
        let zone = if in_view { "UTC" } else { session };
        Self { engine, zone, engine_is_utc: session == "UTC" }
    }

    fn engine_is_utc(&self) -> bool {
        self.engine_is_utc
    }

    /// A plan with Postgres' conversions.
    pub(crate) fn plan(&self, plan: LogicalPlan) -> EngineResult<LogicalPlan> {
        let rewritten = dependent::early(plan)?.transform_up_with_subqueries(|node| {
            let node = unify::with_floats(json::sorted(subquery::rows(node)?)?);
            let node = set_operations::counted(node)?;
            let filters = matches!(node, LogicalPlan::Filter(_));
            let joins = matches!(node, LogicalPlan::Join(_));
            let selected = match &node {
                LogicalPlan::Projection(select) => Some(Arc::clone(&select.input)),
                _ => None,
            };
            let schema = merge_schema(&node.inputs());
            let node = node.map_expressions(|e| {
                let before = e.schema_name().to_string();
                let e = e.transform_up(|e| self.converted(e, &schema))?;
                let e = e.transform_data(|e| subquery::values(e, filters))?;
                let e = if joins { e } else { e.transform_data(|e| guard::ordered(e, &schema))? };
                let e = match &selected {
                    Some(input) => e.transform_data(|e| retag::projected(e, input))?,
                    None => e,
                };
                match e.transformed {
                    true => Ok(Transformed::yes(e.data.alias_if_changed(before)?)),
                    false => Ok(e),
                }
            })?;
            node.transform_data(average::divided)?
                .transform_data(|node| self.unified_rows(node))?
                .transform_data(as_field::recursive)?
                .transform_data(dependent::joined)?
                .map_data(LogicalPlan::recompute_schema)
        })?;
        Ok(rewritten.data)
    }

    /// An expression with Postgres' conversions.
    pub(crate) fn expression(&self, expression: Expr, schema: &DFSchema) -> EngineResult<Expr> {
        Ok(expression.transform_up(|e| self.converted(e, schema))?.data)
    }

    /// `value` as a column of `field` takes it.
    pub(crate) fn assigned(
        &self,
        value: Expr,
        field: &Field,
        schema: &DFSchema,
    ) -> EngineResult<Expr> {
        let from = value.get_type(schema).unwrap_or(DataType::Null);
        assign::check(&from, field)?;
        let kept = field.metadata().get(catalog::MODEL_KEY).map(String::as_str);
        if kept.is_some() {
            vectors::of_one_model(kept, vectors::model(&value, schema).as_deref())?;
        }
        let tagged = tag(&value, schema);
        let kind = field.metadata().get(TYPE_KEY).and_then(|tag| references::kind(tag));
        if let (Some(kind), true) = (kind, is_text(&from))
            && let Some(input) = self.engine.scalar_functions().get(&*format!("{kind}_input"))
        {
            return Ok(input.call(vec![value]));
        }
        match field.metadata().get(TYPE_KEY) {
            Some(wanted) if is_text(&from) && character::is_character(wanted) => {
                return Ok(character::read(value));
            }
            Some(wanted) if is_text(&from) && tagged.as_deref() != Some(wanted) => {
                if let Some(checked) = tagged::input(value.clone(), wanted) {
                    return Ok(checked);
                }
                if let Some(cut) = text::without_trailing_blanks(value.clone(), wanted) {
                    return Ok(cut);
                }
            }
            _ => {}
        }
        let cast = |value| datafusion::logical_expr::cast(value, field.data_type().clone());
        let converted = self.cast_from(value.clone(), &from, field.data_type());
        Ok(converted.unwrap_or_else(|| cast(value)))
    }

    /// The cast as Postgres does it; None: as the engine does it.
    fn cast_from(&self, value: Expr, from: &DataType, to: &DataType) -> Option<Expr> {
        if let Some(vector) = self.vector(&value, from, to) {
            return Some(vector);
        }
        if is_text(from) && text::reads(to) {
            return Some(text::input(value, to, self.zone));
        }
        if is_text(to) && written(from) {
            return self.output(value);
        }
        if number::converts(from, to) {
            return Some(number::converted(value, to));
        }
        if let (DataType::Duration(_), DataType::Interval(_)) = (from, to) {
            return Some(interval::elapsed().call(vec![value]));
        }
        zone::cast(self, value, from, to)
    }

    /// A cast to `numeric`, which keeps the digits that a column of it has no place for.
    fn numeric(&self, value: &Expr, from: &DataType) -> Option<Expr> {
        let wide = |of: &DataType| match of {
            DataType::Decimal128(_, scale) => {
                *scale > NUMERIC_SCALE || number::whole(of) > number::whole(&NUMERIC)
            }
            _ => false,
        };
        // Of the digits of a literal a quotient needs room for all.
        let long = |of: &DataType| wide(of) || number::whole(of) > QUOTIENT_DIGITS;
        let literal = matches!(value, Expr::Literal(ScalarValue::Decimal128(..), _));
        if let Expr::Literal(ScalarValue::Utf8(Some(text)), _) = value
            && let Some(to) = numeric::type_of(text)
            && long(&to)
        {
            return Some(text::input(value.clone(), &to, self.zone));
        }
        match wide(from) || (literal && long(from)) {
            true => Some(value.clone()),
            false => self.cast_from(value.clone(), from, &NUMERIC),
        }
    }

    /// A value as the wire writes it.
    fn output(&self, value: Expr) -> Option<Expr> {
        let function = self.engine.scalar_functions().get("text_output")?;
        Some(function.call(vec![value, lit(self.zone)]))
    }

    /// The name of a reference.
    fn name(&self, value: &Expr, kind: &str) -> Option<Expr> {
        let function = self.engine.scalar_functions().get("reg_name")?;
        Some(match kind {
            "oid" => cast(cast(value.clone(), DataType::Int64), DataType::Utf8),
            kind => function.call(vec![value.clone(), lit(kind)]),
        })
    }

    fn cast(&self, cast: &Cast, schema: &DFSchema) -> Option<Expr> {
        let (value, to) = (cast.expr.as_ref(), cast.field.data_type());
        if let Some(text @ Expr::Literal(literal, _)) = unknown::literal(value) {
            return Some(self.read(text.clone(), &unify::beside(literal, to), None));
        }
        let from = value.get_type(schema).ok()?;
        if let (DataType::List(item), true) = (&from, is_text(to))
            && let Some(kind) = references::reference(item)
        {
            return self.output(self.name(value, kind)?);
        }
        let tag = tag(value, schema);
        let plain = |tag: &String| tagged::is_known(tag) || tag.starts_with("varchar");
        let untag = is_text(&from) && is_text(to) && tag.as_ref().is_some_and(plain);
        match tag.and_then(|tag| references::kind(&tag)) {
            _ if untag => Some(tagged::plain(value.clone())),
            Some(kind) if is_text(to) => self.name(value, kind),
            _ if to == &NUMERIC => self.numeric(value, &from),
            _ => self.cast_from(value.clone(), &from, to),
        }
    }

    fn converted(&self, expression: Expr, schema: &DFSchema) -> EngineResult<Transformed<Expr>> {
        vectors::settled(expression, schema)?.transform_data(|e| self.settled(e, schema))
    }

    fn settled(&self, expression: Expr, schema: &DFSchema) -> EngineResult<Transformed<Expr>> {
        let sum = arithmetic::operated(expression, schema);
        if sum.transformed {
            return Ok(sum);
        }
        let expression = sum.data;
        let new = match &expression {
            Expr::Cast(cast) => self.cast(cast, schema),
            Expr::BinaryExpr(binary) => match matching::matched(binary)? {
                None => self.operated(binary, schema),
                matched => matched,
            },
            Expr::InList(list) => {
                let items = list.list.iter().map(|item| (item, "="));
                operators::check(&list.expr, items, schema)?;
                self.in_list(list, schema)
            }
            Expr::Between(between) => {
                let bounds = [(between.low.as_ref(), ">="), (between.high.as_ref(), "<=")];
                operators::check(&between.expr, bounds, schema)?;
                self.between(between, schema)
            }
            Expr::Like(like) => {
                operators::check_like(like, schema)?;
                let padded = self.padded(&like.expr, schema).map(Box::new);
                padded.map(|expr| Expr::Like(Like { expr, ..like.clone() }))
            }
            Expr::Case(case) => {
                operators::check_case(case, schema)?;
                match parameters::in_case(case, schema) {
                    None => self.unified_case(case, schema)?,
                    typed => typed,
                }
            }
            Expr::ScalarFunction(call) if call.func.name() == as_type::NAME => {
                call.args.first().cloned()
            }
            Expr::ScalarFunction(call) if call.func.name() == assigned_to::NAME => {
                assign::apart(self, call, schema)?
            }
            Expr::ScalarFunction(call) => match parameters::in_call(call, schema) {
                None => self.unified_call(call, schema)?,
                typed => typed,
            }
            .or_else(|| zone::call(self, call, schema))
            .or_else(|| self.series(call, schema))
            .or_else(|| arithmetic::typed_anew(call, schema))
            .or_else(|| calls::converted(call, schema))
            .or_else(|| self.with_blanks(call, schema))
            .or_else(|| self.joined(call, schema))
            .or_else(|| parameters::in_declared_call(call, schema)),
            Expr::WindowFunction(call) => {
                let sums = || number::wide_window_sum(call, schema);
                json::ordered(&expression, schema)?.or_else(sums)
            }
            Expr::AggregateFunction(call) => {
                json::ordered(&expression, schema)?.or_else(|| of_own_type(call, schema))
            }
            _ => None,
        };
        match new {
            None => Ok(Transformed::no(expression)),
            Some(new) => {
                let name = expression.schema_name().to_string();
                Ok(Transformed::yes(new.alias_if_changed(name)?))
            }
        }
    }

    fn operated(&self, binary: &BinaryExpr, schema: &DFSchema) -> Option<Expr> {
        let BinaryExpr { left, op, right } = binary;
        let types = || Some((left.get_type(schema).ok()?, right.get_type(schema).ok()?));
        match op {
            Operator::Plus | Operator::Minus | Operator::Multiply | Operator::Divide => {
                let (of_left, of_right) = types()?;
                let split = interval::split((left, &of_left), (right, &of_right));
                return split
                    .map(|(left, right)| {
                        Expr::BinaryExpr(BinaryExpr::new(left.into(), *op, right.into()))
                    })
                    .or_else(|| zone::sum(self, *op, (left, &of_left), (right, &of_right)));
            }
            Operator::StringConcat => {
                let (of_left, of_right) = types()?;
                let text = |side: &Expr, of: &DataType| {
                    let kind = tag(side, schema).and_then(|tag| references::kind(&tag));
                    if let Some(name) = kind.and_then(|kind| self.name(side, kind)) {
                        return Box::new(name);
                    }
                    let new = written(of).then(|| self.output(side.clone())).flatten();
                    Box::new(new.unwrap_or_else(|| side.clone()))
                };
                let one_is_text = is_text(&of_left) != is_text(&of_right);
                let other = if is_text(&of_left) { &of_right } else { &of_left };
                let is_reference = *other == DataType::Int64;
                return (one_is_text && (written(other) || is_reference)).then(|| {
                    let (left, right) = (text(left, &of_left), text(right, &of_right));
                    Expr::BinaryExpr(BinaryExpr::new(left, *op, right))
                });
            }
            _ => {}
        }
        if !op.supports_propagation() && *op != Operator::IsDistinctFrom {
            return None;
        }
        let (of_left, of_right) = types()?;
        if let Some((left, right)) = mixed::pair((left, &of_left), (right, &of_right)) {
            return Some(Expr::BinaryExpr(BinaryExpr::new(left.into(), *op, right.into())));
        }
        if let Some((left, right)) = interval::split((left, &of_left), (right, &of_right)) {
            let by = |side: Expr| Box::new(interval::order().call(vec![side]));
            return Some(Expr::BinaryExpr(BinaryExpr::new(by(left), *op, by(right))));
        }
        if matches!((&of_left, &of_right), (DataType::Interval(_), DataType::Interval(_))) {
            let by = |side: &Expr| Box::new(interval::order().call(vec![side.clone()]));
            return Some(Expr::BinaryExpr(BinaryExpr::new(by(left), *op, by(right))));
        }
        if let Some(to) = zone::compared(&of_left, &of_right) {
            let at = |side: &Expr, of: &DataType| {
                let new = self.cast_from(side.clone(), of, to).filter(|_| of != to);
                Box::new(new.unwrap_or_else(|| cast(side.clone(), to.clone())))
            };
            let (left, right) = (at(left, &of_left), at(right, &of_right));
            return Some(Expr::BinaryExpr(BinaryExpr::new(left, *op, right)));
        }
        let new_left =
            self.literal_of(left, right, schema).or_else(|| character::blanks(left, right, schema));
        let new_right =
            self.literal_of(right, left, schema).or_else(|| character::blanks(right, left, schema));
        if new_left.is_none() && new_right.is_none() {
            return None;
        }
        let or = |new: Option<Expr>, old: &Expr| Box::new(new.unwrap_or_else(|| old.clone()));
        Some(Expr::BinaryExpr(BinaryExpr::new(or(new_left, left), *op, or(new_right, right))))
    }

    fn in_list(&self, list: &InList, schema: &DFSchema) -> Option<Expr> {
        let of = list.expr.get_type(schema).ok()?;
        if VectorType::of(&of).is_some() {
            return self.among_vectors(list);
        }
        if is_text(&of) && tag(&list.expr, schema).as_deref() == Some("jsonb") {
            let key = |e: &Expr| crate::functions::json::sort_key(e.clone());
            let items = list.list.iter().map(key).collect();
            return Some(Expr::InList(InList::new(key(&list.expr).into(), items, list.negated)));
        }
        let read = |item: &Expr| {
            let item_of = item.get_type(schema).ok()?;
            let as_float = || mixed::pair((&list.expr, &of), (item, &item_of)).map(|(_, i)| i);
            self.literal_of(item, &list.expr, schema).or_else(as_float)
        };
        if !list.list.iter().any(|item| read(item).is_some()) {
            return None;
        }
        let items = list.list.iter().map(|item| read(item).unwrap_or_else(|| item.clone()));
        Some(Expr::InList(InList::new(list.expr.clone(), items.collect(), list.negated)))
    }

    fn between(&self, between: &Between, schema: &DFSchema) -> Option<Expr> {
        if VectorType::of(&between.expr.get_type(schema).ok()?).is_some() {
            return self.between_vectors(between);
        }
        let bound = |bound: &Expr| self.literal_of(bound, &between.expr, schema);
        let (low, high) = (bound(&between.low), bound(&between.high));
        if low.is_none() && high.is_none() {
            return mixed::between(between, schema)
                .or_else(|| zone::between(self, between, schema));
        }
        let or = |new: Option<Expr>, old: &Expr| Box::new(new.unwrap_or_else(|| old.clone()));
        let (low, high) = (or(low, &between.low), or(high, &between.high));
        Some(Expr::Between(Between::new(between.expr.clone(), between.negated, low, high)))
    }

    /// A text literal beside a value of a type is of that type; None if it stays text.
    fn literal_of(&self, literal: &Expr, beside: &Expr, schema: &DFSchema) -> Option<Expr> {
        let Expr::Literal(value @ ScalarValue::Utf8(Some(_)), _) = literal else { return None };
        let to = beside.get_type(schema).ok()?;
        match is_text(&to) {
            true => match tag(beside, schema)?.as_str() {
                "uuid" => tagged::input(literal.clone(), "uuid"),
                tag if character::is_character(tag) => Some(character::read(literal.clone())),
                _ => None,
            },
            false if to == DataType::Int64 => {
                let tag = tag(beside, schema)?;
                let name = format!("{}_input", references::kind(&tag)?);
                let input = self.engine.scalar_functions().get(name.as_str())?;
                Some(input.call(vec![literal.clone()]))
            }
            false => (text::reads(&to) || to.is_numeric() || to == DataType::Boolean)
                .then(|| self.read(literal.clone(), &unify::beside(value, &to), None)),
        }
    }
}

/// An aggregate whose answer for its type is not the engine's.
fn of_own_type(call: &AggregateFunction, schema: &DFSchema) -> Option<Expr> {
    let extreme = || intervals::extreme(call, schema);
    number::wide_sum(call, schema).or_else(extreme).or_else(|| parameters::in_group(call, schema))
}

/// Whether the engine would write values of the type otherwise than Postgres.
fn written(of: &DataType) -> bool {
    match of {
        DataType::Float32 | DataType::Float64 | DataType::Timestamp(..) | DataType::Time64(_) => {
            true
        }
        DataType::Interval(_) | DataType::Duration(_) | DataType::Binary => true,
        DataType::List(_) | DataType::FixedSizeList(..) | DataType::Struct(_) => true,
        _ => false,
    }
}

fn is_text(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View)
}

/// Which of the types that are text in the engine it is.
fn tag(value: &Expr, schema: &DFSchema) -> Option<String> {
    // Nothing that an operator gives has a tag; to ask a long chain would take long.
    if matches!(value, Expr::BinaryExpr(_)) {
        return None;
    }
    let (_, field) = value.to_field(schema).ok()?;
    field.metadata().get(TYPE_KEY).cloned()
}
