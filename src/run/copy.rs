//! COPY on the path: a change that is fed, or a query whose rows become data.

use std::sync::Arc;

use datafusion::arrow::datatypes::SchemaRef;
use datafusion::execution::SendableRecordBatchStream;
use sql::changes;
use sql::copy::{Columns, CopyIn, CopyOut, Format, Incoming, Options};
use sql::parse::{Copy, CopyPlace};
use sql::plan::{Environment, Lakes};

use super::{Outcome, Plan, columns, plan_sql};
use crate::Error;
use crate::wire::copy::files;
use crate::wire::copy::reader::RowReader;

/// COPY FROM STDIN, ready for the client's data.
pub struct CopyingIn {
    pub copy: Box<CopyIn>,
    pub reader: Arc<RowReader>,
}

impl CopyingIn {
    /// Whether the data is binary.
    pub fn is_binary(&self) -> bool {
        self.copy.options.format == Format::Binary
    }
}

/// COPY TO STDOUT, running.
pub struct CopyingOut {
    pub options: Options,
    pub schema: SchemaRef,
    pub rows: SendableRecordBatchStream,
}

/// Plans a COPY.
pub(super) async fn plan(
    environment: &Environment,
    lakes: &Lakes,
    copy: &Copy,
) -> Result<Plan, Error> {
    if copy.from {
        return Ok(match sql::copy::plan_in(environment, lakes, copy).await? {
            Incoming::Fed(copy) => Plan::CopyIn(copy),
            Incoming::Scanned(change) => Plan::Change(change),
        });
    }
    let (out, statement) = sql::copy::query_out(environment, lakes, copy)?;
    let inner = plan_sql(environment, lakes, &statement, &[]).await?;
    match &inner {
        Plan::Query(_) => {}
        Plan::Change(change) if change.returning.is_some() => {}
        Plan::Change(_) => {
            return Err(Error::new("0A000", "COPY query must have a RETURNING clause"));
        }
        _ => return Err(Error::new("0A000", "COPY query must be one that returns rows")),
    }
    if let (Columns::Named(names), Some(schema)) = (&out.options.force_quote, columns(&inner))
        && let Some(name) = names.iter().find(|name| schema.field_with_name(name).is_err())
    {
        return Err(Error::new("42703", format!("column \"{name}\" does not exist")));
    }
    Ok(Plan::CopyOut(out, Box::new(inner)))
}

/// Inserts a file's rows, or says what to do with the client's.
pub(super) async fn run_in(
    environment: &Environment,
    lakes: &mut Lakes,
    copy: Box<CopyIn>,
) -> Result<Outcome, Error> {
    let reader = Arc::new(RowReader::new(&environment.engine, &copy)?);
    let CopyPlace::Location(location) = &copy.place else {
        return Ok(Outcome::CopyIn(CopyingIn { copy, reader }));
    };
    copy.feed.open(files::read(&environment.engine, location, reader)?);
    let applied = changes::apply(environment, lakes, &copy.change).await?;
    Ok(Outcome::Done { tag: format!("COPY {}", applied.count) })
}

/// Writes rows to a file, or says how the client wants them.
pub(super) async fn run_out(
    environment: &Environment,
    copy: CopyOut,
    schema: SchemaRef,
    rows: SendableRecordBatchStream,
) -> Result<Outcome, Error> {
    let options = copy.options;
    let CopyPlace::Location(location) = &copy.place else {
        return Ok(Outcome::CopyOut(CopyingOut { options, schema, rows }));
    };
    let count = files::write(&environment.engine, location, options, schema, rows).await?;
    Ok(Outcome::Done { tag: format!("COPY {count}") })
}
