//! Statements against a lake in a temp folder, without a server: values by hand, from the SQL
//! standard and from PostgreSQL 15.

mod changes;

use std::sync::Arc;

use catalog::{Lake, LakeOptions, Transaction};
use datafusion::arrow::util::display::{ArrayFormatter, FormatOptions};
use datafusion::execution::SessionStateBuilder;
use datafusion::execution::registry::FunctionRegistry;
use datafusion::physical_plan::collect;
use datafusion::prelude::SessionConfig;

use crate::changes::{apply, plan_change};
use crate::plan::{Environment, Lakes, plan_query};
use crate::types::PostgresTypes;
use crate::{Parsed, Result, Statement, parse, statements};

/// A lake, and the settings of its only connection.
struct Db {
    lake: Arc<Lake>,
    environment: Environment,
    _folder: tempfile::TempDir,
}

impl Db {
    async fn open() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut options = LakeOptions::new(folder.path().to_string_lossy());
        options.inline_row_limit = 3;
        let lake = Lake::open(options).await.unwrap();
        let mut engine = SessionStateBuilder::new()
            .with_config(SessionConfig::new().with_target_partitions(2))
            .with_expr_planners(vec![Arc::new(crate::plan::JsonOperators)])
            .with_default_features()
            .build();
        for function in crate::functions::scalar() {
            engine.register_udf(Arc::new(function)).unwrap();
        }
        engine
            .runtime_env()
            .register_object_store(lake.store_url().as_ref(), Arc::clone(lake.store()));
        let environment = Environment {
            alone: false,
            reads_kept: true,
            retention: catalog::Retention::default(),
            clock: Default::default(),
            engine,
            lake: Arc::clone(&lake),
            database: "db".into(),
            user: "ann".into(),
            authority: Arc::new(crate::access::Authority::everything()),
            session_role: crate::access::BOOTSTRAP,
            search_path: vec!["main".into()],
            live: None,
            types: Arc::new(PostgresTypes { fallback: None }),
            rewrite: Arc::new(|statement| statement),
        };
        Self { lake, environment, _folder: folder }
    }

    async fn begin(&self) -> Lakes {
        let state = self.lake.current().await.unwrap();
        Lakes { main: Transaction::begin(Arc::clone(&self.lake), state), temp: None }
    }

    /// Runs statements, each its own transaction; gives the last one's rows.
    async fn run(&self, sql: &str) -> Result<Vec<String>> {
        let mut rows = Vec::new();
        for statement in parse::parse(sql)? {
            let mut lakes = self.begin().await;
            rows = self.step(&mut lakes, &statement).await?;
            lakes.main.commit().await?;
        }
        Ok(rows)
    }

    async fn step(&self, lakes: &mut Lakes, statement: &Statement) -> Result<Vec<String>> {
        if let Parsed::Sql(sql) = &statement.parsed {
            if let datafusion::sql::sqlparser::ast::Statement::Query(query) = sql.as_ref() {
                let query = query.as_ref().clone();
                let plan = plan_query(&self.environment, lakes, query, &[], Vec::new()).await?;
                let physical = self.environment.engine.create_physical_plan(&plan).await?;
                let batches = collect(physical, self.environment.engine.task_ctx()).await?;
                return Ok(shown(&batches));
            }
            if let Some(change) =
                plan_change(&self.environment, lakes, sql, &[], &Vec::new()).await?
            {
                let applied = apply(&self.environment, lakes, &change).await?;
                let Some(rows) = applied.returned else {
                    return Ok(vec![format!("{} {}", change.tag, applied.count)]);
                };
                let batches: Vec<_> =
                    futures::TryStreamExt::try_collect(rows.into_stream()).await?;
                return Ok(shown(&batches));
            }
        }
        let mut notices = Vec::new();
        let mut context =
            statements::Context { environment: &self.environment, lakes, notices: &mut notices };
        let tag = statements::run(&mut context, statement).await?;
        Ok(vec![tag.unwrap_or_else(|| panic!("not a statement: {}", statement.text))])
    }

    async fn state(&self, sql: &str) -> &'static str {
        match self.run(sql).await {
            Ok(rows) => panic!("{sql} gave {rows:?}"),
            Err(crate::Error::Statement { sqlstate, .. }) => sqlstate,
            Err(crate::Error::Catalog(error)) => error.sqlstate(),
            Err(crate::Error::Engine(error)) => panic!("{sql}: {error}"),
        }
    }
}

/// Rows as text, columns separated by `|`.
fn shown(batches: &[datafusion::arrow::record_batch::RecordBatch]) -> Vec<String> {
    let options = FormatOptions::default().with_null("NULL");
    let mut rows = Vec::new();
    for batch in batches {
        let columns: Vec<_> = batch
            .columns()
            .iter()
            .map(|column| ArrayFormatter::try_new(column.as_ref(), &options).unwrap())
            .collect();
        for row in 0..batch.num_rows() {
            let cells: Vec<String> = columns.iter().map(|c| c.value(row).to_string()).collect();
            rows.push(cells.join("|"));
        }
    }
    rows
}
