//! ALTER TABLE on the table as a value: columns, keys, constraints.

use std::sync::Arc;

use crate::columns;
use crate::ddl::{self, NewColumn, TableChange};
use crate::error::{Error, Result};
use crate::model::{Column, Constraint, MODEL_KEY, PartitionKey, Table};

pub fn undefined_column(table: &str, column: &str) -> Error {
    Error::UndefinedColumn { table: table.to_owned(), column: column.to_owned() }
}

fn column_mut<'a>(table: &'a mut Table, name: &str) -> Result<&'a mut Column> {
    let missing = undefined_column(&table.name, name);
    table.columns.iter_mut().find(|c| c.name == name).ok_or(missing)
}

fn check_free(table: &Table, name: &str) -> Result<()> {
    if table.column(name).is_some() {
        return Err(Error::DuplicateColumn { table: table.name.clone(), column: name.to_owned() });
    }
    let others = table.columns.iter().map(|column| column.name.as_str());
    ddl::check_case("column", name, others)
}

/// Adds a column with the next ids.
pub fn add_column(table: &mut Table, new: &NewColumn) -> Result<()> {
    check_free(table, &new.name)?;
    let field = new.field.clone().with_nullable(new.nullable);
    let mut column = columns::number(&new.name, &field, &mut table.next_column_id);
    let literal = new.default.as_deref().and_then(columns::literal);
    column.initial_default = new.initial_default.clone().or(literal);
    column.default.clone_from(&new.default);
    column.comment.clone_from(&new.comment);
    table.columns.push(column);
    Ok(())
}

/// Resolves the columns of PARTITIONED BY.
pub fn partition_keys(table: &Table, by: &[(String, String)]) -> Result<Vec<PartitionKey>> {
    let key = |(name, transform): &(String, String)| {
        let column = table.column(name);
        let column = column.ok_or_else(|| undefined_column(&table.name, name))?;
        Ok(PartitionKey { column_id: column.id, transform: transform.clone() })
    };
    by.iter().map(key).collect()
}

/// Makes one change on a table; an error leaves it as it was or in between.
pub fn alter(table: &mut Table, change: &TableChange) -> Result<()> {
    match change {
        TableChange::AddColumn(new) => return add_column(table, new),
        TableChange::DropColumn { name } => return drop_column(table, name),
        TableChange::RenameColumn { name, to } => return rename_column(table, name, to),
        TableChange::WidenColumn { name, field } => {
            let column = column_mut(table, name)?;
            let field = field.clone().with_name(name).with_nullable(column.nullable);
            column.field = Arc::new(field);
        }
        TableChange::TakePlace { from, of } => return take_place(table, from, of),
        TableChange::SetDefault { name, default } => {
            column_mut(table, name)?.default.clone_from(default);
        }
        TableChange::SetNotNull { name, not_null } => {
            let column = column_mut(table, name)?;
            column.nullable = !not_null;
            let field = column.field.as_ref().clone().with_nullable(!not_null);
            column.field = Arc::new(field);
        }
        TableChange::SetSortedBy(keys) => {
            for key in keys {
                column_mut(table, &key.column)?;
            }
            table.sort_by.clone_from(keys);
        }
        TableChange::SetPartitionedBy(by) => table.partition_by = partition_keys(table, by)?,
        TableChange::SetModel { name, model } => {
            let column = column_mut(table, name)?;
            let mut metadata = column.field.metadata().clone();
            metadata.remove(MODEL_KEY);
            metadata.extend(model.iter().map(|model| (MODEL_KEY.to_owned(), model.clone())));
            column.field = Arc::new(column.field.as_ref().clone().with_metadata(metadata));
        }
        TableChange::SetComment(comment) => table.comment.clone_from(comment),
        TableChange::SetColumnComment { name, comment } => {
            column_mut(table, name)?.comment.clone_from(comment);
        }
        TableChange::AddConstraint(constraint) => return add_constraint(table, constraint),
        TableChange::DropConstraint { name } => {
            let before = table.constraints.len();
            table.constraints.retain(|c| c.name() != name);
            if table.constraints.len() == before {
                return Err(undefined_constraint(name));
            }
        }
        TableChange::RenameConstraint { name, to } => return rename_constraint(table, name, to),
        TableChange::SetQuery(query) => table.query = Some(query.clone()),
    }
    Ok(())
}

fn undefined_constraint(name: &str) -> Error {
    Error::UndefinedObject { kind: "constraint".to_owned(), name: name.to_owned() }
}

fn rename_constraint(table: &mut Table, name: &str, to: &str) -> Result<()> {
    if table.constraints.iter().any(|c| c.name() == to) {
        return Err(Error::DuplicateObject { kind: "constraint".to_owned(), name: to.to_owned() });
    }
    let found = table.constraints.iter_mut().find(|c| c.name() == name);
    to.clone_into(found.ok_or_else(|| undefined_constraint(name))?.name_mut());
    Ok(())
}

fn add_constraint(table: &mut Table, constraint: &Constraint) -> Result<()> {
    if table.constraints.iter().any(|c| c.name() == constraint.name()) {
        return Err(Error::DuplicateObject {
            kind: "constraint".to_owned(),
            name: constraint.name().to_owned(),
        });
    }
    table.constraints.push(constraint.clone());
    Ok(())
}

/// Constraints, sort and partition keys that name the column go with it.
fn drop_column(table: &mut Table, name: &str) -> Result<()> {
    let id = column_mut(table, name)?.id;
    table.columns.retain(|column| column.id != id);
    table.constraints.retain(|constraint| match constraint {
        Constraint::Check { .. } => true,
        Constraint::Unique { columns, .. } | Constraint::ForeignKey { columns, .. } => {
            !columns.contains(&id)
        }
        Constraint::Index(index) => !index.columns().contains(&id),
        Constraint::Generated { column, .. } => *column != id,
    });
    table.sort_by.retain(|key| key.column != name);
    table.partition_by.retain(|key| key.column_id != id);
    Ok(())
}

fn take_place(table: &mut Table, from: &str, of: &str) -> Result<()> {
    let new = column_mut(table, from)?.clone();
    table.columns.retain(|column| column.id != new.id);
    let column = column_mut(table, of)?;
    let old = std::mem::replace(&mut column.id, new.id);
    let field = new.field.as_ref().clone().with_name(of).with_nullable(column.nullable);
    column.field = Arc::new(field);
    (column.children, column.initial_default) = (new.children, new.initial_default);
    let follow = |id: &mut i64| {
        if *id == old {
            *id = new.id;
        }
    };
    for constraint in &mut table.constraints {
        constraint.columns_mut().into_iter().for_each(follow);
    }
    table.partition_by.iter_mut().for_each(|key| follow(&mut key.column_id));
    Ok(())
}

fn rename_column(table: &mut Table, name: &str, to: &str) -> Result<()> {
    column_mut(table, name)?;
    // Another case of its own name is free.
    if name.to_lowercase() != to.to_lowercase() || table.column(to).is_some() {
        check_free(table, to)?;
    }
    let column = column_mut(table, name)?;
    to.clone_into(&mut column.name);
    column.field = Arc::new(column.field.as_ref().clone().with_name(to));
    for key in &mut table.sort_by {
        if key.column == name {
            to.clone_into(&mut key.column);
        }
    }
    Ok(())
}
