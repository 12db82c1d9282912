//! ALTER SEQUENCE: how it counts, where it goes on, whose it is, what it is called.

use std::sync::Arc;

use catalog::{Given, Sequence, TableChange};
use datafusion::sql::sqlparser::ast::{DataType, Ident, ObjectName, SequenceOptions};

use super::Context;
use super::create_table::is_there;
use super::sequence::{check_start, counted, find, owned_by, users, whole};
use crate::Notice;
use crate::error::{Error, Result};
use crate::names::folded;
use crate::parse::AlterSequence;
use crate::plan::{self, Place};
use crate::sequences::{self, Kept};

const TAG: &str = "ALTER SEQUENCE";

/// Changes what is said and keeps the rest. Numbers are given outside of transactions, and so is
/// RESTART: a rollback does not undo it.
pub(super) async fn run(context: &mut Context<'_>, alter: &AlterSequence) -> Result<String> {
    let Some((place, mut kept)) = owned(context, &alter.name, alter.if_exists)? else {
        return Ok(TAG.to_owned());
    };
    let before = kept.numbers.clone();
    let data_type = alter.data_type.clone().or_else(|| of_type(&kept.of_type));
    let options = with_the_rest(alter, &kept);
    let counts = counted(data_type.as_ref(), &options)?;
    kept.numbers = Sequence { uuid: before.uuid.clone(), ..counts.numbers };
    (kept.of_type, kept.cache) = (counts.of_type, counts.cache);
    if let Some(name) = &alter.owned_by {
        kept.owner = owned_by(context, name, &place)?;
    }
    let restart = match &alter.restart {
        None => None,
        Some(None) => Some(kept.numbers.start),
        Some(Some(value)) => Some(whole(value)?),
    };
    if let Some(value) = restart {
        check_start("RESTART", value, &kept.numbers)?;
    }
    if place.temp && (restart.is_some() || before != kept.numbers) {
        return Err(Error::unsupported("ALTER SEQUENCE of a temporary table's")
            .with_hint("Use setval() to go on from another number."));
    }
    let lake = Arc::clone(context.lakes.main.lake());
    match restart {
        Some(last) => lake.set_number(&kept.numbers, Given { last, called: false }).await?,
        None if before != kept.numbers => lake.put_back(&before).await?,
        None => {}
    }
    kept.keep(context.lakes.of(&place), &place)?;
    Ok(TAG.to_owned())
}

/// RENAME TO: the columns that take its numbers go on to.
pub(super) fn rename(
    context: &mut Context<'_>,
    name: &ObjectName,
    if_exists: bool,
    to: &Ident,
) -> Result<String> {
    if let Some((place, kept)) = owned(context, name, if_exists)? {
        let new = Place { name: folded(to), ..place.clone() };
        relocate(context, &place, &new, &kept)?;
    }
    Ok(TAG.to_owned())
}

/// SET SCHEMA: not of a column's, which is where its table is (0A000).
pub(super) fn set_schema(
    context: &mut Context<'_>,
    name: &ObjectName,
    if_exists: bool,
    schema: &Ident,
) -> Result<String> {
    if let Some((place, kept)) = owned(context, name, if_exists)? {
        if kept.owner.is_some() {
            let message = "cannot move an owned sequence into another schema";
            let detail = format!("Sequence \"{}\" is linked to a table.", place.name);
            return Err(Error::new("0A000", message).with_detail(detail));
        }
        let schema = folded(schema);
        let state = context.lakes.view(&place).state();
        context.environment.check_schema(state, &schema)?;
        context.environment.require_create(state, &schema)?;
        let new = Place { schema, ..place.clone() };
        relocate(context, &place, &new, &kept)?;
    }
    Ok(TAG.to_owned())
}

fn relocate(context: &mut Context<'_>, from: &Place, to: &Place, kept: &Kept) -> Result<()> {
    is_there(context, to, false)?;
    for (schema, table, column) in users(context, from, &sequences::default(from)) {
        let default = Some(sequences::default(to));
        let change = TableChange::SetDefault { name: column, default };
        context.lakes.of(from).alter_table(&schema, &table, change)?;
    }
    Kept::forget(context.lakes.of(from), from)?;
    kept.keep(context.lakes.of(to), to)
}

/// The sequence, if the statement's role owns it; None with a NOTICE if it need not exist.
fn owned(
    context: &mut Context<'_>,
    name: &ObjectName,
    if_exists: bool,
) -> Result<Option<(Place, Kept)>> {
    let parts = plan::parts(name)?;
    let Some(place) = find(context, &parts) else {
        let shown = parts.last().map_or("", String::as_str);
        let message = format!("relation \"{shown}\" does not exist");
        if if_exists {
            context.notices.push(Notice::notice(format!("{message}, skipping")));
            return Ok(None);
        }
        return Err(Error::new("42P01", message));
    };
    let state = context.lakes.view(&place).state();
    let Some(kept) = Kept::of(state, &place.schema, &place.name) else { return Ok(None) };
    let at = (place.schema_name(), place.name.as_str());
    kept.must_own(state, at, &context.environment.authority)?;
    Ok(Some((place, kept)))
}

fn of_type(name: &str) -> Option<DataType> {
    match name {
        "smallint" => Some(DataType::SmallInt(None)),
        "integer" => Some(DataType::Integer(None)),
        _ => None,
    }
}

/// The options given, and those that hold where nothing is said. Limits that are those of the old
/// type become those of a new one.
fn with_the_rest(alter: &AlterSequence, kept: &Kept) -> Vec<SequenceOptions> {
    let is_given = |same: fn(&SequenceOptions) -> bool| alter.options.iter().any(same);
    let number = |value: i64| crate::changes::number(value);
    let old = &kept.numbers;
    let limits = |increment: i64| {
        let sign = vec![SequenceOptions::IncrementBy(number(increment), true)];
        counted(of_type(&kept.of_type).as_ref(), &sign).map(|c| c.numbers)
    };
    let usual = limits(old.increment).ok();
    let changes_type = alter.data_type.is_some();
    let is_usual = |of: fn(&Sequence) -> i64| {
        changes_type && usual.as_ref().is_some_and(|usual| of(usual) == of(old))
    };
    let mut options = alter.options.clone();
    if !is_given(|o| matches!(o, SequenceOptions::IncrementBy(..))) {
        options.push(SequenceOptions::IncrementBy(number(old.increment), true));
    }
    if !is_given(|o| matches!(o, SequenceOptions::MinValue(_))) && !is_usual(|s| s.minimum) {
        options.push(SequenceOptions::MinValue(Some(number(old.minimum))));
    }
    if !is_given(|o| matches!(o, SequenceOptions::MaxValue(_))) && !is_usual(|s| s.maximum) {
        options.push(SequenceOptions::MaxValue(Some(number(old.maximum))));
    }
    if !is_given(|o| matches!(o, SequenceOptions::StartWith(..))) {
        options.push(SequenceOptions::StartWith(number(old.start), true));
    }
    if !is_given(|o| matches!(o, SequenceOptions::Cache(_))) {
        options.push(SequenceOptions::Cache(number(kept.cache)));
    }
    if !is_given(|o| matches!(o, SequenceOptions::Cycle(_))) {
        options.push(SequenceOptions::Cycle(!old.cycle));
    }
    options
}
