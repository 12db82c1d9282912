//! Every knob in one struct; flags beat environment, file and default, in that order.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Args;
use serde::Deserialize;

use crate::Error;

/// Settings of one server process.
#[derive(Debug, Clone)]
pub struct Config {
    /// Address to listen on. Default 127.0.0.1:5433; port 0 picks a free one.
    pub listen: SocketAddr,
    /// Where Parquet files live: a folder, `s3://bucket/prefix`, `gs://` or `az://`.
    pub data: String,
    /// Catalog database: `postgres://…` or a SQLite path. None: `<data>/catalog.sqlite`.
    pub catalog: Option<String>,
    /// Name of the one database that clients connect to.
    pub database: String,
    /// Memory of all queries together, bytes. Default 2 GB, at least 16 MB.
    pub memory_limit_bytes: usize,
    /// Vectors on a GPU, bytes; the host keeps twice as many for them. Default: the memory limit.
    pub gpu_memory_limit_bytes: usize,
    /// Worker threads and partitions of a plan. Default: the cores; 1 to 1024.
    pub threads: usize,
    /// PEM file of the certificate chain; with `tls_key` it switches TLS on.
    pub tls_cert: Option<PathBuf>,
    /// PEM file of the private key (PKCS#8, PKCS#1 or SEC1).
    pub tls_key: Option<PathBuf>,
    /// Refuses connections that are not encrypted.
    pub tls_require: bool,
    /// File with the password of the superuser `sextant`, which is made at start.
    pub superuser_password_file: Option<PathBuf>,
    /// Sessions that only superusers get. Default 3.
    pub superuser_reserved_connections: usize,
    /// Sessions at the same time. Default 100; 1 to 100,000.
    pub max_connections: usize,
    /// Inserts up to this many rows are kept in the catalog. Default 1,000; up to 1,000,000.
    pub inline_row_limit: usize,
    /// Rows of a table kept in the catalog that cause a flush. Default 10,000; 1 to 10,000,000.
    pub flush_rows: usize,
    /// Age of such rows that causes a flush, seconds. Default 60; 1 to 86,400.
    pub flush_age_seconds: u64,
    /// Pause between runs of VACUUM, seconds. Default 3,600; 0 never; up to 31,536,000.
    pub vacuum_interval_seconds: u64,
    /// Age at which snapshots expire, seconds. Default 604,800 (7 days); up to 3,153,600,000.
    pub snapshot_retention_seconds: u64,
    /// How long files that no snapshot needs are left, seconds. Default 86,400; up to 31,536,000.
    pub file_retention_seconds: u64,
    /// Default statement_timeout, milliseconds. Default 0: none; up to 2,147,483,647.
    pub statement_timeout_ms: u64,
    /// Folder of spill files. None: the system's temporary folder.
    pub temp_dir: Option<PathBuf>,
    /// Disk that spill files may take, bytes. Default 100 GB, at least 16 MB.
    pub temp_limit_bytes: u64,
}

/// The same settings as flags, environment variables or keys of the file: all optional texts.
#[derive(Debug, Clone, Default, Args, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Options {
    /// Address to listen on [default: 127.0.0.1:5433]
    #[arg(long, env = "SEXTANT_LISTEN", value_name = "HOST:PORT")]
    pub listen: Option<String>,
    /// Folder or s3:// gs:// az:// prefix of the data [default: ./sextant-data]
    #[arg(long, env = "SEXTANT_DATA", value_name = "PLACE")]
    pub data: Option<String>,
    /// Catalog database, postgres://… or a SQLite path [default: <data>/catalog.sqlite]
    #[arg(long, env = "SEXTANT_CATALOG", value_name = "URL")]
    pub catalog: Option<String>,
    /// Name of the database [default: sextant]
    #[arg(long, env = "SEXTANT_DATABASE", value_name = "NAME")]
    pub database: Option<String>,
    /// Memory of all queries together, as 512MB or 2GB [default: 2GB]
    #[arg(long, env = "SEXTANT_MEMORY_LIMIT", value_name = "SIZE")]
    pub memory_limit: Option<String>,
    /// Memory of vectors on a GPU, twice as much beside it [default: the memory limit]
    #[arg(long, env = "SEXTANT_GPU_MEMORY_LIMIT", value_name = "SIZE")]
    pub gpu_memory_limit: Option<String>,
    /// Worker threads [default: number of cores]
    #[arg(long, env = "SEXTANT_THREADS", value_name = "N")]
    #[serde(default, deserialize_with = "text_or_number")]
    pub threads: Option<String>,
    /// PEM file of the certificate chain
    #[arg(long, env = "SEXTANT_TLS_CERT", value_name = "FILE")]
    pub tls_cert: Option<PathBuf>,
    /// PEM file of the private key
    #[arg(long, env = "SEXTANT_TLS_KEY", value_name = "FILE")]
    pub tls_key: Option<PathBuf>,
    /// Refuse connections that are not encrypted
    #[arg(long, env = "SEXTANT_TLS_REQUIRE")]
    #[serde(default)]
    pub tls_require: bool,
    /// File with the password of the superuser "sextant", made at start
    #[arg(long, env = "SEXTANT_SUPERUSER_PASSWORD_FILE", value_name = "FILE")]
    pub superuser_password_file: Option<PathBuf>,
    /// Sessions that only superusers get [default: 3]
    #[arg(long, env = "SEXTANT_SUPERUSER_RESERVED_CONNECTIONS", value_name = "N")]
    #[serde(default, deserialize_with = "text_or_number")]
    pub superuser_reserved_connections: Option<String>,
    /// Sessions at the same time [default: 100]
    #[arg(long, env = "SEXTANT_MAX_CONNECTIONS", value_name = "N")]
    #[serde(default, deserialize_with = "text_or_number")]
    pub max_connections: Option<String>,
    /// Inserts up to this many rows are kept in the catalog [default: 1000]
    #[arg(long, env = "SEXTANT_INLINE_ROW_LIMIT", value_name = "ROWS")]
    #[serde(default, deserialize_with = "text_or_number")]
    pub inline_row_limit: Option<String>,
    /// Rows kept in the catalog that cause a flush [default: 10000]
    #[arg(long, env = "SEXTANT_FLUSH_ROWS", value_name = "ROWS")]
    #[serde(default, deserialize_with = "text_or_number")]
    pub flush_rows: Option<String>,
    /// Age of rows in the catalog that causes a flush, seconds [default: 60]
    #[arg(long, env = "SEXTANT_FLUSH_AGE_SECONDS", value_name = "SECONDS")]
    #[serde(default, deserialize_with = "text_or_number")]
    pub flush_age_seconds: Option<String>,
    /// Pause between runs of VACUUM, seconds; 0 is never [default: 3600]
    #[arg(long, env = "SEXTANT_VACUUM_INTERVAL_SECONDS", value_name = "SECONDS")]
    #[serde(default, deserialize_with = "text_or_number")]
    pub vacuum_interval_seconds: Option<String>,
    /// Age at which snapshots expire, seconds [default: 604800]
    #[arg(long, env = "SEXTANT_SNAPSHOT_RETENTION_SECONDS", value_name = "SECONDS")]
    #[serde(default, deserialize_with = "text_or_number")]
    pub snapshot_retention_seconds: Option<String>,
    /// How long files that no snapshot needs are left, seconds [default: 86400]
    #[arg(long, env = "SEXTANT_FILE_RETENTION_SECONDS", value_name = "SECONDS")]
    #[serde(default, deserialize_with = "text_or_number")]
    pub file_retention_seconds: Option<String>,
    /// Default statement_timeout, milliseconds; 0 is none [default: 0]
    #[arg(long, env = "SEXTANT_STATEMENT_TIMEOUT", value_name = "MS")]
    #[serde(default, deserialize_with = "text_or_number")]
    pub statement_timeout: Option<String>,
    /// Folder of spill files [default: the system's]
    #[arg(long, env = "SEXTANT_TEMP_DIR", value_name = "FOLDER")]
    pub temp_dir: Option<PathBuf>,
    /// Disk that spill files may take [default: 100GB]
    #[arg(long, env = "SEXTANT_TEMP_LIMIT", value_name = "SIZE")]
    pub temp_limit: Option<String>,
}

impl Config {
    /// Reads settings given as flags or environment (`options`), then as keys of `file`.
    pub fn load(options: Options, file: Option<PathBuf>) -> Result<Self, Error> {
        let file = match file {
            Some(path) => read_file(&path)?,
            None => Options::default(),
        };
        options.or(file).resolve()
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 5433)),
            data: "./sextant-data".into(),
            catalog: None,
            database: "sextant".into(),
            memory_limit_bytes: 2 << 30,
            gpu_memory_limit_bytes: 2 << 30,
            threads: std::thread::available_parallelism().map_or(1, usize::from),
            tls_cert: None,
            tls_key: None,
            tls_require: false,
            superuser_password_file: None,
            superuser_reserved_connections: 3,
            max_connections: 100,
            inline_row_limit: 1_000,
            flush_rows: 10_000,
            flush_age_seconds: 60,
            vacuum_interval_seconds: 3_600,
            snapshot_retention_seconds: 7 * 86_400,
            file_retention_seconds: 86_400,
            statement_timeout_ms: 0,
            temp_dir: None,
            temp_limit_bytes: 100 << 30,
        }
    }
}

impl Options {
    fn or(self, file: Self) -> Self {
        Self {
            listen: self.listen.or(file.listen),
            data: self.data.or(file.data),
            catalog: self.catalog.or(file.catalog),
            database: self.database.or(file.database),
            memory_limit: self.memory_limit.or(file.memory_limit),
            gpu_memory_limit: self.gpu_memory_limit.or(file.gpu_memory_limit),
            threads: self.threads.or(file.threads),
            tls_cert: self.tls_cert.or(file.tls_cert),
            tls_key: self.tls_key.or(file.tls_key),
            tls_require: self.tls_require || file.tls_require,
            superuser_password_file: self.superuser_password_file.or(file.superuser_password_file),
            superuser_reserved_connections: self
                .superuser_reserved_connections
                .or(file.superuser_reserved_connections),
            max_connections: self.max_connections.or(file.max_connections),
            inline_row_limit: self.inline_row_limit.or(file.inline_row_limit),
            flush_rows: self.flush_rows.or(file.flush_rows),
            flush_age_seconds: self.flush_age_seconds.or(file.flush_age_seconds),
            vacuum_interval_seconds: self.vacuum_interval_seconds.or(file.vacuum_interval_seconds),
            snapshot_retention_seconds: self
                .snapshot_retention_seconds
                .or(file.snapshot_retention_seconds),
            file_retention_seconds: self.file_retention_seconds.or(file.file_retention_seconds),
            statement_timeout: self.statement_timeout.or(file.statement_timeout),
            temp_dir: self.temp_dir.or(file.temp_dir),
            temp_limit: self.temp_limit.or(file.temp_limit),
        }
    }

    fn resolve(self) -> Result<Config, Error> {
        let default = Config::default();
        if self.tls_cert.is_some() != self.tls_key.is_some() {
            return Err(invalid("tls-cert and tls-key go together: give both or none"));
        }
        if self.tls_require && self.tls_cert.is_none() {
            return Err(invalid("tls-require needs tls-cert and tls-key"));
        }
        let reserved = self.superuser_reserved_connections;
        let reserved = number("superuser-reserved-connections", reserved, 3, 0, 100_000)?;
        let listen = match &self.listen {
            Some(text) => address(text)?,
            None => default.listen,
        };
        let database = self.database.unwrap_or(default.database);
        if database.is_empty() {
            return Err(invalid("database must not be empty"));
        }
        let least = 16 << 20;
        let memory = size("memory-limit", self.memory_limit, default.memory_limit_bytes as u64)?;
        let gpu = size("gpu-memory-limit", self.gpu_memory_limit, memory)?;
        let temp = size("temp-limit", self.temp_limit, default.temp_limit_bytes)?;
        for (name, bytes) in
            [("memory-limit", memory), ("gpu-memory-limit", gpu), ("temp-limit", temp)]
        {
            if bytes < least {
                return Err(invalid(format!("{name} must be at least 16MB")));
            }
        }
        let flush_age = number("flush-age-seconds", self.flush_age_seconds, 60, 1, 86_400)?;
        let threads = number("threads", self.threads, default.threads, 1, 1_024)?;
        let sessions = number("max-connections", self.max_connections, 100, 1, 100_000)?;
        let inline = number("inline-row-limit", self.inline_row_limit, 1_000, 0, 1_000_000)?;
        let flush_rows = number("flush-rows", self.flush_rows, 10_000, 1, 10_000_000)?;
        let year = 31_536_000;
        let vacuum =
            number("vacuum-interval-seconds", self.vacuum_interval_seconds, 3_600, 0, year)?;
        let snapshots = self.snapshot_retention_seconds;
        let snapshots = number("snapshot-retention-seconds", snapshots, 7 * 86_400, 0, 100 * year)?;
        let files = number("file-retention-seconds", self.file_retention_seconds, 86_400, 0, year)?;
        let timeout = number("statement-timeout", self.statement_timeout, 0, 0, 2_147_483_647)?;
        Ok(Config {
            listen,
            data: self.data.unwrap_or(default.data),
            catalog: self.catalog,
            database,
            memory_limit_bytes: usize::try_from(memory).unwrap_or(usize::MAX),
            gpu_memory_limit_bytes: usize::try_from(gpu).unwrap_or(usize::MAX),
            threads,
            tls_cert: self.tls_cert,
            tls_key: self.tls_key,
            tls_require: self.tls_require,
            superuser_password_file: self.superuser_password_file,
            superuser_reserved_connections: reserved,
            max_connections: sessions,
            inline_row_limit: inline,
            flush_rows,
            flush_age_seconds: flush_age as u64,
            vacuum_interval_seconds: vacuum as u64,
            snapshot_retention_seconds: snapshots as u64,
            file_retention_seconds: files as u64,
            statement_timeout_ms: timeout as u64,
            temp_dir: self.temp_dir,
            temp_limit_bytes: temp,
        })
    }
}

fn read_file(path: &std::path::Path) -> Result<Options, Error> {
    let shown = path.display();
    let text = std::fs::read_to_string(path)
        .map_err(|error| invalid(format!("cannot read config file \"{shown}\": {error}")))?;
    toml::from_str(&text).map_err(|error| {
        let line = error.span().map_or(1, |span| text[..span.start].matches('\n').count() + 1);
        let message = error.message().trim().replace('\n', " ");
        invalid(format!("config file \"{shown}\", line {line}: {message}"))
    })
}

fn address(text: &str) -> Result<SocketAddr, Error> {
    use std::net::ToSocketAddrs;
    let found = text.to_socket_addrs().ok().and_then(|mut list| list.next());
    found
        .ok_or_else(|| invalid(format!("listen: \"{text}\" is not an address like 127.0.0.1:5433")))
}

fn number(
    name: &str,
    text: Option<String>,
    default: usize,
    least: usize,
    most: usize,
) -> Result<usize, Error> {
    let Some(text) = text else { return Ok(default) };
    match text.trim().parse::<usize>() {
        Ok(value) if (least..=most).contains(&value) => Ok(value),
        _ => Err(invalid(format!("{name}: \"{text}\" is not a number from {least} to {most}"))),
    }
}

/// Bytes of `512MB`, `2GB`, `1048576`; units are powers of 1024 as in Postgres.
fn size(name: &str, text: Option<String>, default: u64) -> Result<u64, Error> {
    let Some(text) = text else { return Ok(default) };
    let trimmed = text.trim();
    let split = trimmed.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(trimmed.len());
    let (digits, unit) = trimmed.split_at(split);
    let units = HashMap::from([
        ("", 0),
        ("b", 0),
        ("kb", 10),
        ("mb", 20),
        ("gb", 30),
        ("tb", 40),
        ("kib", 10),
        ("mib", 20),
        ("gib", 30),
        ("tib", 40),
    ]);
    let shift = units.get(unit.trim().to_ascii_lowercase().as_str());
    match (digits.parse::<f64>(), shift) {
        (Ok(value), Some(shift)) if value < 1e9 || *shift == 0 => {
            Ok((value * f64::from(1u32 << 10).powi(*shift / 10)) as u64)
        }
        _ => Err(invalid(format!("{name}: \"{text}\" is not a size like 512MB or 2GB"))),
    }
}

fn invalid(message: impl Into<String>) -> Error {
    Error::new("22023", message)
}

fn text_or_number<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Option<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Either {
        Number(i64),
        Text(String),
    }
    Ok(Some(match Either::deserialize(from)? {
        Either::Number(number) => number.to_string(),
        Either::Text(text) => text,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(text: &str, flags: Options) -> Result<Config, Error> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("sextant.toml");
        std::fs::write(&path, text).unwrap();
        Config::load(flags, Some(path))
    }

    #[test]
    fn flag_beats_file_beats_default() {
        let flags = Options { database: Some("flag".into()), ..Options::default() };
        let text = "database = \"file\"\nmemory-limit = \"512MB\"\nthreads = 3\n";
        let config = load(text, flags).unwrap();
        assert_eq!(config.database, "flag");
        assert_eq!(config.memory_limit_bytes, 512 << 20);
        assert_eq!(config.gpu_memory_limit_bytes, 512 << 20);
        assert_eq!((config.threads, config.max_connections), (3, 100));
    }

    #[test]
    fn bad_settings_name_themselves() {
        for (text, expected) in [
            ("colour = 1\n", "unknown field `colour`"),
            ("\nthreads = 0\n", "threads: \"0\" is not a number from 1 to 1024"),
            ("memory-limit = \"lots\"\n", "memory-limit: \"lots\" is not a size"),
            ("memory-limit = \"1kB\"\n", "memory-limit must be at least 16MB"),
            ("gpu-memory-limit = \"1kB\"\n", "gpu-memory-limit must be at least 16MB"),
            ("listen = \"nowhere\"\n", "is not an address"),
            ("tls-cert = \"a.pem\"\n", "go together"),
        ] {
            let message = load(text, Options::default()).unwrap_err().to_string();
            assert!(message.contains(expected), "{text}: {message}");
            assert!(!message.contains('\n'), "{message}");
        }
    }
}
