//! `sextant demo`: a server, real data, the pipelines over its own wire; then it serves on.

use std::io::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use tokio::task::JoinHandle;
use tokio_postgres::{Client, NoTls, SimpleQueryMessage};

use crate::config::Config;
use crate::{Error, Server};

mod latency;

/// Parts of a whole system as SQL, each going on where the one before ends.
const PIPELINES: [&str; 3] = [
    include_str!("../sql/pipelines/first_look.sql"),
    include_str!("../sql/pipelines/features.sql"),
    include_str!("../sql/pipelines/recommender.sql"),
];
/// The files that the pipelines read.
const FILES: &[(&str, &[u8])] = &[
    ("obd_impressions.parquet", include_bytes!("../sql/pipelines/data/obd_impressions.parquet")),
    ("obd_items.parquet", include_bytes!("../sql/pipelines/data/obd_items.parquet")),
];
/// Rows of a result that are shown.
const SHOWN_ROWS: usize = 14;
/// Characters of a cell that are shown.
const SHOWN_WIDTH: usize = 60;
/// Marks the start of a step in a pipeline.
const STEP: &str = "-- step: ";

/// Starts a server, runs the pipelines, times the request and serves on; with `exit` it returns
/// instead. `latencies` names a file for the time of every request.
pub async fn run(config: Config, exit: bool, latencies: Option<&Path>) -> Result<(), Error> {
    let database = config.database.clone();
    let folder = demo_folder(&config)?;
    let server = Server::start(config).await?;
    let address = server.local_addr();
    for pipeline in PIPELINES {
        run_pipeline(address, &database, pipeline, &folder, &mut std::io::stdout()).await?;
    }
    latency::run(address, &database, latencies, &mut std::io::stdout()).await?;
    if exit {
        return server.shutdown().await;
    }
    let mut out = std::io::stdout();
    let connect = format!(
        "\nServing on. Connect with:\n\n  psql -h {} -p {} -U {} {database}\n\nStop with Ctrl-C.\n",
        address.ip(),
        address.port(),
        "demo"
    );
    out.write_all(connect.as_bytes()).map_err(output)?;
    server.wait().await
}

/// Where the pipelines' files are: written there, so that a binary alone is enough.
fn demo_folder(config: &Config) -> Result<PathBuf, Error> {
    let folder = match config.data.contains("://") {
        true => std::env::temp_dir().join("sextant-demo"),
        false => Path::new(&config.data).join("demo"),
    };
    let failed = |error: std::io::Error| {
        Error::new("58030", format!("cannot write to folder \"{}\": {error}", folder.display()))
    };
    std::fs::create_dir_all(&folder).map_err(failed)?;
    for (name, bytes) in FILES {
        std::fs::write(folder.join(name), bytes).map_err(failed)?;
    }
    folder.canonicalize().map_err(failed)
}

/// Runs a pipeline's steps over the wire; prints a title, the time and a small table for each.
pub async fn run_pipeline(
    address: SocketAddr,
    database: &str,
    pipeline: &str,
    data: &Path,
    out: &mut (dyn Write + Send),
) -> Result<(), Error> {
    let (client, connection) = connect(address, database).await?;
    let mut parts = pipeline.split(STEP);
    writeln!(out, "\n{}", heading(parts.next().unwrap_or(""))).map_err(output)?;
    let steps: Vec<&str> = parts.collect();
    let started = Instant::now();
    for (index, step) in steps.iter().enumerate() {
        let (title, sql) = step.split_once('\n').unwrap_or((step, ""));
        writeln!(out, "\n[{}/{}] {title}", index + 1, steps.len()).map_err(output)?;
        let sql = sql.replace(":data", &data.to_string_lossy());
        let sql = sql.replace(":request", latency::REQUEST);
        let (elapsed, messages) = timed(&client, &sql).await?;
        show(&messages, out).map_err(output)?;
        writeln!(out, "      {:.1} ms", elapsed.as_secs_f64() * 1e3).map_err(output)?;
    }
    let total = started.elapsed().as_secs_f64();
    writeln!(out, "\n{} steps in {total:.2} s", steps.len()).map_err(output)?;
    drop(client);
    let _ = connection.await;
    Ok(())
}

/// A connection as the user of the demo, and what reads from it.
async fn connect(
    address: SocketAddr,
    database: &str,
) -> Result<(Client, JoinHandle<Result<(), tokio_postgres::Error>>), Error> {
    let (client, connection) = tokio_postgres::Config::new()
        .host(address.ip().to_string())
        .port(address.port())
        .user("demo")
        .dbname(database)
        .connect(NoTls)
        .await
        .map_err(failed)?;
    Ok((client, tokio::spawn(connection)))
}

/// The comment that a pipeline starts with, up to an empty line of it.
fn heading(comment: &str) -> String {
    let lines = comment.lines().take_while(|line| line.len() > "--".len());
    lines.map(|line| line.trim_start_matches("-- ")).collect::<Vec<_>>().join("\n")
}

async fn timed(client: &Client, sql: &str) -> Result<(Duration, Vec<SimpleQueryMessage>), Error> {
    let started = Instant::now();
    let messages = client.simple_query(sql).await.map_err(failed)?;
    Ok((started.elapsed(), messages))
}

/// Prints each result as a table with a heading, an empty line between two.
fn show(messages: &[SimpleQueryMessage], out: &mut dyn Write) -> std::io::Result<()> {
    let mut table: Vec<Vec<String>> = Vec::new();
    let (mut rows, mut tables) = (0, 0);
    for message in messages {
        match message {
            SimpleQueryMessage::RowDescription(columns) => {
                table = vec![columns.iter().map(|c| c.name().to_string()).collect()];
                rows = 0;
            }
            SimpleQueryMessage::Row(row) => {
                rows += 1;
                if rows <= SHOWN_ROWS {
                    let cell = |i| clipped(row.get(i).unwrap_or(""));
                    table.push((0..row.len()).map(cell).collect());
                }
            }
            SimpleQueryMessage::CommandComplete(_) if table.is_empty() => {}
            SimpleQueryMessage::CommandComplete(_) => {
                if tables > 0 {
                    writeln!(out)?;
                }
                print_table(&table, rows, out)?;
                table.clear();
                tables += 1;
            }
            _ => {}
        }
    }
    Ok(())
}

fn clipped(text: &str) -> String {
    match text.chars().count() > SHOWN_WIDTH {
        true => text.chars().take(SHOWN_WIDTH - 1).chain(['…']).collect(),
        false => text.to_string(),
    }
}

fn print_table(table: &[Vec<String>], rows: usize, out: &mut dyn Write) -> std::io::Result<()> {
    let Some(heading) = table.first() else { return Ok(()) };
    let width = |i: usize| {
        table.iter().map(|row| row.get(i).map_or(0, |c| c.chars().count())).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..heading.len()).map(width).collect();
    for (index, row) in table.iter().enumerate() {
        let cells: Vec<String> = row
            .iter()
            .zip(&widths)
            .map(|(cell, width)| match index > 0 && cell.parse::<f64>().is_ok() {
                true => format!("{cell:>width$}"),
                false => format!("{cell:<width$}"),
            })
            .collect();
        writeln!(out, "      {}", cells.join("  ").trim_end())?;
        if index == 0 {
            let lines: Vec<String> = widths.iter().map(|width| "-".repeat(*width)).collect();
            writeln!(out, "      {}", lines.join("  "))?;
        }
    }
    if rows > SHOWN_ROWS {
        writeln!(out, "      … {} rows in all", rows)?;
    }
    Ok(())
}

fn failed(error: tokio_postgres::Error) -> Error {
    let message = match error.as_db_error() {
        Some(db) => format!("{}: {}", db.code().code(), db.message()),
        None => error.to_string(),
    };
    Error::new("58000", format!("the demo failed: {message}"))
}

fn output(error: std::io::Error) -> Error {
    Error::new("58030", format!("cannot write: {error}"))
}
