//! How long the demo's request takes: one prepared statement, from one client and from many.

use std::io::Write;
use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use tokio_postgres::types::{ToSql, Type};

use super::{connect, failed, output, print_table};
use crate::Error;

/// What a client prepares; `recommender.sql` shows an answer to it.
pub(super) const REQUEST: &str = include_str!("../../sql/pipelines/request.sql");
/// Who asks: the segments of users that the log knows, in turn, with what they have clicked on.
const SEGMENTS: &str = "SELECT user_feature_0, user_feature_1, user_feature_2, user_feature_3, \
                        coalesce(array_agg(DISTINCT campaign || ' ' || item_id) \
                          FILTER (WHERE clicked), ARRAY[]::text[]) \
                        FROM shop.examples GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3, 4";
/// The day after the log, for features as they are then.
const NOW: &str = "SET sextant.now = '2019-11-30 12:00:00+00'";
const CONNECTIONS: [usize; 2] = [1, 16];
/// How long requests are sent and counted; those under way then are waited for.
const MEASURED_FOR: Duration = Duration::from_secs(4);
/// What the answer of a recommender may take, from the first byte to the last.
const BUDGET_MS: f64 = 100.0;

/// Measures and prints a table; `to` gets every request's time as CSV.
pub(super) async fn run(
    address: SocketAddr,
    database: &str,
    to: Option<&Path>,
    out: &mut (dyn Write + Send),
) -> Result<(), Error> {
    writeln!(out, "\nThe request again and again, as one prepared statement").map_err(output)?;
    let segments = segments(address, database).await?;
    let headings = ["connections", "requests", "per_s", "p50_ms", "p95_ms", "p99_ms", "budget_ms"];
    let mut table = vec![headings.map(str::to_string).to_vec()];
    let mut lines = String::from("connections,milliseconds\n");
    let mut worst: f64 = 0.0;
    for connections in CONNECTIONS {
        let started = Instant::now();
        let clients = (0..connections).map(|first| {
            let (database, segments) = (database.to_owned(), segments.clone());
            tokio::spawn(async move { ask(address, &database, &segments, first).await })
        });
        let mut times = Vec::new();
        for client in clients.collect::<Vec<_>>() {
            let asked = client.await;
            times.extend(asked.map_err(|error| Error::new("58000", error.to_string()))??);
        }
        let seconds = started.elapsed().as_secs_f64();
        times.sort_by(f64::total_cmp);
        worst = worst.max(percentile(&times, 0.99));
        let figures = [0.50, 0.95, 0.99].map(|part| format!("{:.1}", percentile(&times, part)));
        let rate = times.len() as f64 / seconds;
        let mut row = vec![connections.to_string(), times.len().to_string(), format!("{rate:.0}")];
        row.extend(figures);
        row.push(format!("{BUDGET_MS:.0}"));
        table.push(row);
        times.iter().for_each(|time| lines += &format!("{connections},{time:.3}\n"));
    }
    print_table(&table, CONNECTIONS.len(), out).map_err(output)?;
    if cfg!(debug_assertions) && worst > BUDGET_MS {
        let advice = "A debug build; make demo RELEASE=1 measures one that is optimised.";
        writeln!(out, "      {advice}").map_err(output)?;
    }
    match to {
        Some(path) => std::fs::write(path, lines).map_err(output),
        None => Ok(()),
    }
}

/// The four features of a user, and the items seen.
type Segment = ([String; 4], Vec<String>);

async fn segments(address: SocketAddr, database: &str) -> Result<Vec<Segment>, Error> {
    let (client, connection) = connect(address, database).await?;
    let rows = client.query(SEGMENTS, &[]).await.map_err(failed)?;
    drop(client);
    let _ = connection.await;
    rows.iter()
        .map(|row| {
            let get = |i: usize| row.try_get::<_, String>(i).map_err(failed);
            Ok(([get(0)?, get(1)?, get(2)?, get(3)?], row.try_get(4).map_err(failed)?))
        })
        .collect()
}

/// One client: the milliseconds of its requests, the first left out, which plans the statement.
async fn ask(
    address: SocketAddr,
    database: &str,
    segments: &[Segment],
    first: usize,
) -> Result<Vec<f64>, Error> {
    let (client, connection) = connect(address, database).await?;
    client.batch_execute(NOW).await.map_err(failed)?;
    let types = [Type::TEXT, Type::TEXT, Type::TEXT, Type::TEXT, Type::TEXT_ARRAY];
    let request = client.prepare_typed(REQUEST, &types).await.map_err(failed)?;
    let mut times = Vec::new();
    let started = Instant::now();
    for (number, (features, seen)) in segments.iter().cycle().skip(first).enumerate() {
        let mut parameters: Vec<&(dyn ToSql + Sync)> = Vec::new();
        parameters.extend(features.iter().map(|text| text as &(dyn ToSql + Sync)));
        parameters.push(seen);
        let asked = Instant::now();
        client.query(&request, &parameters).await.map_err(failed)?;
        if number > 0 {
            times.push(asked.elapsed().as_secs_f64() * 1e3);
        }
        if number > 0 && started.elapsed() > MEASURED_FOR {
            break;
        }
    }
    drop(client);
    let _ = connection.await;
    Ok(times)
}

/// The time that a part of the requests does not exceed (nearest rank); 0 of none.
fn percentile(sorted: &[f64], part: f64) -> f64 {
    let rank = (sorted.len() as f64 * part).ceil() as usize;
    sorted.get(rank.saturating_sub(1)).copied().unwrap_or(0.0)
}

#[cfg(test)]
mod tests {
    use super::percentile;

    /// Nearest rank, by hand.
    #[test]
    fn percentiles_are_times_that_were_measured() {
        let times: Vec<f64> = (1..=200).map(f64::from).collect();
        assert_eq!([0.5, 0.95, 0.99].map(|part| percentile(&times, part)), [100.0, 190.0, 198.0]);
        assert_eq!(percentile(&[7.0], 0.5), 7.0);
        assert_eq!(percentile(&[], 0.99), 0.0);
    }
}
