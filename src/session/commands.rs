//! Statements about the connection itself: transaction control, settings, PREPARE.

use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, StringArray};
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::arrow::record_batch::RecordBatch;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::sql::sqlparser::ast::{
    self, ContextModifier, DiscardObject, Set, TransactionAccessMode, TransactionMode,
};
use futures::stream;
use sql::names::folded;
use sql::parse::OfRole;
use sql::{Notice, Own, Parsed};

use super::words::{folded_name, setting_value, show_name};
use super::{Block, Session};
use crate::run::{Outcome, Statement};
use crate::settings::display_name;
use crate::{Error, explain};

/// Whether a statement is planned before it runs.
pub(super) fn is_planned(statement: &ast::Statement) -> bool {
    if let ast::Statement::Explain { statement, .. } = statement {
        return !matches!(statement.as_ref(), ast::Statement::Execute { .. });
    }
    matches!(
        statement,
        ast::Statement::Query(_)
            | ast::Statement::Insert(_)
            | ast::Statement::Update(_)
            | ast::Statement::Delete(_)
            | ast::Statement::Merge(_)
            | ast::Statement::Declare { .. }
    )
}

/// Whether a failed block takes the statement.
pub(super) fn ends_block(statement: &Statement) -> bool {
    match &statement.parsed {
        Parsed::Sql(sql) => {
            matches!(sql.as_ref(), ast::Statement::Commit { .. } | ast::Statement::Rollback { .. })
        }
        Parsed::Own(_) => false,
    }
}

impl Session {
    /// The columns of SHOW; None for commands without rows.
    pub(super) fn command_columns(
        &self,
        statement: &Statement,
    ) -> Result<Option<SchemaRef>, Error> {
        let sql = match &statement.parsed {
            Parsed::Sql(sql) => sql,
            Parsed::Own(own) => {
                return match own.as_ref() {
                    Own::Fetch(fetch) if !fetch.only_moves => {
                        let cursor = self.cursors.get(&folded(&fetch.cursor))?;
                        Ok(Some(Arc::clone(&cursor.schema)))
                    }
                    _ => Ok(None),
                };
            }
        };
        match sql.as_ref() {
            ast::Statement::ShowVariable { variable } => {
                Ok(Some(self.show(&show_name(variable))?.schema()))
            }
            ast::Statement::Explain { .. } => {
                Ok(explain::parse(sql)?.map(|(explain, _)| explain.schema()))
            }
            ast::Statement::Execute { name: Some(name), .. } => {
                let named = self.statements().get(&folded_name(name))?;
                Ok(named.prepared.as_ref().and_then(|prepared| prepared.columns.clone()))
            }
            _ => Ok(None),
        }
    }

    /// Runs a statement about the connection; None if it is about the lake.
    pub(super) async fn command(
        &mut self,
        statement: &Statement,
    ) -> Result<Option<Outcome>, Error> {
        let sql = match &statement.parsed {
            Parsed::Sql(sql) => sql,
            Parsed::Own(own) => return self.own_command(own).await,
        };
        self.check_declare(sql)?;
        let tag = match sql.as_ref() {
            ast::Statement::StartTransaction { modes, begin, .. } => {
                self.begin(modes).await?;
                if *begin { "BEGIN" } else { "START TRANSACTION" }
            }
            ast::Statement::Commit { chain, .. } => return self.end(*chain).await.map(Some),
            ast::Statement::Rollback { savepoint: Some(name), .. } => {
                self.rollback_to(&folded(name)).await?;
                "ROLLBACK"
            }
            ast::Statement::Rollback { chain, .. } => {
                self.rollback(*chain).await?;
                "ROLLBACK"
            }
            ast::Statement::Savepoint { name } => {
                self.savepoint(&folded(name))?;
                "SAVEPOINT"
            }
            ast::Statement::ReleaseSavepoint { name } => {
                self.release(&folded(name))?;
                "RELEASE"
            }
            ast::Statement::Set(set) => {
                self.set(set)?;
                "SET"
            }
            ast::Statement::ShowVariable { variable } => {
                return rows(self.show(&show_name(variable))?, "SHOW").map(Some);
            }
            ast::Statement::Reset(reset) => {
                self.reset(&reset.to_string())?;
                "RESET"
            }
            ast::Statement::Discard { object_type } => self.discard(object_type)?,
            ast::Statement::Prepare { name, data_types, statement: inner } => {
                self.prepare_named(folded(name), data_types, inner, &statement.text).await?;
                "PREPARE"
            }
            ast::Statement::Deallocate { name, .. } => self.deallocate(&folded(name))?,
            ast::Statement::Execute { name: Some(name), parameters, .. } => {
                return self.execute_named(&folded_name(name), parameters).await.map(Some);
            }
            ast::Statement::Explain { statement: inner, .. } => {
                let ast::Statement::Execute { name: Some(name), parameters, .. } = inner.as_ref()
                else {
                    return Ok(None);
                };
                let name = folded_name(name);
                return self.explain_named(sql, &name, parameters).await.map(Some);
            }
            // Statistics are kept with every commit.
            ast::Statement::Analyze(_) => "ANALYZE",
            _ => return Ok(None),
        };
        Ok(Some(Outcome::Done { tag: tag.to_string() }))
    }

    async fn own_command(&mut self, own: &Own) -> Result<Option<Outcome>, Error> {
        let tag = match own {
            Own::Vacuum(_) if !self.alone() => {
                let message = "VACUUM cannot run inside a transaction block";
                return Err(Error::new("25001", message));
            }
            Own::Lock(_) if self.alone() => {
                let message = "LOCK TABLE can only be used in transaction blocks";
                return Err(Error::new("25P01", message));
            }
            Own::Fetch(fetch) => return self.cursors.fetch(fetch).await.map(Some),
            Own::Close(Some(name)) => {
                self.cursors.close(&folded(name))?;
                "CLOSE CURSOR"
            }
            Own::Close(None) => {
                self.cursors.close_all();
                "CLOSE CURSOR ALL"
            }
            Own::Role(of @ (OfRole::Become { reset, .. } | OfRole::Authorize { reset, .. })) => {
                self.become_role(of).await?;
                if *reset { "RESET" } else { "SET" }
            }
            Own::Role(of) => {
                self.check_role_setting(of)?;
                return Ok(None);
            }
            _ => return Ok(None),
        };
        Ok(Some(Outcome::Done { tag: tag.to_string() }))
    }

    /// A cursor that ends with its transaction needs one.
    fn check_declare(&self, sql: &ast::Statement) -> Result<(), Error> {
        let ast::Statement::Declare { stmts } = sql else { return Ok(()) };
        let hold = stmts.iter().all(|declare| declare.hold == Some(true));
        if hold || !self.alone() {
            return Ok(());
        }
        Err(Error::new("25P01", "DECLARE CURSOR can only be used in transaction blocks"))
    }

    async fn begin(&mut self, modes: &[TransactionMode]) -> Result<(), Error> {
        if self.open.as_ref().is_some_and(|open| open.block.is_some()) {
            let message = "there is already a transaction in progress";
            self.notices.push(Notice::warning("25001", message));
            return Ok(());
        }
        self.open(false).await?;
        let default = self.reads_by_default();
        let mode = modes.iter().rev().find_map(|mode| match mode {
            TransactionMode::AccessMode(mode) => {
                Some(matches!(mode, TransactionAccessMode::ReadOnly))
            }
            TransactionMode::IsolationLevel(_) => None,
        });
        if let Some(open) = &mut self.open {
            let read_only = mode.unwrap_or(default);
            open.block = Some(Block { read_only, ..Block::default() });
        }
        self.write_settings()?.begin();
        self.begin_isolation(modes)
    }

    /// COMMIT; a failed block is rolled back.
    async fn end(&mut self, chain: bool) -> Result<Outcome, Error> {
        let done = |tag: &str| Ok(Outcome::Done { tag: tag.to_string() });
        match self.open.as_ref().map(|open| open.block.as_ref().map(|b| b.failed)) {
            Some(Some(true)) => {
                self.rollback(chain).await?;
                return done("ROLLBACK");
            }
            Some(Some(false)) => {}
            Some(None) | None => {
                let message = "there is no transaction in progress";
                self.notices.push(Notice::warning("25P01", message));
                self.commit().await?;
                return done("COMMIT");
            }
        }
        let committed = self.commit().await;
        self.write_settings()?.end(committed.is_ok());
        self.settings_changed()?;
        committed?;
        if chain {
            self.begin(&[]).await?;
        }
        done("COMMIT")
    }

    async fn rollback(&mut self, chain: bool) -> Result<(), Error> {
        let in_block = self.open.as_ref().is_some_and(|open| open.block.is_some());
        self.drop_open();
        if !in_block {
            let message = "there is no transaction in progress";
            self.notices.push(Notice::warning("25P01", message));
            return Ok(());
        }
        self.write_settings()?.end(false);
        self.settings_changed()?;
        if chain {
            self.begin(&[]).await?;
        }
        Ok(())
    }

    /// The lakes of the open block.
    fn block_lakes(&mut self, word: &str) -> Result<&mut super::Open, Error> {
        match &mut self.open {
            Some(open) if open.block.is_some() => Ok(open),
            _ => {
                let message = format!("{word} can only be used in transaction blocks");
                Err(Error::new("25P01", message))
            }
        }
    }

    fn savepoint(&mut self, name: &str) -> Result<(), Error> {
        let mark = self.cursors.mark();
        let open = self.block_lakes("SAVEPOINT")?;
        open.block.iter_mut().for_each(|block| block.savepoints.push((name.to_owned(), mark)));
        open.lakes.main.savepoint(name);
        if let Some(temp) = &mut open.lakes.temp {
            temp.savepoint(name);
        }
        Ok(())
    }

    fn release(&mut self, name: &str) -> Result<(), Error> {
        let open = self.block_lakes("RELEASE SAVEPOINT")?;
        open.lakes.main.release(name)?;
        if let Some(block) = &mut open.block {
            let savepoint = block.savepoints.iter().rposition(|(other, _)| other == name);
            block.savepoints.truncate(savepoint.unwrap_or(0));
        }
        if let Some(temp) = &mut open.lakes.temp {
            // Temp tables may be younger than the savepoint.
            let _ = temp.release(name);
        }
        Ok(())
    }

    async fn rollback_to(&mut self, name: &str) -> Result<(), Error> {
        let open = self.block_lakes("ROLLBACK TO SAVEPOINT")?;
        open.lakes.main.rollback_to(name)?;
        let younger = open.lakes.temp.as_mut().is_some_and(|t| t.rollback_to(name).is_err());
        let mut mark = None;
        if let Some(block) = &mut open.block {
            block.failed = false;
            let savepoint = block.savepoints.iter().rposition(|(other, _)| other == name);
            block.savepoints.truncate(savepoint.map_or(0, |savepoint| savepoint + 1));
            mark = block.savepoints.last().map(|(_, mark)| *mark);
        }
        if younger {
            open.lakes.temp = None;
        }
        if let Some(open) = &mut self.open {
            self.changed += 1;
            open.changes = self.changed;
        }
        self.cursors.back_to(mark.unwrap_or(0));
        self.open(false).await
    }

    fn set(&mut self, set: &Set) -> Result<(), Error> {
        match set {
            Set::SingleAssignment { scope, variable, values, .. } => {
                let name = folded_name(variable);
                let value = setting_value(&name, values);
                let local = matches!(scope, Some(ContextModifier::Local));
                self.assign(&name, &value, local)
            }
            Set::SetTimeZone { local, value } => {
                let value = setting_value("timezone", std::slice::from_ref(value));
                self.assign("timezone", &value, *local)
            }
            Set::SetNames { charset_name, .. } => {
                self.assign("client_encoding", &folded(charset_name), false)
            }
            Set::SetTransaction { modes, session: true, .. } => self.set_characteristics(modes),
            Set::SetTransaction { modes, .. } => self.set_transaction(modes),
            other => Err(Error::new("0A000", format!("SET {other} is not supported"))),
        }
    }

    fn assign(&mut self, name: &str, value: &str, local: bool) -> Result<(), Error> {
        let in_block = self.open.as_ref().is_some_and(|open| open.block.is_some());
        if local && !in_block {
            let message = "SET LOCAL can only be used in transaction blocks";
            self.notices.push(Notice::warning("25P01", message));
            return Ok(());
        }
        {
            let mut settings = self.write_settings()?;
            match (value.eq_ignore_ascii_case("default"), local) {
                (true, _) => settings.reset(name)?,
                (false, true) => settings.set_local(name, value)?,
                (false, false) => settings.set(name, value)?,
            }
        }
        self.settings_changed()
    }

    fn set_transaction(&mut self, modes: &[TransactionMode]) -> Result<(), Error> {
        let Some(block) = self.open.as_mut().and_then(|open| open.block.as_mut()) else {
            return Ok(());
        };
        for mode in modes {
            if let TransactionMode::AccessMode(mode) = mode {
                block.read_only = matches!(mode, TransactionAccessMode::ReadOnly);
            }
        }
        self.set_isolation(modes)
    }

    fn reset(&mut self, statement: &str) -> Result<(), Error> {
        let name = statement.split_whitespace().nth(1).unwrap_or("ALL").to_lowercase();
        match name.as_str() {
            "all" => self.write_settings()?.reset_all(),
            name => self.write_settings()?.reset(name)?,
        }
        self.settings_changed()
    }

    fn discard(&mut self, object: &DiscardObject) -> Result<&'static str, Error> {
        let in_block = self.open.as_ref().is_some_and(|open| open.block.is_some());
        match object {
            DiscardObject::ALL => {
                if in_block {
                    let message = "DISCARD ALL cannot run inside a transaction block";
                    return Err(Error::new("25001", message));
                }
                {
                    let mut settings = self.write_settings()?;
                    settings.reset_all();
                    settings.put_role("role", None, false);
                    settings.put_role("session_authorization", None, false);
                }
                self.statements().clear();
                self.cursors.close_all();
                self.open = None;
                self.forget_temp();
                self.settings_changed()?;
                Ok("DISCARD ALL")
            }
            DiscardObject::TEMP => {
                self.open = None;
                self.forget_temp();
                Ok("DISCARD TEMP")
            }
            DiscardObject::PLANS => Ok("DISCARD PLANS"),
            DiscardObject::SEQUENCES => Ok("DISCARD SEQUENCES"),
        }
    }

    /// SHOW's answer.
    fn show(&self, name: &str) -> Result<RecordBatch, Error> {
        let isolation = self.isolation();
        let settings = self.read_settings()?;
        if name == "all" {
            let all = settings.all();
            let column = |pick: fn(&(String, String, String)) -> &String| -> ArrayRef {
                Arc::new(StringArray::from_iter_values(all.iter().map(pick)))
            };
            return Ok(RecordBatch::try_from_iter([
                ("name", column(|s| &s.0)),
                ("setting", column(|s| &s.1)),
                ("description", column(|s| &s.2)),
            ])?);
        }
        let value = match name {
            "session_authorization" => Some(self.who().session),
            "transaction_isolation" => isolation,
            name => settings.get(name).map(str::to_string),
        };
        let value = value.ok_or_else(|| {
            Error::new("42704", format!("unrecognized configuration parameter \"{name}\""))
        })?;
        let column = Field::new(display_name(name), DataType::Utf8, false);
        let schema = Arc::new(Schema::new(vec![column]));
        Ok(RecordBatch::try_new(schema, vec![Arc::new(StringArray::from(vec![value]))])?)
    }
}

fn rows(batch: RecordBatch, tag: &'static str) -> Result<Outcome, Error> {
    let schema = batch.schema();
    let rows = Box::pin(RecordBatchStreamAdapter::new(batch.schema(), stream::iter([Ok(batch)])));
    Ok(Outcome::Rows { schema, rows, tag, count: false, binary: false })
}
