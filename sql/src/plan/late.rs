//! Statements whose plan depends on the values of their parameters, as
//! `SELECT * FROM training_set($1, 'service')`: what the function reads and returns is what the
//! text says. They are planned when the values come, with the values in the text's place.

use std::ops::ControlFlow;

use datafusion::arrow::array::{Array, AsArray};
use datafusion::arrow::datatypes::DataType;
use datafusion::common::ScalarValue;
use datafusion::sql::sqlparser::ast::{
    self, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArguments, ObjectName, TableFactor,
    Value, Visit, Visitor, visit_expressions, visit_expressions_mut,
};

use super::parameters::number;
use crate::names::folded;
use crate::parse;

/// How many parameters a statement has that gives one to a function of these names, or reads a past
/// version by one; None for one that does not.
pub fn awaits(statement: &ast::Statement, is_one: impl Fn(&str) -> bool) -> Option<usize> {
    let mut calls = Calls { is_one, awaits: false };
    let _ = statement.visit(&mut calls);
    let mut count = 0;
    let _ = visit_expressions(statement, |expression| {
        count = count.max(number(expression).unwrap_or(0));
        ControlFlow::<()>::Continue(())
    });
    calls.awaits.then_some(count)
}

struct Calls<F> {
    is_one: F,
    awaits: bool,
}

impl<F: Fn(&str) -> bool> Calls<F> {
    fn see(&mut self, name: &ObjectName, arguments: &[FunctionArg]) {
        let name = name.0.last().and_then(|part| part.as_ident()).map(folded);
        if !name.is_some_and(|name| (self.is_one)(&name)) {
            return;
        }
        self.awaits |= arguments.iter().any(|argument| {
            let (FunctionArg::Named { arg, .. }
            | FunctionArg::ExprNamed { arg, .. }
            | FunctionArg::Unnamed(arg)) = argument;
            matches!(arg, FunctionArgExpr::Expr(value) if has_parameter(value))
        });
    }
}

fn has_parameter(part: &impl Visit) -> bool {
    let found = visit_expressions(part, |inner| match number(inner) {
        Some(_) => ControlFlow::Break(()),
        None => ControlFlow::Continue(()),
    });
    found.is_break()
}

impl<F: Fn(&str) -> bool> Visitor for Calls<F> {
    type Break = ();

    fn pre_visit_expr(&mut self, expression: &Expr) -> ControlFlow<()> {
        if let Expr::Function(Function { name, args: FunctionArguments::List(list), .. }) =
            expression
        {
            self.see(name, &list.args);
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_table_factor(&mut self, factor: &TableFactor) -> ControlFlow<()> {
        match factor {
            TableFactor::Table { version: Some(version), .. } => {
                self.awaits |= has_parameter(version);
            }
            TableFactor::Table { name, args: Some(args), .. } => self.see(name, &args.args),
            TableFactor::Function { name, args, .. } => self.see(name, args),
            _ => {}
        }
        ControlFlow::Continue(())
    }
}

/// The statement with values in place of its parameters. Those that have no literal stay
/// parameters: no name and no text is among them.
pub fn with_literals(statement: &ast::Statement, values: &[ScalarValue]) -> ast::Statement {
    let mut statement = statement.clone();
    let _ = visit_expressions_mut(&mut statement, |expression| {
        let value = number(expression).and_then(|number| values.get(number.checked_sub(1)?));
        if let Some(literal) = value.and_then(literal) {
            *expression = literal;
        }
        ControlFlow::<()>::Continue(())
    });
    statement
}

fn literal(value: &ScalarValue) -> Option<Expr> {
    let plain = |value: Value| Some(Expr::Value(value.into()));
    let text = |text: &str| Expr::Value(Value::SingleQuotedString(text.to_owned()).into());
    if value.is_null() {
        return plain(Value::Null);
    }
    if let Some(found) = value.try_as_str() {
        return found.map(text);
    }
    match value {
        ScalarValue::Boolean(Some(flag)) => plain(Value::Boolean(*flag)),
        ScalarValue::TimestampMicrosecond(_, Some(_)) => typed("TIMESTAMPTZ", value),
        ScalarValue::TimestampMicrosecond(_, None) => typed("TIMESTAMP", value),
        ScalarValue::Date32(_) => typed("DATE", value),
        ScalarValue::List(list) => {
            let items = list.value(0);
            let items = items.as_string_opt::<i32>().filter(|items| items.null_count() == 0)?;
            let elem = items.iter().flatten().map(text).collect();
            Some(Expr::Array(ast::Array { elem, named: true }))
        }
        // NaN and infinities have no literal that is a number.
        number if number.data_type().is_numeric() => {
            let written = written(number)?;
            let finite = written.parse::<f64>().is_ok_and(f64::is_finite);
            finite.then(|| parse::parse_expression(&written).ok())?
        }
        _ => None,
    }
}

fn written(value: &ScalarValue) -> Option<String> {
    value.cast_to(&DataType::Utf8).ok()?.try_as_str()?.map(str::to_owned)
}

fn typed(of: &str, value: &ScalarValue) -> Option<Expr> {
    parse::parse_expression(&format!("{of} '{}'", written(value)?)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Parsed;

    fn parsed(text: &str) -> ast::Statement {
        match &parse::parse(text).unwrap()[0].parsed {
            Parsed::Sql(statement) => statement.as_ref().clone(),
            Parsed::Own(_) => panic!("{text}"),
        }
    }

    #[test]
    fn a_function_that_gets_a_parameter_awaits_it() {
        let own = |name: &str| name == "evaluate";
        for (text, count) in [
            ("select * from evaluate($1, 'q') where x = $3", Some(3)),
            ("select * from evaluate('m', query => $2)", Some(2)),
            ("select (select evaluate(array[$1]))", Some(1)),
            ("select * from evaluate('m', 'q') where x = $1", None),
            ("select * from t for system_time as of $1", Some(1)),
            ("select lower($1)", None),
        ] {
            assert_eq!(awaits(&parsed(text), own), count, "{text}");
        }
    }

    #[test]
    fn values_are_written_as_constants() {
        let values = [
            ScalarValue::from("it's"),
            ScalarValue::Int16(Some(-3)),
            ScalarValue::Float64(Some(0.5)),
            ScalarValue::Boolean(Some(true)),
            ScalarValue::Utf8(None),
            ScalarValue::TimestampMicrosecond(Some(1_000_000), Some("UTC".into())),
            ScalarValue::List(ScalarValue::new_list_nullable(
                &["a".into(), "b".into()],
                &DataType::Utf8,
            )),
            ScalarValue::Binary(Some(vec![1])),
            ScalarValue::Date32(Some(1)),
            ScalarValue::Decimal128(Some(-125), 5, 2),
            ScalarValue::Float64(Some(1e300)),
            ScalarValue::Float64(Some(f64::NAN)),
        ];
        let given = "select f($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)";
        let written = with_literals(&parsed(given), &values);
        assert_eq!(
            written.to_string(),
            "SELECT f('it''s', -3, 0.5, true, NULL, TIMESTAMPTZ '1970-01-01T00:00:01Z', \
             ARRAY['a', 'b'], $8, DATE '1970-01-02', -1.25, 1e300, $12)"
        );
    }
}
