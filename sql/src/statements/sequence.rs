//! CREATE and DROP SEQUENCE, and the sequences of `serial` and identity columns.

use std::sync::Arc;

use catalog::{SEQUENCE, Sequence, Table, TableChange};
use datafusion::sql::sqlparser::ast::{
    ColumnDef, ColumnOption, ColumnOptionDef, DataType, Expr, GeneratedAs, ObjectName,
    SequenceOptions,
};
use uuid::Uuid;

use super::Context;
use super::create_table::{exists, is_there};
use crate::error::{Error, Result};
use crate::names::folded;
use crate::plan::{Found, Place};
use crate::sequences::{self, Identity, Kept, Owner};
use crate::{Notice, plan};

/// CREATE [TEMP] SEQUENCE.
pub(super) struct Create<'a> {
    pub name: &'a ObjectName,
    pub temporary: bool,
    pub if_not_exists: bool,
    pub data_type: Option<&'a DataType>,
    pub options: &'a [SequenceOptions],
    pub owned_by: Option<&'a ObjectName>,
}

pub(super) fn create(context: &mut Context<'_>, create: &Create<'_>) -> Result<String> {
    let tag = "CREATE SEQUENCE".to_owned();
    let place = context.environment.target(context.lakes, create.name, create.temporary)?;
    if is_there(context, &place, create.if_not_exists)? {
        return Ok(tag);
    }
    let mut kept = counted(create.data_type, create.options)?;
    if let Some(name) = create.owned_by {
        kept.owner = owned_by(context, name, &place)?;
    }
    kept.keep(context.lakes.of(&place), &place)?;
    Ok(tag)
}

/// The column that OWNED BY names, or NONE.
pub(super) fn owned_by(
    context: &Context<'_>,
    name: &ObjectName,
    place: &Place,
) -> Result<Option<Owner>> {
    if name.to_string().eq_ignore_ascii_case("none") {
        return Ok(None);
    }
    let mut parts = plan::parts(name)?;
    let column = parts.pop().unwrap_or_default();
    if parts.is_empty() {
        return Err(Error::new("42601", "invalid OWNED BY option")
            .with_hint("Specify OWNED BY table.column or OWNED BY NONE."));
    }
    let found = context.environment.find(context.lakes, &parts)?;
    let Some((at, Found::Relation(catalog::Relation::Table(table)))) = found else {
        return Err(context.environment.undefined(context.lakes, &parts));
    };
    let found = Found::Relation(catalog::Relation::Table(Arc::clone(&table)));
    context.environment.must_own(context.lakes, &at, &found)?;
    if at.temp != place.temp || at.schema != place.schema {
        let message = "sequence must be in same schema as table it is linked to";
        return Err(Error::new("55000", message));
    }
    let found = table.columns.iter().find(|c| c.name == column);
    let column = found.ok_or_else(|| {
        let table = &table.name;
        Error::new("42703", format!("column \"{column}\" of relation \"{table}\" does not exist"))
    })?;
    Ok(Some(Owner { table: table.uuid.clone(), column: column.id, identity: None }))
}

/// DROP SEQUENCE of one name.
pub(super) fn drop(
    context: &mut Context<'_>,
    name: &ObjectName,
    if_exists: bool,
    cascade: bool,
) -> Result<()> {
    let parts = plan::parts(name)?;
    let Some(place) = find(context, &parts) else {
        let shown = parts.last().map_or("", String::as_str);
        let message = format!("sequence \"{shown}\" does not exist");
        if if_exists {
            context.notices.push(Notice::notice(format!("{message}, skipping")));
            return Ok(());
        }
        return Err(Error::new("42P01", message));
    };
    let state = context.lakes.view(&place).state();
    if let Some(kept) = Kept::of(state, &place.schema, &place.name) {
        let at = (place.schema_name(), place.name.as_str());
        kept.must_own(state, at, &context.environment.authority)?;
    }
    let default = sequences::default(&place);
    for (schema, table, column) in users(context, &place, &default) {
        if !cascade {
            let name = &place.name;
            let message = format!("cannot drop sequence {name} because other objects depend on it");
            let detail = format!(
                "default value for column {column} of table {table} depends on sequence {name}"
            );
            return Err(Error::new("2BP01", message)
                .with_detail(detail)
                .with_hint("Use DROP ... CASCADE to drop the dependent objects too."));
        }
        let change = TableChange::SetDefault { name: column, default: None };
        context.lakes.of(&place).alter_table(&schema, &table, change)?;
    }
    Kept::forget(context.lakes.of(&place), &place)
}

/// The columns whose default takes numbers of it: schema, table, column.
pub(super) fn users(
    context: &Context<'_>,
    place: &Place,
    default: &str,
) -> Vec<(String, String, String)> {
    let mut found = Vec::new();
    for (schema, held) in &context.lakes.view(place).state().schemas {
        for table in held.relations.values().filter_map(catalog::Relation::as_table) {
            let users = table.columns.iter().filter(|c| c.default.as_deref() == Some(default));
            found.extend(users.map(|c| (schema.clone(), table.name.clone(), c.name.clone())));
        }
    }
    found
}

/// Where the sequence of a name is.
pub(super) fn find(context: &Context<'_>, parts: &[String]) -> Option<Place> {
    let is = |place: &Place| {
        if place.temp && context.lakes.temp.is_none() {
            return false;
        }
        let state = context.lakes.view(place).state();
        let key = (SEQUENCE.to_owned(), plan::key(&place.schema, &place.name));
        state.definitions.contains_key(&key)
    };
    context.environment.candidates(parts).ok()?.into_iter().find(is)
}

/// A column that numbers its rows.
pub(super) struct Numbered {
    column: String,
    data_type: DataType,
    identity: Option<Identity>,
    options: Vec<SequenceOptions>,
}

/// What `serial` and GENERATED … AS IDENTITY make of a column: a plain one, and its numbers.
pub(super) fn numbered(definition: &ColumnDef) -> Result<Option<(ColumnDef, Numbered)>> {
    let mut plain = definition.clone();
    let serial = serial(&definition.data_type);
    let mut identity = None;
    let mut options = Vec::new();
    for option in &definition.options {
        let ColumnOption::Generated { generated_as, sequence_options, generation_expr, .. } =
            &option.option
        else {
            continue;
        };
        if generation_expr.is_some() {
            return Ok(None);
        }
        identity = Some(match generated_as {
            GeneratedAs::Always | GeneratedAs::ExpStored => Identity::Always,
            GeneratedAs::ByDefault => Identity::ByDefault,
        });
        options = sequence_options.clone().unwrap_or_default();
    }
    let name = folded(&definition.name);
    let both = definition.options.iter().any(|o| matches!(o.option, ColumnOption::Default(_)));
    if both && (serial.is_some() || identity.is_some()) {
        let kind = if identity.is_some() {
            "both default and identity"
        } else {
            "multiple default values"
        };
        let message = format!("{kind} specified for column \"{name}\"");
        return Err(Error::new("42601", message));
    }
    match (&serial, identity) {
        (None, None) => return Ok(None),
        (Some(of), None) => plain.data_type = of.clone(),
        (None, Some(_)) => check_whole(&definition.data_type)?,
        (Some(_), Some(_)) => {
            let message = format!("both default and identity specified for column \"{name}\"");
            return Err(Error::new("42601", message));
        }
    }
    plain.options.retain(|o| !matches!(o.option, ColumnOption::Generated { .. }));
    plain.options.push(ColumnOptionDef { name: None, option: ColumnOption::NotNull });
    let data_type = plain.data_type.clone();
    Ok(Some((plain, Numbered { column: name, data_type, identity, options })))
}

fn serial(data_type: &DataType) -> Option<DataType> {
    let DataType::Custom(name, _) = data_type else { return None };
    match folded(name.0.last()?.as_ident()?).as_str() {
        "serial" | "serial4" => Some(DataType::Integer(None)),
        "bigserial" | "serial8" => Some(DataType::BigInt(None)),
        "smallserial" | "serial2" => Some(DataType::SmallInt(None)),
        _ => None,
    }
}

/// Makes the sequences of a table's numbered columns, and the defaults that use them.
pub(super) fn number(
    context: &mut Context<'_>,
    place: &Place,
    table: &Table,
    numbered: Vec<Numbered>,
) -> Result<()> {
    for Numbered { column, data_type, identity, options } in numbered {
        let Some(found) = table.columns.iter().find(|c| c.name == column) else { continue };
        let mut kept = counted(Some(&data_type), &options)?;
        kept.owner = Some(Owner { table: table.uuid.clone(), column: found.id, identity });
        let mut at = Place { name: format!("{}_{column}_seq", table.name), ..place.clone() };
        for number in 1.. {
            if !exists(context, &at) {
                break;
            }
            at.name = format!("{}_{column}_seq{number}", table.name);
        }
        kept.keep(context.lakes.of(place), &at)?;
        let change =
            TableChange::SetDefault { name: column, default: Some(sequences::default(&at)) };
        context.lakes.of(place).alter_table(&place.schema, &place.name, change)?;
    }
    Ok(())
}

/// The sequences that a table's columns own.
pub(super) fn of_table(context: &Context<'_>, place: &Place, table: &Table) -> Vec<Sequence> {
    let owned = sequences::owned(context.lakes.view(place).state(), table);
    owned.into_iter().map(|(_, _, kept)| kept.numbers).collect()
}

/// Before a schema gets another name: defaults name its sequences as they will be called.
pub(super) fn moved(context: &mut Context<'_>, from: &str, to: &str) -> Result<()> {
    let state = context.lakes.main.state();
    let all = sequences::all(state).filter(|(schema, ..)| *schema == from);
    let names: Vec<String> = all.map(|(_, name, ..)| name.to_owned()).collect();
    for name in names {
        let place =
            |schema: &str| Place { temp: false, schema: schema.to_owned(), name: name.clone() };
        let (old, new) = (place(from), place(to));
        for (schema, table, column) in users(context, &old, &sequences::default(&old)) {
            let default = Some(sequences::default(&new));
            let change = TableChange::SetDefault { name: column, default };
            context.lakes.main.alter_table(&schema, &table, change)?;
        }
    }
    Ok(())
}

fn check_whole(data_type: &DataType) -> Result<()> {
    range(data_type).map(|_| ()).ok_or_else(|| {
        Error::new("22023", "identity column type must be smallint, integer, or bigint")
    })
}

/// A type's name, least and greatest number.
fn range(data_type: &DataType) -> Option<(&'static str, i64, i64)> {
    match data_type {
        DataType::SmallInt(_) | DataType::Int2(_) => {
            Some(("smallint", i16::MIN.into(), i16::MAX.into()))
        }
        DataType::Integer(_) | DataType::Int(_) | DataType::Int4(_) => {
            Some(("integer", i32::MIN.into(), i32::MAX.into()))
        }
        DataType::BigInt(_) | DataType::Int8(_) => Some(("bigint", i64::MIN, i64::MAX)),
        _ => None,
    }
}

/// A sequence with these options.
///
/// Errors: 22023 for numbers that do not go together.
pub(super) fn counted(data_type: Option<&DataType>, options: &[SequenceOptions]) -> Result<Kept> {
    let wrong = |message: String| Error::new("22023", message);
    let (of_type, least, most) = match data_type {
        None => ("bigint", i64::MIN, i64::MAX),
        Some(data_type) => range(data_type).ok_or_else(|| {
            wrong("sequence type must be smallint, integer, or bigint".to_owned())
        })?,
    };
    let (mut increment, mut minimum, mut maximum, mut start) = (1, None, None, None);
    let (mut cache, mut cycle) = (1, false);
    for option in options {
        match option {
            SequenceOptions::IncrementBy(value, _) => increment = whole(value)?,
            SequenceOptions::MinValue(value) => minimum = value.as_ref().map(whole).transpose()?,
            SequenceOptions::MaxValue(value) => maximum = value.as_ref().map(whole).transpose()?,
            SequenceOptions::StartWith(value, _) => start = Some(whole(value)?),
            SequenceOptions::Cache(value) => cache = whole(value)?,
            SequenceOptions::Cycle(no) => cycle = !no,
        }
    }
    if increment == 0 {
        return Err(wrong("INCREMENT must not be zero".into()));
    }
    if cache < 1 {
        return Err(wrong(format!("CACHE ({cache}) must be greater than zero")));
    }
    let up = increment > 0;
    let minimum = minimum.unwrap_or(if up { 1 } else { least });
    let maximum = maximum.unwrap_or(if up { most } else { -1 });
    for (word, value) in [("MINVALUE", minimum), ("MAXVALUE", maximum)] {
        if !(least..=most).contains(&value) {
            let message =
                format!("{word} ({value}) is out of range for sequence data type {of_type}");
            return Err(wrong(message));
        }
    }
    if minimum >= maximum {
        return Err(wrong(format!("MINVALUE ({minimum}) must be less than MAXVALUE ({maximum})")));
    }
    let start = start.unwrap_or(if up { minimum } else { maximum });
    let uuid = Uuid::now_v7().to_string();
    let numbers = Sequence { uuid, start, increment, minimum, maximum, cycle };
    check_start("START", start, &numbers)?;
    Ok(Kept { numbers, of_type: of_type.to_owned(), cache, owner: None })
}

/// Fails if a sequence cannot start at a number (22023).
pub(super) fn check_start(word: &str, value: i64, numbers: &Sequence) -> Result<()> {
    let (limit, shown) = if value < numbers.minimum {
        (numbers.minimum, "less than MINVALUE")
    } else if value > numbers.maximum {
        (numbers.maximum, "greater than MAXVALUE")
    } else {
        return Ok(());
    };
    Err(Error::new("22023", format!("{word} value ({value}) cannot be {shown} ({limit})")))
}

pub(super) fn whole(value: &Expr) -> Result<i64> {
    let text = value.to_string().replace(' ', "");
    text.parse().map_err(|_| Error::new("42601", format!("\"{text}\" is not a whole number")))
}
