//! UPDATE … SET … [FROM …] [WHERE …]: `SELECT 2, address, new column values`.
//!
//! `SET (a, b) = (SELECT x, y …)` asks once: the row is one more item, a struct, and its fields are
//! taken from it above.

use std::sync::Arc;

use catalog::Table;
use datafusion::sql::sqlparser::ast::{
    self, Assignment, AssignmentTarget, TableWithJoins, UpdateTableFromKind,
};

use super::insert::{Parameters, is_default};
use super::{
    Change, Own, Planner, UPDATE, address_items, alias_of, all_columns, assigned_column,
    columns_at, item, null, number, qualified, quoted, select, source_columns, table_alias,
    target_factor, target_of,
};
use crate::error::{Error, Result};
use crate::functions::row_field;
use crate::parse;
use crate::plan;

/// The name of a row's subquery.
const ROW: &str = "\u{3}row";

impl Planner<'_> {
    pub(super) async fn update(&self, update: ast::Update) -> Result<Change> {
        let (name, alias) = target_of(&update.table.relation, "UPDATE")?;
        let (place, table) = self.target(name)?;
        let alias = alias_of(alias, &place);
        let mut values: Vec<ast::Expr> =
            table.columns.iter().map(|c| qualified(&alias, &c.name)).collect();
        let mut parameters = Parameters::new(self.types);
        let own = self.own(&place, &table);
        let assignments = assignments(&table, &own, &update.assignments)?;
        for (index, value) in &assignments.values {
            values[*index] = match value {
                Value::Expression(value) => {
                    parameters.declare(value, &table.columns[*index].field);
                    value.clone()
                }
                Value::Field { .. } => null(),
            };
        }
        let mut items = address_items(number(UPDATE), &alias);
        let rows = assignments.rows.iter().map(Row::all);
        let named = values.into_iter().chain(rows).enumerate();
        items.extend(named.map(|(index, value)| item(value, &format!("__sextant_{index}"))));
        let first = items.len();
        let mut from = vec![TableWithJoins {
            relation: target_factor(&alias),
            joins: update.table.joins.clone(),
        }];
        if let Some(
            UpdateTableFromKind::AfterSet(tables) | UpdateTableFromKind::BeforeSet(tables),
        ) = update.from
        {
            from.extend(tables);
        }
        if update.returning.is_some() && from.len() > 1 {
            items.push(all_columns());
        }
        let query = select(items, from, update.selection)?;
        let planner = Planner { types: &parameters.types, ..*self };
        let plan = planner.plan(query, &place, &table).await?;
        let sources = source_columns(&plan, first, &alias);
        let mut values = columns_at(&plan, 3..3 + table.columns.len());
        let rows = columns_at(&plan, 3 + table.columns.len()..first);
        for (index, value) in &assignments.values {
            if let Value::Field { row, field } = value {
                values[*index] = row_field(rows[*row].clone(), *field);
            }
        }
        let target = (place, table);
        let mut change = Change::of_actions(self, target, "UPDATE", plan, values, &sources)?;
        change.told = parameters.told;
        if let Some(items) = update.returning {
            change.returning = Some(self.returning(&change, items, &alias).await?);
        }
        Ok(change)
    }
}

/// What a column is set to.
enum Value {
    Expression(ast::Expr),
    /// A field of one of `Assignments::rows`.
    Field {
        row: usize,
        field: usize,
    },
}

/// SET's columns and values.
pub(super) struct Assignments {
    values: Vec<(usize, Value)>,
    /// Subqueries for several columns.
    rows: Vec<Row>,
}

impl Assignments {
    /// The values as expressions of their own: each column asks for its field.
    pub(super) fn expressions(self) -> impl Iterator<Item = (usize, ast::Expr)> {
        let Self { values, rows } = self;
        values.into_iter().map(move |(index, value)| match value {
            Value::Expression(value) => (index, value),
            Value::Field { row, field } => (index, rows[row].field(field)),
        })
    }
}

/// Reads SET, DEFAULT and `(a, b) = …` written out; columns of `own` take only DEFAULT.
pub(super) fn assignments(
    table: &Arc<Table>,
    own: &Own,
    assignments: &[Assignment],
) -> Result<Assignments> {
    let mut found = Assignments { values: Vec::new(), rows: Vec::new() };
    for assignment in assignments {
        match &assignment.target {
            AssignmentTarget::ColumnName(name) => {
                found.set((table, own), name, Value::Expression(assignment.value.clone()))?;
            }
            AssignmentTarget::Tuple(names) => {
                found.set_row((table, own), names, &assignment.value)?;
            }
        }
    }
    Ok(found)
}

impl Assignments {
    fn set(
        &mut self,
        (table, own): (&Table, &Own),
        name: &ast::ObjectName,
        value: Value,
    ) -> Result<()> {
        let index = assigned_column(table, name)?;
        if !matches!(&value, Value::Expression(value) if is_default(value)) {
            own.check_update(table, index)?;
        }
        if self.values.iter().any(|(other, _)| *other == index) {
            let name = &table.columns[index].name;
            let message = format!("multiple assignments to same column \"{name}\"");
            return Err(Error::new("42601", message));
        }
        let value = match value {
            Value::Expression(value) => {
                Value::Expression(default_or(value, table.columns[index].default.as_deref())?)
            }
            field => field,
        };
        self.values.push((index, value));
        Ok(())
    }

    fn set_row(
        &mut self,
        of: (&Table, &Own),
        names: &[ast::ObjectName],
        value: &ast::Expr,
    ) -> Result<()> {
        if let ast::Expr::Subquery(query) = value {
            let row = self.rows.len();
            self.rows.push(Row::of(query, names.len())?);
            let fields = (0..names.len()).map(|field| Value::Field { row, field });
            return names.iter().zip(fields).try_for_each(|(n, value)| self.set(of, n, value));
        }
        let Some(values) = row_values(value) else {
            let message = "source for a multiple-column UPDATE item must be a sub-SELECT or ROW() \
                           expression";
            return Err(Error::new("0A000", message));
        };
        if values.len() != names.len() {
            return Err(Error::new("42601", "number of columns does not match number of values"));
        }
        let values = values.into_iter().map(Value::Expression);
        names.iter().zip(values).try_for_each(|(name, value)| self.set(of, name, value))
    }
}

/// The values of `(1, 2)` or `ROW(1, 2)`.
fn row_values(value: &ast::Expr) -> Option<Vec<ast::Expr>> {
    match value {
        ast::Expr::Tuple(values) => Some(values.clone()),
        ast::Expr::Function(call) if call.name.to_string().eq_ignore_ascii_case("row") => {
            let ast::FunctionArguments::List(list) = &call.args else { return None };
            let value = |argument: &ast::FunctionArg| match argument {
                ast::FunctionArg::Unnamed(ast::FunctionArgExpr::Expr(value)) => Some(value.clone()),
                _ => None,
            };
            list.args.iter().map(value).collect()
        }
        _ => None,
    }
}

fn field_name(index: usize) -> String {
    format!("c{index}")
}

/// `(query) AS r(c0, …)`: a subquery for several columns.
struct Row {
    select: ast::Query,
    count: usize,
}

impl Row {
    fn of(query: &ast::Query, count: usize) -> Result<Self> {
        let column =
            |index| ast::TableAliasColumnDef { name: quoted(&field_name(index)), data_type: None };
        let mut alias = table_alias(ROW);
        alias.columns = (0..count).map(column).collect();
        let relation = ast::TableFactor::Derived {
            lateral: false,
            subquery: Box::new(query.clone()),
            alias: Some(alias),
            sample: None,
        };
        let from = TableWithJoins { relation, joins: Vec::new() };
        Ok(Self { select: select(Vec::new(), vec![from], None)?, count })
    }

    /// `(SELECT named_struct('c0', r.c0, …) FROM …)`
    fn all(&self) -> ast::Expr {
        let mut arguments = Vec::with_capacity(2 * self.count);
        for name in (0..self.count).map(field_name) {
            let column = qualified(ROW, &name);
            let text = ast::Value::SingleQuotedString(name);
            arguments.extend([ast::Expr::Value(text.into()), column]);
        }
        self.selecting(plan::function("named_struct", &arguments.iter().collect::<Vec<_>>()))
    }

    /// `(SELECT r.c0 FROM …)`
    fn field(&self, index: usize) -> ast::Expr {
        self.selecting(qualified(ROW, &field_name(index)))
    }

    fn selecting(&self, value: ast::Expr) -> ast::Expr {
        let mut query = self.select.clone();
        if let ast::SetExpr::Select(select) = query.body.as_mut() {
            select.projection = vec![item(value, "row")];
        }
        ast::Expr::Subquery(Box::new(query))
    }
}

fn default_or(value: ast::Expr, default: Option<&str>) -> Result<ast::Expr> {
    match is_default(&value) {
        true => default.map_or_else(|| Ok(null()), parse::parse_expression),
        false => Ok(value),
    }
}
