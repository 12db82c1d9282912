//! Stand-in session: plans with a bare SessionContext.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use datafusion::arrow::datatypes::DataType;
use datafusion::prelude::{SessionConfig, SessionContext};
use datafusion::scalar::ScalarValue;

use crate::run::{Outcome, Prepared, Statement};
use crate::{Error, Server};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TransactionStatus {
    Idle,
    InBlock,
    Failed,
}

#[derive(Debug, Clone)]
pub struct Notice {
    pub severity: &'static str,
    pub code: &'static str,
    pub message: String,
    pub detail: Option<String>,
    pub hint: Option<String>,
}

pub struct Session {
    context: SessionContext,
    zone: String,
    status: TransactionStatus,
    timeout: Option<Duration>,
    notices: Vec<Notice>,
    reports: Vec<(String, String)>,
}

impl Session {
    pub fn new(
        server: Arc<Server>,
        _user: String,
        _database: String,
        options: HashMap<String, String>,
    ) -> Result<Self, Error> {
        let config = SessionConfig::new().with_target_partitions(server.config().threads);
        let context = SessionContext::new_with_config_rt(config, Arc::clone(server.runtime()));
        Ok(Self {
            context,
            zone: options
                .get("TimeZone")
                .cloned()
                .unwrap_or_else(|| "UTC".into()),
            status: TransactionStatus::Idle,
            timeout: None,
            notices: vec![],
            reports: vec![],
        })
    }

    pub fn parse(&mut self, text: &str) -> Result<Vec<Statement>, Error> {
        use datafusion::sql::parser::DFParserBuilder;
        use datafusion::sql::sqlparser::dialect::PostgreSqlDialect;
        let parsed = DFParserBuilder::new(text)
            .with_dialect(&PostgreSqlDialect {})
            .build()
            .and_then(|mut parser| parser.parse_statements())
            .map_err(Error::from)?;
        Ok(parsed
            .iter()
            .map(|s| Statement {
                text: s.to_string(),
            })
            .collect())
    }

    pub async fn prepare(
        &mut self,
        statement: &Statement,
        _types: &[Option<DataType>],
    ) -> Result<Prepared, Error> {
        let upper = statement.text.to_uppercase();
        let rollback = upper.starts_with("ROLLBACK") || upper.starts_with("COMMIT");
        if self.status == TransactionStatus::Failed && !rollback {
            let message = "current transaction is aborted, \
                 commands ignored until end of transaction block";
            return Err(Error::new("25P02", message));
        }
        if rollback
            || upper.starts_with("BEGIN")
            || upper.starts_with("START")
            || upper.starts_with("SET")
        {
            return Ok(Prepared::new(statement.text.clone(), vec![], None, None));
        }
        let plan = self
            .context
            .state()
            .create_logical_plan(&statement.text)
            .await?;
        let mut names: Vec<_> = plan.get_parameter_fields()?.into_iter().collect();
        names.sort_by_key(|(name, _)| name[1..].parse::<usize>().unwrap_or(0));
        let parameters = names
            .into_iter()
            .map(|(name, field)| {
                field.unwrap_or_else(|| {
                    Arc::new(datafusion::arrow::datatypes::Field::new(
                        name,
                        DataType::Utf8,
                        true,
                    ))
                })
            })
            .collect();
        let schema = Arc::new(plan.schema().as_arrow().clone());
        Ok(Prepared::new(
            statement.text.clone(),
            parameters,
            Some(schema),
            Some(plan),
        ))
    }

    pub async fn execute(
        &mut self,
        prepared: &Prepared,
        parameters: Vec<ScalarValue>,
    ) -> Result<Outcome, Error> {
        let Some(plan) = &prepared.plan else {
            let upper = prepared.text.to_uppercase();
            if let Some(ms) = upper.strip_prefix("SET STATEMENT_TIMEOUT = ") {
                self.timeout = ms.parse().ok().map(Duration::from_millis);
            } else if let Some(zone) = prepared.text.strip_prefix("SET TIME ZONE ") {
                self.zone = zone.trim_matches('\'').into();
                self.reports.push(("TimeZone".into(), self.zone.clone()));
            } else if upper.starts_with("BEGIN") {
                if self.status == TransactionStatus::InBlock {
                    self.notices.push(Notice {
                        severity: "WARNING",
                        code: "25001",
                        message: "there is already a transaction in progress".into(),
                        detail: None,
                        hint: None,
                    });
                }
                self.status = TransactionStatus::InBlock;
            } else {
                self.status = TransactionStatus::Idle;
            }
            let tag = upper
                .split([' ', ';'])
                .next()
                .unwrap_or_default()
                .to_string();
            return Ok(Outcome::Done { tag });
        };
        let mut plan = plan.clone();
        if !parameters.is_empty() {
            plan = plan.with_param_values(parameters)?;
        }
        let frame = self.context.execute_logical_plan(plan).await?;
        let rows = frame.execute_stream().await?;
        Ok(Outcome::Rows {
            schema: rows.schema(),
            rows,
            tag: "SELECT",
            count: true,
        })
    }

    pub async fn finish(&mut self, _ok: bool) -> Result<(), Error> {
        Ok(())
    }

    pub fn fail(&mut self) {
        if self.status == TransactionStatus::InBlock {
            self.status = TransactionStatus::Failed;
        }
    }

    pub fn transaction_status(&self) -> TransactionStatus {
        self.status
    }

    pub fn take_notices(&mut self) -> Vec<Notice> {
        std::mem::take(&mut self.notices)
    }

    pub fn take_reports(&mut self) -> Vec<(String, String)> {
        std::mem::take(&mut self.reports)
    }

    pub fn time_zone(&self) -> &str {
        &self.zone
    }

    pub fn statement_timeout(&self) -> Option<Duration> {
        self.timeout
    }
}
