//! Upkeep in the background: rows kept in the catalog are flushed by number and age, vector indexes
//! get the rows that they lack, and VACUUM runs now and then. All show in `lake.upkeep_runs`;
//! failures are logged and tried again.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use catalog::{Kept, ObjectId, Relation};

use crate::session::{Login, Session};
use crate::{Error, Server};

/// Least and longest pause between two looks at what the catalog keeps.
const PAUSES: (u64, u64) = (1, 15);
/// How long an index that could not be built is left alone.
const REST: Duration = Duration::from_secs(300);
/// The user as whom VACUUM runs.
/// Its process id: there is no connection to cancel.
const NO_CLIENT: i32 = 0;
const USER: &str = "sextant";

/// Runs until the server stops.
pub(crate) async fn run(server: Arc<Server>) {
    let config = server.config();
    let pause = (config.flush_age_seconds / 4).clamp(PAUSES.0, PAUSES.1);
    let vacuum_pause = Duration::from_secs(config.vacuum_interval_seconds);
    let mut vacuumed = Instant::now();
    let mut refused = HashSet::new();
    let mut failed = HashMap::new();
    loop {
        tokio::select! {
            () = server.stop().cancelled() => return,
            () = tokio::time::sleep(Duration::from_secs(pause)) => {}
        }
        if let Err(error) = flush(&server, &mut refused).await {
            tracing::warn!(%error, "the flush of kept rows failed");
        }
        if let Err(error) = index(&server, &mut failed).await {
            tracing::warn!(%error, "the upkeep of vector indexes failed");
        }
        if !vacuum_pause.is_zero() && vacuumed.elapsed() >= vacuum_pause {
            if let Err(error) = vacuum(&server).await {
                tracing::warn!(%error, "VACUUM in the background failed");
            }
            vacuumed = Instant::now();
        }
    }
}

/// Flushes the tables that have many or old rows in the catalog. A layout of a table that cannot be
/// written to files is `refused` once and not tried again.
async fn flush(server: &Server, refused: &mut HashSet<(ObjectId, i64)>) -> Result<(), Error> {
    let lake = server.lake();
    let kept = lake.kept().await?;
    if kept.is_empty() {
        return Ok(());
    }
    let state = lake.current().await?;
    let mut ages = HashMap::new();
    for own in kept {
        let Some((_, table)) = state.table_by_id(own.table) else { continue };
        let layout = (own.table, table.schema_version);
        if refused.contains(&layout) || !is_due(server, own, &mut ages).await? {
            continue;
        }
        match lake.flush(own.table).await {
            Ok(flushed) => tracing::debug!(table = table.name, ?flushed, "flushed"),
            Err(error @ catalog::Error::NotSupported { .. }) => {
                tracing::info!(table = table.name, %error, "rows stay in the catalog");
                refused.insert(layout);
            }
            Err(error) => tracing::warn!(table = table.name, %error, "not flushed"),
        }
    }
    Ok(())
}

/// Builds what vector indexes lack; one that could not be built rests for a while.
async fn index(server: &Server, failed: &mut HashMap<ObjectId, Instant>) -> Result<(), Error> {
    let lake = server.lake();
    let state = lake.current().await?;
    let engine = server.engine().session_state();
    let tables = state.schemas.values().flat_map(|schema| schema.relations.values());
    for table in tables.filter_map(Relation::as_table) {
        let rests = failed.get(&table.id).is_some_and(|since| since.elapsed() < REST);
        if rests || catalog::indexes::of_table(lake, &state, table).is_empty() {
            continue;
        }
        match lake.tend_indexes(&engine, table.id).await {
            Ok(tended) => tracing::debug!(table = table.name, ?tended, "indexes tended"),
            Err(error) => {
                tracing::warn!(table = table.name, %error, "an index was not built");
                failed.insert(table.id, Instant::now());
            }
        }
    }
    Ok(())
}

async fn is_due(
    server: &Server,
    kept: Kept,
    ages: &mut HashMap<i64, Option<i64>>,
) -> Result<bool, Error> {
    let config = server.config();
    if kept.rows >= config.flush_rows as u64 {
        return Ok(true);
    }
    let time = match ages.get(&kept.since) {
        Some(time) => *time,
        None => server.lake().time_of(kept.since).await?,
    };
    ages.insert(kept.since, time);
    let old = chrono::Duration::seconds(config.flush_age_seconds.cast_signed());
    // Rows of a snapshot that has expired are old.
    Ok(time.is_none_or(|time| time < (chrono::Utc::now() - old).timestamp_micros()))
}

/// VACUUM of the whole lake, as a client would run it.
async fn vacuum(server: &Arc<Server>) -> Result<(), Error> {
    let database = server.config().database.clone();
    // Without a role it has the rights of the first one.
    let login = Login { user: USER.into(), role: None, settings: Vec::new() };
    let mut session = Session::new(Arc::clone(server), login, database, HashMap::new(), NO_CLIENT)?;
    for statement in session.parse("VACUUM")? {
        let prepared = session.prepare(&statement, &[]).await?;
        session.execute(&prepared, Vec::new()).await?;
    }
    session.finish(true).await
}
