//! Plans: made, used again while what they depend on stays, made anew when it does not.
//!
//! ```text
//!   first run    plan ─ bind ─ optimize ─ operators ─ rows    the values may shape the plan
//!   later runs          bind ─ simplify ─ operators ─ rows    from a plan optimized without them
//! ```

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError};

use chrono::{DateTime, Utc};
use datafusion::arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::execution::SessionState;
use datafusion::scalar::ScalarValue;
use datafusion_pg_catalog::pg_catalog::oid_type_planner::PgOidTypePlanner;
use sql::plan::{Environment, Life};
use sql::types::PostgresTypes;
use sql::{Own, Parsed, Statement};

use super::{Session, commands};
use crate::Error;
use crate::run::{self, Optimized, Plan, Prepared};

/// Statements that are kept, twice as many at most.
const KEPT: usize = 64;
/// Longest text that is kept, bytes.
const KEPT_LENGTH: usize = 8 << 10;

/// What a plan was made with; another stamp means planning again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp {
    snapshot: i64,
    temp_snapshot: Option<i64>,
    own_changes: u64,
    settings: u64,
    renewed: u64,
    /// Statements run and transactions ended.
    moment: u64,
}

/// The newest plan of a statement, shared by all that run it.
#[derive(Debug)]
pub struct Planned {
    plan: Plan,
    life: Life,
    stamp: Stamp,
    ran: bool,
    optimized: Option<Optimized>,
}

impl Planned {
    fn new(plan: Plan, stamp: Stamp) -> Result<Self, Error> {
        let life = plan.life()?;
        Ok(Self { plan, life, stamp, ran: false, optimized: None })
    }

    fn holds(&self, now: &Stamp) -> bool {
        let moment = match self.life {
            Life::Once => self.stamp.moment,
            Life::UntilOptimized | Life::Snapshot => now.moment,
        };
        *now == Stamp { moment, ..self.stamp }
    }

    /// The plan to run now, of which the client gives so many parameters; one that ran before is
    /// optimized once for all later runs.
    fn run(&mut self, engine: &SessionState, parameters: usize) -> Result<Plan, Error> {
        let ran = std::mem::replace(&mut self.ran, true);
        let (Plan::Query(plan), true, Life::Snapshot) = (&self.plan, ran, self.life) else {
            return Ok(self.plan.clone());
        };
        if self.optimized.is_none() {
            let schema = Arc::clone(plan.schema().inner());
            let (plan, calls) = sql::plan::with_parameters(plan, parameters + 1)?;
            let (plan, calls) = (engine.optimize(&plan)?, calls.into());
            self.optimized = Some(Optimized { plan, schema, calls });
        }
        Ok(self.optimized.clone().map_or_else(|| self.plan.clone(), Plan::Optimized))
    }
}

/// The most recently used of something, by text.
#[derive(Debug)]
pub struct Recent<V> {
    young: HashMap<Arc<str>, V>,
    old: HashMap<Arc<str>, V>,
}

impl<V> Default for Recent<V> {
    fn default() -> Self {
        Self { young: HashMap::new(), old: HashMap::new() }
    }
}

impl<V: Clone> Recent<V> {
    fn get<Q: Hash + Eq + ?Sized>(&mut self, text: &Q) -> Option<V>
    where
        Arc<str>: std::borrow::Borrow<Q>,
    {
        if let Some(found) = self.young.get(text) {
            return Some(found.clone());
        }
        let (text, found) = self.old.remove_entry(text)?;
        self.keep(text, found.clone());
        Some(found)
    }

    fn keep(&mut self, text: Arc<str>, value: V) {
        if text.len() > KEPT_LENGTH {
            return;
        }
        if self.young.len() >= KEPT {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(text, value);
    }
}

impl Session {
    /// The statements of a message; a wrong one fails all of them, as in Postgres.
    pub fn parse(&mut self, text: &str) -> Result<Vec<Statement>, Error> {
        let statements = match self.parsed.get(text) {
            Some(statements) => statements,
            None => {
                let statements = sql::parse::parse(text)?;
                self.parsed.keep(Arc::from(text), statements.clone());
                statements
            }
        };
        self.several |= statements.len() > 1;
        Ok(statements)
    }

    /// Plans a statement; `types` are those that the client declared for its parameters.
    pub async fn prepare(
        &mut self,
        statement: &Statement,
        types: &[Option<DataType>],
    ) -> Result<Prepared, Error> {
        self.searches.begin();
        if types.is_empty()
            && let Some(prepared) = self.kept.get(&statement.text)
        {
            self.check_not_failed(statement)?;
            self.open(false).await?;
            if lock(&prepared.planned).holds(&self.stamp()) {
                return Ok(prepared);
            }
        }
        let field = |of: &Option<DataType>| {
            of.as_ref().map(|of| Arc::new(Field::new("", of.clone(), true)) as FieldRef)
        };
        let prepared = self.prepare_fields(statement, types.iter().map(field).collect()).await?;
        let again = lock(&prepared.planned).life != Life::Once && prepared.is_query();
        if again && prepared.parameters.is_empty() {
            self.kept.keep(Arc::clone(&statement.text), prepared.clone());
        }
        Ok(prepared)
    }

    pub(super) async fn prepare_fields(
        &mut self,
        statement: &Statement,
        types: Vec<Option<FieldRef>>,
    ) -> Result<Prepared, Error> {
        self.check_not_failed(statement)?;
        let mut types = match &statement.parsed {
            Parsed::Sql(sql) => sql::plan::parameter_types(sql, types),
            Parsed::Own(_) => types,
        };
        let plan = match self.plan(statement, &types).await {
            Err(error) => match self.awaits(statement) {
                Some(count) => {
                    types.resize(count.max(types.len()), None);
                    Plan::Late
                }
                None => return Err(error),
            },
            Ok(plan) => plan,
        };
        let columns = match &plan {
            Plan::Command => self.command_columns(statement)?,
            plan => run::columns(plan),
        };
        let origins = match (&plan, &self.open) {
            (Plan::Query(plan), Some(open)) => sql::plan::origins(plan, &open.lakes),
            _ => Vec::new(),
        };
        Ok(Prepared {
            parameters: run::parameters(&plan, &types)?,
            columns,
            origins: origins.into(),
            statement: statement.clone(),
            types,
            changes: plan.changes(),
            late: matches!(plan, Plan::Late),
            planned: Arc::new(Mutex::new(Planned::new(plan, self.stamp())?)),
        })
    }

    /// How many parameters a statement has that gives some to a function of the server's own.
    fn awaits(&self, statement: &Statement) -> Option<usize> {
        let Parsed::Sql(sql) = &statement.parsed else { return None };
        let own = self.catalog.live.functions();
        sql::plan::awaits(sql, |name| own.iter().any(|function| function.name == name))
    }

    /// A statement that is planned with these values; None: it does not wait for them.
    pub async fn settle(
        &mut self,
        prepared: &Prepared,
        values: &[ScalarValue],
    ) -> Result<Option<Prepared>, Error> {
        let (true, Parsed::Sql(sql)) = (prepared.is_late(), &prepared.statement.parsed) else {
            return Ok(None);
        };
        let parsed = Parsed::Sql(Arc::new(sql::plan::with_literals(sql, values)));
        let text = Arc::clone(&prepared.statement.text);
        let statement = Statement { text, parsed };
        let settled = self.prepare_fields(&statement, prepared.types.clone()).await?;
        match settled.is_late() {
            true => Err(run::late()),
            false => Ok(Some(settled)),
        }
    }

    /// An error of running a statement with its place in the text, where it has one.
    pub fn placed(&self, error: Error, prepared: &Prepared) -> Error {
        let planned = lock(&prepared.planned);
        run::placed(error, &prepared.statement, Some(&planned.plan), &self.engine)
    }

    /// The plan to run with these values, made anew if the last one no longer holds.
    pub(super) async fn ready(
        &mut self,
        prepared: &Prepared,
        values: &[ScalarValue],
    ) -> Result<Plan, Error> {
        let stamp = self.stamp();
        {
            let mut planned = lock(&prepared.planned);
            if planned.holds(&stamp) {
                let types = prepared.parameters.iter().map(|field| field.data_type().clone());
                return match types.eq(values.iter().map(ScalarValue::data_type)) {
                    true => planned.run(&self.engine, values.len()),
                    false => Ok(planned.plan.clone()),
                };
            }
        }
        let plan = self.plan(&prepared.statement, &prepared.types).await?;
        let mut planned = Planned::new(plan, self.stamp())?;
        let plan = planned.run(&self.engine, values.len())?;
        *lock(&prepared.planned) = planned;
        Ok(plan)
    }

    async fn plan(
        &mut self,
        statement: &Statement,
        types: &[Option<FieldRef>],
    ) -> Result<Plan, Error> {
        let plannable = match &statement.parsed {
            Parsed::Sql(sql) => commands::is_planned(sql),
            Parsed::Own(own) => matches!(own.as_ref(), Own::Copy(_)),
        };
        if !plannable {
            return Ok(Plan::Command);
        }
        self.open(false).await?;
        let environment = self.environment();
        let Some(open) = &self.open else {
            return Err(Error::new("XX000", "the transaction is gone"));
        };
        let planned = run::plan(&environment, &open.lakes, statement, types).await;
        planned.map_err(|error| run::placed(error, statement, None, &self.engine))
    }

    fn stamp(&self) -> Stamp {
        let open = self.open.as_ref();
        let temp = open.and_then(|open| open.lakes.temp.as_ref());
        Stamp {
            snapshot: open.map_or(-1, |open| open.lakes.main.state().snapshot.id),
            temp_snapshot: temp.map(|temp| temp.state().snapshot.id),
            own_changes: open.map_or(0, |open| open.changes),
            settings: self.followed,
            renewed: self.renewed,
            moment: self.moment,
        }
    }

    /// What `now()` answers: when the transaction began, or what `sextant.now` says.
    pub(super) fn now(&self) -> DateTime<Utc> {
        let fixed = self.read_settings().ok().and_then(|settings| settings.now());
        let started = || self.open.as_ref().map(|open| open.started);
        fixed.or_else(started).unwrap_or_else(Utc::now)
    }

    pub(super) fn environment(&self) -> Environment {
        let mut engine = self.engine.clone();
        engine.mark_start_execution();
        engine.execution_props_mut().query_execution_start_time = Some(self.now());
        let settings = self.read_settings().ok();
        let duration = |name: &str| {
            settings.as_ref().and_then(|settings| settings.duration(name)).unwrap_or_default()
        };
        let retention = catalog::Retention {
            snapshots: duration("sextant.snapshot_retention"),
            files: duration("sextant.file_retention"),
        };
        let who = self.who();
        let path = settings.as_ref().map(|settings| settings.search_path(&who.current));
        let server = Arc::clone(&self.server);
        Environment {
            retention,
            alone: self.alone(),
            reads_kept: true,
            clock: self.open.as_ref().map(|open| open.started).unwrap_or_default(),
            engine,
            lake: Arc::clone(self.server.lake()),
            database: self.database.clone(),
            user: who.current,
            authority: who.authority,
            session_role: who.session_role,
            search_path: path.unwrap_or_default(),
            live: Some(Arc::clone(&self.catalog.live)),
            types: Arc::new(PostgresTypes { fallback: Some(Arc::new(PgOidTypePlanner)) }),
            rewrite: Arc::new(move |statement| server.engine().rewrite(statement)),
        }
    }
}

/// Every change is one assignment, so a holder that panicked left it whole.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use datafusion::arrow::datatypes::Schema;
    use datafusion::datasource::{MemTable, provider_as_source};
    use datafusion::logical_expr::LogicalPlanBuilder;

    const STAMP: Stamp = Stamp {
        snapshot: 7,
        temp_snapshot: None,
        own_changes: 0,
        settings: 1,
        renewed: 0,
        moment: 3,
    };

    fn planned(plan: LogicalPlanBuilder) -> Planned {
        Planned::new(Plan::Query(plan.build().unwrap()), STAMP).unwrap()
    }

    #[test]
    fn a_plan_of_the_lake_holds_until_what_it_depends_on_changes() {
        let planned = planned(LogicalPlanBuilder::empty(true));
        assert!(planned.holds(&Stamp { moment: 9, ..STAMP }));
        for changed in [
            Stamp { snapshot: 8, ..STAMP },
            Stamp { temp_snapshot: Some(1), ..STAMP },
            Stamp { own_changes: 1, ..STAMP },
            Stamp { settings: 2, ..STAMP },
            Stamp { renewed: 1, ..STAMP },
        ] {
            assert!(!planned.holds(&changed), "{changed:?}");
        }
    }

    #[test]
    fn a_plan_that_holds_rows_is_for_the_next_statement_only() {
        let rows = MemTable::try_new(Arc::new(Schema::empty()), vec![vec![]]).unwrap();
        let rows = provider_as_source(Arc::new(rows));
        let planned = planned(LogicalPlanBuilder::scan("t", rows, None).unwrap());
        assert!(planned.holds(&STAMP));
        assert!(!planned.holds(&Stamp { moment: 4, ..STAMP }));
    }

    #[test]
    fn the_second_run_is_of_the_optimized_plan() {
        let engine = datafusion::prelude::SessionContext::new().state();
        let mut planned = planned(LogicalPlanBuilder::empty(true));
        assert!(matches!(planned.run(&engine, 0).unwrap(), Plan::Query(_)));
        assert!(matches!(planned.run(&engine, 0).unwrap(), Plan::Optimized(..)));
    }

    #[test]
    fn what_is_used_stays() {
        let mut recent = Recent::default();
        recent.keep("always".into(), 0);
        for i in 1..10 * KEPT {
            recent.keep(i.to_string().into(), i);
            assert_eq!(recent.get("always"), Some(0));
        }
        assert_eq!(recent.get("1"), None);
        assert!(recent.young.len() + recent.old.len() <= 2 * KEPT);
        recent.keep("x".repeat(KEPT_LENGTH + 1).into(), 1);
        assert_eq!(recent.get("x".repeat(KEPT_LENGTH + 1).as_str()), None);
    }
}
