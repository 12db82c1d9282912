//! CREATE [TEMP] TABLE, with columns or AS query; constraints beyond NOT NULL and CHECK are
//! recorded, and a NOTICE says that they are not enforced.

use std::sync::Arc;

use catalog::types::VectorType;
use catalog::{NewColumn, NewTable, StoredQuery, Table, TableChange};
use datafusion::arrow::datatypes::{DataType, Field, Fields, IntervalUnit, TimeUnit};
use datafusion::logical_expr::LogicalPlan;
use datafusion::sql::sqlparser::ast::{
    ColumnDef, ColumnOption, CreateTable, CreateTableLikeKind, Expr, GeneratedExpressionMode,
    OnCommit,
};

use super::constraint::{NewConstraint, free_name, informational, table_constraint};
use super::sequence::{self, Numbered};
use super::{Context, definition};
use crate::changes::{self, Change};
use crate::error::{Error, Result};
use crate::names::{folded, shown};
use crate::plan::{Found, Place};
use crate::sequences::Kept;
use crate::{Notice, features, plan, types};

pub(super) async fn run(context: &mut Context<'_>, create: &CreateTable) -> Result<String> {
    if let Some(OnCommit::Drop | OnCommit::DeleteRows) = create.on_commit {
        return Err(Error::unsupported("ON COMMIT DROP or DELETE ROWS")
            .with_hint("DROP or TRUNCATE the table before COMMIT."));
    }
    let place = context.environment.target(context.lakes, &create.name, create.temporary)?;
    let as_query = create.query.is_some();
    let tag = if as_query { "CREATE TABLE AS" } else { "CREATE TABLE" };
    if is_there(context, &place, create.if_not_exists)? {
        return Ok(tag.to_string());
    }
    match &create.query {
        None => {
            let (table, constraints, numbered) = declared(context, create, &place)?;
            check_definitions(context, &table, &constraints)?;
            let transaction = context.lakes.of(&place);
            let table = transaction.create_table(&place.schema, table)?;
            for constraint in constraints {
                let change = TableChange::AddConstraint(constraint.of(&table)?);
                transaction.alter_table(&place.schema, &place.name, change)?;
            }
            sequence::number(context, &place, &table, numbered)?;
            context.own_new(&place)?;
            Ok(tag.to_string())
        }
        Some(query) => {
            let plan = plan::plan_query(
                context.environment,
                context.lakes,
                query.as_ref().clone(),
                &[],
                Vec::new(),
            );
            let plan = plan.await?;
            let names = create.columns.iter().map(|c| folded(&c.name)).collect();
            let (table, plan) = from_query(context, &place, plan, names, None)?;
            let count = fill(context, &place, table, plan).await?;
            Ok(format!("SELECT {count}"))
        }
    }
}

/// Defaults and checks must be such that rows can be inserted.
fn check_definitions(
    context: &Context<'_>,
    table: &NewTable,
    constraints: &[NewConstraint],
) -> Result<()> {
    for column in &table.columns {
        if let Some(text) = &column.default {
            definition::default(context.environment, text, &column.field)?;
        }
    }
    let computed = constraints.iter().filter_map(|constraint| match constraint {
        NewConstraint::Generated { column, .. } => Some(column.as_str()),
        _ => None,
    });
    let computed: Vec<&str> = computed.collect();
    for constraint in constraints {
        let columns = || table.columns.iter().map(|column| column.field.clone()).collect();
        match constraint {
            NewConstraint::Check { expression, .. } => {
                definition::check(context.environment, expression, columns())?;
            }
            NewConstraint::Generated { column, expression } => {
                let own = table.columns.iter().find(|own| own.name == *column);
                let Some(own) = own else { continue };
                let of = (expression.as_str(), &own.field);
                definition::generated(context.environment, of, columns(), &computed)?;
            }
            NewConstraint::Unique { .. } | NewConstraint::ForeignKey { .. } => {}
        }
    }
    Ok(())
}

/// Whether there is nothing to do, which a NOTICE tells; else the name must be free (42P07).
pub(super) fn is_there(
    context: &mut Context<'_>,
    place: &Place,
    if_not_exists: bool,
) -> Result<bool> {
    if !exists(context, place) {
        return Ok(false);
    }
    let message = format!("relation \"{}\" already exists", place.name);
    if !if_not_exists {
        return Err(Error::new("42P07", message));
    }
    let notice = Notice::notice(format!("{message}, skipping"));
    context.notices.push(Notice { sqlstate: "42P07", ..notice });
    Ok(true)
}

pub(super) fn exists(context: &Context<'_>, place: &Place) -> bool {
    let state = context.lakes.view(place).state();
    state.schemas.get(&place.schema).is_some_and(|s| s.relations.contains_key(&place.name))
        || state
            .definitions
            .contains_key(&(super::external::KIND.to_string(), super::external::key(place)))
        || Kept::of(state, &place.schema, &place.name).is_some()
        || features::is_taken(state, place)
}

/// Makes the table that a query's columns ask for; with `stored`, it is a materialized view.
pub(super) fn from_query(
    context: &mut Context<'_>,
    place: &Place,
    plan: LogicalPlan,
    names: Vec<String>,
    stored: Option<StoredQuery>,
) -> Result<(Arc<Table>, LogicalPlan)> {
    let fields = plan.schema().inner().fields().clone();
    if names.len() > fields.len() {
        return Err(Error::new("42601", "too many column names were specified"));
    }
    let mut columns: Vec<NewColumn> = Vec::with_capacity(fields.len());
    for (index, field) in fields.iter().enumerate() {
        let name = names.get(index).map_or_else(|| shown(field.name()), String::as_str);
        if columns.iter().any(|c| c.name == name) {
            let message = format!("column \"{name}\" specified more than once");
            return Err(Error::new("42701", message));
        }
        let stored = storable(field).with_name(name);
        columns.push(new_column(name, stored));
    }
    let name = place.name.clone();
    let table = NewTable { name, columns, query: stored, ..NewTable::default() };
    let table = context.lakes.of(place).create_table(&place.schema, table)?;
    Ok((table, plan))
}

/// Writes a query's rows; how many.
pub(super) async fn fill(
    context: &mut Context<'_>,
    place: &Place,
    table: Arc<Table>,
    plan: LogicalPlan,
) -> Result<u64> {
    let change = Change::rows(context.environment, context.lakes, place, table, plan)?;
    let applied = changes::apply(context.environment, context.lakes, &change).await?;
    context.own_new(place)?;
    Ok(applied.count)
}

fn new_column(name: &str, field: Field) -> NewColumn {
    NewColumn {
        name: name.to_string(),
        field,
        nullable: true,
        default: None,
        initial_default: None,
        comment: None,
    }
}

/// The type that a query's column is stored as.
pub fn storable(field: &Field) -> Field {
    if let Some(of) = VectorType::of(field.data_type()) {
        let mut metadata = field.metadata().clone();
        metadata.retain(|key, _| key == catalog::MODEL_KEY);
        metadata.insert(catalog::TYPE_KEY.to_owned(), of.name());
        return Field::new(field.name(), of.data_type(), true).with_metadata(metadata);
    }
    let stored = match field.data_type() {
        DataType::Null | DataType::Utf8View | DataType::LargeUtf8 => DataType::Utf8,
        DataType::Int8 | DataType::UInt8 => DataType::Int16,
        DataType::UInt16 => DataType::Int32,
        DataType::UInt32 => DataType::Int64,
        DataType::UInt64 => DataType::Decimal128(20, 0),
        DataType::Float16 => DataType::Float32,
        DataType::Decimal32(p, s) | DataType::Decimal64(p, s) => DataType::Decimal128(*p, *s),
        DataType::Decimal256(_, s) => DataType::Decimal128(38, *s),
        DataType::LargeBinary | DataType::BinaryView | DataType::FixedSizeBinary(_) => {
            DataType::Binary
        }
        DataType::Date64 => DataType::Date32,
        DataType::Time32(_) | DataType::Time64(_) => DataType::Time64(TimeUnit::Microsecond),
        DataType::Timestamp(_, None) => DataType::Timestamp(TimeUnit::Microsecond, None),
        DataType::Timestamp(_, Some(_)) => types::timestamptz(),
        DataType::Interval(_) | DataType::Duration(_) => {
            DataType::Interval(IntervalUnit::MonthDayNano)
        }
        DataType::Dictionary(_, values) => {
            return storable(&Field::new(field.name(), values.as_ref().clone(), true));
        }
        DataType::List(e) | DataType::LargeList(e) | DataType::ListView(e) => {
            DataType::List(Arc::new(storable(e).with_name("element").with_nullable(true)))
        }
        // Only vectors keep their length.
        DataType::FixedSizeList(e, _) => {
            DataType::List(Arc::new(storable(e).with_name("element").with_nullable(true)))
        }
        DataType::Struct(fields) => {
            let fields = fields.iter().map(|f| storable(f).with_nullable(true));
            DataType::Struct(fields.collect::<Fields>())
        }
        other => other.clone(),
    };
    let mut metadata = field.metadata().clone();
    metadata.retain(|key, _| key == catalog::TYPE_KEY);
    Field::new(field.name(), stored, true).with_metadata(metadata)
}

/// The table that a statement declares, and its constraints.
fn declared(
    context: &mut Context<'_>,
    create: &CreateTable,
    place: &Place,
) -> Result<(NewTable, Vec<NewConstraint>, Vec<Numbered>)> {
    let mut table = match &create.like {
        None => NewTable { name: place.name.clone(), ..NewTable::default() },
        Some(CreateTableLikeKind::Plain(like) | CreateTableLikeKind::Parenthesized(like)) => {
            like_table(context, &like.name, place)?
        }
    };
    let mut constraints = Vec::new();
    let mut numbered = Vec::new();
    for definition in &create.columns {
        let own = sequence::numbered(definition)?;
        let definition = own.as_ref().map_or(definition, |(plain, _)| plain);
        let column = column(&mut constraints, definition, &table.name, context.notices)?;
        if table.columns.iter().any(|c| c.name == column.name) {
            let message = format!("column \"{}\" specified more than once", column.name);
            return Err(Error::new("42701", message));
        }
        table.columns.push(column);
        numbered.extend(own.map(|(_, numbers)| numbers));
    }
    for constraint in &create.constraints {
        let taken: Vec<&str> = constraints.iter().map(NewConstraint::name).collect();
        let constraint = table_constraint(constraint, &table.name, &taken, context.notices)?;
        constraints.push(constraint);
    }
    if table.columns.is_empty() {
        return Err(Error::unsupported("a table without columns"));
    }
    for constraint in &constraints {
        let NewConstraint::Unique { columns, primary: true, .. } = constraint else { continue };
        for column in table.columns.iter_mut().filter(|c| columns.contains(&c.name)) {
            column.nullable = false;
        }
    }
    Ok((table, constraints, numbered))
}

fn like_table(
    context: &Context<'_>,
    name: &datafusion::sql::sqlparser::ast::ObjectName,
    place: &Place,
) -> Result<NewTable> {
    let (_, found) = context.environment.expect(context.lakes, name)?;
    let Found::Relation(catalog::Relation::Table(like)) = found else {
        return Err(Error::new("42809", format!("\"{name}\" is not a table")));
    };
    let column = |c: &catalog::Column| NewColumn {
        nullable: c.nullable,
        ..new_column(&c.name, c.field.as_ref().clone())
    };
    let columns = like.columns.iter().map(column).collect();
    Ok(NewTable { name: place.name.clone(), columns, ..NewTable::default() })
}

/// A column definition; its constraints go to `constraints`.
pub(super) fn column(
    constraints: &mut Vec<NewConstraint>,
    definition: &ColumnDef,
    table: &str,
    notices: &mut Vec<Notice>,
) -> Result<NewColumn> {
    let name = folded(&definition.name);
    let field = types::field(&name, &definition.data_type)?;
    let mut column = new_column(&name, field);
    for option in &definition.options {
        let named = option.name.as_ref().map(folded);
        let taken: Vec<String> = constraints.iter().map(|c| c.name().to_owned()).collect();
        let taken: Vec<&str> = taken.iter().map(String::as_str).collect();
        let free = |name| free_name(name, &taken);
        match &option.option {
            ColumnOption::Null => {}
            ColumnOption::NotNull => column.nullable = false,
            ColumnOption::Default(value) => column.default = default_text(value),
            ColumnOption::PrimaryKey(_) => {
                column.nullable = false;
                let name = named.unwrap_or_else(|| free(format!("{table}_pkey")));
                let columns = vec![column.name.clone()];
                constraints.push(NewConstraint::Unique { name, columns, primary: true });
                notices.push(informational("PRIMARY KEY"));
            }
            ColumnOption::Unique(_) => {
                let name = named.unwrap_or_else(|| free(format!("{table}_{}_key", column.name)));
                let columns = vec![column.name.clone()];
                constraints.push(NewConstraint::Unique { name, columns, primary: false });
                notices.push(informational("UNIQUE"));
            }
            ColumnOption::Check(check) => {
                let name = named.unwrap_or_else(|| free(format!("{table}_{}_check", column.name)));
                let expression = check.expr.to_string();
                constraints.push(NewConstraint::Check { name, expression });
            }
            ColumnOption::ForeignKey(key) => {
                let name = named.unwrap_or_else(|| free(format!("{table}_{}_fkey", column.name)));
                constraints.push(NewConstraint::ForeignKey {
                    name,
                    columns: vec![column.name.clone()],
                    references: key.foreign_table.to_string(),
                    referred: key.referred_columns.iter().map(folded).collect(),
                });
                notices.push(informational("FOREIGN KEY"));
            }
            ColumnOption::Generated { generation_expr: Some(expression), .. } => {
                constraints.push(generated(definition, expression, table)?);
            }
            ColumnOption::Comment(comment) => column.comment = Some(comment.clone()),
            other => return Err(Error::unsupported(format!("column option {other}"))),
        }
    }
    Ok(column)
}

/// GENERATED ALWAYS AS (expression) STORED.
fn generated(definition: &ColumnDef, expression: &Expr, table: &str) -> Result<NewConstraint> {
    let column = folded(&definition.name);
    for option in &definition.options {
        let other = match &option.option {
            ColumnOption::Default(_) => "default",
            ColumnOption::Generated { generation_expr: None, .. } => "identity",
            ColumnOption::Generated {
                generation_expr_mode: Some(GeneratedExpressionMode::Virtual),
                ..
            } => {
                return Err(Error::unsupported("a virtual generated column")
                    .with_hint("STORED computes it when rows are written, a view when read."));
            }
            _ => continue,
        };
        let message = format!(
            "both {other} and generation expression specified for column \"{column}\" of table \
             \"{table}\""
        );
        return Err(Error::new("42601", message));
    }
    Ok(NewConstraint::Generated { column, expression: expression.to_string() })
}

/// A default's text; NULL is no default.
pub(super) fn default_text(value: &Expr) -> Option<String> {
    let text = value.to_string();
    (!text.eq_ignore_ascii_case("null")).then_some(text)
}
