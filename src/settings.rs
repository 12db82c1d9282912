//! A connection's settings: what SET, SHOW and RESET see.
//!
//! SET inside a transaction that rolls back is undone; SET LOCAL ends with the transaction.

mod durations;
mod messages;
mod searches;

use std::collections::BTreeMap;
use std::time::Duration;

use chrono::{DateTime, Utc};
use datafusion::common::ScalarValue;

use crate::Error;
use durations::{duration_text, milliseconds};

/// A setting that exists: name, default, how its value is checked, description.
struct Known {
    name: &'static str,
    default: &'static str,
    kind: Kind,
    description: &'static str,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Text,
    Boolean,
    /// Milliseconds; units ms, s, min, h, d are understood.
    Duration,
    Integer,
    /// An integer of a range.
    Between(i64, i64),
    /// A number over 0 and at most 1; or nothing.
    Share,
    /// How grave a message is.
    Severity,
    /// Where exact searches run.
    Device,
    /// Told to clients, but not to be changed.
    ReadOnly,
    TimeZone,
    /// A time, in UTC if it has no zone; or nothing.
    Time,
}

const fn known(
    name: &'static str,
    default: &'static str,
    kind: Kind,
    description: &'static str,
) -> Known {
    Known { name, default, kind, description }
}

/// Every setting, by lower-case name.
const KNOWN: &[Known] = &[
    known("application_name", "", Kind::Text, "Name that the client gives itself."),
    known("bytea_output", "hex", Kind::Text, "Output format for bytea."),
    known("client_encoding", "UTF8", Kind::Text, "Encoding of what the client sends and gets."),
    known("client_min_messages", "notice", Kind::Severity, "Least severity of messages sent."),
    known("datestyle", "ISO, MDY", Kind::Text, "Display format of dates and times."),
    known("default_table_access_method", "heap", Kind::Text, "Accepted; tables are Parquet."),
    known(
        "default_transaction_isolation",
        "repeatable read",
        Kind::Text,
        "Isolation of new blocks.",
    ),
    known("default_transaction_read_only", "off", Kind::Boolean, "Whether new blocks may write."),
    known("enable_indexscan", "on", Kind::Boolean, "Whether vector indexes are used."),
    known("extra_float_digits", "1", Kind::Integer, "Digits of floating-point output."),
    known(
        "hnsw.ef_search",
        "40",
        Kind::Between(1, 1000),
        "Twice as many: half the loss of recall.",
    ),
    known("hnsw.iterative_scan", "off", Kind::Text, "Accepted; answers are always complete."),
    known("hnsw.max_scan_tuples", "20000", Kind::Integer, "Accepted; no bound is needed."),
    known("hnsw.scan_mem_multiplier", "1", Kind::Text, "Accepted; memory is bounded otherwise."),
    known("idle_in_transaction_session_timeout", "0", Kind::Duration, "Longest idle block."),
    known("idle_session_timeout", "0", Kind::Duration, "Longest silence outside a block."),
    known("integer_datetimes", "on", Kind::ReadOnly, "Times are 64-bit integers."),
    known("intervalstyle", "postgres", Kind::Text, "Display format of intervals."),
    known("is_superuser", "on", Kind::ReadOnly, "Whether the user may do everything."),
    known("ivfflat.iterative_scan", "off", Kind::Text, "Accepted; answers are always complete."),
    known("ivfflat.max_probes", "32768", Kind::Between(1, 32_768), "Accepted; no bound is needed."),
    known(
        "ivfflat.probes",
        "1",
        Kind::Between(1, 32_768),
        "Twice as many: half the loss of recall.",
    ),
    known("jit", "off", Kind::Boolean, "Accepted; plans are not compiled."),
    known("lc_collate", "C", Kind::ReadOnly, "Order of text."),
    known("lc_ctype", "C.UTF-8", Kind::ReadOnly, "Classes of characters."),
    known("lc_messages", "C", Kind::Text, "Language of messages."),
    known("lc_monetary", "C", Kind::Text, "Format of amounts of money."),
    known("lc_numeric", "C", Kind::Text, "Format of numbers."),
    known("lc_time", "C", Kind::Text, "Format of dates."),
    known("lock_timeout", "0", Kind::Duration, "Longest wait for a lock."),
    known("max_index_keys", "32", Kind::ReadOnly, "Columns that a key may have."),
    known("max_identifier_length", "63", Kind::ReadOnly, "Longest name."),
    known("role", "none", Kind::ReadOnly, "The role that the session has become."),
    known("search_path", "\"$user\", public", Kind::Text, "Schemas of unqualified names."),
    known("server_encoding", "UTF8", Kind::ReadOnly, "Encoding of the database."),
    known(
        "server_version",
        crate::POSTGRES_VERSION,
        Kind::ReadOnly,
        "Version answered to clients.",
    ),
    known("server_version_num", "150000", Kind::ReadOnly, "The same as a number."),
    known("session_authorization", "", Kind::ReadOnly, "The connection's user."),
    known("sextant.device", "auto", Kind::Device, "Where exact searches run: auto, cpu or gpu."),
    known(
        "sextant.file_retention",
        "1d",
        Kind::Duration,
        "How long VACUUM leaves files that no snapshot needs any more.",
    ),
    known("sextant.now", "", Kind::Time, "Fixed time that now() answers; empty: the clock."),
    known("sextant.progress_interval", "2s", Kind::Duration, "Pause before a line of progress."),
    known(
        "sextant.recall",
        "",
        Kind::Share,
        "Recall of searches of vector indexes; empty: what each index was made for.",
    ),
    known(
        "sextant.snapshot_retention",
        "7d",
        Kind::Duration,
        "How long VACUUM leaves snapshots readable.",
    ),
    known("standard_conforming_strings", "on", Kind::Boolean, "Backslashes are literal."),
    known("statement_timeout", "0", Kind::Duration, "Longest run of a statement."),
    known("synchronous_commit", "on", Kind::Text, "Commits are always durable."),
    known("timezone", "UTC", Kind::TimeZone, "Zone in which timestamptz is shown and read."),
    known("transaction_isolation", "repeatable read", Kind::Text, "Isolation of this block."),
    known("transaction_read_only", "off", Kind::Boolean, "Whether this block may write."),
    known("work_mem", "4096", Kind::Text, "Accepted; memory is bounded by the server's limit."),
];

/// Spelling in ParameterStatus messages, for the settings that clients are told of.
const REPORTED: &[(&str, &str)] = &[
    ("application_name", "application_name"),
    ("client_encoding", "client_encoding"),
    ("datestyle", "DateStyle"),
    ("intervalstyle", "IntervalStyle"),
    ("is_superuser", "is_superuser"),
    ("session_authorization", "session_authorization"),
    ("standard_conforming_strings", "standard_conforming_strings"),
    ("timezone", "TimeZone"),
];

type Values = BTreeMap<String, String>;

/// See the module.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// Values that differ from the session's defaults.
    values: Values,
    /// What RESET goes back to: start-up options over the built-in defaults.
    defaults: Values,
    /// Values at the start of the block, for ROLLBACK.
    before: Option<Values>,
    /// What SET LOCAL has hidden.
    local: BTreeMap<String, Option<String>>,
    changed: Vec<(String, String)>,
    /// Counts changes.
    version: u64,
}

impl Settings {
    /// Settings with the client's start-up options as defaults.
    pub fn new(options: impl IntoIterator<Item = (String, String)>) -> Result<Self, Error> {
        let mut settings = Self::default();
        for (name, value) in options {
            let name = name.to_lowercase();
            let value = settings.checked(&name, &value)?;
            settings.defaults.insert(name, value);
        }
        Ok(settings)
    }

    /// A setting's value; None if it is not one.
    pub fn get(&self, name: &str) -> Option<&str> {
        let name = name.to_lowercase();
        let own = self.values.get(&name).or_else(|| self.defaults.get(&name));
        own.map(String::as_str).or_else(|| find(&name).map(|k| k.default))
    }

    /// SET [SESSION] name TO value.
    pub fn set(&mut self, name: &str, value: &str) -> Result<(), Error> {
        let name = name.to_lowercase();
        let value = self.checked(&name, value)?;
        self.local.remove(&name);
        self.put(name, Some(value));
        Ok(())
    }

    /// SET LOCAL name TO value.
    pub fn set_local(&mut self, name: &str, value: &str) -> Result<(), Error> {
        let name = name.to_lowercase();
        let value = self.checked(&name, value)?;
        let hidden = self.values.get(&name).cloned();
        self.local.entry(name.clone()).or_insert(hidden);
        self.put(name, Some(value));
        Ok(())
    }

    /// SET ROLE or SET SESSION AUTHORIZATION, which have been checked; None: as at log-in.
    pub fn put_role(&mut self, name: &str, value: Option<&str>, local: bool) {
        if local {
            let hidden = self.values.get(name).cloned();
            self.local.entry(name.to_owned()).or_insert(hidden);
        } else {
            self.local.remove(name);
        }
        match value {
            Some(value) => self.values.insert(name.to_owned(), value.to_owned()),
            None => self.values.remove(name),
        };
    }

    /// What follows from who the session is; clients are told.
    pub fn tell(&mut self, name: &str, value: &str) {
        if name == "is_superuser" {
            self.defaults.insert(name.to_owned(), value.to_owned());
        }
        self.changed.push((name.to_owned(), value.to_owned()));
    }

    /// RESET name.
    pub fn reset(&mut self, name: &str) -> Result<(), Error> {
        let name = name.to_lowercase();
        if self.get(&name).is_none() {
            return Err(unrecognized(&name));
        }
        self.put(name, None);
        Ok(())
    }

    /// RESET ALL.
    pub fn reset_all(&mut self) {
        let roles = ["role", "session_authorization"];
        let names = self.values.keys().filter(|name| !roles.contains(&name.as_str()));
        for name in names.cloned().collect::<Vec<_>>() {
            self.put(name, None);
        }
    }

    /// A block starts.
    pub fn begin(&mut self) {
        self.before = Some(self.values.clone());
    }

    /// A block ends.
    pub fn end(&mut self, committed: bool) {
        let before = self.before.take();
        if !committed && let Some(before) = before {
            let names: Vec<String> = self.values.keys().chain(before.keys()).cloned().collect();
            for name in names {
                if self.values.get(&name) != before.get(&name) {
                    self.put(name.clone(), before.get(&name).cloned());
                }
            }
        } else {
            for (name, hidden) in std::mem::take(&mut self.local) {
                self.put(name, hidden);
            }
        }
        self.local.clear();
    }

    /// SHOW ALL: name, value, description.
    pub fn all(&self) -> Vec<(String, String, String)> {
        let known = KNOWN.iter().map(|k| {
            let value = self.get(k.name).unwrap_or_default();
            (display_name(k.name).to_string(), value.to_string(), k.description.to_string())
        });
        let custom = self.values.iter().filter(|(name, _)| find(name).is_none());
        let custom = custom.map(|(name, value)| (name.clone(), value.clone(), String::new()));
        known.chain(custom).collect()
    }

    /// Changes that clients are told of.
    pub fn take_reports(&mut self) -> Vec<(String, String)> {
        std::mem::take(&mut self.changed)
    }

    /// A duration setting; None when it is zero.
    pub fn duration(&self, name: &str) -> Option<Duration> {
        let milliseconds = self.get(name).and_then(milliseconds)?;
        (milliseconds > 0).then(|| Duration::from_millis(milliseconds))
    }

    /// The time that is fixed by `sextant.now`.
    pub fn now(&self) -> Option<DateTime<Utc>> {
        time(self.get("sextant.now")?)
    }

    /// The schemas of `search_path`, `"$user"` replaced.
    pub fn search_path(&self, user: &str) -> Vec<String> {
        let path = self.get("search_path").unwrap_or_default();
        let names = path.split(',').map(str::trim).filter(|name| !name.is_empty());
        let name = |name: &str| match name.strip_prefix('"').and_then(|n| n.strip_suffix('"')) {
            Some("$user") => user.to_string(),
            Some(quoted) => quoted.replace("\"\"", "\""),
            None => name.to_lowercase(),
        };
        names.map(name).collect()
    }

    /// Another number means that something was set.
    pub fn version(&self) -> u64 {
        self.version
    }

    fn put(&mut self, name: String, value: Option<String>) {
        self.version += 1;
        match value {
            Some(value) => self.values.insert(name.clone(), value),
            None => self.values.remove(&name),
        };
        if let Some((_, spelled)) = REPORTED.iter().find(|(known, _)| *known == name) {
            let value = self.get(&name).unwrap_or_default().to_string();
            self.changed.push((spelled.to_string(), value));
        }
    }

    fn checked(&self, name: &str, value: &str) -> Result<String, Error> {
        let Some(known) = find(name) else {
            // Names with a dot are anybody's, except ours.
            let custom = name.contains('.') && !name.starts_with("sextant.");
            return if custom { Ok(value.to_string()) } else { Err(unrecognized(name)) };
        };
        let invalid = || {
            let message = format!("invalid value for parameter \"{name}\": \"{value}\"");
            Error::new("22023", message)
        };
        match known.kind {
            Kind::Text => Ok(value.to_string()),
            Kind::Boolean => boolean(value).map(str::to_string).ok_or_else(invalid),
            Kind::Integer if value.parse::<i64>().is_ok() => Ok(value.to_string()),
            Kind::Integer => Err(invalid()),
            Kind::Between(least, most) => match value.parse::<i64>() {
                Ok(number) if (least..=most).contains(&number) => Ok(value.to_string()),
                Ok(number) => {
                    let message = format!(
                        "{number} is outside the valid range for parameter \"{name}\" \
                         ({least} .. {most})"
                    );
                    Err(Error::new("22023", message))
                }
                Err(_) => Err(invalid()),
            },
            Kind::Share => match value.parse::<f64>() {
                _ if value.is_empty() => Ok(String::new()),
                Ok(share) if share > 0.0 && share <= 1.0 => Ok(value.to_string()),
                _ => Err(invalid().with_hint("Write a number over 0 and at most 1.")),
            },
            Kind::Duration => match milliseconds(value) {
                Some(milliseconds) => Ok(duration_text(milliseconds)),
                None => Err(invalid().with_hint(
                    "Valid units for this parameter are \"us\", \"ms\", \"s\", \"min\", \"h\", and \"d\".",
                )),
            },
            Kind::Severity => messages::severity(value)
                .ok_or_else(|| invalid().with_hint(messages::AVAILABLE)),
            Kind::Device => searches::device(value)
                .ok_or_else(|| invalid().with_hint(searches::DEVICES_AVAILABLE)),
            Kind::ReadOnly => {
                let message = format!("parameter \"{name}\" cannot be changed");
                Err(Error::new("55P02", message))
            }
            Kind::TimeZone => zone(value).ok_or_else(invalid),
            Kind::Time if value.is_empty() || time(value).is_some() => Ok(value.to_string()),
            Kind::Time => Err(invalid().with_hint("Write a time as in 2024-01-31 12:00:00+00.")),
        }
    }
}

fn find(name: &str) -> Option<&'static Known> {
    KNOWN.iter().find(|known| known.name == name)
}

/// A setting's name as Postgres writes it.
pub fn display_name(name: &str) -> &str {
    REPORTED.iter().find(|(known, _)| *known == name).map_or(name, |(_, spelled)| spelled)
}

fn unrecognized(name: &str) -> Error {
    let error = Error::new("42704", format!("unrecognized configuration parameter \"{name}\""));
    match sql::error::near_names(name, KNOWN.iter().map(|k| k.name)) {
        Some(hint) => error.with_hint(hint),
        None => error,
    }
}

fn time(value: &str) -> Option<DateTime<Utc>> {
    let read = sql::plan::read_text(value, &sql::types::timestamptz(), "UTC").ok()?;
    let ScalarValue::TimestampMicrosecond(Some(micros), _) = read else { return None };
    DateTime::from_timestamp_micros(micros)
}

fn boolean(value: &str) -> Option<&'static str> {
    match value.to_lowercase().as_str() {
        "on" | "true" | "t" | "yes" | "y" | "1" => Some("on"),
        "off" | "false" | "f" | "no" | "n" | "0" => Some("off"),
        _ => None,
    }
}

/// The zone under the name that the engine knows.
fn zone(value: &str) -> Option<String> {
    use datafusion::arrow::array::timezone::Tz;
    let spelled = match value.to_lowercase().as_str() {
        "utc" | "gmt" | "default" | "local" | "z" => "UTC".to_string(),
        _ => value.to_string(),
    };
    spelled.parse::<Tz>().is_ok().then_some(spelled)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn empty() -> Settings {
        Settings::new([]).unwrap()
    }

    #[test]
    fn set_local_ends_with_the_block() {
        let mut settings = empty();
        settings.set("timezone", "Europe/Berlin").unwrap();
        settings.begin();
        settings.set_local("TimeZone", "Asia/Tokyo").unwrap();
        assert_eq!(settings.get("TIMEZONE"), Some("Asia/Tokyo"));
        settings.end(true);
        assert_eq!(settings.get("timezone"), Some("Europe/Berlin"));
    }

    #[test]
    fn rollback_undoes_set() {
        let mut settings = empty();
        settings.begin();
        settings.set("statement_timeout", "5s").unwrap();
        assert_eq!(settings.duration("statement_timeout"), Some(Duration::from_secs(5)));
        settings.end(false);
        assert_eq!(settings.duration("statement_timeout"), None);
    }

    #[test]
    fn wrong_names_and_values_are_refused() {
        let mut settings = empty();
        assert_eq!(settings.set("statment_timeout", "1").unwrap_err().sqlstate, "42704");
        assert_eq!(settings.set("statement_timeout", "soon").unwrap_err().sqlstate, "22023");
        assert_eq!(settings.set("timezone", "Mars/Base").unwrap_err().sqlstate, "22023");
        assert_eq!(settings.set("server_version", "9").unwrap_err().sqlstate, "55P02");
        assert_eq!(settings.set("sextant.nwo", "9").unwrap_err().sqlstate, "42704");
        settings.set("myapp.user", "7").unwrap();
        assert_eq!(settings.get("myapp.user"), Some("7"));
    }

    #[test]
    fn search_path_names_are_folded_like_identifiers() {
        let mut settings = empty();
        assert_eq!(settings.search_path("ann"), ["ann", "public"]);
        settings.set("search_path", "Sales, \"Mixed\"").unwrap();
        assert_eq!(settings.search_path("ann"), ["sales", "Mixed"]);
    }
}
