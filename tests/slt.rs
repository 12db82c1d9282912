//! Runs every `tests/slt/**/*.slt` over the wire, at one thread and at four.
//!
//! ```text
//!   statement ok                 the next lines up to a blank one are SQL that must succeed
//!   statement error (42P01)      … that must fail with this SQLSTATE
//!   statement error (42P01) x    … and a message that is, or has, `x`
//!   statement tag INSERT 0 2     … that must succeed with this command tag
//!   query                        SQL, then `----`, then the rows, cells separated by `|`
//!   query rowsort                the same, rows in any order
//!   names a b                    column names of the query before
//!   connection other             the following blocks run on another session
//! ```
//! NULL is shown as `NULL`, empty text as `(empty)`. Each file has a server and a lake of its own.

use std::collections::HashMap;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use tokio_postgres::{Client, NoTls, SimpleQueryMessage};

#[test]
fn one_thread() {
    run_all(1);
}

#[test]
fn four_threads() {
    run_all(4);
}

/// The reference entry of every function has an example that runs and answers as it says.
#[test]
fn examples_of_functions() {
    let server = Server::start(2);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let failures = runtime.block_on(async {
        let client = connect(server.port).await;
        let mut failures = Vec::new();
        for function in udfs::functions() {
            let (sql, expected) = function.call.doc.example;
            let answer = match client.simple_query(sql).await {
                Ok(messages) => rows(&messages, &mut Vec::new()).join("\n"),
                Err(error) => format!("{error:?}"),
            };
            let name = function.call.name;
            failures.extend(same(&answer, expected).err().map(|e| format!("{name}: {e}")));
        }
        failures
    });
    assert!(failures.is_empty(), "\n{}", failures.join("\n\n"));
}

/// One file's server, killed when it is dropped.
struct Server {
    process: Child,
    port: u16,
    _folder: tempfile::TempDir,
}

impl Server {
    fn start(threads: usize) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut process = Command::new(env!("CARGO_BIN_EXE_sextant"))
            .args(["serve", "--listen", "127.0.0.1:0", "--threads", &threads.to_string(), "--data"])
            .arg(folder.path())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(process.stderr.take().unwrap()).lines();
        let ready = lines
            .find_map(|line| line.ok().filter(|line| line.contains("ready on")))
            .expect("the server did not start");
        let port = ready.split("127.0.0.1:").nth(1).unwrap();
        let port = port.split(' ').next().unwrap().parse().unwrap();
        std::thread::spawn(move || lines.for_each(drop));
        Self { process, port, _folder: folder }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A block of a file.
struct Block {
    line: usize,
    head: String,
    sql: String,
    expected: Vec<String>,
}

fn run_all(threads: usize) {
    let mut files = Vec::new();
    collect(Path::new("tests/slt"), &mut files);
    files.sort();
    assert!(!files.is_empty(), "no .slt files found");
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let mut failures = Vec::new();
    for file in &files {
        let server = Server::start(threads);
        failures.extend(runtime.block_on(run_file(file, server.port)));
    }
    assert!(failures.is_empty(), "\n{}", failures.join("\n\n"));
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|e| e == "slt") {
            files.push(path);
        }
    }
}

fn blocks(text: &str) -> Vec<Block> {
    let mut found = Vec::new();
    let mut lines = text.lines().enumerate().peekable();
    while let Some((index, line)) = lines.next() {
        if line.trim().is_empty() || line.starts_with('#') {
            continue;
        }
        let head = line.trim().to_string();
        let mut block = Block { line: index + 1, head, sql: String::new(), expected: Vec::new() };
        let mut in_sql = true;
        while let Some((_, line)) = lines.next_if(|(_, line)| !line.trim().is_empty()) {
            match (in_sql, line) {
                (true, "----") => in_sql = false,
                (true, line) => block.sql.push_str(&format!("{line}\n")),
                (false, line) => block.expected.push(line.to_string()),
            }
        }
        found.push(block);
    }
    found
}

async fn connect(port: u16) -> Client {
    let (client, connection) = tokio_postgres::Config::new()
        .host("127.0.0.1")
        .port(port)
        .user("slt")
        .dbname("sextant")
        .connect(NoTls)
        .await
        .unwrap();
    tokio::spawn(connection);
    client
}

async fn run_file(file: &Path, port: u16) -> Vec<String> {
    let text = std::fs::read_to_string(file).unwrap();
    let mut sessions = HashMap::from([("main".to_string(), connect(port).await)]);
    let mut current = "main".to_string();
    let mut names: Vec<String> = Vec::new();
    let mut failures = Vec::new();
    for block in blocks(&text) {
        let (kind, rest) = block.head.split_once(' ').unwrap_or((&block.head, ""));
        if kind == "connection" {
            current = rest.to_string();
            if !sessions.contains_key(&current) {
                sessions.insert(current.clone(), connect(port).await);
            }
            continue;
        }
        let result = match kind {
            "names" => same(&names.join(" "), rest),
            _ => check(&sessions[&current], &block, kind, rest, &mut names).await,
        };
        if let Err(problem) = result {
            failures.push(format!("{}:{}: {problem}", file.display(), block.line));
        }
    }
    failures
}

fn same(got: &str, expected: &str) -> Result<(), String> {
    match got == expected {
        true => Ok(()),
        false => Err(format!("expected\n{expected}\ngot\n{got}")),
    }
}

async fn check(
    client: &Client,
    block: &Block,
    kind: &str,
    rest: &str,
    names: &mut Vec<String>,
) -> Result<(), String> {
    let answer = client.simple_query(&block.sql).await;
    if let Some((code, message)) = rest.strip_prefix("error (").and_then(|r| r.split_once(')')) {
        let Err(error) = answer else {
            return Err(format!("expected error {code}, got success of\n{}", block.sql));
        };
        let found = error.as_db_error().map_or("", |error| error.message());
        return match found.contains(message.trim()) {
            true => same(&shown(&error), code).map_err(|e| format!("{e}\n{error:?}")),
            false => same(found, message.trim()),
        };
    }
    let messages = answer.map_err(|error| format!("{}\n{error:?}", block.sql))?;
    match (kind, rest) {
        ("statement", "ok") => Ok(()),
        ("statement", rest) => {
            let wanted = rest.strip_prefix("tag ").ok_or("a statement is ok, error or tag")?;
            let count = messages.iter().find_map(|m| match m {
                SimpleQueryMessage::CommandComplete(count) => Some(count.to_string()),
                _ => None,
            });
            // tokio-postgres gives the row count of a tag only.
            same(&count.unwrap_or_default(), wanted.rsplit(' ').next().unwrap_or(""))
        }
        ("query", rest) => {
            let mut rows = rows(&messages, names);
            let mut expected = block.expected.clone();
            if rest == "rowsort" {
                rows.sort();
                expected.sort();
            }
            same(&rows.join("\n"), &expected.join("\n"))
        }
        _ => Err(format!("unknown block \"{}\"", block.head)),
    }
}

fn shown(error: &tokio_postgres::Error) -> String {
    error.code().map_or_else(|| error.to_string(), |code| code.code().to_string())
}

fn rows(messages: &[SimpleQueryMessage], names: &mut Vec<String>) -> Vec<String> {
    let mut rows = Vec::new();
    for message in messages {
        match message {
            SimpleQueryMessage::RowDescription(columns) => {
                *names = columns.iter().map(|c| c.name().to_string()).collect();
            }
            SimpleQueryMessage::Row(row) => {
                let cell = |i| match row.get(i) {
                    None => "NULL",
                    Some("") => "(empty)",
                    Some(text) => text,
                };
                rows.push((0..row.len()).map(cell).collect::<Vec<_>>().join("|"));
            }
            _ => {}
        }
    }
    rows
}
