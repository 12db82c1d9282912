//! ALTER COLUMN … TYPE [USING …]: in place where every value stays what it is; else each row is
//! written again, with the new value in a column that then takes the old one's place.

use catalog::{Column, Constraint, NewColumn, Table, TableChange};
use datafusion::arrow::datatypes::Field;
use datafusion::sql::sqlparser::ast::{DataType, Expr, Ident};

use super::alter_table::{apply, assign};
use super::{Context, current, definition, dependent};
use crate::changes::{column_index, validate};
use crate::error::{Error, Result};
use crate::plan::Place;
use crate::{sequences, types};

/// The new column while there are both.
const NEW: &str = "\u{3}retyped";

/// Gives a column another type, by assignment or as USING says.
///
/// Errors: 42804 where there is no such cast, and those of casting a value; 23502 and 23514 for
/// new values that the column's constraints refuse; 0A000 for what hangs on the old type.
pub(super) async fn run(
    context: &mut Context<'_>,
    place: &Place,
    table: &Table,
    name: &str,
    (data_type, using): (&DataType, Option<&Expr>),
) -> Result<()> {
    let column = &table.columns[column_index(table, name)?];
    let field = types::field(name, data_type)?;
    dependent::check_type(table, name)?;
    if using.is_none() && types::widens(&column.field, &field) {
        return apply(context, place, TableChange::WidenColumn { name: name.into(), field });
    }
    let shown = types::shown(&field);
    let from_text = from_text(column, &field);
    check(context, place, (table, column), &field)?;
    let new = NewColumn {
        name: NEW.into(),
        field,
        nullable: true,
        default: None,
        initial_default: None,
        comment: None,
    };
    let value = using.cloned().unwrap_or_else(|| Expr::Identifier(Ident::with_quote('"', name)));
    let value = Expr::Nested(Box::new(value));
    let not_cast = |what: &str, hint: &str| {
        let message =
            format!("{what}column \"{name}\" cannot be cast automatically to type {shown}");
        Error::new("42804", message).with_hint(hint)
    };
    let to_using = format!("You might need to specify \"USING {name}::{data_type}\".");
    if using.is_none() && from_text {
        return Err(not_cast("", &to_using));
    }
    apply(context, place, TableChange::AddColumn(new))?;
    assign(context, place, NEW, Some(value)).await.map_err(|error| {
        if error.sqlstate() != Some("42804") {
            return error;
        }
        match using {
            Some(_) => {
                not_cast("result of USING clause for ", "You might need to add an explicit cast.")
            }
            None => not_cast("", &to_using),
        }
    })?;
    if !column.nullable {
        validate::not_null(context, place, NEW, name).await?;
    }
    apply(context, place, TableChange::TakePlace { from: NEW.into(), of: name.into() })?;
    for constraint in &current(context, place)?.constraints {
        validate::check(context, place, constraint).await?;
    }
    Ok(())
}

fn from_text(column: &Column, to: &Field) -> bool {
    types::is_text(&column.field) && !types::is_text(to)
}

/// Fails if something that hangs on the column does not go with the new type.
fn check(
    context: &Context<'_>,
    place: &Place,
    (table, column): (&Table, &Column),
    to: &Field,
) -> Result<()> {
    let (name, shown) = (&column.name, types::shown(to));
    if let Some(text) = &column.default
        && (from_text(column, to) || definition::default(context.environment, text, to).is_err())
    {
        let message =
            format!("default for column \"{name}\" cannot be cast automatically to type {shown}");
        return Err(Error::new("42804", message));
    }
    let of_column = |(.., kept): &(&str, &str, sequences::Kept)| kept.owned_by(table, column);
    if sequences::owned(context.lakes.view(place).state(), table).iter().any(of_column) {
        return Err(Error::unsupported(
            "a type other than a wider one for a column with a sequence",
        ));
    }
    let is_near = |constraint: &Constraint| match constraint {
        Constraint::Index(index) => index.vectors.is_some() && index.columns().contains(&column.id),
        _ => false,
    };
    if table.constraints.iter().any(is_near) {
        let message = format!("column \"{name}\" has an index over its vectors");
        return Err(
            Error::new("0A000", message).with_hint("DROP INDEX first, and CREATE it again.")
        );
    }
    if table.sort_by.iter().any(|key| key.column == *name) {
        let message = format!("column \"{name}\" is in the sort order of its table");
        return Err(Error::new("0A000", message)
            .with_hint("ALTER TABLE … SET SORTED BY another column first."));
    }
    Ok(())
}
