//! The names a statement uses, loaded: DataFusion's `ContextProvider` over them.

use std::collections::HashMap;
use std::ops::ControlFlow;
use std::sync::Arc;

use catalog::{Lake, LakeTable, Relation, State, Table, TableRows};
use datafusion::arrow::datatypes::{DataType, SchemaRef};
use datafusion::catalog::TableFunctionArgs;
use datafusion::catalog::cte_worktable::CteWorkTable;
use datafusion::catalog::view::ViewTable;
use datafusion::common::TableReference;
use datafusion::common::config::ConfigOptions;
use datafusion::common::{DFSchema, Result as EngineResult, ScalarValue, plan_datafusion_err};
use datafusion::datasource::{TableProvider, provider_as_source};
use datafusion::execution::SessionState;
use datafusion::logical_expr::planner::{
    ContextProvider, ExprPlanner, RelationPlanner, TypePlanner,
};
use datafusion::logical_expr::simplify::SimplifyContext;
use datafusion::logical_expr::{
    AggregateUDF, Expr, HigherOrderUDF, ScalarUDF, TableSource, WindowUDF, lit,
};
use datafusion::optimizer::simplify_expressions::ExprSimplifier;
use datafusion::sql::parser::Statement as EngineStatement;
use datafusion::sql::resolve::resolve_table_references;
use datafusion::sql::sqlparser::ast::{self, Spanned, TableVersion};

use super::fold::{self, Special};
use super::missing;
use super::moment::{snapshot, tagged, time_us};
use super::resolve::{Found, Place, parts, reference_parts};
use super::{
    Environment, ExternalFiles, Given, Lakes, Overrides, constant, external_provider, view,
};
use crate::access::{Object, Privileges};
use crate::error::{Error, Result};
use crate::features::{get_features, training_set};
use crate::functions::series;
use crate::types::PostgresTypes;
use crate::{statements, system};

/// See the module.
pub struct Scope<'a> {
    engine: &'a SessionState,
    types: Arc<dyn TypePlanner>,
    tables: HashMap<TableReference, Arc<dyn TableSource>>,
    /// Of this statement alone.
    functions: HashMap<String, Arc<ScalarUDF>>,
}

/// What one `load` works with.
struct Loader<'a> {
    environment: &'a Environment,
    lakes: &'a Lakes,
    special: Vec<Special>,
    depth: usize,
}

impl<'a> Scope<'a> {
    /// A scope without tables, for constants.
    pub fn empty(engine: &'a SessionState) -> Self {
        let types = Arc::new(PostgresTypes { fallback: None });
        Self { engine, types, tables: HashMap::new(), functions: HashMap::new() }
    }

    /// Loads every relation that `statement` names.
    pub(super) async fn load(
        environment: &'a Environment,
        lakes: &Lakes,
        statement: &EngineStatement,
        special: Vec<Special>,
        overrides: &Overrides,
        depth: usize,
    ) -> Result<Scope<'a>> {
        let (references, _) = resolve_table_references(statement, true)?;
        let loader = Loader { environment, lakes, special, depth };
        let mut tables = HashMap::with_capacity(references.len());
        for reference in references {
            let replaced = overrides.iter().find(|(name, given)| match given {
                Given::Table(_) => name == reference.table(),
                Given::Plan(_) => reference == TableReference::bare(name.as_str()),
                Given::Function(_) => false,
            });
            let source = match replaced {
                Some((_, Given::Table(source))) => Some(Arc::clone(source)),
                Some((_, Given::Plan(_) | Given::Function(_))) => None,
                None => Box::pin(loader.source(&reference)).await.map_err(|error| match error {
                    Error::Statement { sqlstate: "42P01", .. } if depth == 0 => {
                        let error = match is_called(statement, &reference) {
                            true => missing::in_from(&reference),
                            false => error,
                        };
                        error.at_place(place_of(statement, &reference))
                    }
                    other => other,
                })?,
            };
            if let Some(source) = source {
                tables.insert(reference, source);
            }
        }
        let types = Arc::clone(&environment.types);
        let functions = overrides.iter().filter_map(|(name, given)| match given {
            Given::Function(function) => Some((name.clone(), Arc::clone(function))),
            Given::Table(_) | Given::Plan(_) => None,
        });
        let functions = functions.collect();
        Ok(Scope { engine: &environment.engine, types, tables, functions })
    }
}

/// Whether the name is that of a function in FROM.
fn is_called(statement: &EngineStatement, reference: &TableReference) -> bool {
    struct Calls(Vec<String>);
    impl ast::Visitor for Calls {
        type Break = ();

        fn pre_visit_table_factor(&mut self, factor: &ast::TableFactor) -> ControlFlow<()> {
            match factor {
                ast::TableFactor::Table { name, args: Some(_), .. }
                    if parts(name).is_ok_and(|parts| parts == self.0) =>
                {
                    ControlFlow::Break(())
                }
                _ => ControlFlow::Continue(()),
            }
        }
    }
    let EngineStatement::Statement(statement) = statement else { return false };
    ast::Visit::visit(statement.as_ref(), &mut Calls(reference_parts(reference))).is_break()
}

/// Where a statement names a relation first.
fn place_of(statement: &EngineStatement, reference: &TableReference) -> Option<(u64, u64)> {
    let EngineStatement::Statement(statement) = statement else { return None };
    let wanted = reference_parts(reference);
    let found = ast::visit_relations(statement.as_ref(), |name| {
        let start = name.span().start;
        match parts(name).is_ok_and(|parts| parts == wanted) && start.line > 0 {
            true => ControlFlow::Break((start.line, start.column)),
            false => ControlFlow::Continue(()),
        }
    });
    found.break_value()
}

impl Loader<'_> {
    /// The relation that a reference means; None for a function in FROM, which is not one.
    async fn source(&self, reference: &TableReference) -> Result<Option<Arc<dyn TableSource>>> {
        let mut parts = reference_parts(reference);
        if let Some((name, index)) = fold::unfold(reference.table())
            && let Some(special) = self.special.get(index)
        {
            if let Some(last) = parts.last_mut() {
                *last = name.to_string();
            }
            return self.special(special, &parts).await.map(Some);
        }
        if let Some(provider) = self.system(&parts).await? {
            return Ok(Some(provider_as_source(provider)));
        }
        let functions = self.environment.engine.table_functions();
        if let Some((place, found)) = self.environment.find(self.lakes, &parts)? {
            return self.found(&place, found).await.map(Some);
        }
        if functions.contains_key(reference.table()) {
            return Ok(None);
        }
        match self.environment.find_shown(self.lakes, &parts)? {
            Some((place, found)) => self.found(&place, found).await.map(Some),
            None => Err(self.environment.undefined(self.lakes, &parts)),
        }
    }

    async fn found(&self, place: &Place, found: Found) -> Result<Arc<dyn TableSource>> {
        self.environment.require(self.lakes, place, &found, Privileges::SELECT)?;
        match found {
            Found::Relation(Relation::Table(table)) => {
                if table.query.as_ref().is_some_and(|query| !query.populated) {
                    return Err(unpopulated(&table.name));
                }
                let provider = lake_table(self.lakes, place, table, false).await?;
                Ok(provider_as_source(provider))
            }
            Found::Relation(Relation::View(view)) => {
                view::source(self.environment, self.lakes, &view, place, self.depth).await
            }
            Found::External(definition) => {
                let files = statements::external::files(&definition)?;
                let provider = external_provider(&self.environment.engine, &files).await?;
                Ok(provider_as_source(provider))
            }
        }
    }

    async fn special(&self, special: &Special, name: &[String]) -> Result<Arc<dyn TableSource>> {
        match special {
            Special::Files { format, location, options } => {
                self.environment.may_use_files(false)?;
                let files = ExternalFiles {
                    format: format.clone(),
                    location: location.clone(),
                    options: options.clone(),
                    schema: None,
                };
                let provider = external_provider(&self.environment.engine, &files).await?;
                Ok(provider_as_source(provider))
            }
            Special::Version(version) => self.version(version, name).await,
            Special::TrainingSet(call) => {
                let plan = training_set(self.environment, self.lakes, call, self.depth).await?;
                Ok(provider_as_source(Arc::new(ViewTable::new(plan, None))))
            }
            Special::OfIndex(function, call) => {
                crate::nearest::of_index(self.environment, self.lakes, (function, call)).await
            }
            Special::Evaluation(call) => {
                // On the heap: it plans queries of its own.
                Box::pin(crate::models::evaluate(self.environment, self.lakes, call)).await
            }
            Special::Map(call) => {
                let (environment, lakes) = (self.environment, self.lakes);
                Box::pin(crate::nearest::embedding_map(environment, lakes, call, self.depth)).await
            }
            Special::Features(call) => {
                get_features(self.environment, self.lakes, call, self.depth).await
            }
        }
    }

    async fn version(
        &self,
        version: &TableVersion,
        name: &[String],
    ) -> Result<Arc<dyn TableSource>> {
        let state = match version {
            TableVersion::VersionAsOf(expr) => {
                let value = constant(&self.environment.engine, expr.clone())?;
                let id = snapshot(self.lakes.main.state(), value)?;
                self.environment.lake.at_snapshot(id).await?
            }
            TableVersion::TimestampAsOf(expr) if let Some(tag) = tagged(expr) => {
                let id = snapshot(self.lakes.main.state(), tag.into())?;
                self.environment.lake.at_snapshot(id).await?
            }
            TableVersion::ForSystemTimeAsOf(expr) | TableVersion::TimestampAsOf(expr) => {
                let time = time_us(constant(&self.environment.engine, expr.clone())?)?;
                self.environment.lake.at_time(time).await?
            }
            TableVersion::Function(_) | TableVersion::Changes { .. } => {
                return Err(Error::unsupported("this form of time travel")
                    .with_hint("Write VERSION AS OF n or FOR SYSTEM_TIME AS OF TIMESTAMP '…'."));
            }
        };
        let schemas = match name {
            [_] => self.environment.search_path.clone(),
            [.., schema, _] => vec![schema.clone()],
            [] => Vec::new(),
        };
        let relation = name.last().map_or("", String::as_str);
        let found = schemas
            .iter()
            .filter_map(|s| state.schemas.get(s))
            .find_map(|s| s.relations.get(relation));
        match found {
            Some(Relation::Table(table)) => {
                // Rights are those of today, and end with the table.
                let object = Object::of(&Relation::Table(Arc::clone(table)));
                let now = self.lakes.main.state();
                self.environment.authority.require(now, &object, Privileges::SELECT)?;
                let rows = self.environment.lake.rows(&state, table).await?;
                let table = Arc::clone(table);
                let provider = table_with(&self.environment.lake, &state, table, rows, false);
                Ok(provider_as_source(Arc::new(provider.of_the_past())))
            }
            Some(Relation::View(_)) => Err(Error::unsupported("time travel of a view")
                .with_hint("Put VERSION AS OF behind the tables in the view's query.")),
            None => Err(self
                .environment
                .undefined(self.lakes, name)
                .with_detail(format!("It did not exist at snapshot {}.", state.snapshot.id))),
        }
    }

    async fn system(&self, parts: &[String]) -> Result<Option<Arc<dyn TableProvider>>> {
        let (schema, name) = match parts {
            [name] => ("pg_catalog", name),
            [.., schema, name] => (schema.as_str(), name),
            [] => return Ok(None),
        };
        if schema == "pg_catalog" {
            self.environment.may_read_system(name)?;
        }
        system::table(self.environment, self.lakes, schema, name).await
    }
}

/// The provider of a table in the statement's own snapshot.
pub(crate) async fn lake_table(
    lakes: &Lakes,
    place: &Place,
    table: Arc<Table>,
    addressed: bool,
) -> Result<Arc<dyn TableProvider>> {
    let transaction = lakes.view(place);
    let rows = transaction.rows(&table).await?;
    Ok(Arc::new(table_with(transaction.lake(), transaction.state(), table, rows, addressed)))
}

/// A table of a state, with the vector indexes that it has there.
fn table_with(
    lake: &Arc<Lake>,
    state: &State,
    table: Arc<Table>,
    rows: Arc<TableRows>,
    addressed: bool,
) -> LakeTable {
    let indexes = match addressed {
        true => Vec::new(),
        false => catalog::indexes::of_table(lake, state, &table),
    };
    LakeTable::new(lake.store_url().clone(), table, rows, addressed).indexed(indexes)
}

fn unpopulated(name: &str) -> Error {
    let message = format!("materialized view \"{name}\" has not been populated");
    Error::new("55000", message).with_hint("Use the REFRESH MATERIALIZED VIEW command.")
}

impl Scope<'_> {
    /// The rows of a series of constants.
    fn series(&self, args: Vec<Expr>) -> EngineResult<Arc<dyn TableSource>> {
        let Some(function) = self.engine.scalar_functions().get(series::NAME) else {
            return Err(Error::unsupported(series::NAME).into());
        };
        let rules = super::Rules::new(self.engine, false);
        let call = rules.expression(function.call(args), &DFSchema::empty())?.unalias();
        let Expr::ScalarFunction(call) = call else {
            return Err(Error::unsupported("this series").into());
        };
        let values = call.args.into_iter().map(|value| super::folded(self.engine, value));
        Ok(provider_as_source(super::series::table(values.collect::<Result<_>>()?)?))
    }

    /// What stands for a function that nothing else is called.
    fn missing(&self, name: &str) -> Option<Arc<ScalarUDF>> {
        let engine = self.engine;
        let known = engine.aggregate_functions().contains_key(name)
            || engine.window_functions().contains_key(name)
            || engine.higher_order_functions().contains_key(name);
        let names = engine.scalar_functions().keys().chain(engine.aggregate_functions().keys());
        let names = names.chain(engine.window_functions().keys());
        (!known).then(|| missing::function(name, names.map(String::as_str))).flatten()
    }
}

impl ContextProvider for Scope<'_> {
    fn get_table_source(&self, name: TableReference) -> EngineResult<Arc<dyn TableSource>> {
        let source = self.tables.get(&name).cloned();
        source.ok_or_else(|| plan_datafusion_err!("table '{name}' not found"))
    }

    fn get_table_function_source(
        &self,
        name: &str,
        args: Vec<Expr>,
    ) -> EngineResult<Arc<dyn TableSource>> {
        if name == series::NAME {
            return self.series(args);
        }
        let Some(function) = self.engine.table_functions().get(name).cloned() else {
            let message = format!("function {name}() does not exist");
            return Err(Error::new("42883", message).into());
        };
        let context = SimplifyContext::builder()
            .with_config_options(Arc::clone(self.engine.config_options()))
            .build();
        let simplifier = ExprSimplifier::new(context);
        let schema = DFSchema::empty();
        let args = args
            .into_iter()
            .map(|arg| {
                let arg = super::Rules::new(self.engine, false).expression(arg, &schema)?;
                match simplifier.simplify(simplifier.coerce(arg, &schema)?)? {
                    // The engine's functions know bigint only.
                    Expr::Literal(ScalarValue::Int32(n), _) => {
                        Ok(lit(ScalarValue::Int64(n.map(i64::from))))
                    }
                    other => Ok(other),
                }
            })
            .collect::<EngineResult<Vec<_>>>()?;
        let args = TableFunctionArgs::new(&args, self.engine);
        Ok(provider_as_source(function.create_table_provider_with_args(args)?))
    }

    fn create_cte_work_table(
        &self,
        name: &str,
        schema: SchemaRef,
    ) -> EngineResult<Arc<dyn TableSource>> {
        Ok(provider_as_source(Arc::new(CteWorkTable::new(name, schema))))
    }

    fn get_expr_planners(&self) -> &[Arc<dyn ExprPlanner>] {
        self.engine.expr_planners()
    }

    fn get_relation_planners(&self) -> &[Arc<dyn RelationPlanner>] {
        self.engine.relation_planners()
    }

    fn get_type_planner(&self) -> Option<Arc<dyn TypePlanner>> {
        Some(Arc::clone(&self.types))
    }

    fn get_function_meta(&self, name: &str) -> Option<Arc<ScalarUDF>> {
        let own = self.functions.get(name).or_else(|| self.engine.scalar_functions().get(name));
        own.cloned().or_else(|| self.missing(name))
    }

    fn get_higher_order_meta(&self, name: &str) -> Option<Arc<HigherOrderUDF>> {
        self.engine.higher_order_functions().get(name).cloned()
    }

    fn get_aggregate_meta(&self, name: &str) -> Option<Arc<AggregateUDF>> {
        let functions = self.engine.aggregate_functions();
        let usual = functions.get(name)?;
        let summed = super::convert::summed(name, usual, |name| functions.get(name).cloned());
        Some(summed.unwrap_or_else(|| Arc::clone(usual)))
    }

    fn get_window_meta(&self, name: &str) -> Option<Arc<WindowUDF>> {
        self.engine.window_functions().get(name).cloned()
    }

    fn get_variable_type(&self, _names: &[String]) -> Option<DataType> {
        None
    }

    fn options(&self) -> &ConfigOptions {
        self.engine.config_options()
    }

    fn udf_names(&self) -> Vec<String> {
        self.engine.scalar_functions().keys().cloned().collect()
    }

    fn higher_order_function_names(&self) -> Vec<String> {
        self.engine.higher_order_functions().keys().cloned().collect()
    }

    fn udaf_names(&self) -> Vec<String> {
        self.engine.aggregate_functions().keys().cloned().collect()
    }

    fn udwf_names(&self) -> Vec<String> {
        self.engine.window_functions().keys().cloned().collect()
    }
}
