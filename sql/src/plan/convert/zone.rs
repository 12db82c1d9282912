//! Times with a zone where their clock matters: casts, parts, truncation, intervals in days.

use datafusion::arrow::datatypes::{DataType, IntervalUnit, TimeUnit};
use datafusion::common::DFSchema;
use datafusion::logical_expr::expr::{Between, BinaryExpr, ScalarFunction};
use datafusion::logical_expr::{Expr, ExprSchemable, Operator, cast as engine_cast, lit};

use super::Rules;
use crate::functions::{shift, timezone};
use crate::types::timestamptz;

const CLOCK: DataType = DataType::Timestamp(TimeUnit::Microsecond, None);

fn zoned(of: &DataType) -> bool {
    matches!(of, DataType::Timestamp(_, Some(_)))
}

fn in_zone(rules: &Rules<'_>, value: Expr) -> Expr {
    timezone().call(vec![lit(rules.zone), value])
}

/// The cast, if it goes between a clock and an instant and the clock is not UTC's.
pub(super) fn cast(rules: &Rules<'_>, value: Expr, from: &DataType, to: &DataType) -> Option<Expr> {
    if rules.engine_is_utc() {
        return None;
    }
    let clock = matches!(from, DataType::Timestamp(_, None) | DataType::Date32);
    let to_clock =
        matches!(to, DataType::Timestamp(_, None) | DataType::Date32 | DataType::Time64(_));
    if zoned(from) && to_clock {
        return Some(engine_cast(in_zone(rules, value), to.clone()));
    }
    (clock && zoned(to)).then(|| in_zone(rules, value))
}

/// The type as which an instant and a clock, or a day, are compared; None: they are no such pair.
pub(super) fn compared<'t>(left: &'t DataType, right: &'t DataType) -> Option<&'t DataType> {
    let clock = |of: &DataType| matches!(of, DataType::Timestamp(_, None) | DataType::Date32);
    match (zoned(left), zoned(right)) {
        (true, false) if clock(right) => Some(left),
        (false, true) if clock(left) => Some(right),
        // The engine would compare in nanoseconds, which the year 2262 is too late for.
        _ => match (left, right) {
            (DataType::Date32, DataType::Timestamp(..)) => Some(right),
            (DataType::Timestamp(..), DataType::Date32) => Some(left),
            _ => None,
        },
    }
}

/// A date or clock between instants, a date between clocks, and so on.
pub(super) fn between(rules: &Rules<'_>, between: &Between, schema: &DFSchema) -> Option<Expr> {
    let of = |value: &Expr| value.get_type(schema).ok();
    let (value, low, high) = (of(&between.expr)?, of(&between.low)?, of(&between.high)?);
    let to = compared(&value, &low).or_else(|| compared(&value, &high))?;
    let at = |side: &Expr, of: &DataType| {
        let new = cast(rules, side.clone(), of, to).filter(|_| of != to);
        let new = new.unwrap_or_else(|| engine_cast(side.clone(), to.clone()));
        Box::new(if of == to { side.clone() } else { new })
    };
    Some(Expr::Between(Between::new(
        at(&between.expr, &value),
        between.negated,
        at(&between.low, &low),
        at(&between.high, &high),
    )))
}

/// Calls whose answer depends on the clock.
pub(super) fn call(rules: &Rules<'_>, call: &ScalarFunction, schema: &DFSchema) -> Option<Expr> {
    let name = call.func.name();
    if name == "to_timestamp" && call.args.len() == 2 && !rules.engine_is_utc() {
        let clock = engine_cast(Expr::ScalarFunction(call.clone()), CLOCK);
        return Some(in_zone(rules, clock));
    }
    let at = match name {
        "extract" | "date_part" | "date_trunc" => 1,
        "to_char" => 0,
        _ => return None,
    };
    let of = call.args.get(at)?.get_type(schema).ok()?;
    let with = |value: Expr| {
        let mut arguments = call.args.clone();
        arguments[at] = value;
        call.func.call(arguments)
    };
    // Postgres truncates a date as the instant at which its day begins.
    if name == "date_trunc" && of == DataType::Date32 {
        let local = with(engine_cast(call.args[at].clone(), CLOCK));
        return Some(match rules.engine_is_utc() {
            true => engine_cast(local, timestamptz()),
            false => in_zone(rules, local),
        });
    }
    if name == "to_char" && !rules.engine_is_utc() && call.args.len() == 2 {
        return with_instant(rules, call, &of);
    }
    if rules.engine_is_utc() || !zoned(&of) || is_epoch(call) {
        return None;
    }
    let local = with(in_zone(rules, call.args[at].clone()));
    Some(if name == "date_trunc" { in_zone(rules, local) } else { local })
}

/// `to_char` of an instant's clock, or of a day, and of the instant.
fn with_instant(rules: &Rules<'_>, call: &ScalarFunction, of: &DataType) -> Option<Expr> {
    let (value, format) = (call.args[0].clone(), call.args[1].clone());
    let arguments = match of {
        DataType::Date32 => {
            let instant = in_zone(rules, engine_cast(value.clone(), CLOCK));
            vec![value, format, instant]
        }
        _ if zoned(of) => vec![in_zone(rules, value.clone()), format, value],
        _ => return None,
    };
    Some(call.func.call(arguments))
}

fn is_epoch(call: &ScalarFunction) -> bool {
    match call.args.first() {
        Some(Expr::Literal(field, _)) => field.try_as_str().flatten() == Some("epoch"),
        _ => false,
    }
}

/// A date and a timestamp, either way round.
fn clocks(left: &DataType, right: &DataType) -> bool {
    matches!(
        (left, right),
        (DataType::Date32, DataType::Timestamp(..)) | (DataType::Timestamp(..), DataType::Date32)
    )
}

/// `date ± interval` is a timestamp; days of an interval are the zone's.
pub(super) fn sum(
    rules: &Rules<'_>,
    op: Operator,
    (left, of_left): (&Expr, &DataType),
    (right, of_right): (&Expr, &DataType),
) -> Option<Expr> {
    let interval = |of: &DataType| matches!(of, DataType::Interval(_));
    let (time, of_time, by, swapped) = match op {
        Operator::Plus if interval(of_left) => (right, of_right, left, true),
        Operator::Plus | Operator::Minus if interval(of_right) => (left, of_left, right, false),
        // The engine counts days in bigint.
        Operator::Minus if of_left == &DataType::Date32 && of_right == &DataType::Date32 => {
            let days = BinaryExpr::new(left.clone().into(), op, right.clone().into());
            return Some(engine_cast(Expr::BinaryExpr(days), DataType::Int32));
        }
        // The engine would subtract in nanoseconds.
        Operator::Minus if clocks(of_left, of_right) => {
            let to = if of_left == &DataType::Date32 { of_right } else { of_left };
            let at = |side: &Expr, of: &DataType| {
                let new = cast(rules, side.clone(), of, to).filter(|_| of != to);
                Box::new(new.unwrap_or_else(|| engine_cast(side.clone(), to.clone())))
            };
            let (left, right) = (at(left, of_left), at(right, of_right));
            return Some(Expr::BinaryExpr(BinaryExpr::new(left, op, right)));
        }
        _ => return None,
    };
    if of_time == &DataType::Date32 {
        let time = Box::new(engine_cast(time.clone(), CLOCK));
        let by = Box::new(by.clone());
        let (left, right) = if swapped { (by, time) } else { (time, by) };
        return Some(Expr::BinaryExpr(BinaryExpr::new(left, op, right)));
    }
    if rules.engine_is_utc() || !zoned(of_time) {
        return None;
    }
    let by = engine_cast(by.clone(), DataType::Interval(IntervalUnit::MonthDayNano));
    let by = match op {
        Operator::Minus => Expr::Negative(Box::new(by)),
        _ => by,
    };
    Some(shift().call(vec![time.clone(), by, lit(rules.zone)]))
}
