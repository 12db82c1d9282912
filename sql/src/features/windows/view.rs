//! A feature view whose windows are planned, and the joins with it.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use catalog::VIEW_COLUMN_OF;
use datafusion::arrow::datatypes::{DataType, Field, FieldRef, Fields};
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{Column, DFSchema, TableReference};
use datafusion::logical_expr::{
    Expr, ExprSchemable, LogicalPlan, LogicalPlanBuilder, Operator, cast,
};
use datafusion::sql::sqlparser::ast::{Query, Statement};

use super::super::point_in_time::{self, binary, column};
use super::super::{Version, duration_us};
use super::made;
use super::spec::not_at_label;
use super::syntax::{Call, TakenApart, is_hidden, made_at};
use crate::asof::{self, Gathered, Kind, On, WindowFeature};
use crate::error::{Error, Result};
use crate::names;
use crate::plan::{self, Environment, Lakes};

/// See the module. All its columns are without a qualifier.
#[derive(Debug)]
pub(crate) struct WindowedView {
    /// The view's plain columns under their names, and hidden ones that windows are of.
    rows: LogicalPlan,
    features: Vec<WindowFeature>,
    /// The view's, in order, over the rows' columns and the features.
    columns: Vec<(String, Expr)>,
}

/// A view with windows under a name, for a join.
pub(crate) struct Under {
    pub rows: LogicalPlan,
    pub features: Vec<WindowFeature>,
    /// Over the columns of the join.
    pub columns: Vec<(String, Expr)>,
}

/// The name of the labels that a view's own rows are.
const LABELS: &str = "\u{3}labels";
const ROWS: &str = "\u{3}rows";

impl WindowedView {
    /// Of a feature view's query; `named`: its columns as they are declared, if they are. None:
    /// there is no window at label time.
    ///
    /// Errors: 0A000 for windows that a label's time cannot be asked of, 42883 and 42804 for
    /// arguments.
    pub async fn plan(
        environment: &Environment,
        lakes: &Lakes,
        query: &Query,
        (key, timestamp): (&[String], &str),
        named: &[FieldRef],
        depth: usize,
    ) -> Result<Option<Self>> {
        let Some(TakenApart { rows, calls, made }) = TakenApart::of(query)? else {
            return Ok(None);
        };
        let statement = Statement::Query(Box::new(rows));
        let planned = plan::plan_at_depth(environment, lakes, statement, &[], Vec::new(), depth);
        let planned = Box::pin(planned).await?;
        let names = Names::of(&planned, &made, named);
        check(&planned, &names, &calls, (key, timestamp))?;
        let mut items = Vec::new();
        for (field, name) in planned.schema().iter().zip(&names.of_rows) {
            let Some(name) = name else { continue };
            items.push(Expr::Column(Column::from(field)).alias(name));
        }
        let rows = LogicalPlanBuilder::from(planned).project(items)?.build()?;
        let mut features = Vec::new();
        let mut values = HashMap::new();
        for call in &calls {
            let value = value(environment, call, rows.schema(), &mut features)?;
            values.insert(call.name.clone(), value);
        }
        let known = with_features(rows.schema(), &features)?;
        let made = made::planned(environment, lakes, (&made, &values), &known, depth).await?;
        let columns = names.columns.into_iter().map(|(name, place)| match place {
            Some(place) => made.get(place).cloned().map(|made| (name, made)),
            None => Some((name.clone(), Expr::Column(Column::new_unqualified(name)))),
        });
        let columns = columns.collect::<Option<Vec<_>>>();
        let columns = columns.ok_or_else(|| Error::new("XX000", "a window's column is gone"))?;
        Ok(Some(Self { rows, features, columns }))
    }

    /// The rows that labels are told of, without what no column of the view is made of.
    pub fn needed(&self) -> Result<LogicalPlan> {
        let parts = self.features.iter().flat_map(|f| [&f.argument, &f.filter]).flatten();
        let parts = parts.chain(self.columns.iter().map(|(_, of)| of));
        let used: HashSet<&Column> = parts.flat_map(Expr::column_refs).collect();
        let is_needed = |column: &Column| !is_hidden(&column.name) || used.contains(column);
        let columns = self.rows.schema().columns().into_iter().filter(is_needed);
        let items: Vec<_> = columns.map(Expr::Column).collect();
        Ok(LogicalPlanBuilder::from(self.rows.clone()).project(items)?.build()?)
    }

    /// The view over the same rows from elsewhere.
    pub fn over_rows(&self, rows: LogicalPlan) -> Result<Self> {
        let own = |column: Column| {
            let name = column.name.clone();
            Expr::Column(column).alias(name)
        };
        let items: Vec<_> = rows.schema().columns().into_iter().map(own).collect();
        let rows = LogicalPlanBuilder::from(rows).project(items)?.build()?;
        Ok(Self { rows, features: self.features.clone(), columns: self.columns.clone() })
    }

    /// The view's columns.
    pub fn fields(&self) -> Result<Fields> {
        let known = with_features(self.rows.schema(), &self.features)?;
        let field = |(name, of): &(String, Expr)| {
            let (_, field) = of.to_field(&known)?;
            Ok(Arc::new(field.as_ref().clone().with_name(name)))
        };
        self.columns.iter().map(field).collect()
    }

    /// Whether a column is made from windows.
    pub fn is_made(&self, name: &str) -> bool {
        !self.rows.schema().has_column_with_unqualified_name(name)
    }

    /// The names of the view's columns.
    pub fn names(&self) -> impl Iterator<Item = &String> {
        self.columns.iter().map(|(name, _)| name)
    }

    /// The view under a name, with the columns that are wanted.
    pub fn under(&self, name: &TableReference, wanted: impl Fn(&str) -> bool) -> Result<Under> {
        let builder = LogicalPlanBuilder::from(self.rows.clone());
        let rows = builder.alias(name.clone())?.build()?;
        let moved = |feature: &str| format!("{feature}{name}");
        let columns = self.columns.iter().filter(|(column, _)| wanted(column));
        let columns = columns
            .map(|(column, of)| Ok((column.clone(), self.over(of.clone(), Some(name), &moved)?)));
        let columns = columns.collect::<Result<Vec<_>>>()?;
        let used = |name: &String| {
            let column = Column::new_unqualified(name.clone());
            columns.iter().any(|(_, of)| of.column_refs().contains(&column))
        };
        let mut features = Vec::new();
        for feature in &self.features {
            let WindowFeature { argument, filter, .. } = feature.clone();
            let of = |part: Option<Expr>| {
                part.map(|part| self.over(part, Some(name), &moved)).transpose()
            };
            let (argument, filter) = (of(argument)?, of(filter)?);
            let feature =
                WindowFeature { name: moved(&feature.name), argument, filter, ..feature.clone() };
            if used(&feature.name) {
                features.push(feature);
            }
        }
        Ok(Under { rows, features, columns })
    }

    /// An expression over rows of a name, and features as they are called beside them.
    fn over(
        &self,
        expression: Expr,
        rows: Option<&TableReference>,
        moved: &impl Fn(&str) -> String,
    ) -> Result<Expr> {
        let moved = expression.transform(|part| {
            let Expr::Column(column) = &part else { return Ok(Transformed::no(part)) };
            let is_feature = self.features.iter().any(|feature| feature.name == column.name);
            Ok(Transformed::yes(Expr::Column(match is_feature {
                true => Column::new_unqualified(moved(&column.name)),
                false => Column::new(rows.cloned(), column.name.clone()),
            })))
        });
        Ok(moved?.data)
    }

    /// The view as a relation: each row is a label of its own key and time.
    pub fn at_own_time(&self, version: &Version) -> Result<LogicalPlan> {
        let builder = LogicalPlanBuilder::from(self.rows.clone());
        let labels = builder.alias(LABELS)?.build()?;
        let Under { rows, features, columns } = self.under(&ROWS.into(), |_| true)?;
        let keys = version.key.iter().map(|key| {
            let (label, row) = (column(labels.schema(), key)?, column(rows.schema(), key)?);
            Ok(binary(label, Operator::Eq, row))
        });
        let keys = keys.collect::<Result<Vec<_>>>()?;
        let label_time = (column(labels.schema(), &version.timestamp)?, labels.schema().as_ref());
        let time = point_in_time::time(version, label_time, rows.schema(), false)?;
        let limits = point_in_time::limits(version, rows.schema())?;
        let on = On { keys, time: Some(time), features, ..limits };
        let joined = asof::join((labels, rows), (Kind::Left, false), on)?;
        // Plain columns are the label's own.
        let items = columns.into_iter().map(|(name, of)| {
            let own = of.transform(|part| match part {
                Expr::Column(Column { relation: Some(_), name, .. }) => {
                    let column = Column::new(Some(LABELS), name);
                    Ok(Transformed::yes(Expr::Column(column)))
                }
                other => Ok(Transformed::no(other)),
            });
            Ok(own?.data.alias(name))
        });
        let items = items.collect::<Result<Vec<_>>>()?;
        Ok(LogicalPlanBuilder::from(joined).project(items)?.build()?)
    }
}

/// What the rows' columns are called.
struct Names {
    /// By column of the plan; None: it is not there.
    of_rows: Vec<Option<String>>,
    /// The view's, and which is made.
    columns: Vec<(String, Option<usize>)>,
}

impl Names {
    fn of(planned: &LogicalPlan, made: &[super::syntax::Made], named: &[FieldRef]) -> Self {
        let declared = |name: &str| {
            let of = |field: &&FieldRef| {
                field.metadata().get(VIEW_COLUMN_OF).is_some_and(|of| of == name)
            };
            named.iter().find(of).map_or(name, |field| field.name().as_str()).to_owned()
        };
        let mut names = Self { of_rows: Vec::new(), columns: Vec::new() };
        for field in planned.schema().fields() {
            let name = names::shown(field.name());
            let place = made_at(name);
            if let Some(made) = place.and_then(|place| made.get(place)) {
                names.columns.push((declared(&made.name), place));
                names.of_rows.push(None);
            } else if is_hidden(name) {
                names.of_rows.push(Some(name.to_owned()));
            } else {
                let name = declared(name);
                names.columns.push((name.clone(), None));
                names.of_rows.push(Some(name));
            }
        }
        names
    }

    /// Where a column of the rows is.
    fn place(&self, name: &str) -> Option<usize> {
        self.of_rows.iter().position(|known| known.as_deref() == Some(name))
    }
}

/// Windows go by the view's key and time, and no name is there twice.
fn check(
    planned: &LogicalPlan,
    names: &Names,
    calls: &[Call],
    (key, timestamp): (&[String], &str),
) -> Result<()> {
    for (index, (name, _)) in names.columns.iter().enumerate() {
        if names.columns[..index].iter().any(|(other, _)| other == name) {
            let message = format!("column \"{name}\" specified more than once");
            return Err(Error::new("42701", message));
        }
    }
    let what = |name: &str| names.place(name).map(|place| made::source(planned, place));
    let own = |name: &String| {
        let is_made = names.columns.iter().any(|(column, made)| column == name && made.is_some());
        match is_made {
            true => Err(not_at_label(&format!("column \"{name}\", which is of a window,"), None)
                .with_hint("KEY, TIMESTAMP and CREATED are plain columns.")),
            // Of a column that is not there the view tells elsewhere.
            false => Ok(what(name)),
        }
    };
    let keys = key.iter().map(own).collect::<Result<Vec<_>>>()?;
    let time = own(&timestamp.to_owned())?;
    let (Some(keys), Some(time)) = (keys.into_iter().collect::<Option<Vec<_>>>(), time) else {
        return Ok(());
    };
    for call in calls {
        let at = super::spec::place(&call.function);
        let by: Option<Vec<Expr>> = call.partition.iter().map(|name| what(name)).collect();
        let by = by.unwrap_or_default();
        let same = by.iter().all(|one| keys.contains(one)) && keys.iter().all(|k| by.contains(k));
        if !same {
            let own = if key.is_empty() { "nothing".to_owned() } else { key.join(", ") };
            return Err(not_at_label("a window that is not by the view's key", at)
                .with_hint(format!("The view's KEY is {own}: PARTITION BY the same.")));
        }
        if what(&call.order) != Some(time.clone()) {
            return Err(not_at_label("a window that is not in the order of the view's time", at)
                .with_hint(format!("The view's TIMESTAMP is {timestamp}: ORDER BY it.")));
        }
    }
    Ok(())
}

/// The rows' columns and the features behind them.
fn with_features(rows: &DFSchema, features: &[WindowFeature]) -> Result<DFSchema> {
    let mut fields: Vec<_> =
        rows.iter().map(|(of, field)| (of.cloned(), Arc::clone(field))).collect();
    for feature in features {
        fields.push((None, feature.field(rows)?));
    }
    Ok(DFSchema::new_with_metadata(fields, rows.metadata().clone())?)
}

/// A call's value over features, which it adds.
fn value(
    environment: &Environment,
    call: &Call,
    rows: &DFSchema,
    features: &mut Vec<WindowFeature>,
) -> Result<Expr> {
    let at = super::spec::place(&call.function);
    let hidden = |name: &Option<String>| {
        name.as_ref().map(|name| Expr::Column(Column::new_unqualified(name.clone())))
    };
    let argument = hidden(&call.argument);
    let filter = match hidden(&call.filter) {
        None => None,
        Some(filter) => match filter.get_type(rows)? {
            DataType::Boolean => Some(filter),
            DataType::Null => Some(cast(filter, DataType::Boolean)),
            of => {
                let of = crate::types::describe(&Field::new("", of, true)).data_type;
                let message = format!("argument of FILTER must be type boolean, not type {of}");
                return Err(Error::new("42804", message).at_place(at));
            }
        },
    };
    let width_us = match &call.width {
        None => None,
        Some(width) => match duration_us(&environment.engine, width.clone(), "a window")? {
            0 => {
                let message = "a window must be wider than 0";
                return Err(Error::new("22023", message).at_place(at));
            }
            us => Some(us),
        },
    };
    let mut feature = |function: Gathered| -> Result<Expr> {
        let new = WindowFeature {
            name: format!("{}f{}", super::syntax::HIDDEN, features.len()),
            function,
            argument: argument.clone(),
            filter: filter.clone(),
            width_us,
            excludes_current: call.excludes_current,
        };
        let unnamed =
            |feature: &WindowFeature| WindowFeature { name: String::new(), ..feature.clone() };
        let known = features.iter().find(|known| unnamed(known) == unnamed(&new));
        let name = known.map_or_else(|| new.name.clone(), |known| known.name.clone());
        if known.is_none() {
            new.field(rows)?;
            features.push(new);
        }
        Ok(Expr::Column(Column::new_unqualified(name)))
    };
    let of = argument.as_ref().map(|argument| argument.get_type(rows)).transpose()?;
    let is_exact = |of: &DataType| of.is_integer() || matches!(of, DataType::Decimal128(..));
    let value = match (call.told, &of) {
        (Gathered::Avg, Some(of)) if is_exact(of) => {
            let (sum, count) = (feature(Gathered::Sum)?, feature(Gathered::Count)?);
            let known = with_features(rows, features)?;
            plan::average(sum, count, &known)?
        }
        (Gathered::Sum, Some(DataType::Float32)) => {
            cast(feature(Gathered::Sum)?, DataType::Float32)
        }
        (told, _) => feature(told)?,
    };
    Ok(value)
}
