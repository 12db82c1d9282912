//! What `pg_catalog` says about the server and the connection: cursors, settings, who is connected.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::{SystemTime, UNIX_EPOCH};

use catalog::Lake;
use datafusion::arrow::datatypes::DataType;
use datafusion::common::ScalarValue;
use sql::access::Authority;
use sql::plan::Lakes;
use sql::system::functions::Seen;
use sql::system::sizes::Sizes;
use sql::system::{Live, OwnFunction, Row, oid};

use super::cursors::OpenCursors;
use super::identity::SharedWho;
use super::statements::Statements;
use crate::Server;
use crate::settings::Settings;

/// One connection's view of the server.
pub struct View {
    pub server: Arc<Server>,
    pub who: SharedWho,
    pub database: String,
    pub settings: Arc<RwLock<Settings>>,
    pub cursors: OpenCursors,
    pub statements: Statements,
    pub sizes: Sizes,
    pub seen: Seen,
}

impl Live for View {
    fn rows(&self, relation: &str) -> Option<Vec<Row>> {
        Some(match relation {
            "pg_cursors" => self.cursors(),
            "pg_prepared_statements" => self.prepared_statements(),
            "pg_settings" => self.settings(),
            "pg_stat_activity" => self.activity(),
            _ => return None,
        })
    }

    fn authority(&self) -> Arc<Authority> {
        let who = self.who.read().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(&who.authority)
    }

    fn lake(&self) -> Arc<Lake> {
        Arc::clone(self.server.lake())
    }

    fn functions(&self) -> &[OwnFunction] {
        crate::functions::own()
    }

    fn sizes(&self) -> &Sizes {
        &self.sizes
    }

    fn see(&self, lakes: &Lakes) {
        if let Ok(mut seen) = self.seen.write() {
            *seen = Some(super::temp::beside(lakes));
        }
    }
}

fn text(text: impl Into<String>) -> ScalarValue {
    ScalarValue::Utf8(Some(text.into()))
}

fn time(time: SystemTime) -> ScalarValue {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    let us = i64::try_from(since.as_micros()).unwrap_or(i64::MAX);
    ScalarValue::TimestampMicrosecond(Some(us), Some("UTC".into()))
}

impl View {
    fn cursors(&self) -> Vec<Row> {
        let mut rows = Vec::new();
        self.cursors.each(|name, cursor| {
            rows.push(vec![
                ("name", text(name)),
                ("statement", text(cursor.text.as_ref())),
                ("is_holdable", cursor.hold.into()),
                ("is_binary", cursor.binary.into()),
                ("is_scrollable", cursor.scroll.into()),
                ("creation_time", time(cursor.created)),
            ]);
        });
        rows
    }

    fn prepared_statements(&self) -> Vec<Row> {
        let mut rows = Vec::new();
        self.statements.each(|name, named| {
            let types: Vec<ScalarValue> =
                named.oids.iter().map(|oid| ScalarValue::Int64(Some(i64::from(*oid)))).collect();
            rows.push(vec![
                ("name", text(name)),
                ("statement", text(named.text.as_ref())),
                ("prepare_time", time(named.created)),
                (
                    "parameter_types",
                    ScalarValue::List(ScalarValue::new_list_nullable(&types, &DataType::Int64)),
                ),
                ("from_sql", named.by_statement.into()),
            ]);
        });
        rows
    }

    fn settings(&self) -> Vec<Row> {
        let Ok(settings) = self.settings.read() else { return Vec::new() };
        let row = |(name, value, description): (String, String, String)| {
            vec![
                ("name", text(name)),
                ("setting", text(value)),
                ("category", text("Sextant")),
                ("short_desc", text(description)),
                ("context", text("user")),
                ("vartype", text("string")),
                ("source", text("session")),
            ]
        };
        settings.all().into_iter().map(row).collect()
    }

    fn activity(&self) -> Vec<Row> {
        let mut rows = Vec::new();
        let Ok(who) = self.who.read() else { return rows };
        let all = who.authority.holds(sql::access::READ_ALL_STATS);
        self.server.cancels.each(|pid, about| {
            let role = about.role.unwrap_or(oid::OWNER);
            let own = all || who.authority.holds(role);
            let hidden = "<insufficient privilege>";
            rows.push(vec![
                ("datid", oid::DATABASE.into()),
                ("datname", text(&self.database)),
                ("pid", pid.into()),
                ("usesysid", role.into()),
                ("usename", text(&about.user)),
                ("application_name", text(&about.application)),
                ("client_addr", if own { text(&about.address) } else { ScalarValue::Null }),
                ("backend_start", time(about.since)),
                ("query_start", time(about.query_since)),
                ("state_change", time(about.state_since)),
                ("state", text(about.state)),
                ("query", text(if own { about.query.as_ref() } else { hidden })),
                ("backend_type", text("client backend")),
            ]);
        });
        rows
    }
}
