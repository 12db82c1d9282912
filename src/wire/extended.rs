//! The extended protocol: Parse, Bind, Describe, Execute, Close over named statements and portals.

use std::sync::Arc;
use std::time::SystemTime;

use datafusion::scalar::ScalarValue;

use crate::Error;
use crate::run::{Outcome, Prepared, late};
use crate::session::{Named, same_columns};
use crate::wire::connection::{Connection, Halt};
use crate::wire::decode;
use crate::wire::message::{Bind, Message, Target, protocol};
use crate::wire::reply;
use crate::wire::rows::RowStream;
use sql::pg_type::{PgType, from_oid};

/// Portals one connection may keep.
const KEPT_LIMIT: usize = 10_000;

/// A statement with its values, run at the first Execute.
pub struct Portal {
    statement: Arc<Named>,
    parameters: Vec<ScalarValue>,
    formats: Vec<i16>,
    state: State,
}

enum State {
    Ready,
    Running(RowStream),
    /// The tag for an Execute after the last row; None cannot be run again.
    Done(Option<String>),
}

impl Connection {
    pub(super) async fn extended(&mut self, message: Message) -> Result<(), Halt> {
        match message {
            Message::Parse { name, text, types } => {
                let stored = self.parse_one(&name, &text, &types).await;
                let stored = stored.map_err(|halt| match halt {
                    Halt::Statement(error) => Halt::Statement(error.locate(&text)),
                    other => other,
                })?;
                self.session.statements().insert(name, stored);
                reply::bare(&mut self.out, b'1');
                Ok(())
            }
            Message::Bind(bind) => self.bind(bind).await,
            Message::Describe(Target::Statement(name)) => self.describe_statement(&name),
            Message::Describe(Target::Portal(name)) => self.describe_portal(&name),
            Message::Execute { portal, most } => self.execute(portal, most).await,
            Message::Close(target) => {
                match target {
                    Target::Statement(name) => self.session.statements().remove(&name),
                    Target::Portal(name) => drop(self.portals.remove(&name)),
                }
                reply::bare(&mut self.out, b'3');
                Ok(())
            }
            Message::Query(_)
            | Message::Flush
            | Message::Sync
            | Message::Terminate
            | Message::CopyData(_)
            | Message::CopyDone
            | Message::CopyFail(_)
            | Message::FunctionCall => Err(protocol("message out of order").into()),
        }
    }

    async fn parse_one(&mut self, name: &str, text: &str, types: &[u32]) -> Result<Named, Halt> {
        self.session.statements().check_free(name)?;
        let mut statements = self.session.parse(text)?;
        if statements.len() > 1 {
            let message = "cannot insert multiple commands into a prepared statement";
            return Err(Error::new("42601", message).into());
        }
        let text = Arc::from(text);
        let (by_statement, created) = (false, SystemTime::now());
        let Some(statement) = statements.pop() else {
            let oids = types.to_vec();
            return Ok(Named { text, prepared: None, oids, by_statement, created });
        };
        let declared: Vec<_> = types.iter().map(|oid| from_oid(*oid)).collect();
        let deadline = self.deadline();
        let Self { session, watch, .. } = self;
        let prepared = watch.over(deadline, session.prepare(&statement, &declared)).await?;
        self.notices();
        let oids = prepared.parameters.iter().enumerate().map(|(i, field)| {
            let declared = types.get(i).copied().filter(|oid| !matches!(oid, 0 | 705));
            declared.unwrap_or_else(|| PgType::of(field).oid)
        });
        let oids = oids.collect();
        Ok(Named { text, prepared: Some(prepared), oids, by_statement, created })
    }

    async fn bind(&mut self, bind: Bind) -> Result<(), Halt> {
        let statement = self.session.statements().get(&bind.statement)?;
        let (given, wanted) = (bind.parameters.len(), statement.oids.len());
        if given != wanted {
            return Err(protocol(format!(
                "bind message supplies {given} parameters, but prepared statement \"{}\" \
                 requires {wanted}",
                bind.statement
            ))
            .into());
        }
        let codes = decode::formats(&bind.parameter_formats, given, "parameter")?;
        let fields = statement.prepared.iter().flat_map(|prepared| &prepared.parameters);
        let mut parameters = Vec::with_capacity(given);
        for (i, field) in fields.enumerate() {
            let (bytes, oid) = (bind.parameters[i].as_deref(), statement.oids[i]);
            let value = match decode::object_name(bytes, codes[i], oid) {
                Some((kind, name)) => self.session.object(kind, name).await,
                None => {
                    let zone = self.session.time_zone();
                    decode::parameter(bytes, codes[i], oid, field, zone)
                }
            };
            parameters.push(value.map_err(|error| match error.detail {
                None => error.with_detail(format!("Parameter ${}.", i + 1)),
                Some(_) => error,
            })?);
        }
        let statement = self.settled(statement, &parameters).await?;
        let columns = statement.columns().map_or(0, |schema| schema.fields().len());
        let formats = match columns {
            0 => vec![],
            columns => decode::formats(&bind.result_formats, columns, "result")?,
        };
        if bind.portal.is_empty() {
            self.portals.remove("");
        } else if self.portals.contains_key(&bind.portal) {
            let message = format!("cursor \"{}\" already exists", bind.portal);
            return Err(Error::new("42P03", message).into());
        }
        if self.portals.len() >= KEPT_LIMIT {
            return Err(Error::new("53400", "too many portals").into());
        }
        let portal = Portal { statement, parameters, formats, state: State::Ready };
        self.portals.insert(bind.portal, portal);
        reply::bare(&mut self.out, b'2');
        Ok(())
    }

    /// The statement, planned with these values if it waited for them.
    async fn settled(
        &mut self,
        statement: Arc<Named>,
        values: &[ScalarValue],
    ) -> Result<Arc<Named>, Halt> {
        let Some(prepared) = &statement.prepared else { return Ok(statement) };
        if !prepared.is_late() {
            return Ok(statement);
        }
        let deadline = self.deadline();
        let Self { session, watch, .. } = self;
        let settled = watch.over(deadline, session.settle(prepared, values)).await;
        let settled = settled.map_err(|halt| match halt {
            Halt::Statement(error) => Halt::Statement(error.locate(&statement.text)),
            other => other,
        })?;
        self.notices();
        Ok(Arc::new(Named {
            text: Arc::clone(&statement.text),
            prepared: settled,
            oids: statement.oids.clone(),
            by_statement: statement.by_statement,
            created: statement.created,
        }))
    }

    fn describe_statement(&mut self, name: &str) -> Result<(), Halt> {
        let statement = self.session.statements().get(name)?;
        if statement.prepared.as_ref().is_some_and(Prepared::is_late) {
            return Err(late().into());
        }
        reply::parameters(&mut self.out, &statement.oids);
        match statement.columns() {
            Some(schema) => {
                let formats = vec![0; schema.fields().len()];
                reply::columns(&mut self.out, schema, &formats, statement.origins());
            }
            None => reply::bare(&mut self.out, b'n'),
        }
        Ok(())
    }

    fn describe_portal(&mut self, name: &str) -> Result<(), Halt> {
        let Some(portal) = self.portals.get(name) else {
            // Cursors are portals too: drivers ask for a cursor's columns so.
            let cursor = self.session.cursors().get(name).map_err(|_| no_portal(name))?;
            let formats = vec![i16::from(cursor.binary); cursor.schema.fields().len()];
            reply::columns(&mut self.out, &cursor.schema, &formats, &[]);
            return Ok(());
        };
        match portal.statement.columns() {
            Some(schema) => {
                let origins = portal.statement.origins();
                reply::columns(&mut self.out, schema, &portal.formats, origins);
            }
            None => reply::bare(&mut self.out, b'n'),
        }
        Ok(())
    }

    /// Runs a portal, or goes on with it. It is taken out for the time, so an error drops it.
    async fn execute(&mut self, name: String, most: usize) -> Result<(), Halt> {
        let mut portal = self.portals.remove(&name).ok_or_else(|| no_portal(&name))?;
        let text = Arc::clone(&portal.statement.text);
        self.watch.running.runs(&text);
        let done = self.advance(&name, &mut portal, most).await;
        match done {
            Ok(()) => {
                self.portals.insert(name, portal);
                Ok(())
            }
            Err(Halt::Statement(error)) => {
                let placed = match &portal.statement.prepared {
                    Some(prepared) => self.session.placed(error, prepared),
                    None => error,
                };
                Err(Halt::Statement(placed.locate(&text)))
            }
            Err(halt) => Err(halt),
        }
    }

    async fn advance(&mut self, name: &str, portal: &mut Portal, most: usize) -> Result<(), Halt> {
        let deadline = self.deadline();
        if matches!(portal.state, State::Ready) && self.start(portal, deadline).await? {
            return Ok(());
        }
        match &mut portal.state {
            State::Running(stream) => {
                let most = if most == 0 { usize::MAX } else { most };
                if self.stream(stream, most, deadline).await? {
                    let tag = stream.tag();
                    // Counted anew from here: an Execute after the end gets a tag of 0 rows.
                    portal.state = State::Done(Some(stream.tag()));
                    self.complete(Some(tag));
                } else {
                    stream.suspend();
                    reply::bare(&mut self.out, b's');
                }
                Ok(())
            }
            State::Done(Some(tag)) => {
                self.complete(Some(tag.clone()));
                Ok(())
            }
            State::Done(None) | State::Ready => {
                let message = format!("portal \"{name}\" cannot be run");
                Err(Error::new("55000", message).into())
            }
        }
    }

    /// Runs the statement; true: that was all, false: rows follow.
    async fn start(
        &mut self,
        portal: &mut Portal,
        deadline: Option<tokio::time::Instant>,
    ) -> Result<bool, Halt> {
        let Some(prepared) = &portal.statement.prepared else {
            portal.state = State::Done(None);
            self.complete(None);
            return Ok(true);
        };
        // Up to Sync all is one transaction; only a change that is alone in it commits now.
        if prepared.changes() && !self.sync_follows().await? {
            self.session.more_follows();
        }
        let outcome = self.run_statement(prepared, portal.parameters.clone(), deadline).await?;
        self.notices();
        let tag = match outcome {
            Outcome::Empty => None,
            Outcome::Done { tag } => Some(tag),
            Outcome::CopyIn(copying) => {
                let tag = self.copy_in(&copying, deadline).await?;
                if !self.sync_follows().await? {
                    self.session.more_follows();
                }
                self.session.copied().await?;
                Some(tag)
            }
            Outcome::CopyOut(copying) => Some(self.copy_out(copying, deadline).await?),
            Outcome::Rows { schema, rows, tag, count, .. } => {
                same_columns(portal.statement.columns(), &schema)?;
                let stream = RowStream::new(rows, portal.formats.clone(), tag, count);
                portal.state = State::Running(stream);
                return Ok(false);
            }
        };
        portal.state = State::Done(None);
        self.complete(tag);
        Ok(true)
    }
}

fn no_portal(name: &str) -> Error {
    Error::new("34000", format!("portal \"{name}\" does not exist"))
}
