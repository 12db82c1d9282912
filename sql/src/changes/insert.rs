//! INSERT: VALUES, a query or DEFAULT VALUES; columns not named get their defaults.

use std::collections::HashSet;

use catalog::types::VectorType;
use catalog::{Constraint, Table};
use datafusion::arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder};
use datafusion::sql::sqlparser::ast::{self, OnInsert, SelectItem, SetExpr, TableObject};
use std::sync::Arc;

use super::{Change, Own, Planner, Shape, assigned, assigned_column, compute};
use crate::error::{Error, Result};
use crate::functions::assigned_to;
use crate::plan::Place;
use crate::{parse, plan, sequences};

impl Planner<'_> {
    pub(super) async fn insert(&self, mut insert: ast::Insert) -> Result<Change> {
        let overriding = overriding(&mut insert);
        let TableObject::TableName(name) = &insert.table else {
            return Err(Error::unsupported("INSERT into a function"));
        };
        let (place, table) = self.target(name)?;
        let columns = insert_columns(&table, &insert)?;
        let own = self.own(&place, &table);
        let own = if overriding == Overriding::Nothing { own } else { own.overridden() };
        check_own(&insert, &table, &columns, &own)?;
        let (source, told) = self.source(&insert, &table, &columns).await?;
        let given: Vec<usize> = match overriding {
            // What is given for them is not looked at.
            Overriding::User => {
                let all = sequences::identities(self.lakes.view(&place).state(), &table);
                let numbered = |index: &usize| all.iter().any(|(own, _)| own == index);
                let given = columns.into_iter();
                given.map(|index| if numbered(&index) { usize::MAX } else { index }).collect()
            }
            Overriding::Nothing | Overriding::System => columns,
        };
        let rows = self.rows(source, &table, &given)?;
        let alias = insert.table_alias.as_ref().map(|a| crate::names::folded(&a.alias));
        let alias = alias.unwrap_or_else(|| place.name.clone());
        let mut change = Change::new(self.lakes, place, table, "INSERT 0", Shape::Rows, rows);
        change.told = told;
        match insert.on {
            None => {}
            Some(OnInsert::OnConflict(conflict)) => {
                self.upsert(&mut change, conflict, &alias).await?;
            }
            Some(_) => return Err(Error::unsupported("ON DUPLICATE KEY UPDATE")),
        }
        if let Some(items) = insert.returning {
            change.returning = Some(self.returning(&change, items, &alias).await?);
        }
        Ok(change)
    }

    /// The columns that the table fills itself.
    pub(super) fn own(&self, place: &Place, table: &Table) -> Own {
        Own::of(self.lakes.view(place).state(), table)
    }

    /// The source query's plan, one column per entry of `columns`, and `Change::told`.
    async fn source(
        &self,
        insert: &ast::Insert,
        table: &Table,
        columns: &[usize],
    ) -> Result<(LogicalPlan, Vec<Option<FieldRef>>)> {
        let Some(query) = &insert.source else {
            return Ok((LogicalPlanBuilder::empty(true).build()?, Vec::new()));
        };
        let mut query = self.under_with(query.as_ref().clone());
        let mut parameters = Parameters::new(self.types);
        match query.body.as_mut() {
            SetExpr::Values(values) => {
                for row in &mut values.rows {
                    check_count(row.len(), columns.len())?;
                    for (value, index) in row.iter_mut().zip(columns) {
                        let column = &table.columns[*index];
                        value_in_row(value, column.default.as_deref())?;
                        read_literal(value, &column.field)?;
                        parameters.declare(value, &column.field);
                    }
                }
                assign_apart(&mut values.rows, table, columns, &parameters.types)?;
            }
            SetExpr::Select(select) if select.projection.iter().all(plain_item) => {
                for (item, index) in select.projection.iter().zip(columns) {
                    if let SelectItem::UnnamedExpr(value) = item {
                        parameters.declare(value, &table.columns[*index].field);
                    }
                }
            }
            _ => {}
        }
        let Parameters { types, told } = parameters;
        let plan = self.plan_given(query, &types, []).await?;
        check_count(plan.schema().fields().len(), columns.len())?;
        Ok((plan, told))
    }

    /// The source under the table's columns and types.
    pub(super) fn rows(
        &self,
        source: LogicalPlan,
        table: &Table,
        columns: &[usize],
    ) -> Result<LogicalPlan> {
        let given = source.schema().columns();
        let mut items = Vec::with_capacity(table.columns.len());
        for (index, column) in table.columns.iter().enumerate() {
            let value = match columns.iter().position(|c| *c == index) {
                Some(at) if at < given.len() => Expr::Column(given[at].clone()),
                _ => self.default(column.default.as_deref())?,
            };
            items.push(assigned(value, &column.field, source.schema(), &self.environment.engine)?);
        }
        let rows = LogicalPlanBuilder::from(source).project(items)?.build()?;
        compute(self.environment, rows, table)
    }
}

/// What an INSERT says of values for identity columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Overriding {
    Nothing,
    /// The values given count, also for GENERATED ALWAYS.
    System,
    /// Identity columns are numbered whatever is given.
    User,
}

/// Takes the OVERRIDING clause from where the parser was told to put it.
fn overriding(insert: &mut ast::Insert) -> Overriding {
    let marks = [
        (super::OVERRIDING_SYSTEM, Overriding::System),
        (super::OVERRIDING_USER, Overriding::User),
    ];
    for (mark, overriding) in marks {
        let alone = matches!(insert.columns.as_slice(), [name] if name.to_string().contains(mark));
        let behind = insert.partitioned.iter().flatten().any(|e| e.to_string().contains(mark));
        if alone {
            insert.columns.clear();
        }
        if alone || behind {
            return overriding;
        }
    }
    Overriding::Nothing
}

/// GENERATED ALWAYS means it: nothing but DEFAULT may be given.
fn check_own(insert: &ast::Insert, table: &Table, columns: &[usize], own: &Own) -> Result<()> {
    for (at, index) in columns.iter().enumerate() {
        let rows = match insert.source.as_ref().map(|query| query.body.as_ref()) {
            None => continue,
            Some(SetExpr::Values(values)) => Some(&values.rows),
            Some(_) => None,
        };
        let only_defaults =
            rows.is_some_and(|rows| rows.iter().all(|row| row.get(at).is_none_or(is_default)));
        if !only_defaults {
            own.check_insert(table, *index)?;
        }
    }
    Ok(())
}

pub(super) fn is_default(value: &ast::Expr) -> bool {
    matches!(value, ast::Expr::Identifier(name)
        if name.quote_style.is_none() && name.value.eq_ignore_ascii_case("default"))
}

fn insert_columns(table: &Table, insert: &ast::Insert) -> Result<Vec<usize>> {
    if insert.columns.is_empty() {
        let given = match insert.source.as_ref().map(|q| q.body.as_ref()) {
            Some(SetExpr::Values(values)) => values.rows.first().map_or(0, |r| r.len()),
            Some(SetExpr::Select(select)) => match select.projection.as_slice() {
                items if items.iter().all(plain_item) => items.len(),
                _ => table.columns.len(),
            },
            Some(_) => table.columns.len(),
            None => 0,
        };
        return Ok((0..table.columns.len().min(given.max(1))).collect());
    }
    let mut seen = HashSet::new();
    let mut columns = Vec::with_capacity(insert.columns.len());
    for name in &insert.columns {
        let index = assigned_column(table, name)?;
        if !seen.insert(index) {
            let message = format!("column \"{}\" specified more than once", name);
            return Err(Error::new("42701", message));
        }
        columns.push(index);
    }
    Ok(columns)
}

fn plain_item(item: &SelectItem) -> bool {
    matches!(item, SelectItem::UnnamedExpr(_) | SelectItem::ExprWithAlias { .. })
}

fn check_count(given: usize, expected: usize) -> Result<()> {
    match given.cmp(&expected) {
        std::cmp::Ordering::Equal => Ok(()),
        std::cmp::Ordering::Greater => {
            Err(Error::new("42601", "INSERT has more expressions than target columns"))
        }
        std::cmp::Ordering::Less => {
            Err(Error::new("42601", "INSERT has more target columns than expressions"))
        }
    }
}

/// DEFAULT inside VALUES stands for the column's default.
fn value_in_row(value: &mut ast::Expr, default: Option<&str>) -> Result<()> {
    if is_default(value) {
        *value = match default {
            Some(text) => parse::parse_expression(text)?,
            None => super::null(),
        };
    }
    Ok(())
}

/// Values of a column that are written in several ways have its type each for itself: beside the
/// others the engine would give all of them one of its choice.
fn assign_apart(
    rows: &mut [ast::Parens<Vec<ast::Expr>>],
    table: &Table,
    columns: &[usize],
    types: &[Option<FieldRef>],
) -> Result<()> {
    for (at, index) in columns.iter().enumerate() {
        let field = &table.columns[*index].field;
        let mut written = rows.iter().filter_map(|row| Written::of(row.get(at)?, field, types));
        let first = written.next();
        let alike = first != Some(Written::Other) && written.all(|other| Some(other) == first);
        let numbers = first == Some(Written::Number) && field.data_type().is_numeric();
        let others =
            matches!(first, Some(Written::Text | Written::Boolean | Written::OfColumn) | None);
        if rows.len() < 2 || alike && (numbers || others) {
            continue;
        }
        let Some(name) = type_name(field) else { continue };
        let sample = parse::parse_expression(&format!("CAST(NULL AS {name})"))?;
        let column = ast::Value::SingleQuotedString(table.columns[*index].name.clone());
        let column = ast::Expr::Value(column.into());
        for value in rows.iter_mut().filter_map(|row| row.get_mut(at)) {
            *value = plan::function(assigned_to::NAME, &[&*value, &sample, &column]);
        }
    }
    Ok(())
}

/// How a value is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Written {
    Number,
    Text,
    Boolean,
    /// A parameter of the column's own type.
    OfColumn,
    /// It may have any type.
    Other,
}

impl Written {
    /// None: NULL, which is of any type.
    fn of(value: &ast::Expr, column: &FieldRef, types: &[Option<FieldRef>]) -> Option<Self> {
        match value {
            ast::Expr::UnaryOp { op: ast::UnaryOperator::Minus, expr } => {
                match Self::of(expr, column, types) {
                    Some(Self::Number) => Some(Self::Number),
                    _ => Some(Self::Other),
                }
            }
            ast::Expr::Value(value) => match &value.value {
                ast::Value::Null => None,
                ast::Value::SingleQuotedString(_) => Some(Self::Text),
                ast::Value::Number(..) => Some(Self::Number),
                ast::Value::Boolean(_) => Some(Self::Boolean),
                ast::Value::Placeholder(name) => Some(Self::parameter(name, column, types)),
                _ => Some(Self::Other),
            },
            _ => Some(Self::Other),
        }
    }

    fn parameter(name: &str, column: &FieldRef, types: &[Option<FieldRef>]) -> Self {
        let number: Option<usize> = name.trim_start_matches('$').parse().ok();
        let field = number.and_then(|number| types.get(number.checked_sub(1)?)?.as_ref());
        match field.map(|field| field.data_type()) {
            Some(of) if of.is_numeric() => Self::Number,
            Some(DataType::Utf8) => Self::Text,
            Some(DataType::Boolean) => Self::Boolean,
            Some(of) if of == column.data_type() => Self::OfColumn,
            _ => Self::Other,
        }
    }
}

/// A type's name, as precise as the engine's; None of records.
fn type_name(field: &FieldRef) -> Option<String> {
    Some(match field.data_type() {
        DataType::Utf8 => "text".to_owned(),
        DataType::Decimal128(precision, scale) => format!("numeric({precision},{scale})"),
        of if VectorType::of(of).is_some() => VectorType::of(of)?.name(),
        DataType::List(element) => format!("{}[]", type_name(element)?),
        DataType::Struct(_) => return None,
        _ => crate::types::shown(field),
    })
}

/// A text literal for a column of an array, vector or bytea is read as that type here: beside
/// `ARRAY[…]` in another row the engine would find no common type.
fn read_literal(value: &mut ast::Expr, field: &FieldRef) -> Result<()> {
    let literal = matches!(value, ast::Expr::Value(v)
        if matches!(v.value, ast::Value::SingleQuotedString(_)));
    let described = crate::types::describe(field);
    let name = match (described.udt_name.as_str(), field.data_type()) {
        (_, of) if VectorType::of(of).is_some() => {
            VectorType::of(of).map(VectorType::name).unwrap_or_default()
        }
        ("bytea", _) => "bytea".to_string(),
        (udt, DataType::List(_)) => format!("{}[]", udt.trim_start_matches('_')),
        _ => return Ok(()),
    };
    if literal {
        let inner = value.clone();
        *value = parse::parse_expression(&format!("CAST(NULL AS {name})"))?;
        if let ast::Expr::Cast { expr, .. } = value {
            **expr = inner;
        }
    }
    Ok(())
}

/// Types of the parameters of a change.
pub(super) struct Parameters {
    /// As they are planned.
    pub types: Vec<Option<FieldRef>>,
    /// See `Change::told`.
    pub told: Vec<Option<FieldRef>>,
}

impl Parameters {
    /// Those that the client declared.
    pub(super) fn new(declared: &[Option<FieldRef>]) -> Self {
        Self { types: declared.to_vec(), told: Vec::new() }
    }

    /// A bare parameter has the type of the column it goes to, unless the client declared another.
    pub(super) fn declare(&mut self, value: &ast::Expr, field: &FieldRef) {
        let ast::Expr::Value(value) = value else { return };
        let ast::Value::Placeholder(name) = &value.value else { return };
        let Ok(number) = name.trim_start_matches('$').parse::<usize>() else { return };
        if !(1..=usize::from(u16::MAX)).contains(&number) {
            return;
        }
        if self.types.len() < number {
            self.types.resize(number, None);
        }
        self.told.resize(self.types.len().max(self.told.len()), None);
        if self.types[number - 1].is_none() {
            let plain = Field::new("", field.data_type().clone(), true);
            self.types[number - 1] = Some(Arc::new(plain));
            self.told[number - 1] = Some(Arc::clone(field));
        }
    }
}

/// Columns of every declared key and unique index of a table, as positions.
pub(super) fn keys(table: &Table) -> Vec<(String, Vec<usize>)> {
    let position = |id: &i64| table.columns.iter().position(|c| c.id == *id);
    let key = |constraint: &Constraint| match constraint {
        Constraint::Unique { name, columns, .. } => {
            Some((name.clone(), columns.iter().filter_map(position).collect()))
        }
        Constraint::Index(index) if index.unique => {
            let columns = index.keys.iter().filter_map(|key| position(&key.column));
            Some((index.name.clone(), columns.collect()))
        }
        Constraint::Check { .. }
        | Constraint::ForeignKey { .. }
        | Constraint::Generated { .. }
        | Constraint::Index(_) => None,
    };
    table.constraints.iter().filter_map(key).collect()
}
