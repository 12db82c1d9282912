//! ALTER TABLE: rename, move, columns, defaults, constraints, sort order and partitioning.

use std::sync::Arc;

use catalog::{Column, Constraint, NewColumn, Relation, SortKey, Table, TableChange};
use datafusion::sql::sqlparser::ast::{
    AlterColumnOperation, AlterTable, AlterTableOperation, AssignmentTarget, DropBehavior, Expr,
    FunctionArg, FunctionArgExpr, FunctionArguments, Ident, ObjectName, ObjectType, OrderByExpr,
    RenameTableNameKind, Statement,
};

use super::constraint::{NewConstraint, table_constraint};
use super::create_table::{column, default_text};
use super::definition::{self, Present};
use super::{
    Context, alter_view, create_view, dependent, drop, feature_view, follow, retype, sequence,
    training_set,
};
use crate::changes::{self, column_index, validate};
use crate::error::{Error, Result};
use crate::names::folded;
use crate::parse::{self, Parsed};
use crate::plan::{Found, Place};
use crate::{Notice, plan};

const TAG: &str = "ALTER TABLE";

pub(super) async fn run(context: &mut Context<'_>, alter: &AlterTable) -> Result<String> {
    let Some((place, found)) = context.relation(&alter.name, alter.if_exists)? else {
        return Ok(TAG.into());
    };
    context.environment.must_own(context.lakes, &place, &found)?;
    for operation in &alter.operations {
        match (&found, operation) {
            // Postgres lets ALTER TABLE rename a view, and dbt does.
            (_, AlterTableOperation::RenameTable { table_name }) => {
                let (RenameTableNameKind::As(to) | RenameTableNameKind::To(to)) = table_name;
                let to = plan::parts(to)?.pop().unwrap_or_default();
                alter_view::rename_to(context, &place, &found, &to)?;
            }
            (Found::Relation(Relation::Table(table)), operation) if table.query.is_none() => {
                change(context, &place, operation).await?;
            }
            _ => {
                return Err(Error::new("42809", format!("\"{}\" is not a table", place.name)));
            }
        }
    }
    Ok(TAG.into())
}

/// The table as the operations before this one left it.
pub(crate) fn current(context: &Context<'_>, place: &Place) -> Result<Arc<Table>> {
    let state = context.lakes.view(place).state();
    match state.schemas.get(&place.schema).and_then(|s| s.relations.get(&place.name)) {
        Some(Relation::Table(table)) => Ok(Arc::clone(table)),
        _ => Err(Error::undefined_table(&place.name)),
    }
}

async fn change(
    context: &mut Context<'_>,
    place: &Place,
    operation: &AlterTableOperation,
) -> Result<()> {
    let table = current(context, place)?;
    match operation {
        AlterTableOperation::AddColumn { if_not_exists, column_def, .. } => {
            add_column(context, place, &table, column_def, *if_not_exists).await
        }
        AlterTableOperation::DropColumn { column_names, if_exists, drop_behavior, .. } => {
            let cascade = *drop_behavior == Some(DropBehavior::Cascade);
            drop_columns(context, place, column_names, *if_exists, cascade).await
        }
        AlterTableOperation::RenameColumn { old_column_name, new_column_name } => {
            let name = existing(&table, old_column_name)?;
            let to = folded(new_column_name);
            let change = format!("rename column {name} of table {}", table.name);
            let followers = dependent::rename_column(&table, &name, &to)?;
            apply(context, place, TableChange::RenameColumn { name, to })?;
            for follower in followers {
                apply(context, place, follower)?;
            }
            views_still_stand(context, place, &change).await
        }
        AlterTableOperation::AlterColumn { column_name, op } => {
            let name = existing(&table, column_name)?;
            alter_column(context, place, &table, name, op).await
        }
        AlterTableOperation::AddConstraint { constraint, .. } => {
            let taken: Vec<&str> = table.constraints.iter().map(Constraint::name).collect();
            let constraint = table_constraint(constraint, &table.name, &taken, context.notices)?;
            let constraint = constraint.of(&table)?;
            check_definition(context, &table, &constraint)?;
            let taken = table.constraints.iter().any(|c| c.name() == constraint.name());
            if taken {
                let message = format!(
                    "constraint \"{}\" for relation \"{}\" already exists",
                    constraint.name(),
                    table.name
                );
                return Err(Error::new("42710", message));
            }
            validate::check(context, place, &constraint).await?;
            apply(context, place, TableChange::AddConstraint(constraint))
        }
        AlterTableOperation::DropConstraint { if_exists, name, .. } => {
            drop_constraint(context, place, &table, &folded(name), *if_exists)
        }
        AlterTableOperation::RenameConstraint { old_name, new_name } => {
            let (name, to) = (folded(old_name), folded(new_name));
            if !table.constraints.iter().any(|c| c.name() == name) {
                let message =
                    format!("constraint \"{name}\" for table \"{}\" does not exist", table.name);
                return Err(Error::new("42704", message));
            }
            apply(context, place, TableChange::RenameConstraint { name, to })
        }
        other => Err(Error::unsupported(format!("ALTER TABLE … {other}"))),
    }
}

pub(super) fn apply(context: &mut Context<'_>, place: &Place, change: TableChange) -> Result<()> {
    Ok(context.lakes.of(place).alter_table(&place.schema, &place.name, change)?)
}

fn existing(table: &Table, name: &Ident) -> Result<String> {
    let name = folded(name);
    column_index(table, &name)?;
    Ok(name)
}

async fn add_column(
    context: &mut Context<'_>,
    place: &Place,
    table: &Table,
    definition: &datafusion::sql::sqlparser::ast::ColumnDef,
    if_not_exists: bool,
) -> Result<()> {
    let mut constraints = Vec::new();
    let numbered = sequence::numbered(definition)?;
    let plain = numbered.as_ref().map_or(definition, |(plain, _)| plain);
    let new = column(&mut constraints, plain, &table.name, context.notices)?;
    if table.column(&new.name).is_some() {
        let message =
            format!("column \"{}\" of relation \"{}\" already exists", new.name, table.name);
        if !if_not_exists {
            return Err(Error::new("42701", message));
        }
        context
            .notices
            .push(Notice { sqlstate: "42701", ..Notice::notice(format!("{message}, skipping")) });
        return Ok(());
    }
    let is_computed = |c: &NewConstraint| matches!(c, NewConstraint::Generated { .. });
    let made = numbered.is_some() || constraints.iter().any(is_computed);
    let unfilled = !new.nullable && new.default.is_none() && !made;
    let (name, required) = (new.name.clone(), !new.nullable);
    let present = match &new.default {
        None if made => Present::Computed,
        None => Present::Same(None),
        Some(text) => definition::default(context.environment, text, &new.field)?,
    };
    match present {
        Present::Same(value) => {
            let nullable = new.nullable || unfilled;
            let new = NewColumn { initial_default: value, nullable, ..new };
            apply(context, place, TableChange::AddColumn(new))?;
            if unfilled {
                let filled = validate::not_null(context, place, &name, &name).await;
                filled.map_err(|error| {
                    error.with_hint("Add it with a DEFAULT, or add it nullable and fill it first.")
                })?;
                apply(context, place, TableChange::SetNotNull { name, not_null: true })?;
            }
        }
        Present::Computed => {
            let new = NewColumn { nullable: true, ..new };
            apply(context, place, TableChange::AddColumn(new))?;
            let table = current(context, place)?;
            let numbered = numbered.map(|(_, numbered)| numbered);
            sequence::number(context, place, &table, numbered.into_iter().collect())?;
            for constraint in constraints.extract_if(.., |constraint| is_computed(constraint)) {
                let constraint = constraint.of(&table)?;
                check_definition(context, &table, &constraint)?;
                apply(context, place, TableChange::AddConstraint(constraint))?;
            }
            assign(context, place, &name, None).await?;
            apply(context, place, TableChange::SetNotNull { name, not_null: required })?;
        }
    }
    let table = current(context, place)?;
    for constraint in constraints {
        let constraint = constraint.of(&table)?;
        check_definition(context, &table, &constraint)?;
        validate::check(context, place, &constraint).await?;
        apply(context, place, TableChange::AddConstraint(constraint))?;
    }
    Ok(())
}

/// Gives a column of every row that is there a value: its default, if none is said.
pub(super) async fn assign(
    context: &mut Context<'_>,
    place: &Place,
    column: &str,
    value: Option<Expr>,
) -> Result<()> {
    if let Some(live) = &context.environment.live {
        live.see(context.lakes);
    }
    let mut update = parse::parse("UPDATE t SET c = DEFAULT")?;
    if let Some(Parsed::Sql(sql)) = update.first_mut().map(|statement| &mut statement.parsed)
        && let sql = Arc::make_mut(sql)
        && let Statement::Update(update) = sql
    {
        let name = plan::object_name(&[place.schema_name(), place.name.as_str()]);
        update.table.relation = plan::table_factor(name, None);
        for assignment in &mut update.assignments {
            assignment.target = AssignmentTarget::ColumnName(plan::object_name(&[column]));
            if let Some(value) = &value {
                assignment.value.clone_from(value);
            }
        }
        let (environment, given) = (context.environment, Vec::new());
        let planned = changes::plan_change(environment, context.lakes, sql, &[], &given).await?;
        if let Some(change) = planned {
            changes::apply(environment, context.lakes, &change).await?;
        }
    }
    Ok(())
}

async fn drop_columns(
    context: &mut Context<'_>,
    place: &Place,
    names: &[Ident],
    if_exists: bool,
    cascade: bool,
) -> Result<()> {
    for name in names {
        let (table, name) = (current(context, place)?, folded(name));
        if if_exists && table.column(&name).is_none() {
            let message =
                format!("column \"{name}\" of relation \"{}\" does not exist", table.name);
            context.notices.push(Notice::notice(format!("{message}, skipping")));
            continue;
        }
        column_index(&table, &name)?;
        let broken = format!("drop column {name} of table {}", table.name);
        for change in dependent::drop_column(&table, &name, cascade)? {
            apply(context, place, change)?;
        }
        views_still_stand(context, place, &broken).await?;
    }
    Ok(())
}

async fn alter_column(
    context: &mut Context<'_>,
    place: &Place,
    table: &Table,
    name: String,
    operation: &AlterColumnOperation,
) -> Result<()> {
    let column = &table.columns[column_index(table, &name)?];
    let defaults = matches!(
        operation,
        AlterColumnOperation::SetDefault { .. } | AlterColumnOperation::DropDefault
    );
    if defaults && table.generation(column.id).is_some() {
        let of = &table.name;
        let message = format!("column \"{name}\" of relation \"{of}\" is a generated column");
        return Err(Error::new("42601", message));
    }
    let change = match operation {
        AlterColumnOperation::SetNotNull => {
            validate::not_null(context, place, &name, &name).await?;
            TableChange::SetNotNull { name, not_null: true }
        }
        AlterColumnOperation::DropNotNull => TableChange::SetNotNull { name, not_null: false },
        AlterColumnOperation::SetDefault { value } => {
            let default = default_text(value);
            if let Some(text) = &default {
                definition::default(context.environment, text, &column.field)?;
            }
            TableChange::SetDefault { name, default }
        }
        AlterColumnOperation::DropDefault => TableChange::SetDefault { name, default: None },
        AlterColumnOperation::SetDataType { data_type, using, .. } => {
            let to = (data_type, using.as_ref());
            return Box::pin(retype::run(context, place, table, &name, to)).await;
        }
        other => return Err(Error::unsupported(format!("ALTER COLUMN … {other}"))),
    };
    apply(context, place, change)
}

fn check_definition(context: &Context<'_>, table: &Table, new: &Constraint) -> Result<()> {
    let columns = table.columns.iter().map(|column| column.field.as_ref().clone()).collect();
    match new {
        Constraint::Check { expression, .. } => {
            definition::check(context.environment, expression, columns)
        }
        Constraint::Generated { column, expression, .. } => {
            let computed = |c: &&Column| c.id == *column || table.generation(c.id).is_some();
            let computed = table.columns.iter().filter(computed).map(|c| c.name.as_str());
            let Some(own) = table.columns.iter().find(|c| c.id == *column) else { return Ok(()) };
            let of = (expression.as_str(), own.field.as_ref());
            definition::generated(context.environment, of, columns, &computed.collect::<Vec<_>>())
        }
        Constraint::Unique { .. } | Constraint::ForeignKey { .. } | Constraint::Index(_) => Ok(()),
    }
}

/// A change must leave the views that read the table whole.
pub(super) async fn views_still_stand(
    context: &Context<'_>,
    place: &Place,
    change: &str,
) -> Result<()> {
    for (kind, view) in drop::dependents(context.lakes.view(place).state(), place) {
        if let Err(error) = create_view::plan(context, &view).await {
            let message = format!("cannot {change} because other objects depend on it");
            return Err(Error::new("2BP01", message)
                .with_detail(format!("{kind} {} reads it: {error}.", view.name))
                .with_hint("Drop the view, change the table, and make the view again."));
        }
    }
    Ok(())
}

fn drop_constraint(
    context: &mut Context<'_>,
    place: &Place,
    table: &Table,
    name: &str,
    if_exists: bool,
) -> Result<()> {
    let is_named = |c: &Constraint| c.name() == name && !matches!(c, Constraint::Index(_));
    if table.constraints.iter().any(is_named) {
        return apply(context, place, TableChange::DropConstraint { name: name.into() });
    }
    let message = format!("constraint \"{name}\" of relation \"{}\" does not exist", table.name);
    if !if_exists {
        return Err(Error::new("42704", message));
    }
    context.notices.push(Notice::notice(format!("{message}, skipping")));
    Ok(())
}

/// ALTER TABLE | VIEW | MATERIALIZED VIEW name SET SCHEMA other.
pub(super) fn set_schema(
    context: &mut Context<'_>,
    kind: ObjectType,
    name: &ObjectName,
    if_exists: bool,
    schema: &Ident,
) -> Result<String> {
    if let Some((place, found)) = context.relation(name, if_exists)? {
        context.environment.must_own(context.lakes, &place, &found)?;
        let schema = folded(schema);
        let state = context.lakes.view(&place).state();
        context.environment.check_schema(state, &schema)?;
        context.environment.require_create(state, &schema)?;
        let new = Place { schema: schema.clone(), ..place.clone() };
        drop::gives_up(context, &place);
        follow::follow(context, &place, &new)?;
        context.lakes.of(&place).move_relation(&place.schema, &place.name, &schema)?;
        feature_view::renamed(context, &place, &new)?;
        training_set::renamed(context, &place, &new)?;
    }
    Ok(format!("ALTER {kind}"))
}

/// ALTER TABLE name SET SORTED BY (…).
pub(super) fn set_sorted_by(
    context: &mut Context<'_>,
    name: &ObjectName,
    if_exists: bool,
    keys: &[OrderByExpr],
) -> Result<String> {
    let Some((place, table)) = owned(context, name, if_exists)? else { return Ok(TAG.into()) };
    let key = |key: &OrderByExpr| -> Result<SortKey> {
        let Expr::Identifier(column) = &key.expr else {
            return Err(Error::unsupported("sorting by an expression"));
        };
        let descending = key.options.asc == Some(false);
        Ok(SortKey {
            column: existing(&table, column)?,
            descending,
            nulls_first: key.options.nulls_first.unwrap_or(descending),
        })
    };
    let keys: Result<Vec<SortKey>> = keys.iter().map(key).collect();
    apply(context, &place, TableChange::SetSortedBy(keys?))?;
    Ok(TAG.into())
}

/// ALTER TABLE name SET PARTITIONED BY (…).
pub(super) fn set_partitioned_by(
    context: &mut Context<'_>,
    name: &ObjectName,
    if_exists: bool,
    keys: &[Expr],
) -> Result<String> {
    let Some((place, table)) = owned(context, name, if_exists)? else { return Ok(TAG.into()) };
    let keys: Result<Vec<(String, String)>> =
        keys.iter().map(|key| partition_key(&table, key)).collect();
    apply(context, &place, TableChange::SetPartitionedBy(keys?))?;
    Ok(TAG.into())
}

/// The table named, if the statement's role owns it.
fn owned(
    context: &mut Context<'_>,
    name: &ObjectName,
    if_exists: bool,
) -> Result<Option<(Place, Arc<Table>)>> {
    let Some((place, table)) = context.table(name, if_exists)? else { return Ok(None) };
    let found = Found::Relation(Relation::Table(Arc::clone(&table)));
    context.environment.must_own(context.lakes, &place, &found)?;
    Ok(Some((place, table)))
}

/// `a`, `day(a)`, `bucket(16, a)` as (column, transform).
fn partition_key(table: &Table, key: &Expr) -> Result<(String, String)> {
    let hint = "Partition by a column, or year, month, day, hour(column), bucket(n, column).";
    let refused = || Error::new("22023", format!("cannot partition by {key}")).with_hint(hint);
    let function = match key {
        Expr::Identifier(column) => return Ok((existing(table, column)?, "identity".into())),
        Expr::Function(function) => function,
        _ => return Err(refused()),
    };
    let FunctionArguments::List(list) = &function.args else { return Err(refused()) };
    let arguments: Vec<&Expr> = list
        .args
        .iter()
        .filter_map(|argument| match argument {
            FunctionArg::Unnamed(FunctionArgExpr::Expr(expression)) => Some(expression),
            _ => None,
        })
        .collect();
    let name = function.name.to_string().to_lowercase();
    match (name.as_str(), arguments.as_slice()) {
        ("year" | "month" | "day" | "hour", [Expr::Identifier(column)]) => {
            Ok((existing(table, column)?, name))
        }
        ("bucket", [Expr::Value(count), Expr::Identifier(column)]) => {
            let count: u32 = count.to_string().parse().map_err(|_| refused())?;
            Ok((existing(table, column)?, format!("bucket({count})")))
        }
        _ => Err(refused()),
    }
}
